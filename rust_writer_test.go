//go:build cgo

package mylibsql_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

var writerTime = flag.Duration("writer.time", 0,
	"length of the test of a writer with a replica, 0 for 5s, or 2s with -short")

const (
	checkpointEvery = 100 * time.Millisecond
	saveDelayMax    = 150 * time.Millisecond // some saves last longer than the time between two
	writerRowsMax   = 3000                   // from which on more is deleted than inserted
	writerAheadMax  = 300                    // commits from one wait for an ack to the next
	logsQueuedMax   = 64
)

// TestReplicaCountsTheRowsOfEveryLog runs a writer with transactions of random size, of which many
// are rolled back, beside a checkpoint each 100 ms whose save takes a random time. A replica takes
// every log, and must then hold exactly the rows that the primary had at the log's end: the writer
// notes the count for the position of each commit, and keeps it in a row of the same transaction
// too. After each checkpoint exactly the acks up to the saved position are resolved.
//
// -writer.time makes it longer, -random.seed repeats it.
func TestReplicaCountsTheRowsOfEveryLog(t *testing.T) {
	length := *writerTime
	switch {
	case length == 0 && testing.Short():
		length = 2 * time.Second
	case length == 0:
		length = 5 * time.Second
	}
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-random.seed=%d -writer.time=%v", seed, length)
	newWriterRun(t, seed).run(length)
}

// writerRun is one run: a writer, a checkpointer, and a replica.
type writerRun struct {
	t       *testing.T
	db      *database
	store   *checkpoint.Directory
	replica *replica
	seed    uint64
	stop    chan struct{}
	logs    chan *mylibsql.Log // saved and not taken by the replica yet

	mu         sync.Mutex
	noted      sync.Cond                // of mu: something was added to rows, or written is set
	rows       map[mylibsql.FrameNo]int // rows of t at the position of each commit
	written    bool                     // the writer has ended
	acks       []*mylibsql.Ack          // of commits, not yet seen resolved
	rolledBack int
}

func newWriterRun(t *testing.T, seed uint64) *writerRun {
	// A small page cache, so that large transactions have frames in the WAL before they are
	// rolled back.
	r := &writerRun{
		t: t, db: openDatabase(t, "_wal_limit_frames=500&_cache_size=20"),
		store: openStore(t), replica: openReplica(t, "_wal_limit_frames=500"), seed: seed,
		stop: make(chan struct{}), logs: make(chan *mylibsql.Log, logsQueuedMax),
		rows: map[mylibsql.FrameNo]int{},
	}
	r.noted.L = &r.mu
	r.db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	r.db.exec(t, "CREATE TABLE total(n INTEGER NOT NULL)")
	r.db.exec(t, "INSERT INTO total VALUES(0)")
	r.rows[r.db.lib.Stats().Committed] = 0
	return r
}

func (r *writerRun) run(length time.Duration) {
	var writer, follower sync.WaitGroup
	taken := 0
	follower.Go(func() { taken = r.follow() })
	endFollower := sync.OnceFunc(func() { close(r.logs); follower.Wait() })
	defer endFollower()
	writer.Go(r.write)
	endWriter := sync.OnceFunc(func() { close(r.stop); writer.Wait() })
	defer endWriter() // first, since the follower may wait for a count of its
	random := rand.New(rand.NewPCG(r.seed, 1))
	tick, deadline := time.NewTicker(checkpointEvery), time.After(length)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			r.checkpoint(random)
		case <-deadline:
			running = false
		}
	}
	endWriter()
	r.checkpoint(random)
	endFollower()
	require.Equal(r.t, r.db.lib.Stats().Committed, r.replica.lib.Stats().Committed)
	require.Empty(r.t, r.acks)
	r.t.Logf("%d commits, %d rolled back, %d logs", len(r.rows)-1, r.rolledBack, taken)
	require.NoError(r.t, r.db.DB.Close())
	require.NoError(r.t, r.replica.DB.Close())
	requireSameFile(r.t, r.db.path, r.replica.path)
}

// write runs transactions until the run stops.
func (r *writerRun) write() {
	random, count := rand.New(rand.NewPCG(r.seed, 2)), 0
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.written = true
		r.noted.Broadcast()
	}()
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		ctx, ack := mylibsql.WithAck(context.Background())
		change, err := r.transact(ctx, random, count)
		r.mu.Lock()
		switch {
		case errors.Is(err, errWanted) && ack.FrameNo() == 0:
			r.rolledBack++
		case err != nil:
			r.t.Errorf("transaction at position %d: %v", ack.FrameNo(), err)
			r.mu.Unlock()
			return
		default:
			count += change
			r.rows[ack.FrameNo()] = count
			r.acks = append(r.acks, ack)
			r.noted.Broadcast()
		}
		commits := len(r.rows)
		r.mu.Unlock()
		if err == nil && commits%writerAheadMax == 0 {
			select {
			case <-ack.Done():
			case <-r.stop:
			}
		}
	}
}

// transact inserts and deletes rows in one transaction, or rolls it back and returns errWanted. It
// returns by how many rows there are more.
func (r *writerRun) transact(ctx context.Context, random *rand.Rand, count int) (int, error) {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	change := 0
	run := func(sign int, query string, args ...any) error {
		result, err := tx.Exec(query, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		change += sign * int(n)
		return err
	}
	inserts, size := random.IntN(8), 200
	switch random.IntN(20) {
	case 0:
		inserts = 200
	case 1, 2:
		size = 30000
	}
	for range inserts {
		if err := run(1, "INSERT INTO t(x) VALUES(randomblob(?))", random.IntN(size)); err != nil {
			return 0, err
		}
	}
	if count > writerRowsMax || random.IntN(10) == 0 {
		err := run(-1, "DELETE FROM t WHERE id % 5 = ?", random.IntN(5))
		if err != nil {
			return 0, err
		}
	}
	if _, err := tx.Exec("UPDATE total SET n = n + ?", change); err != nil {
		return 0, err
	}
	if random.IntN(3) == 0 {
		return 0, errors.Join(errWanted, tx.Rollback())
	}
	return change, tx.Commit()
}

// checkpoint saves after a random delay, and compares which acks are resolved.
func (r *writerRun) checkpoint(random *rand.Rand) {
	delay := time.Duration(random.Int64N(int64(saveDelayMax)))
	save := r.db.saveTo(r.store)
	saved, err := r.db.lib.Checkpoint(context.Background(),
		func(ctx context.Context, log *mylibsql.Log) error {
			<-time.After(delay) // a storage that takes its time
			clone, err := log.Clone()
			if err == nil {
				r.logs <- clone
				err = save(ctx, log)
			}
			return err
		})
	require.NoError(r.t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	var pending []*mylibsql.Ack
	for _, ack := range r.acks {
		if ack.FrameNo() > saved {
			require.ErrorIs(r.t, ack.Err(), mylibsql.ErrPending)
			pending = append(pending, ack)
			continue
		}
		require.NoError(r.t, ack.Err(), "ack of %d, saved up to %d", ack.FrameNo(), saved)
	}
	r.acks = pending
}

// follow gives the replica every log. After an error it only drains them, so that saves go on.
func (r *writerRun) follow() (taken int) {
	var failure error
	for log := range r.logs {
		if failure == nil {
			if failure = r.take(log); failure != nil {
				r.t.Errorf("%v: %v", log, failure)
			}
			taken++
		}
		if err := log.Close(); err != nil {
			r.t.Errorf("%v: %v", log, err)
		}
	}
	return taken
}

// take applies a log and compares what the replica holds then.
func (r *writerRun) take(log *mylibsql.Log) error {
	ctx := context.Background()
	if err := r.replica.lib.Replicate(ctx, log); err != nil {
		return err
	}
	position, err := r.replica.lib.Position(ctx)
	if err != nil {
		return err
	}
	if position != log.End() {
		return fmt.Errorf("replica is at %v, want %v", position, log.End())
	}
	var count, total int
	row := r.replica.QueryRow("SELECT count(*), (SELECT n FROM total) FROM t")
	if err := row.Scan(&count, &total); err != nil {
		return err
	}
	want, err := r.rowsAt(log.Last())
	if err == nil && (count != want || total != want) {
		err = fmt.Errorf("%d rows, and %d in the total, want %d", count, total, want)
	}
	return err
}

// rowsAt is the count of rows at a commit, which the writer may be about to note.
func (r *writerRun) rowsAt(position mylibsql.FrameNo) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if want, ok := r.rows[position]; ok {
			return want, nil
		}
		if r.written {
			return 0, fmt.Errorf("no commit ended at %d", position)
		}
		r.noted.Wait()
	}
}

// switched is two nodes of which one is the primary and feeds the other, and the logs that both
// have saved.
type switched struct {
	logs     saved
	followed chan error
	rows     atomic.Int64  // inserted and acked
	news     chan struct{} // holds a token after one was

	mu      sync.Mutex
	changed sync.Cond // of mu: primary is another one, or stopped is set
	primary *replica
	other   *replica
	stopped bool
}

// feed lets the other node follow the primary, from where it is.
func (s *switched) feed(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	position, err := s.other.lib.Position(ctx)
	require.NoError(t, err)
	frames, err := s.primary.lib.Frames(ctx, position)
	require.NoError(t, err)
	to := s.other.lib
	s.followed = make(chan error, 1)
	go func(followed chan<- error) { followed <- follow(ctx, frames, to) }(s.followed)
}

// demote saves and demotes the primary under load: as long as a commit comes between, it is tried
// again.
func (s *switched) demote(t *testing.T) (tries int) {
	t.Helper()
	for {
		tries++
		_, err := s.primary.lib.Checkpoint(t.Context(), s.logs.save)
		require.NoError(t, err)
		err = s.primary.lib.Demote(t.Context())
		if err == nil {
			break
		}
		require.ErrorIs(t, err, mylibsql.ErrUnsaved)
	}
	require.ErrorIs(t, <-s.followed, io.EOF)
	want, err := s.primary.lib.Position(t.Context())
	require.NoError(t, err)
	got, err := s.other.lib.Position(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	return tries
}

// change makes the other node the primary, which the old one follows from where it is.
func (s *switched) change(t *testing.T) (tries int) {
	t.Helper()
	tries = s.demote(t)
	require.NoError(t, s.other.lib.Promote(t.Context()))
	s.mu.Lock()
	s.primary, s.other = s.other, s.primary
	s.mu.Unlock()
	s.feed(t)
	s.changed.Broadcast()
	return tries
}

// write inserts rows into whichever node is the primary, and waits for the ack of each.
func (s *switched) write(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.stopped {
		primary := s.primary
		s.mu.Unlock()
		ctx, ack := mylibsql.WithAck(context.Background())
		_, err := primary.ExecContext(ctx, "INSERT INTO t(x) VALUES(hex(randomblob(200)))")
		refused := errors.Is(err, mylibsql.ErrReadOnly)
		if err == nil {
			err = ack.Wait(ctx)
		}
		if err == nil {
			s.rows.Add(1)
			select {
			case s.news <- struct{}{}:
			default:
			}
		}
		s.mu.Lock()
		if err != nil && !refused {
			t.Errorf("write: %v", err)
			return
		}
		for refused && s.primary == primary && !s.stopped {
			s.changed.Wait()
		}
	}
}

func (s *switched) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.changed.Broadcast()
}

// TestRolesSwitchUnderLoad changes the roles of two nodes again and again while writers write to
// whichever is the primary. The old primary, checkpointed and demoted, follows the new one live and
// without a snapshot. No row is lost or doubled, and the logs, which both nodes have saved by
// turns, continue each other and lead to the file that both have.
func TestRolesSwitchUnderLoad(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	first, second, store := openRows(t, "_wal_limit_frames=200&_synchronous=OFF")
	first.notRestored("the logs of both nodes are compared below")
	s := &switched{news: make(chan struct{}, 1), other: second, primary: first}
	snapshot, err := store.Open(t.Context(), recordsOf(t, store)[0])
	require.NoError(t, err)
	s.logs.logs = append(s.logs.logs, snapshot)
	s.changed.L = &s.mu
	s.feed(t)
	var writers sync.WaitGroup
	t.Cleanup(func() { s.stop(); writers.Wait() })
	for range 3 {
		writers.Go(func() { s.write(t) })
	}
	tries := 0
	for range rounds {
		for before := s.rows.Load(); s.rows.Load() < before+50; {
			<-s.news
		}
		tries += s.change(t)
	}
	s.stop()
	writers.Wait()
	s.demote(t)
	t.Logf("%d rows, %d tries to demote", s.rows.Load(), tries)
	require.EqualValues(t, s.rows.Load(), first.count(t, "t"))
	require.NoError(t, first.DB.Close())
	require.NoError(t, second.DB.Close())
	requireSameFile(t, first.path, second.path)
	restored := filepath.Join(t.TempDir(), "restored.db")
	s.logs.restore(t, restored)
	requireSameFile(t, first.path, restored)
	for i, log := range s.logs.logs {
		require.Equal(t, i == 0, log.IsSnapshot(), log)
		require.NoError(t, log.Close())
	}
}
