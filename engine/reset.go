//go:build cgo

package engine

import (
	"context"
	"errors"
	"time"
)

// resetGateWait bounds how long a background reset queues for the write gate.
const resetGateWait = 10 * time.Second

// startReset resets the WAL in the background, unless a reset runs already.
// The goroutine ends by itself; close waits for it.
func (db *DB) startReset() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.resetting || db.failure != nil {
		return
	}
	db.resetting = true
	db.background.Go(func() {
		err := db.resetInBackground()
		db.mu.Lock()
		db.resetting = false
		db.resetFrame = db.last.frame
		db.mu.Unlock()
		if err != nil && !errors.Is(err, errLater) {
			db.log.Warn("WAL not reset", "path", db.path, "error", err)
		}
	})
}

// errLater says that a reset must be tried again later.
var errLater = errors.New("engine: reset later")

func (db *DB) resetInBackground() error {
	ctx := context.Background()
	if err := db.presealForReset(ctx); err != nil {
		return err
	}
	if err := db.gate.enter(ctx, resetGateWait); err != nil {
		return errLater
	}
	defer db.gate.leave()
	_, err := db.resetWithGate(ctx)
	return err
}

// presealForReset seals without the gate, so that little is left to do inside.
func (db *DB) presealForReset(ctx context.Context) error {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer db.sealing.Release(1)
	to, _, err := db.observeIndex()
	if err != nil {
		return err
	}
	if err := db.seal(ctx, to); err != nil {
		return err
	}
	return db.fillOutbox()
}

// resetIfDue resets the WAL at the end of a Checkpoint. It only tries the gate,
// for the caller may hold it.
func (db *DB) resetIfDue(ctx context.Context) {
	db.mu.Lock()
	due := !db.resetting && db.failure == nil && db.last.frame >= db.resetFrame+db.walLimit
	db.mu.Unlock()
	if !due || !db.gate.tryEnter() {
		return
	}
	defer db.gate.leave()
	if _, err := db.resetWithGate(ctx); err != nil && !errors.Is(err, errLater) {
		db.log.Warn("WAL not reset", "path", db.path, "error", err)
	}
}

// ResetResult is what PRAGMA wal_checkpoint answers.
// https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
type ResetResult struct {
	Busy       bool
	WALFrames  int
	Backfilled int
}

// Reset tries to move the WAL into the database file now, the answer to PRAGMA
// wal_checkpoint. It gives up, busy, when a writer holds the gate.
func (db *DB) Reset(ctx context.Context) (ResetResult, error) {
	busy := true
	if db.gate.tryEnter() {
		complete, err := db.resetWithGate(ctx)
		db.gate.leave()
		if err != nil && !errors.Is(err, errLater) {
			return ResetResult{}, err
		}
		busy = !complete
	}
	_, state, err := db.observeIndex()
	return ResetResult{
		Busy: busy, WALFrames: int(state.MaxFrame), Backfilled: int(state.Backfilled),
	}, err
}

// resetWithGate lets SQLite copy the WAL into the database file and start it anew
// with the next write. The caller holds the gate. Everything in the WAL is
// sealed and durable elsewhere first, in this order: the WAL's own frames, the
// outbox, the state that names them.
func (db *DB) resetWithGate(ctx context.Context) (complete bool, err error) {
	if !db.sealing.TryAcquire(1) {
		return false, errLater
	}
	defer db.sealing.Release(1)
	if err := db.writable(); err != nil {
		return false, err
	}
	// Foreign writers stay out until the guard stands again.
	if err := db.writer.exec("BEGIN IMMEDIATE"); err != nil {
		return false, errLater
	}
	defer func() { err = errors.Join(err, db.writer.exec("ROLLBACK")) }()
	to, _, err := db.observeIndex()
	if err != nil {
		return false, err
	}
	if err := db.seal(ctx, to); err != nil {
		return false, err
	}
	if err := db.syncWAL(); err != nil {
		return false, err
	}
	if err := db.fillOutbox(); err != nil {
		return false, err
	}
	if err := db.writeRecord(true); err != nil {
		return false, err
	}
	complete, err = db.moveGuard("PASSIVE")
	if err != nil || !complete {
		return complete, err
	}
	db.mu.Lock()
	db.resetFrame = db.last.frame
	db.mu.Unlock()
	return true, db.writeSettledRecord()
}

// moveGuard ends the guard's read transaction, checkpoints, and begins it again.
// It is the only place where SQLite may overwrite frames.
func (db *DB) moveGuard(mode string) (complete bool, err error) {
	if err := db.guard.endRead(); err != nil {
		return false, db.fail(errors.Join(ErrPoisoned, err))
	}
	complete, err = db.guard.checkpoint(mode)
	if beginErr := db.guard.beginRead(); beginErr != nil {
		return false, db.fail(errors.Join(ErrPoisoned, beginErr))
	}
	return complete, err
}
