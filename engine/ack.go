//go:build cgo

package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Ack stands for everything that was committed under its context: a high-water mark for
// each database. Every statement that runs under the context joins it, in whatever
// transaction it runs. Safe for concurrent use.
//
// Writes to attached or temporary databases are not covered.
type Ack struct {
	parent *Ack // the ack of an outer context, which covers this one too

	mu    sync.Mutex
	used  bool     // a statement ran under the context
	open  int      // transactions and RETURNING rows that carry the ack and are open
	first target   // the one database of nearly every ack, without an allocation
	more  []target // further databases

	done chan struct{} // what Done returned for the targets above; nil after they changed
}

// target is the last position of an ack's writes in one database.
type target struct {
	db    *DB
	frame translog.FrameNo
}

// NewAck returns an ack below parent, which may be nil.
func NewAck(parent *Ack) *Ack { return &Ack{parent: parent} }

// Wait returns nil once everything that was committed under the ack's context up to this
// call is saved, or acknowledged through a live stream. A write that was rolled back or
// changed nothing has nothing to wait for. It returns at once
//   - ErrAckUnused when no statement ran under the context,
//   - ErrUncommitted while a transaction or RETURNING rows that carry it are open,
//
// and ErrClosed, ErrFenced, ErrReplaced or ErrPoisoned when it will never be known, or
// the error of ctx when that ends first; the ack lives on then, and Wait may be called
// again.
func (a *Ack) Wait(ctx context.Context) error {
	targets, err := a.targets()
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.db.WaitSaved(ctx, t.frame); err != nil {
			return err
		}
	}
	return nil
}

// Err tells what Wait would return if it could not wait: nil when everything is saved,
// ErrPending while something is not.
func (a *Ack) Err() error {
	targets, err := a.targets()
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.db.resolvedState(t.frame); err != nil {
			return err
		}
	}
	return nil
}

// Done returns a channel that is closed when what was committed under the context before
// this call is saved or acknowledged, or will never be known to be: Err tells which. It is
// closed already when nothing was committed.
func (a *Ack) Done() <-chan struct{} {
	a.mu.Lock()
	if done := a.done; done != nil {
		a.mu.Unlock()
		return done
	}
	done := make(chan struct{})
	a.done = done
	targets := a.targetsLocked()
	a.mu.Unlock()
	var left atomic.Int32
	left.Store(int32(len(targets) + 1))
	step := func(error) {
		if left.Add(-1) == 0 {
			close(done)
		}
	}
	for _, t := range targets {
		t.db.watch(t.frame, step)
	}
	step(nil)
	return done
}

// FrameNo is the highest position of what was committed under the context, 0 when that is
// nothing. With several databases it is the highest of them all.
func (a *Ack) FrameNo() translog.FrameNo {
	a.mu.Lock()
	defer a.mu.Unlock()
	highest := a.first.frame
	for _, t := range a.more {
		highest = max(highest, t.frame)
	}
	return highest
}

// targets copies what there is to wait for.
func (a *Ack) targets() ([]target, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	targets := a.targetsLocked()
	switch {
	case !a.used:
		return targets, ErrAckUnused
	case a.open > 0:
		return targets, ErrUncommitted
	}
	return targets, nil
}

func (a *Ack) targetsLocked() []target {
	if a.first.db == nil {
		return nil
	}
	return append([]target{a.first}, a.more...)
}

// ran notes that a statement ran under the context.
func (a *Ack) ran() {
	for ; a != nil; a = a.parent {
		a.mu.Lock()
		a.used = true
		a.mu.Unlock()
	}
}

// hold notes that an open transaction or open rows carry the ack; letGo ends it.
func (a *Ack) hold() { a.addOpen(1) }

func (a *Ack) letGo() { a.addOpen(-1) }

func (a *Ack) addOpen(n int) {
	for ; a != nil; a = a.parent {
		a.mu.Lock()
		a.open += n
		a.mu.Unlock()
	}
}

// committed notes that a commit which carried the ack ended at frame. It is called while
// the write gate is held and allocates nothing for the first database.
func (a *Ack) committed(db *DB, frame translog.FrameNo) {
	for ; a != nil; a = a.parent {
		a.mu.Lock()
		t := a.targetOf(db)
		if frame > t.frame {
			db.countPending(t.frame, frame)
			t.frame = frame
			a.done = nil
		}
		a.mu.Unlock()
	}
}

func (a *Ack) targetOf(db *DB) *target {
	if a.first.db == nil {
		a.first.db = db
	}
	if a.first.db == db {
		return &a.first
	}
	for i := range a.more {
		if a.more[i].db == db {
			return &a.more[i]
		}
	}
	a.more = append(a.more, target{db: db})
	return &a.more[len(a.more)-1]
}
