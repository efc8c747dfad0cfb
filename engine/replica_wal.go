//go:build cgo

package engine

import (
	"context"
	"errors"
	"time"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// A replica's WAL shrinks only by TRUNCATE: the other modes leave it to the next writer of
// SQLite's to begin it anew, and there is none. https://www.sqlite.org/pragma.html#pragma_wal_checkpoint

// truncateBusyTimeout is how long a TRUNCATE waits for readers that still use the WAL.
// Readers that come and go leave it a moment; without waiting none would succeed.
const truncateBusyTimeout = 200 * time.Millisecond

// truncateIfDue moves a WAL that has passed its limit into the database file. Readers that
// keep it from that put it off, as they do in SQLite.
func (db *DB) truncateIfDue(ctx context.Context) {
	db.mu.Lock()
	due := db.resetDueLocked()
	db.mu.Unlock()
	if !due {
		return
	}
	complete, err := db.truncate(ctx)
	if err != nil {
		db.log.Warn("WAL not truncated", "path", db.path, "error", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.resetFrame = 0
	if !complete {
		db.putOffResetLocked()
	}
}

// truncate moves the WAL of a replica into the database file and empties it. Should
// somebody commit between the two, the file is not what the state has noted.
func (db *DB) truncate(ctx context.Context) (complete bool, err error) {
	copied, err := db.copyWAL(ctx)
	if err != nil || !copied {
		return false, err
	}
	return db.emptyWAL()
}

func (db *DB) emptyWAL() (complete bool, err error) {
	if err := db.writer.setBusyTimeout(truncateBusyTimeout); err != nil {
		return false, err
	}
	complete, err = db.writer.checkpoint("TRUNCATE")
	crashpoint.Reach(crashpoint.TruncateDone)
	_, _, observeErr := db.observeIndex()
	return complete, errors.Join(err, observeErr)
}

// copyWAL copies the whole WAL to the database file, and notes in the state what that
// looks like then: a later TRUNCATE only removes the WAL. What the file takes is durable in
// the WAL before, and the state that names it too. Nobody can commit meanwhile, and what
// somebody else has committed is not copied: a replica that has diverged can go back then.
func (db *DB) copyWAL(ctx context.Context) (complete bool, err error) {
	if err := db.writer.beginWrite(ctx, truncateBusyTimeout); err != nil {
		return false, ignoreBusy(err)
	}
	defer func() { err = errors.Join(err, db.writer.exec("ROLLBACK")) }()
	if _, _, err := db.observeIndex(); err != nil {
		return false, err
	}
	if db.isDiverged() {
		return false, db.writeRecord(true)
	}
	if err := db.syncReplica(); err != nil {
		return false, err
	}
	crashpoint.Reach(crashpoint.CopySynced)
	// Its pager has to learn the page size first, which the first snapshot may have changed.
	if err := errors.Join(db.guard.beginRead(), db.guard.endRead()); err != nil {
		return false, err
	}
	complete, err = db.guard.checkpoint("PASSIVE")
	crashpoint.Reach(crashpoint.CopyDone)
	if err != nil || !complete {
		return false, err
	}
	err = db.writeSettledRecord()
	crashpoint.Reach(crashpoint.CopyNoted)
	return true, err
}

// settleReplica is what a close does for a replica: the database is left as one plain
// file, unless a reader or another program needs the WAL.
func (db *DB) settleReplica() error {
	complete, err := db.truncate(context.Background())
	if err == nil && complete {
		db.writer.handle.CheckpointOnClose()
	}
	return err
}

// resetReplica answers PRAGMA wal_checkpoint on a replica.
func (db *DB) resetReplica(ctx context.Context) (complete bool, err error) {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return false, err
	}
	defer letGo()
	if !db.replica.Load() {
		return false, nil
	}
	return db.truncate(ctx)
}
