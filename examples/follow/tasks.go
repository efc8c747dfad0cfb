//go:build cgo

package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// tasks owns what a node does in the background: all of it ends with the node, and the
// node ends, with the error, when some of it fails. The context is that of the node, for a
// task outlives the request that began it.
type tasks struct {
	ctx   context.Context
	group *errgroup.Group
}

// task is something that goes on until it is stopped.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// begin runs something until its context ends.
func (t *tasks) begin(run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(t.ctx)
	begun := &task{cancel: cancel, done: make(chan struct{})}
	t.group.Go(func() error {
		defer close(begun.done)
		defer cancel()
		err := run(ctx)
		if ctx.Err() != nil {
			return nil // the error only says that it was stopped
		}
		return err
	})
	return begun
}

// stop returns when the task has ended. A task that never began is stopped already.
func (t *task) stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}
