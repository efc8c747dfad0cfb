//go:build cgo

package acktest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/dbtest"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// An Opener opens a new database at a path with one way to reach it. The pool and the
// handle are those behind the client; the pool is closed by the table.
type Opener func(t *testing.T, path string) (Client, *sql.DB, *mylibsql.Database)

// patience is how long a test waits for what must come soon.
const patience = 30 * time.Second

// fixture is one database of one test. At the end what was saved is compared with the
// file.
type fixture struct {
	Client
	open Opener
	pool *sql.DB
	lib  *mylibsql.Database
	path string

	life   *dbtest.Life
	closed bool
}

func newFixture(t *testing.T, open Opener) *fixture {
	t.Helper()
	f := &fixture{open: open, path: filepath.Join(t.TempDir(), "app.db")}
	f.Client, f.pool, f.lib = open(t, f.path)
	f.life = pooltest.Watch(t, f.path, f.pool, f.lib)
	t.Cleanup(func() { f.verify(t) })
	require.NoError(t, f.Exec(context.Background(), Schema))
	return f
}

// save is a save function that keeps the log.
func (f *fixture) save(ctx context.Context, log *mylibsql.Log) error {
	return f.life.Save(ctx, log)
}

func (f *fixture) checkpoint(t *testing.T) mylibsql.FrameNo {
	t.Helper()
	position, err := f.lib.Checkpoint(context.Background(), f.save)
	require.NoError(t, err)
	return position
}

// close closes the pool, now instead of at the end.
func (f *fixture) close(t *testing.T) {
	t.Helper()
	f.closed = true
	if err := f.pool.Close(); !errors.Is(err, mylibsql.ErrUnsaved) {
		require.NoError(t, err)
	}
}

// verify saves the rest, which must resolve all acks. pooltest does what follows.
func (f *fixture) verify(t *testing.T) {
	t.Helper()
	if f.closed || t.Failed() {
		return
	}
	position := f.checkpoint(t)
	require.Equal(t, position, f.lib.Stats().Committed)
	require.Zero(t, f.lib.Stats().PendingAcks)
}

// requirePending asks for an ack whose writes are committed and not saved.
func requirePending(t *testing.T, ack *mylibsql.Ack) {
	t.Helper()
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	require.NotZero(t, ack.FrameNo())
	require.False(t, isDone(ack.Done()), "Done is closed while the write is pending")
	// A context that has ended makes Wait tell at once.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, ack.Wait(ended), context.Canceled)
}

// requireSaved asks for an ack with everything saved, by every way to ask.
func requireSaved(t *testing.T, ack *mylibsql.Ack) {
	t.Helper()
	require.NoError(t, ack.Err())
	require.NoError(t, waitFor(t, ack))
	require.True(t, isDone(ack.Done()))
}

// requireNow asks that Wait answers at once, although its context never ends.
func requireNow(t *testing.T, want error, ack *mylibsql.Ack) {
	t.Helper()
	require.ErrorIs(t, waitFor(t, ack), want)
	require.ErrorIs(t, ack.Err(), want)
}

// waitFor is Wait without an end, which fails the test when nothing comes.
func waitFor(t *testing.T, ack *mylibsql.Ack) error {
	t.Helper()
	answer := make(chan error, 1)
	go func() { answer <- ack.Wait(context.Background()) }()
	select {
	case err := <-answer:
		return err
	case <-time.After(patience):
		require.FailNow(t, "Wait hangs")
		return nil
	}
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func awaitDone(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "Done is never closed")
	}
}
