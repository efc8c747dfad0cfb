package storetest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: a context that has ended stops every method, by its own error.
// Method: a context that was cancelled and one whose time is over; on an empty store, on a
// free place and on a place that the log holds already; a context that ends during a
// listing. The log is saved by the repeated Save.
func endedContextIsItsError(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	var chain []*translog.Log
	for range 2 {
		log := next(t, h, 3)
		for range 2 {
			for _, ctx := range []context.Context{cancelled, late} {
				requireEnded(t, ctx, store.Save(ctx, log))
			}
			save(t, store, log)
		}
		chain = append(chain, log)
	}
	for _, ctx := range []context.Context{cancelled, late} {
		pairs := 0
		for record, err := range store.Records(ctx, 0) {
			require.Zero(t, record)
			requireEnded(t, ctx, err)
			pairs++
		}
		require.Equal(t, 1, pairs)
		_, err := store.Open(ctx, recordAt(t, store, 0))
		requireEnded(t, ctx, err)
	}
	requireListingEnds(t, store, recordsOf(chain))
	requireChain(t, store, chain)
}

func requireEnded(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	require.ErrorIs(t, err, ctx.Err())
	require.NotErrorIs(t, err, translog.ErrTaken)
}

// requireListingEnds ends a context behind the first record. What the store has fetched
// already it may still list.
func requireListingEnds(t *testing.T, store checkpoint.Store, wanted []checkpoint.Record) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	count := 0
	var failure error
	for record, err := range store.Records(ctx, 0) {
		cancel()
		require.NoError(t, failure, "a pair after the one with the error")
		if failure = err; err != nil {
			require.Zero(t, record)
			continue
		}
		require.Less(t, count, len(wanted))
		require.Equal(t, wanted[count].End, record.End)
		count++
	}
	if failure == nil {
		require.Equal(t, len(wanted), count, "the listing ended early and without an error")
		return
	}
	requireEnded(t, ctx, failure)
}

// Goal: a Save whose context ends at any moment leaves the log saved or not, nothing
// between, and the same log can be saved again.
// Method: logs of a megabyte under contexts that end after more and more time.
func saveCutShortCanBeRepeated(t *testing.T, backend Backend) {
	store, reader, h := backend.Open(t), backend.Open(t), NewHistory(seed, 0)
	var chain []*translog.Log
	for limit := 50 * time.Microsecond; limit < 50*time.Millisecond; limit *= 4 {
		h.grow(rounds(1<<20, 256<<10) / DefaultPageSize)
		log := next(t, h, 3)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := store.Save(ctx, log)
		cancel()
		if err != nil {
			require.False(t, isAny(err, []error{translog.ErrTaken, translog.ErrGap}), "%v", err)
		}
		listed := records(t, reader, 0)
		if err == nil {
			require.Len(t, listed, len(chain)+1)
		}
		chain = append(chain, log)
		require.Equal(t, recordsOf(chain[:len(listed)]), listed)
		save(t, store, log)
	}
	requireChain(t, reader, chain)
}

// Goal: a log that cannot be read to its end is no log: Save fails, nothing of it is ever
// seen, and it does not hold its place.
// Method: logs whose file was cut after they were opened, at several lengths, and a closed
// log; on an empty store and behind a record. Another history's log then takes the place.
func tornLogLeavesNothing(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	var chain []*translog.Log
	for range 2 {
		fork := h.Fork()
		fork.grow(rounds(1<<20, 256<<10) / DefaultPageSize)
		whole := next(t, fork, 3)
		for _, length := range []int64{0, 10, whole.Size() / 2, whole.Size() - 1} {
			torn := tornLog(t, whole, length)
			requireRefused(t, store, torn, chain)
			require.Equal(t, recordsOf(chain), records(t, backend.Open(t), 0))
			require.NoError(t, torn.Close())
		}
		clone, err := whole.Clone()
		require.NoError(t, err)
		require.NoError(t, clone.Close())
		requireRefused(t, store, clone, chain)
		chain = append(chain, save(t, store, next(t, h, 4)))
	}
	requireChain(t, store, chain)
	requireRestored(t, store, h)
}

// tornLog is a log of which only the first bytes can be read, as from a disk that fails. It
// says of itself what the whole one does.
func tornLog(t *testing.T, whole *translog.Log, length int64) *translog.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "torn.ltx")
	require.NoError(t, whole.WriteFile(path, 0o600))
	log, err := translog.OpenLog(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.NoError(t, os.Truncate(path, length))
	_, err = log.WriteTo(io.Discard)
	require.Error(t, err, "the log is not torn")
	return log.WithFollows(whole.Follows())
}
