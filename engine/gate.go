//go:build cgo

package engine

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// gate lets one writer in at a time, in order of arrival. Writers queue here, in Go,
// where they can be cancelled, and not asleep in SQLite's busy handler. Whether a
// connection holds it is kept by its Session.
type gate struct {
	semaphore *semaphore.Weighted
	// resetting is true while a reset of the engine holds the gate: nothing that a
	// writer's busy timeout is about, so it waits the reset out.
	resetting *atomic.Bool
}

// resetHoldMax bounds how much longer than its own timeout a writer waits for a reset.
const resetHoldMax = 10 * time.Second

func newGate() gate { return gate{semaphore.NewWeighted(1), new(atomic.Bool)} }

// enter waits for the gate at most for timeout and returns the error of SQLITE_BUSY then;
// or the context's error when that ends first.
func (g gate) enter(ctx context.Context, timeout time.Duration) error {
	if g.semaphore.TryAcquire(1) {
		return nil
	}
	if g.resetting.Load() {
		timeout += resetHoldMax
	}
	if timeout <= 0 {
		return busyError()
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if g.semaphore.Acquire(bounded, 1) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return busyError()
}

func (g gate) tryEnter() bool { return g.semaphore.TryAcquire(1) }
func (g gate) leave()         { g.semaphore.Release(1) }
