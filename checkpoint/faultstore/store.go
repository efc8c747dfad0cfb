package faultstore

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Store is a store whose calls go wrong in a controlled way. It is made by [Scripted] or
// [Seeded], and is safe for concurrent use as far as the wrapped store is. Several of them,
// with a script of their own each, may wrap one store, as the networks of several machines
// do.
//
// Its errors are those of the wrapped store, and [ErrInjected].
type Store struct {
	store checkpoint.Store
	name  string // how the faults are chosen

	mutex  sync.Mutex // never held while the wrapped store is called
	next   func(call) Fault
	counts counts
	late   []*request // not yet performed to the end, in the order in which they were made
}

var _ checkpoint.Store = (*Store)(nil)

// request is a Save that is performed late.
type request struct {
	ctx   context.Context // which does not end
	log   *translog.Log   // a clone: the caller's may be closed by now
	after int             // calls of Save that come first
	taken bool            // somebody performs it
	done  chan struct{}   // closed when it was performed
}

// Save is that of the wrapped store, with the next fault. Late requests whose time has come
// are performed first.
func (s *Store) Save(ctx context.Context, log *translog.Log) error {
	fault, due := s.beginSave()
	for _, request := range due {
		s.perform(request)
	}
	switch fault.Kind {
	case Delay:
		if err := wait(ctx, fault.Wait); err != nil {
			return err
		}
	case Fail:
		return fault.failure(saveCall)
	case Tear:
		return fault.failure(saveCall, s.saveTorn(ctx, log))
	case LoseAnswer:
		_ = s.store.Save(ctx, log)
		return fault.failure(saveCall)
	case Late:
		return fault.failure(saveCall, s.postpone(ctx, log, fault.After))
	case Duplicate:
		_ = s.store.Save(ctx, log)
	case Hang:
		return fault.failure(saveCall, waitForEnd(ctx))
	case Overrun:
		ended := waitForEnd(ctx)
		_ = s.store.Save(context.WithoutCancel(ctx), log)
		return fault.failure(saveCall, ended)
	case SuccessWithoutSaving:
		return nil
	}
	return s.store.Save(ctx, log)
}

// Records is that of the wrapped store, with the next fault whenever the listing is ranged
// over.
func (s *Store) Records(
	ctx context.Context, after translog.FrameNo,
) iter.Seq2[checkpoint.Record, error] {
	return func(yield func(checkpoint.Record, error) bool) {
		fault := s.begin(recordsCall)
		left := -1 // records to list before the error, all when negative
		var err error
		switch fault.Kind {
		case Delay:
			err = wait(ctx, fault.Wait)
		case Fail:
			err = fault.failure(recordsCall)
		case Tear:
			left = max(0, fault.After)
		case Hang:
			err = fault.failure(recordsCall, waitForEnd(ctx))
		}
		if err != nil {
			yield(checkpoint.Record{}, err)
			return
		}
		for record, err := range s.store.Records(ctx, after) {
			if left == 0 {
				break
			}
			left--
			if !yield(record, err) || err != nil {
				return
			}
		}
		if fault.Kind == Tear {
			yield(checkpoint.Record{}, fault.failure(recordsCall))
		}
	}
}

// Open is that of the wrapped store, with the next fault.
func (s *Store) Open(ctx context.Context, record checkpoint.Record) (*translog.Log, error) {
	fault := s.begin(openCall)
	switch fault.Kind {
	case Delay:
		if err := wait(ctx, fault.Wait); err != nil {
			return nil, err
		}
	case Fail:
		return nil, fault.failure(openCall)
	case Hang:
		return nil, fault.failure(openCall, waitForEnd(ctx))
	}
	log, err := s.store.Open(ctx, record)
	if err != nil || fault.Kind != Tear {
		return log, err
	}
	defer func() { _ = log.Close() }()
	return torn(log)
}

// Prune is that of the wrapped store, with the next fault: a failure comes before it, a lost
// answer behind it.
func (s *Store) Prune(ctx context.Context, upTo translog.FrameNo) error {
	fault := s.begin(pruneCall)
	switch fault.Kind {
	case Delay:
		if err := wait(ctx, fault.Wait); err != nil {
			return err
		}
	case Fail:
		return fault.failure(pruneCall)
	case LoseAnswer:
		_ = s.store.Prune(ctx, upTo)
		return fault.failure(pruneCall)
	case Hang:
		return fault.failure(pruneCall, waitForEnd(ctx))
	}
	return s.store.Prune(ctx, upTo)
}

// Flush performs every late request that is still to come, in the order in which they were
// made, and waits for those that another call is performing. When it returns nil no request
// made before is outstanding. When ctx ends before, it returns the context's error, and
// what was not performed is kept. The answers are lost, as those of late requests are. It
// is safe for concurrent use.
func (s *Store) Flush(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		request, mine := s.takeLate()
		switch {
		case request == nil:
			return nil
		case mine:
			s.perform(request)
			continue
		}
		select {
		case <-request.done:
		case <-ctx.Done():
		}
	}
}

// Pending returns how many late requests have not been performed to their end.
func (s *Store) Pending() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.late)
}

// Count returns how many calls had a fault of this kind, by the meaning that the kind has
// for the method; for [None] those that had none.
func (s *Store) Count(kind Kind) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if kind < 0 || int(kind) >= len(s.counts) {
		return 0
	}
	return s.counts[kind]
}

// String returns the seed and what has happened so far, for the message of a failed test.
func (s *Store) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return fmt.Sprintf("faultstore %s: %v", s.name, &s.counts)
}

// begin takes the fault of a call.
func (s *Store) begin(call call) Fault {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.beginLocked(call)
}

func (s *Store) beginLocked(call call) Fault {
	fault := s.next(call).fit(call)
	s.counts[fault.Kind]++
	return fault
}

// beginSave also takes the late requests whose time has come.
func (s *Store) beginSave() (Fault, []*request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var due []*request
	for _, request := range s.late {
		switch {
		case request.taken:
		case request.after > 0:
			request.after--
		default:
			request.taken = true
			due = append(due, request)
		}
	}
	return s.beginLocked(saveCall), due
}

// postpone keeps a request for later.
func (s *Store) postpone(ctx context.Context, log *translog.Log, after int) error {
	clone, err := log.Clone()
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.late = append(s.late, &request{
		ctx: context.WithoutCancel(ctx), log: clone, after: after, done: make(chan struct{}),
	})
	return nil
}

// takeLate returns the first late request that nobody performs, or one that somebody does,
// or none.
func (s *Store) takeLate() (request *request, mine bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, request := range s.late {
		if !request.taken {
			request.taken = true
			return request, true
		}
	}
	if len(s.late) > 0 {
		return s.late[0], false
	}
	return nil, false
}

// perform gives a late request, which the caller has taken, its effect.
func (s *Store) perform(late *request) {
	_ = s.store.Save(late.ctx, late.log)
	_ = late.log.Close()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	kept := s.late[:0]
	for _, request := range s.late {
		if request != late {
			kept = append(kept, request)
		}
	}
	clear(s.late[len(kept):])
	s.late = kept
	close(late.done)
}

// wait returns after a time, or with the context's error when it ends before.
func wait(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitForEnd waits for the context's end, if it has one.
func waitForEnd(ctx context.Context) error {
	if ctx.Done() != nil {
		<-ctx.Done()
	}
	return ctx.Err()
}
