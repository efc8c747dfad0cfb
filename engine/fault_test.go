//go:build cgo && crashlab

package engine

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

var errDisk = errors.New("the disk failed")

// failSync lets the k-th sync of a path that ends so fail, and no other.
func failSync(t *testing.T, suffix string, k int64) (fired *atomic.Bool) {
	var count atomic.Int64
	fired = new(atomic.Bool)
	fault := func(path string) error {
		if !strings.HasSuffix(path, suffix) && !strings.HasSuffix(filepath.Dir(path), suffix) ||
			count.Add(1) != k {
			return nil
		}
		fired.Store(true)
		return errDisk
	}
	disk.Fault.Store(&fault)
	t.Cleanup(func() { disk.Fault.Store(nil) })
	return fired
}

// TestFailedSyncIsFatal lets one sync fail, of each kind, at each time: from then on nothing is
// saved and nothing is written, reads go on, and the next open has every row again.
func TestFailedSyncIsFatal(t *testing.T) {
	for _, suffix := range []string{"-wal", "state", "outbox"} {
		t.Run(suffix, func(t *testing.T) {
			for k := int64(1); ; k++ {
				if !failOnce(t, suffix, k) {
					require.Greater(t, k, int64(3))
					return
				}
			}
		})
	}
}

// failOnce works until the k-th sync of a kind fails; false when there were fewer.
func failOnce(t *testing.T, suffix string, k int64) bool {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := openAt(t, path, Options{PageSize: 1024})
	require.NoError(t, err)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.checkpoint(t)
	saved := db.logs
	db.logs = nil // they come before those of the next life
	rows := 0
	fired := failSync(t, suffix, k)
	down := func(context.Context, *translog.Log) error { return errDisk }
	keep := func(_ context.Context, log *translog.Log) error {
		clone, err := log.Clone()
		saved = append(saved, clone)
		return err
	}
	for step := range 12 {
		if db.run("INSERT INTO t(x) VALUES(randomblob(700))") == nil {
			rows++
		}
		save := down
		if step%5 == 4 {
			save = keep
		}
		_, _ = db.Checkpoint(context.Background(), save)
		if step%2 == 0 {
			_, _ = db.Reset(context.Background())
		}
	}
	if !fired.Load() {
		err := db.close()
		require.True(t, fired.Load() || errors.Is(err, ErrUnsaved), err)
		requireRowsAfterFault(t, path, saved, rows)
		return fired.Load() // the last one is that of the close
	}
	require.ErrorIs(t, db.run("INSERT INTO t(x) VALUES(1)"), ErrPoisoned)
	_, err = db.Checkpoint(context.Background(), keep)
	require.ErrorIs(t, err, ErrPoisoned)
	require.ErrorIs(t, db.WaitSaved(context.Background(), db.Committed()+1), ErrPoisoned)
	require.Equal(t, rows, countRows(t, path))
	_ = db.close()
	requireRowsAfterFault(t, path, saved, rows)
	return true
}

// requireRowsAfterFault opens the database again: what was written is there, and what was saved
// goes on.
func requireRowsAfterFault(t *testing.T, path string, saved []*translog.Log, rows int) {
	disk.Fault.Store(nil)
	again, err := openAt(t, path, Options{})
	require.NoError(t, err)
	require.Equal(t, rows, countRows(t, path))
	again.logs = saved
	again.checkpoint(t)
	again.requireRestores(t)
}

func countRows(t *testing.T, path string) (rows int) {
	db := openPlain(t, path, "")
	require.NoError(t, db.QueryRow("SELECT count(*) FROM t").Scan(&rows))
	require.NoError(t, db.Close())
	return rows
}

// TestOutboxIsDurableBehindAReset watches what is in the outbox whenever its folder is synced, also
// while logs that wait there are merged: nothing else is in it when a reset returns.
func TestOutboxIsDurableBehindAReset(t *testing.T) {
	db := openNew(t, Options{PageSize: 1024, WALLimitFrames: 100})
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.checkpoint(t)
	folder := db.sidecar.outbox()
	var synced map[string]bool
	watch := func(path string) error {
		if path == folder {
			synced = namesIn(t, folder)
		}
		return nil
	}
	disk.Fault.Store(&watch)
	t.Cleanup(func() { disk.Fault.Store(nil) })
	down := func(context.Context, *translog.Log) error { return errDisk }
	merged := false
	for round := range 2 * offeredMax {
		db.exec(t, "INSERT OR REPLACE INTO t VALUES(1, randomblob(3000))")
		_, err := db.Checkpoint(context.Background(), down)
		require.ErrorIs(t, err, errDisk)
		before := namesIn(t, folder)
		_, err = db.Reset(context.Background())
		require.NoError(t, err)
		after := namesIn(t, folder)
		for name := range after {
			require.True(t, synced[name], "%s is not durable", name)
		}
		// The log that was offered stays, what waits behind it becomes one.
		merged = merged || round > offeredMax && len(after) == 2 && len(before) == 2 &&
			!maps.Equal(before, after)
	}
	require.True(t, merged, "no logs were merged")
	db.checkpoint(t) // as far as was offered
	db.requireRestores(t)
}

func namesIn(t *testing.T, folder string) map[string]bool {
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, entry := range entries {
		names[entry.Name()] = true
	}
	return names
}

// TestForeignCommitBehindTheLastLook lets another program commit, and leave, when a close has let
// the write lock go and has not closed its connections: the commit stays in the WAL, and the next
// open goes on with it.
func TestForeignCommitBehindTheLastLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := openAt(t, path, Options{PageSize: 1024})
	require.NoError(t, err)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.checkpoint(t)
	position := db.Committed()
	act := func(point crashpoint.Point) {
		if point != crashpoint.CloseUnlocked {
			return
		}
		foreign := openPlain(t, path, "")
		_, err := foreign.Exec("INSERT INTO t(x) VALUES('foreign')")
		require.NoError(t, errors.Join(err, foreign.Close()))
	}
	crashpoint.OnReach.Store(&act)
	defer crashpoint.OnReach.Store(nil)
	require.ErrorIs(t, db.close(), ErrUnsaved)
	crashpoint.OnReach.Store(nil)
	require.FileExists(t, path+"-wal")
	again, err := openAt(t, path, Options{})
	require.NoError(t, err)
	require.Greater(t, again.Committed(), position)
	require.Less(t, again.Committed(), position+historyJump/2, "it starts over")
	again.checkpoint(t)
	require.NoError(t, again.close())
}
