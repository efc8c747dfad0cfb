//go:build cgo

package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

func requireBusy(t *testing.T, err error) {
	t.Helper()
	var failure sqlite3.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, sqlite3.ErrBusy, failure.Code)
	require.Equal(t, sqlite3.ErrNoExtended(sqlite3.ErrBusy), failure.ExtendedCode)
}

// TestGateLetsWritersInByArrival queues writers one after the other and lets them through: they
// come out in that order, one at a time, and nobody who asks later gets in before them.
func TestGateLetsWritersInByArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers = 100
		g := newGate()
		require.NoError(t, g.enter(t.Context(), 0))
		var order []int
		inside := 0
		for i := range writers {
			go func() {
				if err := g.enter(t.Context(), time.Hour); err != nil {
					panic(err)
				}
				inside++ // guarded by the gate: the race detector would tell
				order = append(order, i)
				if inside != 1 {
					panic("two writers inside")
				}
				inside--
				g.leave()
			}()
			synctest.Wait()
		}
		require.Empty(t, order)
		g.leave()
		if g.tryEnter() { // nobody gets in before the queue is empty
			require.Len(t, order, writers)
			g.leave()
		}
		synctest.Wait()
		require.Len(t, order, writers)
		require.IsIncreasing(t, order)
		require.True(t, g.tryEnter())
	})
}

// TestGateTimesOut waits at a gate that stays closed, in a clock of the test: the error is that
// of SQLITE_BUSY, exactly after the timeout, and whoever gave up is not in the queue any more.
func TestGateTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		require.NoError(t, g.enter(t.Context(), 0))
		for _, timeout := range []time.Duration{-1, 0, time.Millisecond, 5 * time.Second} {
			start := time.Now()
			requireBusy(t, g.enter(t.Context(), timeout))
			require.Equal(t, max(timeout, 0), time.Since(start))
		}
		g.leave()
		require.True(t, g.tryEnter(), "nobody is left in the queue")
	})
}

// TestGateIsCancelled ends the context of a waiter, before the wait and inside it: the error is
// the context's own, at once, and those behind it in the queue get in.
func TestGateIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		require.NoError(t, g.enter(t.Context(), 0))
		cause, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- g.enter(cause, time.Hour) }()
		synctest.Wait()
		go func() { second <- g.enter(t.Context(), time.Hour) }()
		synctest.Wait()
		start := time.Now()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, g.enter(cause, time.Hour), context.Canceled)
		g.leave()
		require.NoError(t, <-second)

		deadline, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		err := g.enter(deadline, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, errors.As(err, new(sqlite3.Error)), "not the busy timeout")
		g.leave()
		require.True(t, g.tryEnter())
	})
}

// TestGateIsHeldForOneTransaction takes the gate through sessions: BEGIN IMMEDIATE holds it up to
// the end, a read does not need it, a failed statement gives it back.
func TestGateIsHeldForOneTransaction(t *testing.T) {
	db := openNew(t, Options{})
	db.exec(t, "CREATE TABLE t(a PRIMARY KEY)")
	free := func() bool {
		if !db.gate.tryEnter() {
			return false
		}
		db.gate.leave()
		return true
	}
	require.True(t, free())
	for _, begin := range []string{"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "SAVEPOINT s", "BEGIN"} {
		db.exec(t, begin)
		db.exec(t, "SELECT * FROM t")
		db.exec(t, "INSERT INTO t VALUES(?)", begin)
		require.False(t, free(), begin)
		require.Error(t, db.run("INSERT INTO t VALUES(?)", begin))
		require.False(t, free(), "a failed statement ends no transaction")
		if begin == "SAVEPOINT s" {
			db.exec(t, "RELEASE s")
		} else {
			db.exec(t, "COMMIT")
		}
		require.True(t, free(), begin)
	}
	require.Error(t, db.run("INSERT INTO t VALUES('BEGIN')"))
	require.True(t, free())
	db.exec(t, "BEGIN IMMEDIATE")
	require.Error(t, db.run("INSERT OR ROLLBACK INTO t VALUES('BEGIN')"))
	require.True(t, free(), "SQLite ended the transaction by itself")
	db.exec(t, "BEGIN IMMEDIATE")
	require.True(t, db.session.Idle(), "left open at the return to the pool")
	require.True(t, free())
}
