//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"

	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	_ "github.com/mylibsql/mylibsql"
)

// Every benchmark runs the same work on plain go-sqlite3 and on this driver in
// turn, with the same pragmas and statement cache, and reports the median of the
// ratios of the rounds: above 1, this driver is slower by that factor.
const (
	benchRounds = 41
	benchParams = "?_journal_mode=WAL&_synchronous=NORMAL&_stmt_cache_size=64" +
		"&_txlock=immediate&_busy_timeout=60000"
)

// pair is the same database twice, once per driver.
type pair struct{ plain, ours *sql.DB }

func openPair(b *testing.B) pair {
	b.Helper()
	folder := b.TempDir()
	open := func(driverName string) *sql.DB {
		db := openPool(b, driverName, "file:"+filepath.Join(folder, driverName+".db")+benchParams)
		_, err := db.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER)")
		require.NoError(b, err)
		return db
	}
	return pair{open("sqlite3"), open("mylibsql")}
}

// compare runs rounds of n operations on both and reports the median ratio.
func (p pair) compare(b *testing.B, n int, work func(*sql.DB, int)) {
	b.Helper()
	measure := func(db *sql.DB) time.Duration {
		start := time.Now()
		work(db, n)
		return time.Since(start)
	}
	work(p.plain, n)
	work(p.ours, n)
	ratios := make([]float64, 0, benchRounds)
	var ours, plain time.Duration
	for b.Loop() {
		for round := range benchRounds {
			var first, second time.Duration
			if round%2 == 0 {
				first, second = measure(p.ours), measure(p.plain)
			} else {
				second, first = measure(p.plain), measure(p.ours)
			}
			ours, plain = ours+first, plain+second
			ratios = append(ratios, float64(first)/float64(second))
		}
	}
	slices.Sort(ratios)
	total := float64(len(ratios) * n)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ratios[len(ratios)/4], "ratio-p25")
	b.ReportMetric(ratios[len(ratios)*3/4], "ratio-p75")
	b.ReportMetric(float64(ours.Nanoseconds())/total, "ours-ns/op")
	b.ReportMetric(float64(plain.Nanoseconds())/total, "plain-ns/op")
}

func insertRows(ctx context.Context, b *testing.B, db *sql.DB, n int) {
	for i := range n {
		_, err := db.ExecContext(ctx, "INSERT INTO t(name, value) VALUES(?, ?)", "some name", i)
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	openPair(b).compare(b, 8000, func(db *sql.DB, n int) {
		insertRows(context.Background(), b, db, n)
	})
}

func BenchmarkInsertCancellable(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	openPair(b).compare(b, 8000, func(db *sql.DB, n int) { insertRows(ctx, b, db, n) })
}

func BenchmarkTransactionOf100(b *testing.B) {
	openPair(b).compare(b, 200, func(db *sql.DB, n int) {
		for range n {
			tx, err := db.Begin()
			if err != nil {
				b.Fatal(err)
			}
			for i := range 100 {
				_, err := tx.Exec("INSERT INTO t(name, value) VALUES(?, ?)", "some name", i)
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func readRows(ctx context.Context, b *testing.B, db *sql.DB, n int) {
	var name string
	for i := range n {
		err := db.QueryRowContext(ctx, "SELECT name FROM t WHERE id = ?", i%1000+1).Scan(&name)
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	p := openPair(b)
	insertRows(context.Background(), b, p.plain, 1000)
	insertRows(context.Background(), b, p.ours, 1000)
	p.compare(b, 2000, func(db *sql.DB, n int) { readRows(context.Background(), b, db, n) })
}

func BenchmarkReadCancellable(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := openPair(b)
	insertRows(ctx, b, p.plain, 1000)
	insertRows(ctx, b, p.ours, 1000)
	p.compare(b, 2000, func(db *sql.DB, n int) { readRows(ctx, b, db, n) })
}

// BenchmarkWriters64 lets 64 goroutines write transactions at once and compares throughput, and
// the longest time that one of them waited for its transaction.
func BenchmarkWriters64(b *testing.B) {
	const writers, perWriter = 64, 400
	p := openPair(b)
	var oursRate, plainRate, oursWorst, plainWorst []float64
	for b.Loop() {
		for range 3 {
			rate, worst := contend(b, p.ours, writers, perWriter)
			oursRate, oursWorst = append(oursRate, rate), append(oursWorst, worst)
			rate, worst = contend(b, p.plain, writers, perWriter)
			plainRate, plainWorst = append(plainRate, rate), append(plainWorst, worst)
		}
	}
	b.ReportMetric(slices.Max(oursWorst), "ours-worst-ms")
	b.ReportMetric(slices.Max(plainWorst), "plain-worst-ms")
	b.ReportMetric(median(oursRate), "ours-tx/s")
	b.ReportMetric(median(plainRate), "plain-tx/s")
	b.ReportMetric(median(plainRate)/median(oursRate), "ratio")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func contend(b *testing.B, db *sql.DB, writers, perWriter int) (rate, worstMs float64) {
	db.SetMaxOpenConns(writers)
	db.SetMaxIdleConns(writers)
	worst := make([]time.Duration, writers)
	start := time.Now()
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for i := range perWriter {
				begun := time.Now()
				if err := oneRow(db, i); err != nil {
					return err
				}
				worst[w] = max(worst[w], time.Since(begun))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	total := float64(writers * perWriter)
	return total / time.Since(start).Seconds(), float64(slices.Max(worst).Microseconds()) / 1000
}

func oneRow(db *sql.DB, i int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec("INSERT INTO t(name, value) VALUES(?, ?)", "some name", i)
	if err != nil {
		return err
	}
	return tx.Commit()
}
