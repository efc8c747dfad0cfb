//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/framelog"
)

// tailScenario is a primary whose history is kept outside of it as a snapshot, logs, and a frame
// log with what came since.
type tailScenario struct {
	db       *database
	snapshot *mylibsql.Snapshot
	logs     saved
	frames   *mylibsql.Frames
	tail     *framelog.Log
	tailPath string
	streamed mylibsql.Position // of the last batch that the frame log has
}

// newTailScenario makes a database with Init and opens it, a stream, and an empty frame log behind
// the snapshot.
func newTailScenario(t *testing.T, params string) *tailScenario {
	t.Helper()
	ctx, folder := context.Background(), t.TempDir()
	s := &tailScenario{tailPath: filepath.Join(folder, "tail.log")}
	path := filepath.Join(folder, "app.db")
	var err error
	s.snapshot, err = mylibsql.Init(ctx, "file:"+path+"?"+params,
		func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, `CREATE TABLE notes(id INTEGER PRIMARY KEY, text, body);
				INSERT INTO notes(text) VALUES('first')`)
			return err
		})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.snapshot.Close()) })
	s.db = openDatabaseAt(t, path, params)
	s.db.life.Logs = func() []*mylibsql.Log {
		return append([]*mylibsql.Log{s.snapshot.Log}, s.logs.all()...)
	}
	s.streamed = s.snapshot.End()
	s.frames, err = s.db.lib.Frames(ctx, s.streamed)
	require.NoError(t, err)
	s.tail, err = framelog.Create(s.tailPath, framelog.CreateOptions{
		First: s.snapshot.Last() + 1, PageSize: s.snapshot.PageSize()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.tail.Close() })
	return s
}

// insert adds a row, whose ack is pending then.
func (s *tailScenario) insert(t *testing.T, text string) *mylibsql.Ack {
	t.Helper()
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := s.db.ExecContext(ctx, "INSERT INTO notes(text, body) VALUES(?, zeroblob(3000))", text)
	require.NoError(t, err)
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	return ack
}

// appendCommitted appends to the frame log, unsynced, what the stream has up to the last commit.
func (s *tailScenario) appendCommitted(t *testing.T) {
	t.Helper()
	for last := s.db.lib.Stats().Committed; s.streamed.FrameNo < last; {
		batch, err := s.frames.Next(context.Background())
		require.NoError(t, err)
		require.Equal(t, s.streamed, batch.Start)
		require.NoError(t, s.tail.Append(batch.Frames))
		s.streamed = batch.End
	}
}

// stream makes the frame log durable up to the last commit, and only then acknowledges.
func (s *tailScenario) stream(t *testing.T) {
	t.Helper()
	s.appendCommitted(t)
	require.NoError(t, s.tail.Sync())
	require.NoError(t, s.frames.AckReplicated(s.streamed.FrameNo))
}

// checkpoint saves into the test's logs and drops from the frame log what they hold. What the
// stream has not delivered of it need not go there any more.
func (s *tailScenario) checkpoint(t *testing.T) mylibsql.FrameNo {
	t.Helper()
	position, err := s.db.lib.Checkpoint(context.Background(), s.logs.save)
	require.NoError(t, err)
	require.NoError(t, s.tail.TruncateHead(position+1))
	for s.streamed.FrameNo < position {
		batch, err := s.frames.Next(context.Background())
		require.NoError(t, err)
		s.streamed = batch.End
	}
	return position
}

// drop closes the primary with everything that is not saved, which it must say.
func (s *tailScenario) drop(t *testing.T) {
	t.Helper()
	require.ErrorIs(t, s.db.DB.Close(), mylibsql.ErrUnsaved)
	require.NoError(t, s.frames.Close())
}

// whole returns the logs, the last of them made of the frame log. That is opened as another process
// would do it, which sees what was synced, and must lead to the last position that was
// acknowledged.
func (s *tailScenario) whole(t *testing.T, acknowledged mylibsql.Position) []*mylibsql.Log {
	t.Helper()
	sums, err := framelog.ReadSums(s.snapshot)
	require.NoError(t, err)
	for _, log := range s.logs.logs {
		require.NoError(t, sums.Apply(log))
	}
	tail, err := framelog.Open(s.tailPath)
	require.NoError(t, err)
	defer func() { require.NoError(t, tail.Close()) }()
	log, err := tail.Convert(sums.Base(), 0, framelog.ConvertOptions{})
	if errors.Is(err, framelog.ErrEmpty) {
		require.Equal(t, acknowledged, sums.Position())
		return s.logs.logs
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	require.NoError(t, sums.Apply(log))
	require.Equal(t, acknowledged, sums.Position())
	return append(s.logs.logs[:len(s.logs.logs):len(s.logs.logs)], log)
}

// reopen makes a primary and a replica of snapshot, logs and frame log, each at a path of its own.
func (s *tailScenario) reopen(t *testing.T, acknowledged mylibsql.Position) (*database, *replica) {
	t.Helper()
	folder, logs := t.TempDir(), s.whole(t, acknowledged)
	primary := openPrimary(t, filepath.Join(folder, "primary.db"), s.snapshot, logs...)
	r := openReplicaOf(t, filepath.Join(folder, "replica.db"), s.snapshot, logs...)
	for _, lib := range []*mylibsql.Database{primary.lib, r.lib} {
		position, err := lib.Position(context.Background())
		require.NoError(t, err)
		require.Equal(t, acknowledged, position)
	}
	return primary, r
}

// notes returns the texts of all rows, by id.
func notes(t *testing.T, db *sql.DB) (texts []string) {
	t.Helper()
	rows, err := db.Query("SELECT text FROM notes ORDER BY id")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		texts = append(texts, text)
	}
	require.NoError(t, rows.Err())
	return texts
}

// requireGoesOn writes to a reopened primary: its log continues the last one, the replica takes it,
// and both are the same file.
func requireGoesOn(t *testing.T, primary *database, r *replica) {
	t.Helper()
	_, err := r.Exec("INSERT INTO notes(text) VALUES('refused')")
	require.ErrorIs(t, err, mylibsql.ErrReadOnly)
	before, err := primary.lib.Position(t.Context())
	require.NoError(t, err)
	primary.exec(t, "INSERT INTO notes(text) VALUES('goes on')")
	primary.checkpoint(t)
	log := primary.saved.logs[len(primary.saved.logs)-1]
	require.False(t, log.IsSnapshot())
	require.Equal(t, before, log.Follows())
	r.take(t, log)
	require.Equal(t, notes(t, primary.DB), notes(t, r.DB))
	require.NoError(t, primary.DB.Close())
	require.NoError(t, r.DB.Close())
	requireSameFile(t, primary.path, r.path)
}

// TestOnlyUnackedRowsAreLost is the micro replication of the Rust crate, from Init to a primary and
// a replica at other paths, made of snapshot, log and frame log: each row whose ack resolved is
// there, by a save or by frames alone, and no other. An ack by frames saves nothing, and what is
// saved leaves the frame log.
func TestOnlyUnackedRowsAreLost(t *testing.T) {
	ctx := context.Background()
	s := newTailScenario(t, "")
	acks := []*mylibsql.Ack{s.insert(t, "a"), s.insert(t, "b"), s.insert(t, "c")}
	s.appendCommitted(t)
	require.NoError(t, s.tail.Sync())
	for _, ack := range acks {
		require.ErrorIs(t, ack.Err(), mylibsql.ErrPending, "a frame log is not an ack by itself")
	}
	s.stream(t)
	for _, ack := range acks {
		require.NoError(t, ack.Wait(ctx))
	}
	stats := s.db.lib.Stats()
	require.Equal(t, s.snapshot.Last(), stats.Saved, "nothing is saved")
	require.Equal(t, stats.Committed, stats.Acknowledged)

	position := s.checkpoint(t)
	require.Equal(t, stats.Committed, position)
	require.Len(t, s.logs.logs, 1)
	require.Equal(t, s.snapshot.End(), s.logs.logs[0].Follows())
	require.True(t, s.tail.IsEmpty())
	require.Equal(t, position+1, s.tail.NextFrameNo())
	again, err := s.db.lib.Checkpoint(ctx, func(context.Context, *mylibsql.Log) error {
		return errors.New("there is nothing to save")
	})
	require.NoError(t, err)
	require.Equal(t, position, again)

	acked := []*mylibsql.Ack{s.insert(t, "d"), s.insert(t, "e")}
	s.stream(t)
	for _, ack := range acked {
		require.NoError(t, ack.Wait(ctx))
	}
	lost := []*mylibsql.Ack{s.insert(t, "lost"), s.insert(t, "lost too")}
	require.Equal(t, position, s.db.lib.Stats().Saved)
	s.drop(t)
	for _, ack := range lost {
		require.ErrorIs(t, ack.Wait(ctx), mylibsql.ErrClosed)
	}
	for _, ack := range acked {
		require.NoError(t, ack.Err(), "what is resolved stays so")
	}
	primary, r := s.reopen(t, s.streamed)
	want := []string{"first", "a", "b", "c", "d", "e"}
	require.Equal(t, want, notes(t, primary.DB))
	require.Equal(t, want, notes(t, r.DB))
	requireGoesOn(t, primary, r)
}

// TestTailKeepsWhatASaveDoesNotCover commits and streams while a save is under way: those frames
// are behind the log that is saved, so they stay in the frame log when its head goes. Frames that
// were appended and never synced are lost with a crash, and nobody had acknowledged them.
func TestTailKeepsWhatASaveDoesNotCover(t *testing.T) {
	ctx := context.Background()
	s := newTailScenario(t, "")
	s.insert(t, "a")
	s.stream(t)
	var meanwhile *mylibsql.Ack
	position, err := s.db.lib.Checkpoint(ctx, func(ctx context.Context, log *mylibsql.Log) error {
		meanwhile = s.insert(t, "b")
		s.stream(t)
		return s.logs.save(ctx, log)
	})
	require.NoError(t, err)
	require.NoError(t, meanwhile.Err())
	require.Less(t, position, meanwhile.FrameNo())
	require.NoError(t, s.tail.TruncateHead(position+1))
	require.Equal(t, position+1, s.tail.First())
	require.Equal(t, meanwhile.FrameNo()+1, s.tail.NextFrameNo())
	require.NoError(t, s.tail.Verify())

	acked := s.insert(t, "c")
	s.stream(t)
	require.NoError(t, acked.Wait(ctx))
	acknowledged := s.streamed
	lost := s.insert(t, "lost")
	s.appendCommitted(t)
	require.ErrorIs(t, lost.Err(), mylibsql.ErrPending)
	s.drop(t)
	require.ErrorIs(t, lost.Wait(ctx), mylibsql.ErrClosed)
	primary, r := s.reopen(t, acknowledged)
	want := []string{"first", "a", "b", "c"}
	require.Equal(t, want, notes(t, primary.DB))
	require.Equal(t, want, notes(t, r.DB))
	requireGoesOn(t, primary, r)
}

// TestTailOfARandomLife lives through random writes, VACUUMs, WAL resets and checkpoints, streams
// at random moments, and is dropped. Each time the frame log, converted, leads to the checksum of
// the whole database that the last batch carried, and the reopened databases have exactly the rows
// that were acknowledged.
func TestTailOfARandomLife(t *testing.T) {
	lives := 3
	if testing.Short() {
		lives = 1
	}
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			seed := *randomSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-random.seed=%d", seed)
			random := rand.New(rand.NewPCG(seed, uint64(pageSize)))
			for range lives {
				liveRandomly(t, random, pageSize)
			}
		})
	}
}

func liveRandomly(t *testing.T, random *rand.Rand, pageSize int) {
	s := newTailScenario(t, fmt.Sprintf("_page_size=%d&_wal_limit_frames=150", pageSize))
	want, acknowledged := notes(t, s.db.DB), s.streamed
	bodyBytesMax := min(3*pageSize, 20000)
	writes := 20 + random.IntN(min(100, 1<<20/pageSize)) // pages of 64 KiB take their time
	for i := range writes {
		switch random.IntN(12) {
		case 0:
			s.db.exec(t, "DELETE FROM notes WHERE id % 3 > 0")
			s.db.exec(t, "VACUUM")
		case 1:
			s.db.exec(t, "DELETE FROM notes WHERE id % 7 = ?", random.IntN(7))
		case 2:
			s.db.exec(t, "UPDATE notes SET body = zeroblob(?) WHERE id % 5 = 0", random.IntN(9000))
		case 3:
			position := s.checkpoint(t)
			want, acknowledged = notes(t, s.db.DB), s.streamed
			require.Equal(t, position, acknowledged.FrameNo)
		case 4, 5:
			s.stream(t)
			want, acknowledged = notes(t, s.db.DB), s.streamed
			s.whole(t, acknowledged)
		default:
			s.db.exec(t, "INSERT INTO notes(text, body) VALUES(?, randomblob(?))",
				fmt.Sprint("note ", i), random.IntN(bodyBytesMax))
		}
	}
	s.db.exec(t, "INSERT INTO notes(text) VALUES('lost')")
	s.drop(t)
	primary, r := s.reopen(t, acknowledged)
	require.Equal(t, want, notes(t, primary.DB))
	require.Equal(t, want, notes(t, r.DB))
	requireGoesOn(t, primary, r)
}
