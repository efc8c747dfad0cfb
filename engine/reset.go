//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// resetGateWait bounds how long a background reset queues for the write gate.
const resetGateWait = 10 * time.Second

// resetSealWait bounds how long a reset that holds the gate waits for a seal to end.
const resetSealWait = time.Second

// startReset resets the WAL in the background, unless a reset runs already. The goroutine
// ends by itself; close waits for it.
func (db *DB) startReset() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.resetting != nil || db.failure != nil {
		return
	}
	db.resetting = make(chan struct{})
	db.background.Go(func() {
		err := db.resetInBackground()
		db.mu.Lock()
		close(db.resetting)
		db.resetting = nil
		db.resetFrame = db.last.frame
		if errors.Is(err, errLater) {
			db.putOffResetLocked()
		}
		db.mu.Unlock()
		if err != nil && !errors.Is(err, errLater) {
			db.log.Warn("WAL not reset", "path", db.path, "error", err)
		}
	})
}

// letResetGoFirst is called before a snapshot is begun, by who holds sealing, which it lets
// go meanwhile. A reset has nothing to seal then, but gives up before a seal that reads the
// whole database: snapshots that follow each other, as when every save fails, would keep the
// WAL from ever being reset, and take longer the longer it gets.
func (db *DB) letResetGoFirst(ctx context.Context) error {
	db.mu.Lock()
	ended := db.resetting
	db.mu.Unlock()
	if ended == nil {
		return nil
	}
	db.sealing.Release(1)
	bounded, cancel := context.WithTimeout(ctx, resetSealWait)
	defer cancel()
	select {
	case <-ended:
	case <-bounded.Done(): // the caller may hold the gate that the reset waits for
	}
	// The caller lets sealing go, whatever becomes of ctx.
	if err := db.sealing.Acquire(context.WithoutCancel(ctx), 1); err != nil {
		return err
	}
	return ctx.Err()
}

// resetRetryPart is the part of the WAL's limit, as a divisor, after which a reset that
// had to give up is tried again.
const resetRetryPart = 8

// putOffResetLocked makes the next attempt due once the WAL has grown by that part.
func (db *DB) putOffResetLocked() {
	due := db.last.frame + db.walLimit/resetRetryPart
	db.resetFrame = due - min(due, db.walLimit)
}

// resetDueLocked reports whether the WAL has passed its limit since the last attempt.
func (db *DB) resetDueLocked() bool { return db.last.frame >= db.resetFrame+db.walLimit }

// errLater says that a reset must be tried again later.
var errLater = errors.New("engine: reset later")

func (db *DB) resetInBackground() error {
	ctx := context.Background()
	if err := db.presealForReset(ctx); err != nil {
		return err
	}
	if err := db.gate.wait(ctx, resetGateWait); err != nil {
		return errLater
	}
	defer db.gate.leave()
	_, err := db.resetWithGate(ctx, db.patience())
	return err
}

// How long a background reset waits with the gate: see patience. A WAL of more than
// walOvergrown times its limit is worth the longer wait.
const (
	resetPatience          = 50 * time.Millisecond
	resetPatienceOvergrown = time.Second
	walOvergrown           = 4
)

// patience is how long a background reset waits, with the gate, for a foreign writer's
// lock: longer when the WAL has outgrown its limit, so that foreign writers cannot keep it
// from ever being reset.
func (db *DB) patience() time.Duration {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.last.frame > walOvergrown*db.walLimit {
		return resetPatienceOvergrown
	}
	return resetPatience
}

// presealForReset seals and flushes without the gate, so that little is left to do inside.
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
	if err := db.fillOutbox(); err != nil {
		return err
	}
	db.handOver(to)
	return db.syncWAL() // most of it, so that little is left to flush inside
}

// resetIfDue resets the WAL at the end of a Checkpoint. It only tries the gate, for the
// caller may hold it.
func (db *DB) resetIfDue(ctx context.Context) {
	db.mu.Lock()
	due := db.resetting == nil && db.failure == nil && db.resetDueLocked()
	db.mu.Unlock()
	if !due || !db.gate.tryEnter() {
		return
	}
	defer db.gate.leave()
	if _, err := db.resetWithGate(ctx, 0); err != nil && !errors.Is(err, errLater) {
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
// wal_checkpoint. It gives up, busy, when a writer holds the gate or a foreign one the
// write lock. It returns ErrClosed, ErrFenced, ErrReplaced or ErrPoisoned when the database
// takes no more writes. Safe for concurrent use.
func (db *DB) Reset(ctx context.Context) (ResetResult, error) {
	busy := true
	switch {
	case db.replica.Load():
		complete, err := db.resetReplica(ctx)
		if err != nil {
			return ResetResult{}, err
		}
		busy = !complete
	case db.gate.tryEnter():
		complete, err := db.resetWithGate(ctx, 0)
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

// resetWithGate lets SQLite copy the WAL into the database file and start it anew with
// the next write. The caller holds the gate. Everything in the WAL is sealed and durable
// elsewhere first, in this order: the WAL's own frames, the outbox, the state that names
// them.
func (db *DB) resetWithGate(ctx context.Context, patience time.Duration) (
	complete bool, err error,
) {
	// Who holds sealing never waits for the gate, so waiting here ends; bounded, for
	// writers wait too. Only trying would never succeed beside checkpoints that follow
	// each other.
	if db.sealsAll.Load() {
		return false, errLater // that takes as long as the database is large
	}
	bounded, cancel := context.WithTimeout(ctx, resetSealWait)
	defer cancel()
	if err := db.sealing.Acquire(bounded, 1); err != nil {
		return false, errLater
	}
	defer db.sealing.Release(1)
	if err := db.writable(); err != nil {
		return false, err // also when it became a replica meanwhile
	}
	// Foreign writers stay out until the guard stands again.
	if err := db.writer.beginWrite(ctx, patience); err != nil {
		return false, errLater
	}
	defer func() { err = errors.Join(err, db.writer.exec("ROLLBACK")) }()
	crashpoint.Reach(crashpoint.ResetLocked)
	if err := db.makeDurable(ctx); err != nil {
		return false, err
	}
	crashpoint.Reach(crashpoint.ResetDurable)
	complete, err = db.moveGuard()
	if err != nil || !complete {
		return complete, err
	}
	db.mu.Lock()
	db.resetFrame = db.last.frame
	db.mu.Unlock()
	err = db.writeSettledRecord()
	crashpoint.Reach(crashpoint.ResetSettled)
	return true, err
}

// makeDurable seals what is committed and leaves nothing of it to the page cache.
func (db *DB) makeDurable(ctx context.Context) error {
	to, _, err := db.observeIndex()
	if err != nil {
		return err
	}
	if err := db.seal(ctx, to); err != nil {
		return err
	}
	if err := db.syncWAL(); err != nil {
		return err
	}
	if err := db.fillOutbox(); err != nil {
		return err
	}
	db.handOver(to)
	return db.writeRecord(true)
}

// moveGuard ends the guard's read transaction, checkpoints, and begins it again. It is
// the only place where SQLite may overwrite frames.
func (db *DB) moveGuard() (complete bool, err error) {
	if err := db.guard.endRead(); err != nil {
		return false, db.fail(fmt.Errorf("%w: end of the guard: %w", ErrPoisoned, err))
	}
	crashpoint.Reach(crashpoint.ResetOpen)
	complete, err = db.guard.checkpoint("PASSIVE")
	crashpoint.Reach(crashpoint.ResetCopied)
	if beginErr := db.guard.beginRead(); beginErr != nil {
		return false, db.fail(fmt.Errorf("%w: begin of the guard: %w", ErrPoisoned, beginErr))
	}
	db.mu.Lock()
	db.guardedFrom = db.last.position
	db.mu.Unlock()
	crashpoint.Reach(crashpoint.ResetGuarded)
	return complete, err
}
