//go:build cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// openRows opens a primary with the table t(id, x), saved to a store, and a replica that has all of
// it.
func openRows(t *testing.T, params string) (*database, *replica, *checkpoint.Directory) {
	t.Helper()
	store := openStore(t)
	primary, r := openDatabase(t, params), openReplica(t, params)
	primary.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	save := primary.saveTo(store)
	_, err := primary.lib.Checkpoint(t.Context(),
		func(ctx context.Context, log *mylibsql.Log) error {
			r.take(t, log)
			return save(ctx, log)
		})
	require.NoError(t, err)
	return primary, r, store
}

// insertAcked inserts a row, and returns its ack.
func insertAcked(t *testing.T, db *sql.DB, x string) *mylibsql.Ack {
	t.Helper()
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES(?)", x)
	require.NoError(t, err)
	return ack
}

// TestDemoteWithPendingAcks is refused, and changes nothing: the acks stay pending, writes are
// taken, and a checkpoint resolves all of it. Only then is the primary a replica, and the acks stay
// resolved.
func TestDemoteWithPendingAcks(t *testing.T) {
	ctx := context.Background()
	primary, r, store := openRows(t, "")
	acks := []*mylibsql.Ack{insertAcked(t, primary.DB, "a"), insertAcked(t, primary.DB, "b")}
	done := acks[1].Done()
	require.ErrorIs(t, primary.lib.Demote(ctx), mylibsql.ErrUnsaved)
	require.EqualValues(t, "primary", primary.lib.Stats().Role)
	acks = append(acks, insertAcked(t, primary.DB, "c"))
	require.ErrorIs(t, primary.lib.Demote(ctx), mylibsql.ErrUnsaved)
	for _, ack := range acks {
		require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	}
	_, err := primary.lib.Checkpoint(ctx, func(ctx context.Context, log *mylibsql.Log) error {
		require.ErrorIs(t, acks[0].Err(), mylibsql.ErrPending)
		r.take(t, log)
		return store.Save(ctx, log)
	})
	require.NoError(t, err)
	<-done
	for _, ack := range acks {
		require.NoError(t, ack.Wait(ctx))
	}
	require.NoError(t, primary.lib.Demote(ctx))
	require.EqualValues(t, "replica", primary.lib.Stats().Role)
	_, err = primary.Exec("INSERT INTO t(x) VALUES('refused')")
	require.ErrorIs(t, err, mylibsql.ErrReadOnly)
	for _, ack := range acks {
		require.NoError(t, ack.Wait(ctx))
	}
	require.Equal(t, 3, primary.count(t, "t"))
}

// TestDemoteWithAcksThatFramesResolved is refused too, since the rows are in no log; a replica has
// them, so their acks are resolved all the same.
func TestDemoteWithAcksThatFramesResolved(t *testing.T) {
	ctx := context.Background()
	primary, r, store := openRows(t, "")
	position, err := r.lib.Position(ctx)
	require.NoError(t, err)
	frames, err := primary.lib.Frames(ctx, position)
	require.NoError(t, err)
	followed := make(chan error, 1)
	go func() { followed <- follow(ctx, frames, r.lib) }()
	ack := insertAcked(t, primary.DB, "a")
	require.NoError(t, ack.Wait(ctx))
	require.ErrorIs(t, primary.lib.Demote(ctx), mylibsql.ErrUnsaved)
	require.NoError(t, ack.Err())
	require.NoError(t, insertAcked(t, primary.DB, "b").Wait(ctx), "the stream goes on")
	primary.saveAll(t, store)
	require.NoError(t, primary.lib.Demote(ctx))
	require.ErrorIs(t, <-followed, io.EOF)
	require.Equal(t, primary.lib.Stats().Committed, r.lib.Stats().Committed)
}

// TestDemoteWithoutPendingAcks works at once: when everything is saved, and when what ran under the
// acks was rolled back or changed nothing.
func TestDemoteWithoutPendingAcks(t *testing.T) {
	ctx := context.Background()
	primary, _, store := openRows(t, "")
	saved := insertAcked(t, primary.DB, "a")
	primary.saveAll(t, store)
	ackCtx, ack := mylibsql.WithAck(ctx)
	tx, err := primary.BeginTx(ackCtx, nil)
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO t(x) VALUES('rolled back')")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	_, err = primary.ExecContext(ackCtx, "UPDATE t SET x = 'b' WHERE id = -1")
	require.NoError(t, err)
	require.NoError(t, primary.lib.Demote(ctx))
	require.NoError(t, primary.lib.Demote(ctx), "again does nothing")
	require.NoError(t, ack.Wait(ctx))
	require.Zero(t, ack.FrameNo())
	require.NoError(t, saved.Wait(ctx))
	require.Equal(t, 1, primary.count(t, "t"))
	require.Zero(t, primary.lib.Stats().PendingAcks)
}

// loadedPair is a primary with a replica that its frames feed, under the load of writers.
type loadedPair struct {
	primary    *database
	frames     *mylibsql.Frames
	followed   chan error
	feeding    context.Context
	stopFeed   context.CancelFunc
	stopWrites context.CancelFunc
	writers    sync.WaitGroup
	unacked    atomic.Int64 // rows of the writer that goes on without acks

	mu    sync.Mutex
	acked map[int64]string // rows whose ack resolved
	news  chan struct{}    // holds a token after one did
}

const (
	ackedWriters = 4
	unackedAhead = 20 // rows of a burst: an unbounded writer would end the stream by ErrLagged
)

// startLoad starts the feed and the writers, one of which goes on when no ack resolves any more.
func startLoad(t *testing.T, primary *database, r *replica) *loadedPair {
	t.Helper()
	p := &loadedPair{primary: primary, followed: make(chan error, 1),
		acked: map[int64]string{}, news: make(chan struct{}, 1)}
	position, err := r.lib.Position(t.Context())
	require.NoError(t, err)
	p.frames, err = primary.lib.Frames(t.Context(), position)
	require.NoError(t, err)
	p.feeding, p.stopFeed = context.WithCancel(context.Background())
	go func() { p.followed <- follow(p.feeding, p.frames, r.lib) }()
	writes, stopWrites := context.WithCancel(context.Background())
	p.stopWrites = stopWrites
	t.Cleanup(func() { p.stopFeed(); stopWrites(); p.writers.Wait() })
	for range ackedWriters {
		p.writers.Go(func() { p.writeAcked(t, writes) })
	}
	p.writers.Go(func() { p.writeUnacked(t, writes) })
	return p
}

// writeAcked inserts rows one after the other, each when the ack of the one before has resolved.
func (p *loadedPair) writeAcked(t *testing.T, stop context.Context) {
	for {
		ctx, ack := mylibsql.WithAck(context.Background())
		var id int64
		var x string
		row := p.primary.QueryRowContext(ctx,
			"INSERT INTO t(x) VALUES(hex(randomblob(abs(random() % 500)))) RETURNING id, x")
		if err := row.Scan(&id, &x); err != nil {
			t.Errorf("insert: %v", err)
			return
		}
		if err := ack.Wait(stop); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ack: %v", err)
			}
			return
		}
		p.mu.Lock()
		p.acked[id] = x
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
}

// writeUnacked inserts bursts of rows, and more without an end once the feed is cut.
func (p *loadedPair) writeUnacked(t *testing.T, stop context.Context) {
	for stop.Err() == nil {
		ctx, ack := mylibsql.WithAck(stop)
		for range unackedAhead {
			_, err := p.primary.ExecContext(ctx, "INSERT INTO t(x) VALUES('unacked')")
			if err != nil {
				if stop.Err() == nil {
					t.Errorf("insert: %v", err)
				}
				return
			}
			p.unacked.Add(1)
		}
		select {
		case <-ack.Done():
		case <-p.feeding.Done():
		}
	}
}

// awaitAcked waits until some rows are acked.
func (p *loadedPair) awaitAcked(t *testing.T, count int) {
	t.Helper()
	for {
		p.mu.Lock()
		n := len(p.acked)
		p.mu.Unlock()
		if n >= count {
			return
		}
		select {
		case <-p.news:
		case err := <-p.followed:
			require.NoError(t, err, "the feed ended")
		}
	}
}

// requireAcked looks for every row whose ack resolved.
func (p *loadedPair) requireAcked(t *testing.T, db *sql.DB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, want := range p.acked {
		var x string
		require.NoError(t, db.QueryRow("SELECT x FROM t WHERE id = ?", id).Scan(&x), "row %d", id)
		require.Equal(t, want, x, "row %d", id)
	}
}

// TestPromotionUnderLoadKeepsAckedRows cuts the feed of a replica at a random moment of a primary's
// load and promotes the replica while the load goes on. Every row whose ack resolved, at whatever
// moment, is on the new primary. The old one, which has rows of its own by now, is checkpointed
// and demoted: it cannot follow from where it is, for that would be a fork, and follows live from
// a snapshot of the new primary on, until both files are the same.
func TestPromotionUnderLoadKeepsAckedRows(t *testing.T) {
	ctx := context.Background()
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-random.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	old, r, _ := openRows(t, "_wal_limit_frames=300")
	old.notRestored("it follows another history in the end")
	r.notRestored("what it followed live is in no store")
	p := startLoad(t, old, r)
	p.awaitAcked(t, 20+random.IntN(400))
	p.stopFeed()
	require.ErrorIs(t, <-p.followed, context.Canceled)
	require.NoError(t, p.frames.Close())
	require.NoError(t, r.lib.Promote(ctx))
	promoted := r.lib.Stats().Committed
	for before := p.unacked.Load(); p.unacked.Load() < before+10; {
		old.count(t, "t") // the load goes on behind the promotion
	}
	p.stopWrites()
	p.writers.Wait()
	p.requireAcked(t, r.DB)
	t.Logf("%d acked rows, promoted at %d, old primary at %d",
		len(p.acked), promoted, old.lib.Stats().Committed)
	require.Greater(t, old.lib.Stats().Committed, promoted)

	_, err := old.lib.Checkpoint(ctx, discard)
	require.NoError(t, err)
	require.NoError(t, old.lib.Demote(ctx))
	forked, err := old.lib.Position(ctx)
	require.NoError(t, err)
	_, err = r.lib.Frames(ctx, forked)
	require.ErrorIs(t, err, mylibsql.ErrGap)
	for r.lib.Stats().Committed <= forked.FrameNo {
		insertAcked(t, r.DB, "new primary")
	}
	_, err = r.lib.Frames(ctx, forked)
	require.True(t, errors.Is(err, mylibsql.ErrChecksum) || errors.Is(err, mylibsql.ErrGap) ||
		errors.Is(err, mylibsql.ErrLagged), err)
	requireFollowsFromSnapshot(t, r, old)
	p.requireAcked(t, old.DB)
	require.NoError(t, old.DB.Close())
	requireNilOr(t, mylibsql.ErrUnsaved, r.DB.Close())
	requireSameFile(t, r.path, old.path)
}

// requireFollowsFromSnapshot gives a demoted primary a snapshot of the new one, and then frames.
func requireFollowsFromSnapshot(t *testing.T, from *replica, to *database) {
	t.Helper()
	ctx := context.Background()
	var buffer bytes.Buffer
	_, err := from.lib.WriteSnapshot(ctx, &buffer)
	require.NoError(t, err)
	snapshot, err := mylibsql.ReadSnapshot(&buffer)
	require.NoError(t, err)
	require.NoError(t, to.lib.Replicate(ctx, snapshot.Log))
	require.NoError(t, snapshot.Close())
	position, err := to.lib.Position(ctx)
	require.NoError(t, err)
	frames, err := from.lib.Frames(ctx, position)
	require.NoError(t, err)
	feed, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- follow(feed, frames, to.lib) }()
	for range 20 {
		require.NoError(t, insertAcked(t, from.DB, "followed").Wait(ctx))
	}
	stop()
	require.ErrorIs(t, <-followed, context.Canceled)
	require.NoError(t, frames.Close())
	require.Equal(t, from.lib.Stats().Committed, to.lib.Stats().Committed)
}

func recordsOf(t *testing.T, store *checkpoint.Directory) (records []checkpoint.Record) {
	t.Helper()
	for record, err := range store.Records(t.Context(), 0) {
		require.NoError(t, err)
		records = append(records, record)
	}
	return records
}

// TestPromotedBeyondTheStore promotes a replica that took rows live which the store never got, and
// whose primary is gone. The first checkpoint into the store is refused with both positions; the
// next one saves a snapshot that continues the end of the store, and later ones ordinary logs. A
// restore equals the file. So it is, too, with an empty store, and when the new primary is
// reopened or killed before the first checkpoint or between both.
func TestPromotedBeyondTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		empty           bool
		before, between reopening
	}{
		"the store has the beginning": {},
		"the store is empty":          {empty: true},
		"reopened before":             {before: reopened},
		"reopened between":            {between: reopened},
		"reopened twice":              {before: reopened, between: reopened},
		"reopened, store is empty":    {empty: true, before: reopened, between: reopened},
		"killed before":               {before: killed},
		"killed between":              {between: killed},
		"killed twice":                {before: killed, between: killed},
		"killed, store is empty":      {empty: true, before: killed, between: killed},
	} {
		t.Run(name, func(t *testing.T) {
			db, store := promotedReplica(t)
			if c.empty {
				store = openStore(t)
			}
			var end mylibsql.Position
			for _, record := range recordsOf(t, store) {
				end = record.End
			}
			if c.before != nil {
				insertAcked(t, db.DB, "before")
				db = c.before(t, db, true)
			}
			requireGapThenSnapshot(t, db, store, end, c.between)
		})
	}
}

// promotedReplica returns a replica that was fed live, and is promoted. The store has only what was
// there before.
func promotedReplica(t *testing.T) (*database, *checkpoint.Directory) {
	t.Helper()
	ctx := context.Background()
	primary, r, store := openRows(t, "")
	primary.notRestored("the promoted replica goes on in its store")
	position, err := r.lib.Position(ctx)
	require.NoError(t, err)
	frames, err := primary.lib.Frames(ctx, position)
	require.NoError(t, err)
	followed := make(chan error, 1)
	go func() { followed <- follow(ctx, frames, r.lib) }()
	for range 5 {
		require.NoError(t, insertAcked(t, primary.DB, "live").Wait(ctx))
	}
	require.ErrorIs(t, primary.DB.Close(), mylibsql.ErrUnsaved)
	require.ErrorIs(t, <-followed, io.EOF)
	require.NoError(t, r.lib.Promote(ctx))
	require.Equal(t, 5, r.count(t, "t"))
	return r, store
}

// reopening ends a life of a database that has unsaved commits, and begins the next.
type reopening func(t *testing.T, db *database, everSaved bool) *database

// reopened closes and opens. The close tells of the unsaved commits, unless it is known by then
// that nothing was ever saved.
func reopened(t *testing.T, db *database, everSaved bool) *database {
	t.Helper()
	if err := db.DB.Close(); everSaved {
		require.ErrorIs(t, err, mylibsql.ErrUnsaved)
	} else {
		require.NoError(t, err)
	}
	return openDatabaseAt(t, db.path, "")
}

// killed opens a copy of what lies on disk while the database is open, as a kill would leave it.
func killed(t *testing.T, db *database, everSaved bool) *database {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "killed")
	// By another process: closing the files here would drop SQLite's locks.
	require.NoError(t, exec.Command("cp", "-r", filepath.Dir(db.path), folder).Run())
	path := filepath.Join(folder, filepath.Base(db.path))
	require.NoError(t, os.Remove(path+"-shm"))
	db.notRestored("a copy of it goes on")
	reopened(t, db, everSaved)
	return openDatabaseAt(t, path, "")
}

func requireGapThenSnapshot(
	t *testing.T, db *database, store *checkpoint.Directory, end mylibsql.Position,
	between reopening,
) {
	t.Helper()
	ctx := context.Background()
	before := len(recordsOf(t, store))
	ack := insertAcked(t, db.DB, "promoted")
	_, err := db.lib.Checkpoint(ctx, store.Save)
	var gap *mylibsql.GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, end, gap.Have)
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	if between != nil {
		db = between(t, db, !end.IsZero())
		ack = insertAcked(t, db.DB, "reopened")
	}
	saved, err := db.lib.Checkpoint(ctx, store.Save)
	require.NoError(t, err)
	require.Equal(t, db.lib.Stats().Committed, saved)
	require.NoError(t, ack.Wait(ctx))
	records := recordsOf(t, store)
	require.Len(t, records, before+1)
	snapshot := records[before]
	require.True(t, snapshot.IsSnapshot())
	require.Equal(t, end, snapshot.Follows)
	require.Equal(t, saved, snapshot.Last)

	require.ErrorIs(t, insertAcked(t, db.DB, "later").Err(), mylibsql.ErrPending)
	db.saveAll(t, store)
	records = recordsOf(t, store)
	require.Len(t, records, before+2)
	require.False(t, records[before+1].IsSnapshot())
	db.requireRestores(t, store)
}
