//go:build cgo

package engine

import (
	"container/list"
	"context"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// waiter is somebody who wants to know when a position is saved.
type waiter struct {
	frame translog.FrameNo
	fire  func(error) // called once, without DB.mu
}

// watch calls fire once frame is saved, or with the reason why it never will be. The
// function it returns withdraws the wish; it reports false when fire was or will be
// called.
func (db *DB) watch(frame translog.FrameNo, fire func(error)) (withdraw func() bool) {
	db.mu.Lock()
	if frame <= db.saved.FrameNo || db.failure != nil {
		err := db.failure
		if frame <= db.saved.FrameNo {
			err = nil
		}
		db.mu.Unlock()
		fire(err)
		return func() bool { return false }
	}
	element := db.waiters.PushBack(waiter{frame, fire})
	db.mu.Unlock()
	return func() bool {
		db.mu.Lock()
		defer db.mu.Unlock()
		if element.Value.(waiter).fire == nil {
			return false
		}
		db.waiters.Remove(element)
		return true
	}
}

// takeWaitersLocked removes and returns those up to a position. The caller fires them
// after it let go of DB.mu.
func (db *DB) takeWaitersLocked(upTo translog.FrameNo) []waiter {
	var taken []waiter
	var next *list.Element
	for e := db.waiters.Front(); e != nil; e = next {
		next = e.Next()
		w := e.Value.(waiter)
		if w.frame > upTo {
			continue
		}
		taken = append(taken, w)
		e.Value = waiter{}
		db.waiters.Remove(e)
	}
	return taken
}

func fireAll(waiters []waiter, err error) {
	for _, w := range waiters {
		w.fire(err)
	}
}

// WaitSaved returns nil once everything up to frame is saved. It returns the context's
// error when that ends first, and ErrClosed, ErrFenced, ErrReplaced or ErrPoisoned when
// it will never be known. Safe for concurrent use.
func (db *DB) WaitSaved(ctx context.Context, frame translog.FrameNo) error {
	if frame == 0 {
		return nil
	}
	done := make(chan error, 1)
	withdraw := db.watch(frame, func(err error) { done <- err })
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
