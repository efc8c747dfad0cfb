//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// readsPairs is how often a slice of reading under a stream, of readsLogs logs of readsPages pages
// each, is followed by one as long on the idle database.
const (
	readsPairs = 7
	readsLogs  = 1000
	readsPages = 12
	readKey    = "SELECT n FROM t WHERE id = ?1"
	readScan   = "SELECT sum(n) FROM t WHERE id BETWEEN ?1 AND ?1 + 999"
)

// BenchmarkReplicaReads compares a reader that loops on a replica, with GOMAXPROCS 2, while one
// goroutine applies logs as fast as it can, with the same reader on the idle replica: the promise
// is a ratio of at most 1.2 of the medians and of at most 3 of the 99th percentiles. The logs are
// made beforehand; the replica truncates its WAL on the way as it always does.
//
// The same is done on plain go-sqlite3 with a writer that runs the transactions of the logs as fast
// as it can: a commit empties the page caches of all other connections there too.
func BenchmarkReplicaReads(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, megabytes := range []int{1, 50} {
		b.Run(fmt.Sprintf("db=%dMB", megabytes), func(b *testing.B) {
			t := openTriplet(b, megabytes, 200, "")
			_, err := t.plain.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", resetFrames))
			require.NoError(b, err)
			b.Run("key", func(b *testing.B) { t.compareReads(b, readKey) })
			b.Run("scan", func(b *testing.B) { t.compareReads(b, readScan) })
		})
	}
}

func (t *triplet) compareReads(b *testing.B, query string) {
	plain := t.open(b, "sqlite3", "plain", "")
	defer func() { require.NoError(b, plain.Close()) }()
	write, err := t.plain.Prepare(updatePages)
	require.NoError(b, err)
	defer func() { _ = write.Close() }()
	ours := newReading(b, t.replica, query, t.rows)
	theirs := newReading(b, plain, query, t.rows)
	for b.Loop() {
		for range readsPairs {
			changes := t.prepare(b, readsLogs, readsPages)
			ours.pair(b, func() (err error) {
				for i := 0; i < len(changes) && err == nil; i++ {
					err = t.target.Replicate(b.Context(), changes[i].log)
				}
				return err
			})
			theirs.pair(b, func() (err error) {
				for i := 0; i < len(changes) && err == nil; i++ {
					_, err = write.Exec(changes[i].args...)
				}
				return err
			})
			for _, change := range changes {
				require.NoError(b, change.log.Close())
			}
		}
	}
	t.requireSame(b)
	b.ReportMetric(0, "ns/op")
	ours.report(b, "")
	theirs.report(b, "plain-")
}

// reading is a reader with what it measured: a figure for each slice of time.
type reading struct {
	stmt                   *sql.Stmt
	rows                   int
	random                 *rand.Rand
	idle, busy             []float64 // median latency, µs
	idleP99, busyP99       []float64 // µs
	ratios, ratiosP99, tps []float64
}

func newReading(b *testing.B, db *sql.DB, query string, rows int) *reading {
	b.Helper()
	stmt, err := db.Prepare(query)
	require.NoError(b, err)
	b.Cleanup(func() { _ = stmt.Close() })
	return &reading{stmt: stmt, rows: rows, random: rand.New(rand.NewPCG(1, 1))}
}

// pair measures one slice while work runs, and one as long without it.
func (r *reading) pair(b *testing.B, work func() error) {
	var done atomic.Bool
	worked := make(chan error, 1)
	start := time.Now()
	go func() {
		err := work()
		done.Store(true)
		worked <- err
	}()
	busy, busyP99 := r.slice(b, done.Load)
	require.NoError(b, <-worked)
	length := time.Since(start)
	start = time.Now()
	idle, idleP99 := r.slice(b, func() bool { return time.Since(start) > length })
	r.idle, r.busy = append(r.idle, idle), append(r.busy, busy)
	r.idleP99, r.busyP99 = append(r.idleP99, idleP99), append(r.busyP99, busyP99)
	r.ratios, r.ratiosP99 = append(r.ratios, busy/idle), append(r.ratiosP99, busyP99/idleP99)
	r.tps = append(r.tps, readsLogs/length.Seconds())
}

// slice reads until stop, and returns median and 99th percentile of the latencies in µs.
func (r *reading) slice(b *testing.B, stop func() bool) (p50, p99 float64) {
	var latencies []float64
	var n int64
	for !stop() {
		id := 1 + r.random.IntN(r.rows-1000)
		start := time.Now()
		err := r.stmt.QueryRow(id).Scan(&n)
		latencies = append(latencies, float64(time.Since(start).Nanoseconds())/1000)
		if err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(latencies)
	return latencies[len(latencies)/2], latencies[len(latencies)*99/100]
}

func (r *reading) report(b *testing.B, prefix string) {
	b.ReportMetric(median(r.ratios), prefix+"ratio")
	b.ReportMetric(median(r.ratiosP99), prefix+"ratio-p99")
	b.ReportMetric(median(r.idle), prefix+"idle-µs")
	b.ReportMetric(median(r.busy), prefix+"busy-µs")
	b.ReportMetric(median(r.idleP99), prefix+"idle-p99-µs")
	b.ReportMetric(median(r.busyP99), prefix+"busy-p99-µs")
	b.ReportMetric(median(r.tps), prefix+"tx/s")
}

// lagTime is how long BenchmarkLiveLag watches.
var lagTime = flag.Duration("lag.time", 10*time.Second, "how long BenchmarkLiveLag watches")

const (
	lagPace   = 0.8                    // of the primary's full rate
	lagSample = 250 * time.Millisecond // how often the lag is looked at
	lagMerge  = 16 << 20               // bytes of frames that become one log at most
	lagTable  = "CREATE TABLE lag(id INTEGER PRIMARY KEY, name TEXT, value INT, at INT)"
	lagInsert = "INSERT INTO lag(name, value, at) VALUES('some name', ?, ?)"
	lagNewest = "SELECT at FROM lag ORDER BY id DESC LIMIT 1"
)

// BenchmarkLiveLag lets a primary commit single rows at a steady pace, a part of the rate that it
// reaches alone, and feeds a replica its live frames: all that have queued up as one log. The lag
// is that of the newest row that a reader of the replica sees, as the time since its insert began
// and as the positions since. It must not grow. The pace is kept by what is due at a time, so a
// pause is made up for. With acks, each log is acknowledged too, for which the primary fsyncs. A
// stream that ends with ErrLagged is counted, and the next one begins where the store has the log.
func BenchmarkLiveLag(b *testing.B) {
	for _, acks := range []bool{false, true} {
		b.Run(fmt.Sprintf("acks=%v", acks), func(b *testing.B) {
			t := openTriplet(b, 1, 200, "")
			_, err := t.primary.Exec(lagTable)
			require.NoError(b, err)
			for b.Loop() {
				t.watchLag(b, acks)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (t *triplet) watchLag(b *testing.B, acks bool) {
	insert, err := t.primary.Prepare(lagInsert)
	require.NoError(b, err)
	defer func() { _ = insert.Close() }()
	alone := insertFor(b, insert, *lagTime/4, 0)
	_, err = t.source.Checkpoint(b.Context(), t.target.Replicate)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	lost := 0
	fed := make(chan error, 1)
	go func() {
		err := t.follow(ctx, acks)
		for ; errors.Is(err, mylibsql.ErrLagged); lost++ {
			err = t.follow(ctx, acks)
		}
		fed <- err
	}()
	sampled := make(chan lagSamples, 1)
	go func() { sampled <- t.sampleLag(ctx) }()
	rate := insertFor(b, insert, *lagTime, lagPace*alone)
	cancel()
	require.ErrorIs(b, <-fed, context.Canceled)
	samples := <-sampled
	require.ErrorIs(b, samples.err, context.Canceled)
	samples.report(b)
	b.ReportMetric(float64(lost), "lost-streams")
	b.ReportMetric(alone, "alone-tx/s")
	b.ReportMetric(rate/alone, "pace")
}

// follow takes over what was saved, and then what one stream delivers.
func (t *triplet) follow(ctx context.Context, acks bool) error {
	if _, err := t.source.Checkpoint(ctx, t.target.Replicate); err != nil {
		return err
	}
	at, err := t.target.Position(ctx)
	if err != nil {
		return err
	}
	frames, err := t.source.Frames(ctx, at)
	if err != nil {
		return err
	}
	return errors.Join(feed(ctx, frames, t.target, acks), frames.Close())
}

// feed applies what a stream delivers to a replica, all that has queued up at once, until the
// context ends.
func feed(ctx context.Context, frames *mylibsql.Frames, to *mylibsql.Database, acks bool) error {
	for {
		batch, err := frames.Next(ctx)
		if err != nil {
			return err
		}
		batches, bytes := []*mylibsql.Batch{batch}, batch.Bytes()
		for bytes < lagMerge {
			next, ok, err := frames.TryNext()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			batches, bytes = append(batches, next), bytes+next.Bytes()
		}
		log, err := translog.MergeBatches(translog.BuildOptions{}, batches...)
		if err != nil {
			return err
		}
		err = to.Replicate(ctx, log)
		if err == nil && acks {
			err = frames.AckReplicated(log.Last())
		}
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
	}
}

// insertFor commits single rows for some time, at a rate a second or, for 0, as fast as it goes,
// and returns the rate.
func insertFor(b *testing.B, insert *sql.Stmt, length time.Duration, rate float64) float64 {
	b.Helper()
	done := 0
	start := time.Now()
	for {
		now := time.Now()
		elapsed := now.Sub(start)
		if elapsed >= length {
			return float64(done) / elapsed.Seconds()
		}
		if rate > 0 && float64(done) >= rate*elapsed.Seconds() {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if _, err := insert.Exec(done, now.UnixNano()); err != nil {
			b.Fatal(err)
		}
		done++
	}
}

// lagSamples are samples of the lag, in the order of time.
type lagSamples struct {
	ms, positions []float64
	err           error
}

func (t *triplet) sampleLag(ctx context.Context) (samples lagSamples) {
	ticker := time.NewTicker(lagSample)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			samples.err = ctx.Err()
			return samples
		case <-ticker.C:
		}
		var at int64
		if err := t.replica.QueryRow(lagNewest).Scan(&at); err != nil {
			samples.err = err
			return samples
		}
		behind := t.target.Stats().Committed
		samples.ms = append(samples.ms, float64(time.Now().UnixNano()-at)/1e6)
		samples.positions = append(samples.positions,
			float64(t.source.Stats().Committed)-float64(behind))
	}
}

func (s lagSamples) report(b *testing.B) {
	b.Helper()
	third := len(s.ms) / 3
	require.Positive(b, third)
	for _, lag := range []struct {
		unit    string
		samples []float64
	}{{"ms", s.ms}, {"positions", s.positions}} {
		b.ReportMetric(slices.Max(lag.samples), "max-"+lag.unit)
		b.ReportMetric(median(slices.Clone(lag.samples[:third])), "first-"+lag.unit)
		b.ReportMetric(median(slices.Clone(lag.samples[2*third:])), "last-"+lag.unit)
	}
}
