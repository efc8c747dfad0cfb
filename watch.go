//go:build cgo

package mylibsql

import (
	"context"
	"errors"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// watch interrupts a statement when its context ends. go-sqlite3 would start a goroutine
// for each statement to do so.
type watch struct {
	ctx      context.Context
	cancel   func() bool
	finished chan struct{} // closed when the statement is over
	ended    chan struct{} // closed when the interrupter is
}

// interruptInterval is how often a statement is interrupted until it ends: SQLite forgets
// an interrupt that comes before the statement's first step.
const interruptInterval = time.Millisecond

// startWatch begins a watch for the statement that runs next; stop ends it.
func startWatch(ctx context.Context, session *engine.Session) watch {
	if ctx.Done() == nil {
		return watch{}
	}
	w := watch{ctx: ctx, finished: make(chan struct{}), ended: make(chan struct{})}
	running := w // the function may run before cancel is set
	w.cancel = context.AfterFunc(ctx, func() { running.interrupt(session) })
	return w
}

func (w watch) interrupt(session *engine.Session) {
	defer close(w.ended)
	ticker := time.NewTicker(interruptInterval)
	defer ticker.Stop()
	for {
		select {
		case <-w.finished:
			return
		default:
			session.Interrupt()
		}
		select {
		case <-w.finished:
			return
		case <-ticker.C:
		}
	}
}

// stop ends the watch and waits for it, so that it can never hit the next statement. An
// interrupted statement returns the context's error.
func (w watch) stop(err error) error {
	if w.cancel == nil {
		return err
	}
	if w.cancel() {
		return err
	}
	close(w.finished)
	<-w.ended
	var failure sqlite3.Error
	if errors.As(err, &failure) && failure.Code == sqlite3.ErrInterrupt {
		return w.ctx.Err()
	}
	return err
}
