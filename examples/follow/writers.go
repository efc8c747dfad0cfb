//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mylibsql/mylibsql"
)

// writerCount is how many write at the same time.
const writerCount = 16

var note = strings.Repeat("to be kept. ", 8)

// writers are the users of the database, so to say.
type writers struct {
	task   *task
	enough chan struct{}
}

func (n *node) startWriters() error {
	if n.writers != nil {
		return errors.New("it is written to already")
	}
	enough := make(chan struct{})
	n.writers = &writers{enough: enough, task: n.tasks.begin(func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for writer := range writerCount {
			group.Go(func() error { return n.write(ctx, enough, writer) })
		}
		return group.Wait()
	})}
	return nil
}

// stop lets every writer finish its transaction, and the wait for its ack.
func (w *writers) stop() {
	if w != nil {
		close(w.enough)
		<-w.task.done
	}
}

func (n *node) write(ctx context.Context, enough <-chan struct{}, writer int) error {
	for {
		select {
		case <-enough:
			return nil
		default:
		}
		if err := n.writeOne(ctx, writer); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

// writeOne is one transaction of somebody who must not lose it: it returns once the row is
// on a replica, or in the store.
func (n *node) writeOne(ctx context.Context, writer int) error {
	ctx, ack := mylibsql.WithAck(ctx)
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	// The time is taken here, for BeginTx waits for the other writers.
	_, err = tx.ExecContext(ctx, "INSERT INTO notes(writer, written_at, note) VALUES(?, ?, ?)",
		writer, time.Now().UnixNano(), note)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	committed := time.Now()
	n.meter.add(counts{Written: 1})
	if err := ack.Wait(ctx); err != nil {
		return err
	}
	n.meter.acked(time.Since(committed))
	return nil
}
