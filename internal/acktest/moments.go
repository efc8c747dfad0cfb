//go:build cgo

package acktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

const (
	goroutines        = 8
	insertsPerRoutine = 10
)

func severalGoroutines(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	results := make(chan error, goroutines)
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			for j := range insertsPerRoutine {
				if err := f.Insert(ctx, fmt.Sprintf("%d %d", i, j)); err != nil {
					results <- err
					return
				}
			}
			results <- nil
		})
	}
	group.Wait()
	for range goroutines {
		require.NoError(t, <-results)
	}
	require.Equal(t, f.lib.Stats().Committed, ack.FrameNo())
	require.Equal(t, 1, f.lib.Stats().PendingAcks)
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func failingStatement(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.Error(t, f.Exec(ctx, "INSERT INTO notes(text) VALUES(NULL)"))
	require.Zero(t, ack.FrameNo())
	requireSaved(t, ack)
}

func onlyReads(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.NoError(t, f.Exec(ctx, "SELECT count(*) FROM notes"))
	require.Zero(t, ack.FrameNo())
	requireSaved(t, ack)
}

// waitInTransaction asks at each moment of a transaction: a Wait that blocked there would
// hold the write gate for ever.
func waitInTransaction(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	tx, err := f.Begin(ctx)
	require.NoError(t, err)
	requireNow(t, mylibsql.ErrUncommitted, ack)
	require.NoError(t, tx.Insert(ctx, "a"))
	requireNow(t, mylibsql.ErrUncommitted, ack)
	require.NoError(t, tx.Commit())
	requirePending(t, ack)

	// An earlier write under the context does not make it look committed, nor saved.
	f.checkpoint(t)
	requireSaved(t, ack)
	tx, err = f.Begin(background)
	require.NoError(t, err)
	require.NoError(t, tx.Insert(ctx, "b"))
	requireNow(t, mylibsql.ErrUncommitted, ack)
	require.NoError(t, tx.Rollback())
	requireSaved(t, ack)
}

func waitBesideRows(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	rows, err := f.Returning(ctx)
	require.NoError(t, err)
	requireNow(t, mylibsql.ErrUncommitted, ack)
	require.True(t, rows.Next())
	requireNow(t, mylibsql.ErrUncommitted, ack)
	for rows.Next() {
		requireNow(t, mylibsql.ErrUncommitted, ack)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)

	// Rows that are closed early commit too.
	rows, err = f.Returning(ctx)
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.Close())
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func unused(t *testing.T, f *fixture) {
	_, ack := withAck()
	require.NoError(t, f.Insert(background, "forgotten"))
	requireNow(t, mylibsql.ErrAckUnused, ack)
	f.checkpoint(t)
	requireNow(t, mylibsql.ErrAckUnused, ack)
	require.Zero(t, ack.FrameNo())
}

func twoDatabases(t *testing.T, f *fixture) {
	other := newFixture(t, f.open)
	ctx, ack := withAck()
	require.NoError(t, f.Insert(ctx, "a"))
	require.NoError(t, other.Insert(ctx, "b"))
	require.NoError(t, other.Insert(ctx, "c"))
	require.Equal(t, max(f.lib.Stats().Committed, other.lib.Stats().Committed), ack.FrameNo())
	requirePending(t, ack)
	done := ack.Done()
	other.checkpoint(t)
	requirePending(t, ack)
	require.False(t, isDone(done))
	f.checkpoint(t)
	requireSaved(t, ack)
	awaitDone(t, done)
}

func cancelledAfterCommit(t *testing.T, f *fixture) {
	cancellable, cancel := context.WithCancel(background)
	defer cancel()
	ctx, ack := mylibsql.WithAck(cancellable)
	require.NoError(t, f.Insert(ctx, "a"))
	cancel()
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func cancelledWait(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.NoError(t, f.Insert(ctx, "a"))
	waiting, cancel := context.WithCancel(background)
	answer := make(chan error, 1)
	go func() { answer <- ack.Wait(waiting) }()
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled)
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func prepared(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	// The context of the preparation is not one that a write ran under.
	insert, closeStatement, err := f.Prepare(background)
	require.NoError(t, err)
	requireNow(t, mylibsql.ErrAckUnused, ack)
	for range 3 {
		require.NoError(t, insert(ctx, "a"))
		require.Equal(t, f.lib.Stats().Committed, ack.FrameNo())
		requirePending(t, ack)
		f.checkpoint(t)
		requireSaved(t, ack)
	}
	before := ack.FrameNo()
	require.NoError(t, insert(background, "b"))
	require.Equal(t, before, ack.FrameNo())
	requireSaved(t, ack)
	require.NoError(t, closeStatement())
}

func done(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.True(t, isDone(ack.Done()), "nothing was written yet")
	require.NoError(t, f.Insert(ctx, "a"))
	first := ack.Done()
	require.False(t, isDone(first))
	// The second write comes while the first one is being saved.
	_, err := f.lib.Checkpoint(background, func(ctx2 context.Context, log *mylibsql.Log) error {
		require.NoError(t, f.Insert(ctx, "b"))
		require.False(t, isDone(first), "Done before the save returned")
		return f.save(ctx2, log)
	})
	require.NoError(t, err)
	awaitDone(t, first)
	requirePending(t, ack)
	second := ack.Done()
	f.checkpoint(t)
	awaitDone(t, second)
	requireSaved(t, ack)
}

func failingSave(t *testing.T, f *fixture) {
	wanted := errors.New("storage is away")
	ctx, ack := withAck()
	require.NoError(t, f.Insert(ctx, "a"))
	for range 3 {
		_, err := f.lib.Checkpoint(background, func(context.Context, *mylibsql.Log) error {
			return wanted
		})
		require.ErrorIs(t, err, wanted)
		requirePending(t, ack)
	}
	f.checkpoint(t)
	requireSaved(t, ack)
}

// closed has acks that were saved, that are pending, and one somebody waits for.
func closed(t *testing.T, f *fixture) {
	savedContext, saved := withAck()
	require.NoError(t, f.Insert(savedContext, "a"))
	f.checkpoint(t)
	ctx, ack := withAck()
	require.NoError(t, f.Insert(ctx, "b"))
	requirePending(t, ack)
	answer := make(chan error, 1)
	go func() { answer <- ack.Wait(background) }()
	pending := ack.Done()
	f.close(t)
	awaitDone(t, pending)
	require.ErrorIs(t, <-answer, mylibsql.ErrClosed)
	requireNow(t, mylibsql.ErrClosed, ack)
	require.NotZero(t, ack.FrameNo())
	requireSaved(t, saved)
}
