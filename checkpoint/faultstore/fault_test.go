package faultstore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// recorder counts the requests that reach a store.
type recorder struct {
	checkpoint.Store
	mutex sync.Mutex
	saves int
}

func (r *recorder) Save(ctx context.Context, log *translog.Log) error {
	r.mutex.Lock()
	r.saves++
	r.mutex.Unlock()
	return r.Store.Save(ctx, log)
}

var errCause = errors.New("connection reset")

// Goal: each fault of Save does what it says: to the store, to the answer, to the context.
// Method: one call with each kind; then what the store has, at once and after Flush.
func TestFaultsOfSave(t *testing.T) {
	for kind, want := range map[faultstore.Kind]struct {
		injected   bool
		requests   int // that reach the store at once
		saved      int // records at once
		savedLater int // after Flush
	}{
		faultstore.None:                 {false, 1, 1, 1},
		faultstore.Delay:                {false, 1, 1, 1},
		faultstore.Fail:                 {true, 0, 0, 0},
		faultstore.Tear:                 {true, 1, 0, 0},
		faultstore.LoseAnswer:           {true, 1, 1, 1},
		faultstore.Late:                 {true, 0, 0, 1},
		faultstore.Duplicate:            {false, 2, 1, 1},
		faultstore.Hang:                 {true, 0, 0, 0},
		faultstore.Overrun:              {true, 1, 1, 1},
		faultstore.SuccessWithoutSaving: {false, 0, 0, 0},
		faultstore.Kind(100):            {false, 1, 1, 1},
		faultstore.Kind(-1):             {false, 1, 1, 1},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			requests := &recorder{Store: newDirectory(t)}
			fault := faultstore.Fault{Kind: kind, Wait: time.Microsecond, Err: errCause}
			faults := faultstore.Scripted(requests,
				faultstore.Script{Save: []faultstore.Fault{fault}})
			log := nextLog(t, storetest.NewHistory(1, 0), 3)
			// A context that cannot end: nothing may wait for its end.
			err := faults.Save(context.Background(), log)
			require.Equal(t, want.injected, errors.Is(err, faultstore.ErrInjected), "%v", err)
			require.Equal(t, want.injected, errors.Is(err, errCause))
			require.Equal(t, want.injected, err != nil)
			require.Equal(t, want.requests, requests.saves)
			require.Len(t, ends(t, requests), want.saved)
			require.Equal(t, want.savedLater-want.saved, faults.Pending())
			require.NoError(t, faults.Flush(t.Context()))
			require.Len(t, ends(t, requests), want.savedLater)
			require.Zero(t, faults.Pending())
			require.NoError(t, log.Verify(), "the log is still the caller's")
			if kind > 0 && kind < 100 {
				require.Equal(t, 1, faults.Count(kind))
				require.Zero(t, faults.Count(faultstore.None))
			}

			require.NoError(t, faults.Save(t.Context(), log), "behind the script there is no fault")
			require.Len(t, ends(t, requests), 1)
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// Goal: waiting ends with the context, and its error can be told.
// Method: a fault that would wait for an hour; a context that ends; what the store has then.
func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := nextLog(t, storetest.NewHistory(1, 0), 3)
		for kind, saved := range map[faultstore.Kind]int{
			faultstore.Delay: 0, faultstore.Hang: 0, faultstore.Overrun: 1,
		} {
			store := newDirectory(t)
			fault := faultstore.Fault{Kind: kind, Wait: time.Hour}
			list := []faultstore.Fault{fault}
			faults := faultstore.Scripted(store,
				faultstore.Script{Save: list, Records: list, Open: list})
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := faults.Save(ctx, log)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, kind != faultstore.Delay, errors.Is(err, faultstore.ErrInjected))
			require.Equal(t, time.Minute, time.Since(begin), "%v", kind)
			cancel()
			require.Len(t, ends(t, store), saved)

			ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			for _, err := range faults.Records(ctx, 0) {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			_, err = faults.Open(ctx, checkpoint.Record{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 2*time.Minute, time.Since(begin))
			cancel()
		}
	})
}

// Goal: each fault of a listing does what it says.
// Method: a chain of three, listed with each kind.
func TestFaultsOfRecords(t *testing.T) {
	store, h := newDirectory(t), storetest.NewHistory(1, 0)
	for range 3 {
		require.NoError(t, store.Save(t.Context(), nextLog(t, h, 2)))
	}
	for _, row := range []struct {
		fault    faultstore.Fault
		listed   int
		injected bool
		counted  faultstore.Kind
	}{
		{faultstore.Fault{}, 3, false, faultstore.None},
		{faultstore.Fault{Kind: faultstore.Delay}, 3, false, faultstore.Delay},
		{faultstore.Fault{Kind: faultstore.Fail}, 0, true, faultstore.Fail},
		{faultstore.Fault{Kind: faultstore.Tear}, 0, true, faultstore.Tear},
		{faultstore.Fault{Kind: faultstore.Tear, After: 2}, 2, true, faultstore.Tear},
		{faultstore.Fault{Kind: faultstore.Tear, After: 9}, 3, true, faultstore.Tear},
		{faultstore.Fault{Kind: faultstore.Tear, After: -1}, 0, true, faultstore.Tear},
		{faultstore.Fault{Kind: faultstore.Hang}, 0, true, faultstore.Hang},
		{faultstore.Fault{Kind: faultstore.Overrun}, 0, true, faultstore.Hang},
		{faultstore.Fault{Kind: faultstore.Late}, 0, true, faultstore.Fail},
		{faultstore.Fault{Kind: faultstore.SuccessWithoutSaving}, 0, true, faultstore.Fail},
	} {
		faults := faultstore.Scripted(store,
			faultstore.Script{Records: []faultstore.Fault{row.fault}})
		listing := faults.Records(context.Background(), 0)
		listed := 0
		var failure error
		for record, err := range listing {
			require.NoError(t, failure)
			if failure = err; err != nil {
				require.Zero(t, record)
				continue
			}
			listed++
		}
		require.Equal(t, row.listed, listed, "%v", row.fault)
		require.Equal(t, row.injected, errors.Is(failure, faultstore.ErrInjected))
		require.Equal(t, row.injected, failure != nil)
		require.Equal(t, 1, faults.Count(row.counted), "%v", faults)
		for _, err := range listing {
			require.NoError(t, err, "the next listing has the next fault")
			break
		}
	}
}

// Goal: each fault of Open does what it says; a torn log says of itself what the whole one does.
// Method: open one record with each kind, and restore from torn logs.
func TestFaultsOfOpen(t *testing.T) {
	store, h := newDirectory(t), storetest.NewHistory(1, 0)
	require.NoError(t, store.Save(t.Context(), nextLog(t, h, 2)))
	whole := nextLog(t, h, 2)
	require.NoError(t, store.Save(t.Context(), whole))
	var record checkpoint.Record
	for record = range store.Records(t.Context(), 2) {
		break
	}
	list := []faultstore.Fault{
		{Kind: faultstore.Fail}, {Kind: faultstore.Hang}, {Kind: faultstore.Late},
		{Kind: faultstore.Tear}, {Kind: faultstore.Delay}, {}, {Kind: faultstore.Tear},
	}
	faults := faultstore.Scripted(store, faultstore.Script{Open: list})
	for range 3 {
		_, err := faults.Open(context.Background(), record)
		require.ErrorIs(t, err, faultstore.ErrInjected)
	}
	log, err := faults.Open(t.Context(), record)
	require.NoError(t, err)
	require.Equal(t, whole.End(), log.End())
	require.Equal(t, whole.Follows(), log.Follows())
	require.Equal(t, whole.Size(), log.Size())
	require.Error(t, log.Verify())
	copied, err := log.WriteTo(io.Discard)
	require.Error(t, err)
	require.Equal(t, whole.Size()/2, copied)
	require.NoError(t, log.Close())
	for range 2 {
		log, err := faults.Open(t.Context(), record)
		require.NoError(t, err)
		require.NoError(t, log.Verify())
		require.NoError(t, log.Close())
	}
	path := filepath.Join(t.TempDir(), "restored.db")
	_, err = checkpoint.Restore(t.Context(), faults, path)
	require.ErrorIs(t, err, translog.ErrFormat)
	require.NoFileExists(t, path)
	require.Equal(t, 2, faults.Count(faultstore.Tear))
	require.Equal(t, 2, faults.Count(faultstore.Fail))
}

// Goal: a seed gives the same faults again, in the proportions asked for, and is printed.
// Method: two stores with one seed, one with another, thousands of calls on a store that does
// nothing.
func TestSeedGivesTheSameFaults(t *testing.T) {
	log := nextLog(t, storetest.NewHistory(1, 0), 3)
	mix := faultstore.Mix{Save: faultstore.Odds{faultstore.Fail: 0.25, faultstore.LoseAnswer: 0.25}}
	outcomes := func(seed uint64, mix faultstore.Mix) (all []bool, faults *faultstore.Store) {
		faults = faultstore.Seeded(idle{}, seed, mix)
		for range 2000 {
			err := faults.Save(t.Context(), log)
			all = append(all, err != nil)
		}
		return all, faults
	}
	one, faults := outcomes(42, mix)
	again, _ := outcomes(42, mix)
	other, _ := outcomes(43, mix)
	require.Equal(t, one, again)
	require.NotEqual(t, one, other)
	for kind, want := range map[faultstore.Kind]int{
		faultstore.None: 1000, faultstore.Fail: 500, faultstore.LoseAnswer: 500,
	} {
		require.InDelta(t, want, faults.Count(kind), 150, "%v", kind)
	}
	require.Contains(t, faults.String(), "seed 42")

	_, faults = outcomes(1, faultstore.Mix{})
	require.Equal(t, 2000, faults.Count(faultstore.None))
	_, faults = outcomes(1, faultstore.Mix{Save: faultstore.Odds{
		faultstore.Fail: 1, faultstore.LoseAnswer: 1, faultstore.Kind(77): 1,
	}})
	require.Equal(t, 2000, faults.Count(faultstore.Fail))
	require.Zero(t, faults.Count(faultstore.Kind(77)))
	require.Equal(t, "faultstore seed 1: no calls",
		faultstore.Seeded(idle{}, 1, faultstore.Mix{}).String())
}

// idle is a store that takes everything and keeps nothing.
type idle struct{ checkpoint.Store }

func (idle) Save(context.Context, *translog.Log) error { return nil }
