//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// follow applies what a stream delivers to a replica, merging what has queued up, until the stream
// ends. It acknowledges each log that was applied.
func follow(ctx context.Context, frames *mylibsql.Frames, replica *mylibsql.Database) error {
	for {
		batch, err := frames.Next(ctx)
		if err != nil {
			return err
		}
		batches := []*mylibsql.Batch{batch}
		for len(batches) < 100 {
			next, ok, err := frames.TryNext()
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !ok {
				break
			}
			batches = append(batches, next)
		}
		log, err := translog.MergeBatches(translog.BuildOptions{}, batches...)
		if err != nil {
			return err
		}
		err = replica.Replicate(ctx, log)
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
		if err := frames.AckReplicated(log.Last()); err != nil {
			return err
		}
	}
}

// TestReplicaFollowsLiveFrames feeds a replica commit by commit while the primary resets its WAL,
// vacuums and rolls back. The stream ends with the close of the primary, after its last frame, and
// both files are the same.
func TestReplicaFollowsLiveFrames(t *testing.T) {
	ctx := context.Background()
	primary := openDatabase(t, "_wal_limit_frames=150")
	primary.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	primary.checkpoint(t)
	r := openReplica(t, "_wal_limit_frames=200")
	r.take(t, primary.saved.logs...)
	position, err := r.lib.Position(ctx)
	require.NoError(t, err)
	frames, err := primary.lib.Frames(ctx, position)
	require.NoError(t, err)
	followed := make(chan error, 1)
	go func() { followed <- follow(ctx, frames, r.lib) }()
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range 2000 {
		ackCtx, ack := mylibsql.WithAck(ctx)
		_, err := primary.ExecContext(ackCtx, "INSERT INTO t(x) VALUES(randomblob(?))",
			random.IntN(3000))
		require.NoError(t, err)
		switch {
		case i%500 == 300:
			primary.exec(t, "DELETE FROM t WHERE id % 2 = 0")
			primary.exec(t, "VACUUM")
		case i%100 == 50:
			require.NoError(t, ack.Wait(ctx)) // through the stream: nothing is saved
			require.NoError(t, r.QueryRowContext(mylibsql.WithMinFrame(ctx, ack.FrameNo()),
				"SELECT 1 FROM t WHERE id = (SELECT max(id) FROM t)").Scan(new(int)))
		}
	}
	require.Less(t, primary.lib.Stats().Saved, primary.lib.Stats().Acknowledged)
	want := primary.lib.Stats().Committed
	primary.checkpoint(t)
	require.NoError(t, primary.DB.Close())
	require.ErrorIs(t, <-followed, io.EOF)
	require.Equal(t, want, r.lib.Stats().Committed)
	require.NoError(t, r.DB.Close())
	requireSameFile(t, primary.path, r.path)
}

// TestRolesChangeInPlace turns a primary and its replica around, again and again: writes are taken
// by whichever is primary, on pools that stay open, and each follows the other.
func TestRolesChangeInPlace(t *testing.T) {
	ctx := context.Background()
	primary := openDatabase(t, "_wal_limit_frames=150")
	primary.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	primary.checkpoint(t)
	r := openReplica(t, "_wal_limit_frames=150")
	r.take(t, primary.saved.logs...)
	type node struct {
		*sql.DB
		lib *mylibsql.Database
	}
	a, b := node{primary.DB, primary.lib}, node{r.DB, r.lib}
	insert := func(n node) error {
		_, err := n.Exec("INSERT INTO t(x) VALUES(randomblob(2000))")
		return err
	}
	for round := range 20 {
		require.NoError(t, insert(a))
		require.ErrorIs(t, insert(b), mylibsql.ErrReadOnly)
		require.ErrorIs(t, a.lib.Demote(ctx), mylibsql.ErrUnsaved)
		_, err := a.lib.Checkpoint(ctx, func(ctx context.Context, log *mylibsql.Log) error {
			return errors.Join(b.lib.Replicate(ctx, log), primary.saved.save(ctx, log))
		})
		require.NoError(t, err, "round %d", round)
		require.NoError(t, a.lib.Demote(ctx))
		require.NoError(t, b.lib.Promote(ctx))
		require.ErrorIs(t, insert(a), mylibsql.ErrReadOnly)
		a, b = b, a
	}
	require.Equal(t, 20, primary.count(t, "t"))
	require.NoError(t, primary.DB.Close())
	require.NoError(t, r.DB.Close())
	requireSameFile(t, primary.path, r.path)
}

// TestResetHandsOverWhatIsUnread resets the WAL, and lets the next commit begin it anew, while a
// stream has not read what was in it: it delivers every transaction all the same.
func TestResetHandsOverWhatIsUnread(t *testing.T) {
	db, frames := openStreamed(t, "")
	for range 3 {
		for range 4 {
			db.exec(t, "INSERT INTO t(x) VALUES(randomblob(3000))")
		}
		var busy, walFrames, copied int
		row := db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)")
		require.NoError(t, row.Scan(&busy, &walFrames, &copied))
		require.Zero(t, busy)
	}
	db.exec(t, "INSERT INTO t(x) VALUES(0)")
	require.Len(t, queued(t, frames), 3*4+1)
}
