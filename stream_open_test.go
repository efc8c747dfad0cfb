//go:build cgo

package mylibsql_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// openStreamed opens a primary with one saved log, and a stream from there.
func openStreamed(t *testing.T, params string) (*database, *mylibsql.Frames) {
	t.Helper()
	db := openDatabase(t, params)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.checkpoint(t)
	return db, openFrames(t, db.lib, mylibsql.Position{})
}

// openFrames opens a stream that the cleanup closes.
func openFrames(t *testing.T, lib *mylibsql.Database, after mylibsql.Position) *mylibsql.Frames {
	t.Helper()
	frames, err := lib.Frames(context.Background(), after)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, frames.Close()) })
	return frames
}

// queued takes what a stream has, without waiting.
func queued(t *testing.T, frames *mylibsql.Frames) (batches []*mylibsql.Batch) {
	t.Helper()
	for {
		batch, ok, err := frames.TryNext()
		require.NoError(t, err)
		if !ok {
			return batches
		}
		batches = append(batches, batch)
	}
}

// TestStreamStartsAtEveryCommit opens a stream at the end of each transaction that the WAL holds:
// what it delivers is what the first stream delivered from there, checksums included. The database
// grows, shrinks and grows again meanwhile.
func TestStreamStartsAtEveryCommit(t *testing.T) {
	for _, sealed := range []string{"nothing sealed", "sealed at the end", "sealed on the way"} {
		t.Run(sealed, func(t *testing.T) {
			db, frames := openStreamed(t, "_auto_vacuum=full")
			for i := range 40 {
				switch {
				case i%10 == 7:
					db.exec(t, "DELETE FROM t WHERE id % 4 <> 0")
				case i == 25:
					db.exec(t, "VACUUM")
				default:
					db.exec(t, "INSERT INTO t(x) VALUES(randomblob(?))", 1+i*700)
				}
				if sealed == "sealed on the way" && i == 20 {
					db.checkpoint(t)
				}
			}
			if sealed == "sealed at the end" {
				db.checkpoint(t)
			}
			all := queued(t, frames)
			require.Len(t, all, 40)
			for i, batch := range all {
				from := queued(t, openFrames(t, db.lib, batch.Start))
				require.Len(t, from, len(all)-i)
				for k, other := range from {
					require.Equal(t, all[i+k].Start, other.Start)
					require.Equal(t, all[i+k].End, other.End)
					require.Equal(t, all[i+k].Frames, other.Frames)
				}
			}
			require.Empty(t, queued(t, openFrames(t, db.lib, all[39].End)))
		})
	}
}

// TestStreamFromAnUnsavedDatabase opens the first stream of a database that was never saved: its
// batches lead a replica from a snapshot of that moment to the same content.
func TestStreamFromAnUnsavedDatabase(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	frames := openFrames(t, db.lib, mylibsql.Position{})
	db.exec(t, "INSERT INTO t(x) VALUES(randomblob(9000))")
	db.checkpoint(t)
	db.exec(t, "UPDATE t SET x = 1")
	db.checkpoint(t)
	batches := queued(t, frames)
	require.Len(t, batches, 2)
	require.Equal(t, db.saved.logs[0].End(), batches[0].End)
	require.Equal(t, db.saved.logs[1].End(), batches[1].End)
}

// TestStreamRefusesPositionsItNeverHad asks for streams that would fork or miss something.
func TestStreamRefusesPositionsItNeverHad(t *testing.T) {
	db, frames := openStreamed(t, "_wal_limit_frames=100")
	start := frames.Delivered()
	db.exec(t, "INSERT INTO t(x) VALUES(randomblob(20000))")
	db.exec(t, "INSERT INTO t(x) VALUES(randomblob(20000))")
	batches := queued(t, frames)
	first, end := batches[0].End, batches[1].End
	older := batches[0].Start
	require.Equal(t, start, older.FrameNo)
	at := func(frame mylibsql.FrameNo, sum mylibsql.Position) mylibsql.Position {
		return mylibsql.Position{FrameNo: frame, Checksum: sum.Checksum}
	}
	for name, row := range map[string]struct {
		after mylibsql.Position
		want  error
	}{
		"ahead":            {at(end.FrameNo+1, end), mylibsql.ErrGap},
		"another content":  {at(first.FrameNo, end), mylibsql.ErrChecksum},
		"another end":      {at(end.FrameNo, first), mylibsql.ErrChecksum},
		"in a transaction": {at(first.FrameNo-1, first), mylibsql.ErrGap},
		"no checksum":      {mylibsql.Position{FrameNo: first.FrameNo}, mylibsql.ErrFormat},
	} {
		_, err := db.lib.Frames(t.Context(), row.after)
		require.ErrorIs(t, err, row.want, name)
	}
	for i := 0; db.lib.Stats().WALFrames > 20 || i < 100; i++ {
		db.exec(t, "UPDATE t SET x = randomblob(20000)")
	}
	_, err := db.lib.Frames(t.Context(), first)
	require.ErrorIs(t, err, mylibsql.ErrLagged)
	require.Zero(t, db.lib.Stats().Streams-1)
}

// TestSlowReaderMissesNothing does not read a stream while the WAL is reset again and again. What
// it then reads is complete, as long as it is within the bound.
func TestSlowReaderMissesNothing(t *testing.T) {
	db, frames := openStreamed(t, "_wal_limit_frames=100")
	r := openReplica(t, "")
	r.take(t, db.saved.logs...)
	for i := range 1500 {
		db.exec(t, "INSERT INTO t(x) VALUES(randomblob(500))")
		if i%400 == 0 {
			db.exec(t, "PRAGMA wal_checkpoint") // beside the resets in the background
		}
	}
	require.Less(t, db.lib.Stats().WALFrames, 1500, "the WAL was never reset")
	batches := queued(t, frames)
	require.Len(t, batches, 1500)
	log, err := mylibsql.MergeBatches(mylibsql.BuildOptions{}, batches...)
	require.NoError(t, err)
	r.take(t, log)
	require.NoError(t, log.Close())
	require.Equal(t, db.lib.Stats().Committed, r.lib.Stats().Committed)
	db.checkpoint(t)
	require.NoError(t, db.DB.Close())
	require.NoError(t, r.DB.Close())
	requireSameFile(t, db.path, r.path)
}

// TestReaderThatNeverReads gets ErrLagged behind what was kept for it, and can go on from the
// saved logs with another stream.
func TestReaderThatNeverReads(t *testing.T) {
	db, frames := openStreamed(t, "_wal_limit_frames=1000&_page_size=65536")
	r := openReplica(t, "")
	r.take(t, db.saved.logs...)
	for range 40 {
		db.exec(t, "INSERT INTO t(x) VALUES(randomblob(3000000))")
	}
	for busy := true; busy; { // a reset in the background may be under way
		var frames, copied int
		row := db.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint")
		require.NoError(t, row.Scan(&busy, &frames, &copied))
	}
	var bytes int64
	for {
		batch, ok, err := frames.TryNext()
		if err != nil {
			require.ErrorIs(t, err, mylibsql.ErrLagged)
			break
		}
		require.True(t, ok)
		bytes += batch.Bytes()
	}
	require.Greater(t, bytes, int64(60<<20))
	require.LessOrEqual(t, bytes, int64(64<<20))
	db.checkpoint(t)
	r.take(t, db.saved.logs...)
	position, err := r.lib.Position(t.Context())
	require.NoError(t, err)
	again := openFrames(t, db.lib, position)
	db.exec(t, "DELETE FROM t")
	batches := queued(t, again)
	require.Len(t, batches, 1)
	log, err := batches[0].Log(mylibsql.BuildOptions{})
	require.NoError(t, err)
	r.take(t, log)
	require.NoError(t, log.Close())
	db.checkpoint(t)
}

// TestStreamEnds waits in Next while its context, the stream or the database ends.
func TestStreamEnds(t *testing.T) {
	for name, row := range map[string]struct {
		end  func(*testing.T, *database, *mylibsql.Frames, context.CancelFunc)
		want error
	}{
		"context": {func(_ *testing.T, _ *database, _ *mylibsql.Frames, cancel context.CancelFunc) {
			cancel()
		}, context.Canceled},
		"stream": {func(t *testing.T, _ *database, f *mylibsql.Frames, _ context.CancelFunc) {
			require.NoError(t, f.Close())
		}, mylibsql.ErrClosed},
		"database": {func(t *testing.T, db *database, _ *mylibsql.Frames, _ context.CancelFunc) {
			require.NoError(t, db.DB.Close())
		}, io.EOF},
		"role": {func(t *testing.T, db *database, _ *mylibsql.Frames, _ context.CancelFunc) {
			require.NoError(t, db.lib.Demote(context.Background()))
		}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			db, frames := openStreamed(t, "")
			db.exec(t, "INSERT INTO t(x) VALUES(1)")
			db.checkpoint(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			first, err := frames.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, db.lib.Stats().Committed, first.End.FrameNo)
			ended := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := frames.Next(ctx)
					ended <- err
				}()
			}
			row.end(t, db, frames, cancel)
			require.ErrorIs(t, <-ended, row.want)
			require.ErrorIs(t, <-ended, row.want)
			for _, err := range frames.All(ctx) {
				require.False(t, errors.Is(err, io.EOF))
			}
		})
	}
}
