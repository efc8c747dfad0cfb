//go:build cgo

package engine

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// gate lets one writer in at a time, in order of arrival. Writers queue here, in Go,
// where they can be cancelled, and not asleep in SQLite's busy handler. Whether a
// connection holds it is kept by its Session.
type gate struct {
	semaphore *semaphore.Weighted
	// writing is true while a writer holds the gate. When it is false a reset of the
	// engine has it, or the next writer in the queue is just waking up: nothing that a
	// writer's busy timeout is about, so it waits that out. A flag of the reset's own would
	// not do: who is handed the gate has it for a moment before it can say so.
	writing *atomic.Bool
	queued  *atomic.Int32 // who waits
}

// resetHoldMax bounds how much longer than its own timeout a writer waits for a reset.
const resetHoldMax = 10 * time.Second

func newGate() gate { return gate{semaphore.NewWeighted(1), new(atomic.Bool), new(atomic.Int32)} }

// enter waits for the gate at most for timeout and returns the error of SQLITE_BUSY then;
// or the context's error when that ends first.
func (g gate) enter(ctx context.Context, timeout time.Duration) error {
	if g.semaphore.TryAcquire(1) {
		g.writing.Store(true)
		return nil
	}
	if !g.writing.Load() {
		timeout = max(timeout, 0) + resetHoldMax
	}
	if err := g.wait(ctx, timeout); err != nil {
		return err
	}
	g.writing.Store(true)
	return nil
}

// wait takes the gate for whoever is not a writer, within a bound.
func (g gate) wait(ctx context.Context, timeout time.Duration) error {
	if timeout <= 0 {
		return busyError()
	}
	g.queued.Add(1)
	defer g.queued.Add(-1)
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

// acquire takes the gate as soon as it is free, for a change that keeps writers out: they
// wait as for another writer.
func (g gate) acquire(ctx context.Context) error {
	g.queued.Add(1)
	defer g.queued.Add(-1)
	if err := g.semaphore.Acquire(ctx, 1); err != nil {
		return err
	}
	g.writing.Store(true)
	return nil
}

// tryEnter is for resets.
func (g gate) tryEnter() bool { return g.semaphore.TryAcquire(1) }

// leave lets the next one in, at once: the goroutine that leaves steps aside, so that what
// it does next does not keep the gate's new holder from its processor.
func (g gate) leave() {
	g.writing.Store(false)
	g.semaphore.Release(1)
	if g.queued.Load() > 0 {
		runtime.Gosched()
	}
}
