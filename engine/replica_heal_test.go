//go:build cgo

package engine

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// TestHealedAndPromotedIsKilled lets a replica that was synced diverge, heals it by a snapshot of
// an earlier position in the same WAL, promotes it, and commits. What a kill leaves is opened again
// with the same position, and its log leads to its content.
func TestHealedAndPromotedIsKilled(t *testing.T) {
	s := foreignShelf(t)
	for _, heal := range []int{1, 3, 5} {
		for _, more := range []int{0, 1, 30} {
			t.Run(fmt.Sprint(heal, " logs, ", more, " commits"), func(t *testing.T) {
				o := openHalf(t, s, Options{})
				require.NoError(t, o.Sync(t.Context()))
				plain := openPlain(t, o.path, "")
				_, err := plain.Exec("INSERT INTO t(x) VALUES('foreign')")
				require.NoError(t, err)
				require.NoError(t, plain.Close())
				o.logs = []*translog.Log{s.snapshot(t, heal)}
				require.NoError(t, o.Replicate(t.Context(), o.logs[0]))
				require.NoError(t, o.Promote(t.Context()))
				o.exec(t, "INSERT INTO t(x) VALUES('mine')")
				o.checkpoint(t)
				for range more {
					o.exec(t, "UPDATE c SET n = n + 1")
				}
				committed, saved := o.Committed(), o.Saved()

				folder := filepath.Join(t.TempDir(), "copy") // by another process: see cutPower
				require.NoError(t, exec.Command("cp", "-r", filepath.Dir(o.path), folder).Run())
				path := filepath.Join(folder, filepath.Base(o.path))
				require.NoError(t, exec.Command("rm", path+"-shm").Run())
				again, err := openAt(t, path, Options{})
				require.NoError(t, err)
				again.logs = o.kept()
				require.Equal(t, saved, again.Saved())
				require.Equal(t, committed, again.Committed())
				again.exec(t, "UPDATE c SET n = n + 1")
				again.checkpoint(t)
				last := again.logs[len(again.logs)-1]
				require.False(t, last.IsSnapshot())
				require.NoError(t, again.close())
				require.Equal(t, last.End().Checksum, fileChecksum(t, path))
			})
		}
	}
}

// TestKilledWhileGoingBack interrupts a replica that undoes a foreign commit, behind the intent and
// before the commit mark: the next open finds the place that it goes back to again.
func TestKilledWhileGoingBack(t *testing.T) {
	s := foreignShelf(t)
	o := openHalf(t, s, Options{})
	o.damaged("the test breaks off in the middle of its work")
	place := o.last.anchor()
	place.Content = o.Saved().Checksum
	plain := openPlain(t, o.path, "")
	_, err := plain.Exec("INSERT INTO t(x) VALUES('foreign')")
	require.NoError(t, err)
	require.NoError(t, plain.Close())
	_, state, err := o.observeIndex()
	require.NoError(t, err)
	require.True(t, o.isDiverged())
	o.goingBackTo = &place
	next := state
	next.MaxFrame += 2
	require.NoError(t, o.writeIntent(next, translog.Position{
		FrameNo: place.Position, Checksum: place.Content,
	}))
	folder := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, exec.Command("cp", "-r", filepath.Dir(o.path), folder).Run())
	path := filepath.Join(folder, filepath.Base(o.path))
	require.NoError(t, exec.Command("rm", path+"-shm").Run())
	again := openReplicaAt(t, path, Options{})
	require.Equal(t, s.position(foreignHalf), again.at(t))
	require.False(t, again.Stats().Diverged)
	s.requireCaughtUp(t, again)
}
