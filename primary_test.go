//go:build cgo

package mylibsql_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestAckResolvesWhenTheLogIsSaved is the main promise: an ack is pending while its write is
// only committed, and resolves with the save of its log.
func TestAckResolvesWhenTheLogIsSaved(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
	ctx, ack := mylibsql.WithAck(context.Background())
	require.ErrorIs(t, ack.Err(), mylibsql.ErrAckUnused)
	_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES(?)", "a")
	require.NoError(t, err)
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	require.Equal(t, 1, db.lib.Stats().PendingAcks)
	position := db.checkpoint(t)
	require.Equal(t, ack.FrameNo(), position)
	require.NoError(t, ack.Wait(context.Background()))
	require.NoError(t, ack.Err())
	<-ack.Done()
	require.Zero(t, db.lib.Stats().PendingAcks)
}

// TestPositionsContinueAfterReopen closes and opens a database again and again, with saved and
// unsaved commits, and restores it from all logs at the end.
func TestPositionsContinueAfterReopen(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
	last := db.checkpoint(t)
	for i := range 10 {
		for j := range 50 {
			db.exec(t, "INSERT INTO t(x) VALUES(?)", fmt.Sprintf("row %d %d", i, j))
		}
		if i%2 == 0 {
			position := db.checkpoint(t)
			require.Greater(t, position, last)
			last = position
		}
		committed := db.lib.Stats().Committed
		if err := db.DB.Close(); i%2 == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, mylibsql.ErrUnsaved)
		}
		again := openDatabaseAt(t, db.path, "")
		again.saved.logs = db.saved.logs
		db.saved.logs = nil
		db = again
		require.Equal(t, committed, db.lib.Stats().Committed)
		require.Equal(t, last, db.lib.Stats().Saved)
	}
	for i, log := range db.saved.logs[1:] {
		require.False(t, log.IsSnapshot(), "log %d", i+1)
	}
}
