//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// inserted runs a statement under an ack.
func inserted(t *testing.T, db *sql.DB, statement string) *mylibsql.Ack {
	t.Helper()
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, statement)
	require.NoError(t, err)
	return ack
}

// TestStreamOfWhatComesNextHasNothingYet opens streams for what comes next beside pending commits:
// neither they nor another stream's acknowledgement resolve what nobody has received.
func TestStreamOfWhatComesNextHasNothingYet(t *testing.T) {
	db, frames := openStreamed(t, "")
	first := inserted(t, db.DB, "INSERT INTO t(x) VALUES(1)")
	second := inserted(t, db.DB, "INSERT INTO t(x) VALUES(2)")
	monitor := openFrames(t, db.lib, mylibsql.Position{})
	require.NoError(t, monitor.AckReplicated(0))
	require.ErrorIs(t, first.Err(), mylibsql.ErrPending)
	batch, err := frames.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, frames.AckReplicated(batch.End.FrameNo))
	require.NoError(t, first.Err())
	require.ErrorIs(t, second.Err(), mylibsql.ErrPending)
}

// TestAcksOfSeveralStreams asks for two readers: what one has acknowledged alone stays pending.
func TestAcksOfSeveralStreams(t *testing.T) {
	db, one := openStreamed(t, "_replica_acks=2")
	two := openFrames(t, db.lib, mylibsql.Position{})
	openFrames(t, db.lib, mylibsql.Position{}) // one that only watches
	ack := inserted(t, db.DB, "INSERT INTO t(x) VALUES(1)")
	batch := queued(t, one)[0]
	queued(t, two)
	require.ErrorIs(t, one.AckReplicated(batch.End.FrameNo+1), mylibsql.ErrUndelivered)
	require.NoError(t, one.AckReplicated(batch.End.FrameNo))
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	require.NoError(t, two.AckReplicated(batch.End.FrameNo))
	require.NoError(t, ack.Err())
	require.Less(t, db.lib.Stats().Saved, ack.FrameNo())
}

// TestTwoHistoriesWithOneChecksum lets a primary and a promoted copy of it make the same change to
// different tables, so that positions and checksums agree: only one of them is saved, and the acks
// of the other fail.
func TestTwoHistoriesWithOneChecksum(t *testing.T) {
	store := openStore(t)
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE a(x); CREATE TABLE b(x)")
	db.saveAll(t, store)
	r := openReplica(t, "")
	_, err := db.lib.Checkpoint(t.Context(), db.saved.save)
	require.NoError(t, err)
	for record, err := range store.Records(t.Context(), 0) {
		require.NoError(t, err)
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		r.take(t, log)
		require.NoError(t, log.Close())
	}
	require.NoError(t, r.lib.Promote(t.Context()))

	one := inserted(t, db.DB, "INSERT INTO a VALUES('row')")
	other := inserted(t, r.DB, "INSERT INTO b VALUES('row')")
	_, err = db.lib.Checkpoint(t.Context(), store.Save)
	require.NoError(t, err)
	require.NoError(t, one.Err())
	_, err = r.lib.Checkpoint(t.Context(), store.Save)
	require.ErrorIs(t, err, mylibsql.ErrFenced)
	require.ErrorIs(t, other.Err(), mylibsql.ErrFenced)
	const fenced = "a fenced database keeps what nobody may save"
	r.leavesWAL(fenced)
	r.notRestored(fenced)
}

// TestDivergedReplicaVouchesForNothing writes to a replica past the engine: it makes no snapshot
// under its position, and acks of an earlier life as a primary resolve none of a later one.
func TestDivergedReplicaVouchesForNothing(t *testing.T) {
	db, r := openFollowed(t)
	ctx := context.Background()
	require.NoError(t, r.lib.Promote(ctx))
	frames := openFrames(t, r.lib, mylibsql.Position{})
	for range 5 {
		_, err := r.Exec("INSERT INTO t(x) VALUES(1)")
		require.NoError(t, err)
	}
	batches := queued(t, frames)
	require.NoError(t, frames.AckReplicated(batches[4].End.FrameNo))
	_, err := r.lib.Checkpoint(ctx, discard)
	require.NoError(t, err)
	require.NoError(t, r.lib.Demote(ctx))

	foreign, err := sql.Open("sqlite3", r.path)
	require.NoError(t, err)
	_, err = foreign.Exec("INSERT INTO t(x) VALUES('foreign')")
	require.NoError(t, err)
	require.NoError(t, foreign.Close())
	_, err = r.lib.WriteSnapshot(ctx, discardBytes{})
	require.ErrorIs(t, err, mylibsql.ErrDiverged)

	r.take(t, db.saved.logs[0]) // a snapshot from before
	r.continues(db)
	require.NoError(t, r.lib.Promote(ctx))
	ack := inserted(t, r.DB, "INSERT INTO t(x) VALUES(2)")
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	r.checkpoint(t)
}

type discardBytes struct{}

func (discardBytes) Write(p []byte) (int, error) { return len(p), nil }

// TestGapOfAnotherStore promotes, and lets the first save answer with gaps that cannot be those of
// a store that ends before: nothing moves, and no ack resolves.
func TestGapOfAnotherStore(t *testing.T) {
	db, r := openFollowed(t)
	require.NoError(t, r.lib.Promote(t.Context()))
	r.continues(db)
	saved := r.lib.Stats().Saved
	ack := inserted(t, r.DB, "INSERT INTO t(x) VALUES(1)")
	for _, gap := range []mylibsql.GapError{
		{Have: mylibsql.Position{FrameNo: 500, Checksum: 1}},
		{Have: mylibsql.Position{FrameNo: 1, Checksum: 1}, Want: mylibsql.Position{FrameNo: 9}},
	} {
		_, err := r.lib.Checkpoint(t.Context(),
			func(context.Context, *mylibsql.Log) error { return &gap })
		require.ErrorIs(t, err, mylibsql.ErrGap)
		require.Equal(t, saved, r.lib.Stats().Saved)
		require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	}
	r.checkpoint(t)
}

// TestHookCannotWriteToAReplica opens a replica's connections with a hook that writes.
func TestHookCannotWriteToAReplica(t *testing.T) {
	_, r := openFollowed(t)
	var refused error
	connector, err := mylibsql.NewConnector("file:"+r.path, &mylibsql.Options{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, refused = c.Exec("CREATE TABLE hooked(x)", nil)
			return nil
		}})
	require.NoError(t, err)
	db := openConnector(t, connector, r.path)
	require.NoError(t, db.Ping())
	require.Equal(t, sqlite3.ErrReadonly, sqliteCode(refused))
	require.False(t, r.lib.Stats().Diverged)
	require.NoError(t, db.Close())
}

// TestEmptyPrimaryBecomesAReplica demotes a new database: it takes the snapshot of any other one.
func TestEmptyPrimaryBecomesAReplica(t *testing.T) {
	db, _ := openFollowed(t)
	empty := openReplicaAt(t, filepath.Join(t.TempDir(), "empty.db"), "")
	require.NoError(t, empty.lib.Demote(t.Context()))
	empty.take(t, db.saved.logs...)
	require.Equal(t, db.lib.Stats().Committed, empty.lib.Stats().Committed)
}
