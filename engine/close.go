//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// close closes a database that nobody holds any more. A database whose commits are all in
// the database file is left as one plain file without a WAL. Commits that are not saved
// stay in the file, in the WAL or in the outbox, and are offered after the next open.
//
// A Checkpoint under way does not hold it up: it returns ErrClosed, and should its save
// have succeeded, the next one finds that out from the store.
func (db *DB) close() error {
	db.background.Wait()
	_ = db.sealing.Acquire(context.Background(), 1) // whoever has it ends soon
	err := db.settleBeforeClose()
	unsaved := db.everSaved() && db.lastSeen() > db.Saved().FrameNo
	db.endStreams(io.EOF)
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	_ = db.fail(ErrClosed)
	err = errors.Join(err, db.closeFiles())
	crashpoint.Reach(crashpoint.CloseRemoved)
	db.sealing.Release(1)
	db.background.Wait()
	if db.options.Temporary {
		return errors.Join(err, os.RemoveAll(filepath.Dir(db.path)))
	}
	if unsaved {
		err = errors.Join(err, fmt.Errorf("%w: %d is saved, %d is committed",
			ErrUnsaved, db.Saved().FrameNo, db.lastSeen()))
	}
	return err
}

// closeBusyTimeout lets the last reset wait a little for a foreign writer.
const closeBusyTimeout = 200 * time.Millisecond

// settleBeforeClose makes what is unsaved durable and moves the WAL into the database file, as
// a reset does. SQLite removes the WAL when its last connection closes, which is ours unless
// a foreign one is open. While a foreign writer is busy the WAL stays as it is.
func (db *DB) settleBeforeClose() error {
	if db.options.Temporary || db.usable() != nil {
		return nil
	}
	if db.replica.Load() {
		return db.settleReplica()
	}
	foreign := db.writer.beginWrite(context.Background(), closeBusyTimeout) != nil
	if err := db.makeDurable(context.Background()); err != nil || foreign {
		return err
	}
	crashpoint.Reach(crashpoint.CloseDurable)
	complete, err := db.moveGuard()
	crashpoint.Reach(crashpoint.CloseCopied)
	if err == nil && complete {
		// Before anybody can write again, and before the WAL goes.
		err = db.writeSettledRecord()
	}
	crashpoint.Reach(crashpoint.CloseSettled)
	settled, _, observeErr := db.observeIndex()
	err = errors.Join(err, observeErr, db.writer.exec("ROLLBACK"), db.guard.endRead())
	if err != nil || !complete {
		return err
	}
	crashpoint.Reach(crashpoint.CloseUnlocked)
	// What a foreign writer commits from here on must stay in the WAL: the record does
	// not know it.
	now, _, err := db.observeIndex()
	if err == nil && now == settled {
		db.writer.handle.CheckpointOnClose()
	}
	return err
}
