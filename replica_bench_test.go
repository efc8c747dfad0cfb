//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// resetFrames is the length that a WAL grows to in these benchmarks before it is moved into the
// database file, on both sides: _wal_limit_frames by default.
const resetFrames = 4000

// triplet is one database three times: on a primary, which makes logs, on its replica, and on plain
// go-sqlite3, which runs the statements that the logs come from. Its one table has rows of a
// counter and some text, in the order of the ids.
type triplet struct {
	folder                  string
	primary, replica, plain *sql.DB
	source, target          *mylibsql.Database
	live                    *mylibsql.Frames // of the primary, opened by the first prepare
	rows                    int
	start                   int       // of the next update
	frames                  int       // in the WALs of replica and plain since they were reset
	oursResets, plainResets []float64 // ms
}

// openTriplet makes a database of about the given size, with rows of about rowBytes.
func openTriplet(b *testing.B, megabytes, rowBytes int, replicaParams string) *triplet {
	b.Helper()
	t := &triplet{folder: b.TempDir(), rows: megabytes << 20 / 4096 * (4050 / rowBytes)}
	t.plain = t.open(b, "sqlite3", "plain", "")
	t.fill(b, rowBytes)
	require.NoError(b, t.plain.Close()) // leaves one plain file
	t.copyPlain(b, "primary")
	t.plain = t.open(b, "sqlite3", "plain", "")
	t.plain.SetMaxOpenConns(1)
	t.primary = t.open(b, "mylibsql", "primary", "")
	t.replica = t.open(b, "mylibsql", "replica", "&_role=replica")
	t.source, t.target = libOf(b, t.primary), libOf(b, t.replica)
	_, err := t.source.Checkpoint(b.Context(), t.target.Replicate)
	require.NoError(b, err)
	// Opened anew, the replica knows no page's checksum until it has replaced the page once.
	require.NoError(b, t.replica.Close())
	t.replica = t.open(b, "mylibsql", "replica", replicaParams)
	t.target = libOf(b, t.replica)
	b.Cleanup(func() {
		if t.live != nil {
			require.NoError(b, t.live.Close())
		}
		t.save(b)
		for _, db := range []*sql.DB{t.replica, t.plain, t.primary} {
			require.NoError(b, db.Close())
		}
	})
	return t
}

func (t *triplet) path(name string) string { return filepath.Join(t.folder, name+".db") }

func (t *triplet) open(b *testing.B, driverName, name, params string) *sql.DB {
	b.Helper()
	db, err := sql.Open(driverName, "file:"+t.path(name)+benchParams+params)
	require.NoError(b, err)
	if driverName != "sqlite3" {
		life := pooltest.Watch(b, t.path(name), db, nil)
		life.Unrestored = "what is saved is for the replica, and gone then"
	}
	return db
}

func libOf(b *testing.B, db *sql.DB) *mylibsql.Database {
	b.Helper()
	lib, err := mylibsql.From(b.Context(), db)
	require.NoError(b, err)
	return lib
}

// copyPlain copies the plain database's file, which must be closed.
func (t *triplet) copyPlain(b *testing.B, to string) {
	b.Helper()
	source, err := os.Open(t.path("plain"))
	require.NoError(b, err)
	defer func() { _ = source.Close() }()
	target, err := os.Create(t.path(to))
	require.NoError(b, err)
	_, err = io.Copy(target, source)
	require.NoError(b, err)
	require.NoError(b, target.Close())
}

// fill creates the table. Its texts compress to about a half.
func (t *triplet) fill(b *testing.B, rowBytes int) {
	b.Helper()
	_, err := t.plain.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, x TEXT)")
	require.NoError(b, err)
	texts := make([]string, 97)
	for i := range texts {
		texts[i] = words(uint64(i), rowBytes)
	}
	tx, err := t.plain.Begin()
	require.NoError(b, err)
	for i := range t.rows {
		_, err := tx.Exec("INSERT INTO t(n, x) VALUES(1000000, ?)", texts[i%len(texts)])
		require.NoError(b, err)
	}
	require.NoError(b, tx.Commit())
}

// words is text of the given length, always the same for one seed.
func words(seed uint64, length int) string {
	some := strings.Fields(`account balance customer delivery east footnote garden household
		invoice journal kitchen latitude minimum northern occasion packet`)
	random := rand.New(rand.NewPCG(seed, 1))
	var text strings.Builder
	for text.Len() < length {
		fmt.Fprintf(&text, "%s %d ", some[random.IntN(len(some))], random.IntN(1000))
	}
	return text.String()[:length]
}

// updatePages counts up in rows that lie far apart, each on a page of its own.
const updatePages = `WITH RECURSIVE i(k) AS (SELECT 0 UNION ALL SELECT k+1 FROM i WHERE k+1 < ?)
	UPDATE t SET n = n + 1 WHERE id IN (SELECT (? + k * ?) % ? + 1 FROM i)`

// change is a transaction with the log that it led to.
type change struct {
	args []any // of updatePages
	log  *mylibsql.Log
}

// prepare runs transactions on the primary and returns them with their logs.
func (t *triplet) prepare(b *testing.B, count, pages int) []change {
	b.Helper()
	if t.live == nil {
		at, err := t.target.Position(b.Context())
		require.NoError(b, err)
		t.live, err = t.source.Frames(b.Context(), at)
		require.NoError(b, err)
	}
	changes := make([]change, count)
	for i := range changes {
		t.start += 7919 // other rows each time
		args := []any{pages, t.start, t.rows / pages, t.rows}
		_, err := t.primary.Exec(updatePages, args...)
		require.NoError(b, err)
		batch, err := t.live.Next(b.Context())
		require.NoError(b, err)
		require.Equal(b, pages, len(batch.Frames))
		log, err := batch.Log(translog.BuildOptions{Dir: t.folder})
		require.NoError(b, err)
		changes[i] = change{args, log}
	}
	// The primary does now what it would do in the background later.
	t.save(b)
	_, err := t.primary.Exec("PRAGMA wal_checkpoint")
	require.NoError(b, err)
	return changes
}

// save counts everything on the primary as saved.
func (t *triplet) save(b *testing.B) {
	b.Helper()
	keep := func(context.Context, *mylibsql.Log) error { return nil }
	_, err := t.source.Checkpoint(context.Background(), keep)
	require.NoError(b, err)
}

// reset moves both WALs into their database files when they are long: on plain go-sqlite3 as its
// automatic checkpoint does, after which the WAL's file is overwritten from its beginning.
func (t *triplet) reset(b *testing.B, pages int) {
	if t.frames += pages; t.frames < resetFrames {
		return
	}
	t.frames = 0
	for _, side := range []struct {
		db    *sql.DB
		times *[]float64
	}{{t.replica, &t.oursResets}, {t.plain, &t.plainResets}} {
		start := time.Now()
		var busy, frames, copied int
		err := side.db.QueryRow("PRAGMA wal_checkpoint").Scan(&busy, &frames, &copied)
		*side.times = append(*side.times, float64(time.Since(start).Microseconds())/1000)
		require.NoError(b, err)
		require.Zero(b, busy)
	}
}

// BenchmarkReplicate compares applying a log with the transaction that the log comes from, run on
// plain go-sqlite3 by a single statement, its COMMIT included: the promise is a ratio of at most 2,
// whatever the size of the database.
//
// No reset of a WAL is in these times: automatic ones are off on both sides, and both WALs are
// reset after as many frames, with times of their own. What a reset leaves to the next transaction
// is included on both sides, a header of the WAL with its fsync. The replica has been opened anew,
// so for its first change of each page it reads the page as it was.
func BenchmarkReplicate(b *testing.B) {
	for _, megabytes := range []int{1, 50, 400} {
		b.Run(fmt.Sprintf("db=%dMB", megabytes), func(b *testing.B) {
			if testing.Short() && megabytes > 100 {
				b.Skip("long")
			}
			t := openTriplet(b, megabytes, 3000, "&_wal_limit_frames=1000000000")
			_, err := t.plain.Exec("PRAGMA wal_autocheckpoint=0")
			require.NoError(b, err)
			for _, pages := range []int{12, 100, 2000} {
				pages := min(pages, t.rows) // all of the smallest database
				b.Run(fmt.Sprintf("log=%d", pages), func(b *testing.B) { t.compare(b, pages) })
			}
		})
	}
}

// replicateRounds and replicatePages bound what is prepared at once.
const (
	replicateRounds = 101
	replicatePages  = 24000
)

func (t *triplet) compare(b *testing.B, pages int) {
	stmt, err := t.plain.Prepare(updatePages)
	require.NoError(b, err)
	defer func() { _ = stmt.Close() }()
	var ours, plain, ratios []float64
	t.oursResets, t.plainResets = nil, nil
	for b.Loop() {
		changes := t.prepare(b, min(replicateRounds, replicatePages/pages), pages)
		for i, change := range changes {
			var first, second time.Duration
			if i%2 == 0 {
				first, second = t.apply(b, change), runPlain(b, t.plain, stmt, change)
			} else {
				second, first = runPlain(b, t.plain, stmt, change), t.apply(b, change)
			}
			ours, plain = append(ours, first.Seconds()*1e6), append(plain, second.Seconds()*1e6)
			ratios = append(ratios, first.Seconds()/second.Seconds())
			require.NoError(b, change.log.Close())
			t.reset(b, pages)
		}
	}
	t.requireSame(b)
	slices.Sort(ratios)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ratios[len(ratios)/4], "ratio-p25")
	b.ReportMetric(ratios[len(ratios)*3/4], "ratio-p75")
	b.ReportMetric(median(ours), "ours-µs")
	b.ReportMetric(median(plain), "plain-µs")
	if len(t.oursResets) > 0 {
		b.ReportMetric(median(t.oursResets), "ours-reset-ms")
		b.ReportMetric(median(t.plainResets), "plain-reset-ms")
	}
}

func (t *triplet) apply(b *testing.B, change change) time.Duration {
	start := time.Now()
	err := t.target.Replicate(b.Context(), change.log)
	took := time.Since(start)
	require.NoError(b, err)
	return took
}

func runPlain(b *testing.B, db *sql.DB, stmt *sql.Stmt, change change) time.Duration {
	start := time.Now()
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Stmt(stmt).Exec(change.args...)
	}
	if err == nil {
		err = tx.Commit()
	}
	took := time.Since(start)
	require.NoError(b, err)
	return took
}

// requireSame makes sure that replica and plain database hold the same.
func (t *triplet) requireSame(b *testing.B) {
	b.Helper()
	var ours, plain int64
	require.NoError(b, t.replica.QueryRow("SELECT sum(n * id) FROM t").Scan(&ours))
	require.NoError(b, t.plain.QueryRow("SELECT sum(n * id) FROM t").Scan(&plain))
	require.Equal(b, plain, ours)
}
