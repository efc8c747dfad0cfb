//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	_ = db.fail(ErrClosed)
	err = errors.Join(err, db.closeFiles())
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

// closeBusyTimeout lets the last checkpoint wait a little for foreign readers, in ms.
const closeBusyTimeout = "PRAGMA busy_timeout = 200"

// settleBeforeClose makes what is unsaved durable and empties the WAL, unless a foreign
// connection keeps it.
func (db *DB) settleBeforeClose() error {
	if db.options.Temporary || db.writable() != nil {
		return nil
	}
	to, _, err := db.observeIndex()
	if err != nil {
		return err
	}
	if err := db.seal(context.Background(), to); err != nil {
		return err
	}
	if err := db.syncWAL(); err != nil {
		return err
	}
	if err := db.fillOutbox(); err != nil {
		return err
	}
	if err := db.writeRecord(true); err != nil {
		return err
	}
	if err := db.guard.endRead(); err != nil {
		return err
	}
	if err := db.writer.exec(closeBusyTimeout); err != nil {
		return err
	}
	// A connection that never read opens its WAL inside its first checkpoint, and stays a
	// reader until that statement ends: a TRUNCATE would wait for itself.
	if _, err := db.writer.checkpoint("PASSIVE"); err != nil {
		return err
	}
	complete, err := db.writer.checkpoint("TRUNCATE")
	if err != nil {
		return err
	}
	_, state, err := db.observeIndex()
	if err != nil {
		return err
	}
	if complete {
		db.writer.handle.CheckpointOnClose()
	} else if state.Backfilled != state.MaxFrame {
		return nil
	}
	return db.writeSettledRecord()
}
