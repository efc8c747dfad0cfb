//go:build cgo

package acktest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// row is one promise of the table.
type row struct {
	name  string
	check func(*testing.T, *fixture)
}

// rows is the table. Every row starts on a new database, with an empty table and nothing
// saved.
var rows = []row{
	{"context only on BeginTx", onlyOnBegin},
	{"context only on a statement inside", onlyOnStatementInside},
	{"context only on a handwritten COMMIT", onlyOnCommit},
	{"several statements and goroutines", severalGoroutines},
	{"checkpoint between two statements", checkpointBetween},
	{"checkpoint inside the transaction", checkpointInside},
	{"nested WithAck", nested},
	{"rolled back transaction", rolledBack},
	{"rolled back savepoint", rolledBackSavepoint},
	{"statement that fails", failingStatement},
	{"statement that only reads", onlyReads},
	{"Wait in an open transaction", waitInTransaction},
	{"Wait beside open RETURNING rows", waitBesideRows},
	{"no statement ran", unused},
	{"two databases", twoDatabases},
	{"context cancelled after the commit", cancelledAfterCommit},
	{"Wait cancelled", cancelledWait},
	{"prepared statements", prepared},
	{"Done stands for what was written before", done},
	{"save that fails", failingSave},
	{"database closed", closed},
}

// Run checks every row of the table through one client.
func Run(t *testing.T, open Opener) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { r.check(t, newFixture(t, open)) })
	}
}

// withAck is WithAck below a context that nothing else carries.
func withAck() (context.Context, *mylibsql.Ack) {
	return mylibsql.WithAck(context.Background())
}

var background = context.Background()

func onlyOnBegin(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	tx, err := f.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, tx.Insert(background, "a"))
	require.NoError(t, tx.Insert(background, "b"))
	require.NoError(t, tx.Commit())
	require.Equal(t, f.lib.Stats().Committed, ack.FrameNo())
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func onlyOnStatementInside(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	tx, err := f.Begin(background)
	require.NoError(t, err)
	require.NoError(t, tx.Insert(background, "a"))
	require.NoError(t, tx.Insert(ctx, "b"))
	require.NoError(t, tx.Insert(background, "c"))
	require.NoError(t, tx.Commit())
	require.Equal(t, f.lib.Stats().Committed, ack.FrameNo())
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func onlyOnCommit(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.NoError(t, f.Connection(background, func(s Session) error {
		require.NoError(t, s.Exec(background, "BEGIN"))
		require.NoError(t, s.Insert(background, "a"))
		requireNow(t, mylibsql.ErrAckUnused, ack)
		return s.Exec(ctx, "COMMIT")
	}))
	require.Equal(t, f.lib.Stats().Committed, ack.FrameNo())
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func checkpointBetween(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	require.NoError(t, f.Insert(ctx, "a"))
	first := ack.FrameNo()
	require.Equal(t, first, f.checkpoint(t))
	requireSaved(t, ack)
	require.NoError(t, f.Insert(ctx, "b"))
	require.Greater(t, ack.FrameNo(), first)
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

// checkpointInside saves while the transaction is open: what is saved is what was
// committed before, and no ack of the transaction may take it for its own.
func checkpointInside(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	tx, err := f.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, tx.Insert(ctx, "a"))
	saved := f.checkpoint(t)
	require.NoError(t, tx.Insert(ctx, "b"))
	require.NoError(t, tx.Commit())
	require.Greater(t, ack.FrameNo(), saved)
	requirePending(t, ack)
	f.checkpoint(t)
	requireSaved(t, ack)
}

func nested(t *testing.T, f *fixture) {
	outerContext, outer := withAck()
	innerContext, inner := mylibsql.WithAck(outerContext)
	requireNow(t, mylibsql.ErrAckUnused, outer)
	found, ok := mylibsql.AckFrom(innerContext)
	require.True(t, ok)
	require.Same(t, inner, found)

	require.NoError(t, f.Insert(innerContext, "a"))
	require.NotZero(t, inner.FrameNo())
	require.Equal(t, inner.FrameNo(), outer.FrameNo())
	requirePending(t, inner)
	requirePending(t, outer)
	f.checkpoint(t)
	requireSaved(t, inner)
	requireSaved(t, outer)

	require.NoError(t, f.Insert(outerContext, "b"))
	require.Greater(t, outer.FrameNo(), inner.FrameNo())
	requireSaved(t, inner)
	requirePending(t, outer)

	tx, err := f.Begin(innerContext)
	require.NoError(t, err)
	requireNow(t, mylibsql.ErrUncommitted, inner)
	requireNow(t, mylibsql.ErrUncommitted, outer)
	require.NoError(t, tx.Rollback())
	requireSaved(t, inner)
	requirePending(t, outer)
}

func rolledBack(t *testing.T, f *fixture) {
	ctx, ack := withAck()
	tx, err := f.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, tx.Insert(ctx, "a"))
	require.NoError(t, tx.Rollback())
	require.Zero(t, ack.FrameNo())
	requireSaved(t, ack)
	require.Zero(t, f.lib.Stats().PendingAcks)
}

// rolledBackSavepoint has two transactions. In the first nothing else is written. In the
// other the ack is carried by the transaction, whose own rows are what there is to save.
func rolledBackSavepoint(t *testing.T, f *fixture) {
	f.checkpoint(t)
	for _, others := range []bool{false, true} {
		ctx, ack := withAck()
		tx, err := f.Begin(background)
		require.NoError(t, err)
		if others {
			require.NoError(t, tx.Insert(background, "stays"))
		}
		require.NoError(t, tx.Exec(ctx, "SAVEPOINT inner"))
		require.NoError(t, tx.Insert(ctx, "goes"))
		require.NoError(t, tx.Exec(ctx, "ROLLBACK TO inner"))
		require.NoError(t, tx.Exec(ctx, "RELEASE inner"))
		require.NoError(t, tx.Commit())
		if others {
			requirePending(t, ack)
		}
		f.checkpoint(t)
		requireSaved(t, ack)
	}
}
