//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

var (
	randomSeed = flag.Uint64("random.seed", 0, "seed of the random test, 0 for a new one")
	randomTime = flag.Duration("random.time", 3*time.Second, "length of each run of it")
)

// TestRandomWritersAndCheckpoints compares, after saves, a restore of everything that was saved so
// far byte for byte with the primary as it is at that position. Meanwhile writers run
// transactions of mixed size with rollbacks, savepoints, DDL, VACUUM and RETURNING, beside long
// readers, a foreign writer and checkpointer, and saves that fail.
//
// For a comparison the writers pause, and another process copies the database file
// and the WAL: SQLite itself makes the file of them that the restore must equal.
func TestRandomWritersAndCheckpoints(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(strconv.Itoa(pageSize), func(t *testing.T) {
			seed := *randomSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-random.seed=%d", seed)
			newRandomRun(t, pageSize, seed).run()
		})
	}
}

// randomRun is one run: writers hold pause for reading, a comparison for writing.
type randomRun struct {
	t        *testing.T
	db       *database
	foreign  *sql.DB
	pageSize int
	seed     uint64
	pause    sync.RWMutex
	stop     chan struct{}
	commits  atomic.Int64
	news     chan struct{} // holds a token after a commit
	compared int
	failed   int
}

const randomWriters = 4

func newRandomRun(t *testing.T, pageSize int, seed uint64) *randomRun {
	params := fmt.Sprintf("_page_size=%d&_wal_limit_frames=300&_busy_timeout=20000", pageSize)
	r := &randomRun{t: t, db: openDatabase(t, params), pageSize: pageSize, seed: seed,
		stop: make(chan struct{}), news: make(chan struct{}, 1)}
	r.db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, data BLOB)")
	r.db.exec(t, "CREATE INDEX t_k ON t(k)")
	var err error
	r.foreign, err = sql.Open("sqlite3", "file:"+r.db.path+"?_busy_timeout=20000")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.foreign.Close()) })
	return r
}

func (r *randomRun) run() {
	var group sync.WaitGroup
	for i := range randomWriters {
		group.Go(func() { r.loop(uint64(i), r.db.DB, r.step) })
	}
	group.Go(func() { r.loop(100, r.foreign, r.foreignStep) })
	group.Go(func() { r.loop(101, r.db.DB, r.readSlowly) })
	random := rand.New(rand.NewPCG(r.seed, 102))
	for deadline := time.Now().Add(*randomTime); time.Now().Before(deadline); {
		r.checkpoint(random)
	}
	close(r.stop)
	group.Wait()
	r.compare()
	r.t.Logf("%d commits, %d logs, %d failed saves, %d comparisons",
		r.commits.Load(), len(r.db.saved.logs), r.failed, r.compared)
}

// loop runs steps until the run stops. Errors of SQLite that a busy database may
// give are part of the game.
func (r *randomRun) loop(stream uint64, db *sql.DB, step func(*rand.Rand, *sql.DB) error) {
	random := rand.New(rand.NewPCG(r.seed, stream))
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		r.pause.RLock()
		err := step(random, db)
		r.pause.RUnlock()
		switch sqliteCode(err) {
		case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrSchema, sqlite3.ErrError:
		default:
			if err != nil && !errors.Is(err, errWanted) {
				r.t.Errorf("step: %v", err)
				return
			}
		}
		r.commits.Add(1)
		select {
		case r.news <- struct{}{}:
		default:
		}
	}
}

var errWanted = errors.New("wanted")

func (r *randomRun) blob(random *rand.Rand) []byte {
	data := make([]byte, random.IntN(3*r.pageSize))
	for i := range data {
		data[i] = byte(random.Uint32() >> 24)
	}
	return data
}

// step is one transaction of a writer.
func (r *randomRun) step(random *rand.Rand, db *sql.DB) error {
	ctx, ack := mylibsql.WithAck(context.Background())
	defer func() { _ = ack.Err() }()
	switch random.IntN(20) {
	case 0:
		_, err := db.ExecContext(ctx, "VACUUM")
		return err
	case 1:
		name := fmt.Sprintf("extra_%d", random.IntN(5))
		if random.IntN(2) == 0 {
			_, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+name)
			return err
		}
		_, err := db.ExecContext(ctx, "CREATE TABLE "+name+" AS SELECT * FROM t LIMIT 20")
		return err
	case 2:
		_, err := db.ExecContext(ctx, "DELETE FROM t WHERE id % 3 = ?", random.IntN(3))
		return err
	case 3, 4:
		var id int64
		row := db.QueryRowContext(ctx, "INSERT INTO t(k, data) VALUES(?, ?) RETURNING id",
			random.IntN(1000), r.blob(random))
		return row.Scan(&id)
	case 5:
		_, err := db.ExecContext(ctx, "INSERT INTO t(k) VALUES(1); UPDATE t SET k = 2 WHERE k = 1")
		return err
	}
	return r.transaction(ctx, random, db)
}

func (r *randomRun) transaction(ctx context.Context, random *rand.Rand, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	insert := func() error {
		for range random.IntN(12) {
			_, err := tx.Exec("INSERT INTO t(k, data) VALUES(?, ?)",
				random.IntN(1000), r.blob(random))
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := insert(); err != nil {
		return err
	}
	if random.IntN(3) == 0 {
		if _, err := tx.Exec("SAVEPOINT s"); err != nil {
			return err
		}
		if err := insert(); err != nil {
			return err
		}
		end := []string{"ROLLBACK TO s", "RELEASE s"}[random.IntN(2)]
		if _, err := tx.Exec(end); err != nil {
			return err
		}
	}
	if random.IntN(4) == 0 {
		return errWanted
	}
	return tx.Commit()
}

// foreignStep writes and checkpoints through plain go-sqlite3.
func (r *randomRun) foreignStep(random *rand.Rand, db *sql.DB) error {
	modes := []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}
	if random.IntN(3) == 0 {
		_, err := db.Exec("PRAGMA busy_timeout=1; PRAGMA wal_checkpoint(" +
			modes[random.IntN(len(modes))] + "); PRAGMA busy_timeout=20000")
		return err
	}
	_, err := db.Exec("INSERT INTO t(k, data) VALUES(?, ?)", random.IntN(1000), r.blob(random))
	return err
}

// readSlowly keeps a snapshot open while others write.
func (r *randomRun) readSlowly(random *rand.Rand, db *sql.DB) error {
	rows, err := db.Query("SELECT k FROM t ORDER BY id LIMIT ?", 1+random.IntN(500))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k sql.NullInt64
		if err := rows.Scan(&k); err != nil {
			return err
		}
		if random.IntN(10) == 0 {
			if _, err := db.Exec("SELECT 1"); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

// checkpoint saves, or fails to, and sometimes compares.
func (r *randomRun) checkpoint(random *rand.Rand) {
	for range random.IntN(20) {
		<-r.news
	}
	if random.IntN(8) == 0 {
		r.compare()
		return
	}
	_, err := r.db.lib.Checkpoint(context.Background(),
		func(ctx context.Context, log *mylibsql.Log) error {
			if random.IntN(5) == 0 {
				r.failed++
				return errWanted
			}
			return r.db.saved.save(ctx, log)
		})
	if !errors.Is(err, errWanted) {
		require.NoError(r.t, err)
	}
}

func (r *randomRun) compare() {
	r.pause.Lock()
	defer r.pause.Unlock()
	position := r.db.checkpoint(r.t)
	require.Equal(r.t, r.db.lib.Stats().Committed, position)
	folder := r.t.TempDir()
	want, got := filepath.Join(folder, "want.db"), filepath.Join(folder, "got.db")
	copyWithWAL(r.t, r.db.path, want)
	end := r.db.saved.restore(r.t, got)
	require.Equal(r.t, position, end.FrameNo)
	requireSameFile(r.t, want, got)
	r.compared++
}

// copyWithWAL makes a closed database of one that is open: another process copies
// both files, since opening them here would drop SQLite's locks.
func copyWithWAL(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		output, err := exec.Command("cp", from+suffix, to+suffix).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	db, err := sql.Open("sqlite3", "file:"+to)
	require.NoError(t, err)
	_, err = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
