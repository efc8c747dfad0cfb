//go:build cgo

package engine

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// powerCut is a replica that was synced at one log and took more since, as copies of its files.
type powerCut struct {
	*shelf
	folder string // of the copies
	synced int    // log
	frames uint32 // of the WAL at that log; 0 when it was emptied there
	total  uint32 // of the WAL at the end
	states map[string][]byte
}

// cutPower copies the files of a running replica: by another process, for closing them here would
// drop SQLite's locks. At the synced log the WAL is emptied, if asked for.
func cutPower(t *testing.T, emptied bool) *powerCut {
	t.Helper()
	seed := rand.Uint64()
	t.Log("seed", seed)
	c := &powerCut{shelf: makeShelf(t, 1024, 12, rand.New(rand.NewPCG(seed, 1))),
		folder: filepath.Join(t.TempDir(), "copy"), synced: 5, states: map[string][]byte{}}
	path := filepath.Join(t.TempDir(), "replica.db")
	o := openReplicaAt(t, path, Options{WALLimitFrames: 1 << 20})
	o.replicate(t, c.logs[:c.synced+1]...)
	if emptied {
		result, err := o.Reset(t.Context())
		require.NoError(t, err)
		require.False(t, result.Busy)
	}
	require.NoError(t, o.Sync(t.Context()))
	c.frames = uint32(o.Stats().WALFrames)
	c.keepState(t, o, "as it was synced")
	for _, log := range c.logs[c.synced+1 : 10] {
		o.replicate(t, log)
		c.keepState(t, o, "of the last log")
	}
	c.total = uint32(o.Stats().WALFrames)
	require.NoError(t, exec.Command("cp", "-r", filepath.Dir(path), c.folder).Run())
	require.NoError(t, os.Remove(filepath.Join(c.folder, "replica.db-shm")))
	return c
}

// keepState reads the state file, which is none of SQLite's.
func (c *powerCut) keepState(t *testing.T, o *opened, name string) {
	t.Helper()
	content, err := os.ReadFile(o.sidecar.statePath())
	require.NoError(t, err)
	c.states[name] = content
}

// leave makes what a power cut leaves: some frames of the WAL, and one of the states.
func (c *powerCut) leave(t *testing.T, frames uint32, state []byte) (path string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.CopyFS(folder, os.DirFS(c.folder)))
	path = filepath.Join(folder, "replica.db")
	length := wal.FrameOffset(frames+1, 1024)
	require.NoError(t, os.Truncate(path+"-wal", length))
	require.NoError(t, os.WriteFile(filepath.Join(path+sidecarSuffix, "state"), state, 0o600))
	return path
}

// TestPowerCutOfAReplica loses every number of frames behind the synced ones, with the state as it
// was synced or as it was written last: the replica is at the end of a log, at or behind the synced
// one, and holds what the primary held there. It goes on from there.
func TestPowerCutOfAReplica(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		c := cutPower(t, emptied)
		backs, step := 0, uint32(1)
		if testing.Short() {
			step = 5
		}
		for name, state := range c.states {
			for frames := c.frames; frames <= c.total; frames += step {
				path := c.leave(t, frames, state)
				o := openReplicaAt(t, path, Options{})
				at := o.at(t)
				require.False(t, o.Stats().Diverged, "%d frames, state %s", frames, name)
				require.GreaterOrEqual(t, at.FrameNo, c.logs[c.synced].Last())
				if at == c.logs[c.synced].End() && frames > c.frames {
					backs++
				}
				require.NoError(t, o.close())
				c.requireContent(t, path, at)
				c.goOn(t, path, at)
			}
		}
		require.Positive(t, backs)
		t.Logf("%d replicas went back", backs)
	}
}

// goOn takes every log again, and then is what the primary is.
func (c *powerCut) goOn(t *testing.T, path string, at translog.Position) {
	t.Helper()
	o := openReplicaAt(t, path, Options{})
	require.Equal(t, at, o.at(t))
	for _, log := range c.logs {
		require.NoError(t, o.Replicate(t.Context(), log))
	}
	require.NoError(t, o.close())
	requireSameBytes(t, c.path, path)
}
