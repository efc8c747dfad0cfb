//go:build cgo

package engine

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// resetLimitFrames is the WAL limit of these tests.
const resetLimitFrames = 60

// openSmallWAL opens a database whose WAL is reset often, with one row to change.
func openSmallWAL(t *testing.T) *opened {
	t.Helper()
	db := openNew(t, Options{WALLimitFrames: resetLimitFrames})
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.grow(t, 20)
	return db
}

// load commits as fast as it can until SQLite has begun the WAL anew so many times, and returns how
// many commits that took and the most frames that the WAL ever held.
func (o *opened) load(t *testing.T, restarts, commitsMax int) (commits, framesMax int) {
	t.Helper()
	last := o.salt()
	for ; restarts > 0 && commits < commitsMax; commits++ {
		o.touch(t, 3)
		framesMax = max(framesMax, o.Stats().WALFrames)
		if now := o.salt(); now != last {
			last = now
			restarts--
		}
	}
	require.Zero(t, restarts, "the WAL still grows after %d commits: %d frames", commits, framesMax)
	o.background.Wait()
	return commits, framesMax
}

func (o *opened) salt() [2]uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.salt
}

// outboxBytes is what the outbox takes on disk.
func (o *opened) outboxBytes(t *testing.T) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(o.sidecar.outbox())
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // saved meanwhile
		}
		require.NoError(t, err)
		bytes += info.Size()
	}
	return bytes
}

// TestWALStaysBounded commits without a pause, while saves follow each other without a pause and
// work, fail or hang for ever, or while there are none: the WAL begins anew again and again, and
// the outbox stays within the size of the database, one log, and what a save has in hand. How long
// the WAL gets meanwhile is a matter of what is committed while a seal and its fsync run.
func TestWALStaysBounded(t *testing.T) {
	const restarts, commitsMax = 10, 50_000
	refused := errors.New("refused")
	for _, row := range []struct {
		name  string
		first bool // one save succeeds before
		save  func(db *opened) Save
		hangs bool
	}{
		{"saves work", true, func(db *opened) Save { return db.save }, false},
		{"saves fail", true, func(*opened) Save {
			return func(context.Context, *translog.Log) error { return refused }
		}, false},
		{"the first save fails", false, func(*opened) Save {
			return func(context.Context, *translog.Log) error { return refused }
		}, false},
		{"a save hangs", true, func(db *opened) Save { return db.save }, true},
		{"the first save hangs", false, func(db *opened) Save { return db.save }, true},
		{"no saves after the first", true, nil, false},
		{"never a save", false, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := openSmallWAL(t)
			if row.first {
				db.checkpoint(t)
			}
			var stop func()
			if row.save != nil {
				db.touch(t, 3)
				stop = db.keepSaving(t, row.save(db), row.hangs, refused)
			}
			commits, framesMax := db.load(t, restarts, commitsMax)
			outbox := db.outboxBytes(t)
			t.Logf("%d commits, at most %d frames in the WAL, %d bytes in the outbox",
				commits, framesMax, outbox)
			require.Less(t, outbox, int64(8*20*db.pageSize))
			if stop != nil {
				stop()
			}
			require.Positive(t, db.Committed())
			db.requireRestores(t)
		})
	}
}

// keepSaving runs checkpoints one after the other, the first of which hangs in its save if
// asked to. stop ends them: the save that hung succeeds then.
func (o *opened) keepSaving(t *testing.T, save Save, hangs bool, want error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	inside, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	body := func(ctx context.Context, log *translog.Log) error {
		once.Do(func() {
			close(inside)
			if hangs {
				<-released
			}
		})
		return save(context.WithoutCancel(ctx), log)
	}
	done := make(chan error, 1)
	go func() {
		for {
			_, err := o.Checkpoint(ctx, body)
			if ctx.Err() != nil || err != nil && !errors.Is(err, want) {
				done <- err
				return
			}
		}
	}()
	<-inside
	return func() {
		cancel()
		close(released)
		if err := <-done; !errors.Is(err, want) && !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	}
}

// TestResetWhileASaveHangs resets again and again while a hanging save holds a log: the log stays
// readable, and what it saves when it comes back counts.
func TestResetWhileASaveHangs(t *testing.T) {
	db := openSmallWAL(t)
	db.checkpoint(t)
	db.touch(t, 5)
	_, err := db.Checkpoint(t.Context(), func(ctx context.Context, log *translog.Log) error {
		for range 5 {
			db.touch(t, 5)
			result, err := db.Reset(ctx)
			require.NoError(t, err)
			require.False(t, result.Busy)
			require.Equal(t, result.WALFrames, result.Backfilled)
			require.NoError(t, log.Verify())
		}
		return db.save(ctx, log)
	})
	require.NoError(t, err)
	require.Len(t, db.logs, 2)
	require.Greater(t, db.Committed(), db.Saved().FrameNo)
	db.checkpoint(t)
	require.False(t, db.logs[2].IsSnapshot())
	require.Zero(t, db.outboxBytes(t), "what is saved leaves the outbox")
	db.requireRestores(t)
}

// TestLongReaderDelaysReset keeps a read transaction open, of a plain connection: the reset copies
// nothing over what it reads, reports that it is not done, and is done once the reader is.
func TestLongReaderDelaysReset(t *testing.T) {
	db := openSmallWAL(t)
	db.checkpoint(t)
	reader := openPlain(t, db.path, "mode=ro")
	tx, err := reader.Begin()
	require.NoError(t, err)
	var before, now []byte
	require.NoError(t, tx.QueryRow("SELECT x FROM t WHERE id=1").Scan(&before))
	for range 20 {
		db.touch(t, 10)
		result, err := db.Reset(t.Context())
		require.NoError(t, err)
		require.True(t, result.Busy)
		require.Less(t, result.Backfilled, result.WALFrames)
		require.NoError(t, tx.QueryRow("SELECT x FROM t WHERE id=1").Scan(&now))
		require.Equal(t, before, now)
	}
	delayed := db.Stats().WALFrames
	require.Greater(t, delayed, 3*resetLimitFrames)
	require.NoError(t, tx.Rollback())
	db.background.Wait()
	result, err := db.Reset(t.Context())
	require.NoError(t, err)
	require.False(t, result.Busy)
	db.touch(t, 1)
	require.Less(t, db.Stats().WALFrames, resetLimitFrames)
	require.NoError(t, reader.Close())
	db.requireRestores(t)
}

// TestOutgrownOutbox commits to the same pages while nothing is saved, until the logs are larger
// than the database: they are dropped, and one snapshot follows the last saved position.
func TestOutgrownOutbox(t *testing.T) {
	db := openSmallWAL(t)
	db.checkpoint(t)
	saved := db.Saved()
	dropped := false
	for range 40 {
		db.touch(t, 10)
		result, err := db.Reset(t.Context())
		require.NoError(t, err)
		require.False(t, result.Busy)
		bytes := db.outboxBytes(t)
		dropped = dropped || bytes == 0
		require.LessOrEqual(t, bytes, int64(2*30*db.pageSize))
	}
	require.True(t, dropped)
	db.checkpoint(t)
	require.Len(t, db.logs, 2)
	require.True(t, db.logs[1].IsSnapshot())
	require.Equal(t, saved, db.logs[1].Follows())
	db.requireRestores(t)
}

// TestForeignWriterDelaysReset holds SQLite's write lock by a plain connection: the reset gives
// up at once, and the guard stands again, so that the foreign commit is captured.
func TestForeignWriterDelaysReset(t *testing.T) {
	db := openSmallWAL(t)
	db.checkpoint(t)
	db.touch(t, 10)
	foreign := openPlain(t, db.path, "_busy_timeout=0")
	_, err := foreign.Exec("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES('foreign')")
	require.NoError(t, err)
	committed := db.Committed()
	result, err := db.Reset(t.Context())
	require.NoError(t, err)
	require.True(t, result.Busy)
	require.True(t, db.gate.tryEnter(), "the gate is free again")
	db.gate.leave()
	require.Equal(t, committed, db.Committed())
	_, err = foreign.Exec("COMMIT")
	require.NoError(t, err)
	require.Greater(t, db.Committed(), committed)
	for _, mode := range []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"} {
		var busy, frames, copied int
		row := foreign.QueryRow("PRAGMA wal_checkpoint(" + mode + ")")
		_ = row.Scan(&busy, &frames, &copied) // busy, or done as far as the guard lets it
		db.touch(t, 2)
		_, err = foreign.Exec("UPDATE t SET x='foreign' WHERE id=1")
		require.NoError(t, err)
		db.checkpoint(t)
	}
	result, err = db.Reset(t.Context())
	require.NoError(t, err)
	require.False(t, result.Busy)
	require.NoError(t, foreign.Close())
	for i, log := range db.logs[1:] {
		require.False(t, log.IsSnapshot(), "log %d: a foreign checkpoint took frames", i)
	}
	db.requireRestores(t)
}

// TestResetInsideATransaction asks for a reset while a transaction holds the gate: it is busy, and
// the transaction is none the wiser. A Checkpoint inside works.
func TestResetInsideATransaction(t *testing.T) {
	db := openSmallWAL(t)
	db.exec(t, "BEGIN IMMEDIATE")
	db.touch(t, 10)
	result, err := db.Reset(t.Context())
	require.NoError(t, err)
	require.True(t, result.Busy)
	before := db.checkpoint(t)
	db.exec(t, "COMMIT")
	require.Greater(t, db.Committed(), before)
	db.requireRestores(t)
}

// TestReplacedWAL deletes the WAL under an open database: what was in it can not be sealed, so
// the database takes no more writes and the acks fail.
func TestReplacedWAL(t *testing.T) {
	db := openSmallWAL(t)
	db.damaged("the test takes the WAL away")
	db.checkpoint(t)
	ack := NewAck(nil)
	require.NoError(t, db.runUnder(ack, "INSERT INTO t(x) VALUES('lost')"))
	require.ErrorIs(t, ack.Err(), ErrPending)
	require.NoError(t, os.Rename(db.path+"-wal", db.path+"-away"))
	_, err := db.Checkpoint(t.Context(), db.save)
	require.ErrorIs(t, err, ErrReplaced)
	require.ErrorIs(t, db.run("INSERT INTO t(x) VALUES('more')"), ErrReplaced)
	require.ErrorIs(t, ack.Wait(t.Context()), ErrReplaced)
	require.NoError(t, os.Rename(db.path+"-away", db.path+"-wal"))
	require.Error(t, db.close())
}
