//go:build cgo

package mylibsql_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// ackWaiters is how many goroutines wait for acks at once.
const ackWaiters = 10_000

// announcedContext tells when somebody is about to wait for its end, which Ack.Wait does once it
// stands in the queue.
type announcedContext struct {
	context.Context
	announce func()
	once     sync.Once
}

func (c *announcedContext) Done() <-chan struct{} {
	c.once.Do(c.announce)
	return c.Context.Done()
}

// releaseWaiters makes goroutines wait, each for an ack of its own, saves, and returns how long
// it took from the end of the save function until every one of them had its answer.
func releaseWaiters(tb testing.TB, db *database) time.Duration {
	tb.Helper()
	tx, err := db.Begin()
	require.NoError(tb, err)
	acks := make([]*mylibsql.Ack, ackWaiters)
	for i := range acks {
		var ctx context.Context
		ctx, acks[i] = mylibsql.WithAck(context.Background())
		_, err := tx.ExecContext(ctx, "INSERT INTO t(x) VALUES(NULL)")
		require.NoError(tb, err)
	}
	require.NoError(tb, tx.Commit())
	require.Equal(tb, ackWaiters, db.lib.Stats().PendingAcks)

	var queued, released sync.WaitGroup
	queued.Add(ackWaiters)
	answers := make([]error, ackWaiters)
	for i, ack := range acks {
		released.Go(func() {
			ctx := announcedContext{Context: context.Background(), announce: queued.Done}
			answers[i] = ack.Wait(&ctx)
		})
	}
	queued.Wait()
	var saved time.Time
	_, err = db.lib.Checkpoint(context.Background(),
		func(ctx context.Context, log *mylibsql.Log) error {
			err := db.saved.save(ctx, log)
			saved = time.Now()
			return err
		})
	require.NoError(tb, err)
	released.Wait()
	took := time.Since(saved)
	for _, err := range answers {
		require.NoError(tb, err)
	}
	return took
}

// TestAckReleasesEveryWaiter has 10,000 goroutines wait, each for an ack of its own, and one save
// answer them all.
func TestAckReleasesEveryWaiter(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
	t.Logf("%d waiters released in %v", ackWaiters, releaseWaiters(t, db))
	require.Zero(t, db.lib.Stats().PendingAcks)
}

// BenchmarkAckRelease reports the time from the end of a save function until 10,000 goroutines
// that waited for it go on.
func BenchmarkAckRelease(b *testing.B) {
	db := openDatabase(b, "")
	_, err := db.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
	require.NoError(b, err)
	var total time.Duration
	rounds := 0
	for b.Loop() {
		total += releaseWaiters(b, db)
		rounds++
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(rounds), "ms/release")
}

// TestAckAllocatesNothingAtCommit compares an insert under a context with an ack, made once, with
// the same insert under a context with another value: whatever a lookup in the context
// needs, both need.
func TestAckAllocatesNothingAtCommit(t *testing.T) {
	db := openDatabase(t, "_wal_limit_frames=1000000")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
	type otherKey struct{}
	plain := context.WithValue(context.Background(), otherKey{}, "value")
	statement, err := db.Prepare("INSERT INTO t(x) VALUES('x')")
	require.NoError(t, err)
	defer func() { require.NoError(t, statement.Close()) }()
	ways := map[string]func(context.Context) error{
		"Exec": func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES('x')")
			return err
		},
		"prepared": func(ctx context.Context) error {
			_, err := statement.ExecContext(ctx)
			return err
		},
		"transaction": func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO t(x) VALUES('x')"); err != nil {
				return err
			}
			return tx.Commit()
		},
	}
	for name, insert := range ways {
		t.Run(name, func(t *testing.T) {
			measure := func(ctx context.Context) float64 {
				return testing.AllocsPerRun(500, func() {
					if err := insert(ctx); err != nil {
						t.Fatal(err)
					}
				})
			}
			measure(plain)
			without := measure(plain)
			ctx, ack := mylibsql.WithAck(context.Background())
			require.Equal(t, without, measure(ctx))
			require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)

			// A nested ack is one more, and still needs nothing.
			nested, _ := mylibsql.WithAck(ctx)
			require.Equal(t, without, measure(nested))
		})
	}
}
