//go:build cgo

package engine

import (
	"container/list"
	"context"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// waiter is somebody who waits for a position.
type waiter struct {
	frame translog.FrameNo
	fire  func(error) // called once; of positionWaiters also under DB.mu, which it must not take
}

// waitList is who waits for positions of one kind, guarded by DB.mu. The zero value is
// empty.
type waitList struct{ entries list.List }

func (l *waitList) add(w waiter) *list.Element { return l.entries.PushBack(w) }

// take removes and returns those up to a position, for the caller to fire.
func (l *waitList) take(upTo translog.FrameNo) []waiter {
	var taken []waiter
	var next *list.Element
	for e := l.entries.Front(); e != nil; e = next {
		next = e.Next()
		w := e.Value.(waiter)
		if w.frame > upTo {
			continue
		}
		taken = append(taken, w)
		e.Value = waiter{}
		l.entries.Remove(e)
	}
	return taken
}

// remove withdraws an entry; false when it was taken already.
func (l *waitList) remove(e *list.Element) bool {
	if e.Value.(waiter).fire == nil {
		return false
	}
	l.entries.Remove(e)
	return true
}

// watch calls fire once frame is saved or acknowledged, or with the reason why it never
// will be. The function it returns withdraws the wish; it reports false when fire was or
// will be called.
func (db *DB) watch(frame translog.FrameNo, fire func(error)) (withdraw func() bool) {
	return db.watchList(&db.ackWaiters, db.resolvedLocked, frame, fire)
}

// watchList is watch for one of the lists; reached tells how far its kind is.
func (db *DB) watchList(
	l *waitList, reached func() translog.FrameNo, frame translog.FrameNo, fire func(error),
) (withdraw func() bool) {
	db.mu.Lock()
	isReached, failure := frame <= reached(), db.failure
	if isReached || failure != nil {
		db.mu.Unlock()
		if isReached {
			failure = nil // a failure does not take back what was reached before
		}
		fire(failure)
		return func() bool { return false }
	}
	element := l.add(waiter{frame, fire})
	db.mu.Unlock()
	return func() bool {
		db.mu.Lock()
		defer db.mu.Unlock()
		return l.remove(element)
	}
}

// resolvedLocked is the position up to which acks are resolved.
func (db *DB) resolvedLocked() translog.FrameNo {
	return max(db.saved.FrameNo, db.acknowledged)
}

func fireAll(waiters []waiter, err error) {
	for _, w := range waiters {
		w.fire(err)
	}
}

// WaitSaved returns nil once everything up to frame is saved, or acknowledged through a
// live stream. It returns the context's error when that ends first, and ErrClosed,
// ErrFenced, ErrReplaced or ErrPoisoned when it will never be known. Safe for concurrent
// use.
func (db *DB) WaitSaved(ctx context.Context, frame translog.FrameNo) error {
	if frame == 0 {
		return nil
	}
	return await(ctx, func(fire func(error)) func() bool { return db.watch(frame, fire) })
}

// await waits for what watch watches, or until ctx ends.
func await(ctx context.Context, watch func(fire func(error)) (withdraw func() bool)) error {
	done := make(chan error, 1)
	withdraw := watch(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if withdraw() {
			return ctx.Err()
		}
		return <-done
	}
}
