package faultstore_test

import (
	"context"
	"errors"
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

// Goal: a late request takes effect after as many others as the fault says, and its log may be
// closed meanwhile.
// Method: a log that is late, and another history's log for the same place: who comes first wins.
func TestLateRequestTakesEffectInItsTurn(t *testing.T) {
	for after, lateWins := range map[int]bool{0: true, 1: false, 2: false} {
		store, h := newDirectory(t), storetest.NewHistory(1, 0)
		faults := faultstore.Scripted(store, faultstore.Script{
			Save: []faultstore.Fault{{Kind: faultstore.Late, After: after}},
		})
		rival := h.Fork()
		late, log := nextLog(t, h, 3), nextLog(t, rival, 4)
		require.ErrorIs(t, faults.Save(t.Context(), late), faultstore.ErrInjected)
		require.NoError(t, late.Close())
		require.Empty(t, ends(t, store))

		err := faults.Save(t.Context(), log)
		want := log.End()
		if lateWins {
			want = late.End()
			var taken *translog.TakenError
			require.ErrorAs(t, err, &taken)
			require.Equal(t, want, taken.End)
		} else {
			require.NoError(t, err)
			require.Equal(t, 1, faults.Pending())
			_ = faults.Save(t.Context(), nextLog(t, rival, 4))
			require.Equal(t, after-1, faults.Pending())
		}
		require.NoError(t, faults.Flush(t.Context()))
		require.Zero(t, faults.Pending())
		require.Equal(t, want, ends(t, store)[0])
	}
}

// Goal: late requests overtake each other.
// Method: the requests for two places, the second of which was made first to take effect: it
// finds no predecessor.
func TestLateRequestsAreReordered(t *testing.T) {
	store, h := newDirectory(t), storetest.NewHistory(1, 0)
	faults := faultstore.Scripted(store, faultstore.Script{Save: []faultstore.Fault{
		{Kind: faultstore.Late, After: 2}, {Kind: faultstore.Late, After: 0},
		{Kind: faultstore.Fail},
	}})
	first, second := nextLog(t, h, 3), nextLog(t, h, 3)
	for _, log := range []*translog.Log{first, second, second} {
		require.ErrorIs(t, faults.Save(t.Context(), log), faultstore.ErrInjected)
	}
	require.Empty(t, ends(t, store), "the second log found a gap")
	require.NoError(t, faults.Flush(t.Context()))
	require.Equal(t, []translog.Position{first.End()}, ends(t, store))
}

// Goal: a log that cannot be kept is no late request.
// Method: a closed log.
func TestLateSaveOfAClosedLog(t *testing.T) {
	faults := faultstore.Scripted(newDirectory(t), faultstore.Script{
		Save: []faultstore.Fault{{Kind: faultstore.Late}},
	})
	log := nextLog(t, storetest.NewHistory(1, 0), 3)
	require.NoError(t, log.Close())
	require.ErrorIs(t, faults.Save(t.Context(), log), translog.ErrClosed)
	require.Zero(t, faults.Pending())
}

// slow is a store whose Save waits until it may go on.
type slow struct {
	checkpoint.Store
	goOn chan struct{}
}

func (s slow) Save(ctx context.Context, log *translog.Log) error {
	<-s.goOn
	return s.Store.Save(ctx, log)
}

// Goal: Flush waits for what is under way elsewhere, as long as its context allows, and leaves
// what it did not come to.
// Method: a late request is performed by another Save and held up by the store; Flush with a
// context that ends, and with one that does not.
func TestFlushWaitsForRequestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := slow{newDirectory(t), make(chan struct{})}
		faults := faultstore.Scripted(store, faultstore.Script{
			Save: []faultstore.Fault{{Kind: faultstore.Late}, {Kind: faultstore.Fail}},
		})
		log := nextLog(t, storetest.NewHistory(1, 0), 3)
		require.Error(t, faults.Save(t.Context(), log))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, faults.Flush(ended), context.Canceled)
		require.Equal(t, 1, faults.Pending())

		saved := make(chan error, 1)
		go func() { saved <- faults.Save(t.Context(), log) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		require.ErrorIs(t, faults.Flush(ctx), context.DeadlineExceeded)
		cancel()
		require.Equal(t, 1, faults.Pending())

		flushed := make(chan error, 1)
		go func() { flushed <- faults.Flush(t.Context()) }()
		synctest.Wait()
		require.Empty(t, flushed)
		close(store.goOn)
		require.NoError(t, <-flushed)
		require.Equal(t, []translog.Position{log.End()}, ends(t, store.Store))
		require.ErrorIs(t, <-saved, faultstore.ErrInjected)
	})
}

// Goal: many may use one store: no fault is lost or counted twice, and every request is performed.
// Method: goroutines that save one log under all kinds of faults, beside others that flush.
func TestConcurrentUse(t *testing.T) {
	const savers, saves = 8, 20
	requests := &recorder{Store: newDirectory(t)}
	faults := faultstore.Seeded(requests, 5, faultstore.Mix{
		Save: faultstore.Odds{
			faultstore.Fail: 0.2, faultstore.LoseAnswer: 0.2, faultstore.Late: 0.2,
			faultstore.Duplicate: 0.2,
		},
		Records: faultstore.Odds{faultstore.Tear: 0.5},
	})
	log := nextLog(t, storetest.NewHistory(1, 512), 3)
	var group sync.WaitGroup
	for range savers {
		group.Go(func() {
			for range saves {
				err := faults.Save(t.Context(), log)
				if err != nil && !errors.Is(err, faultstore.ErrInjected) {
					t.Error(err)
				}
				for range faults.Records(t.Context(), 0) {
					break
				}
				if err := faults.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				_ = faults.String()
			}
		})
	}
	group.Wait()
	require.NoError(t, faults.Flush(t.Context()))
	calls := 0
	for kind := range faultstore.SuccessWithoutSaving {
		calls += faults.Count(kind)
	}
	require.Equal(t, 2*savers*saves, calls, "%v", faults)
	reached := savers*saves - faults.Count(faultstore.Fail) + faults.Count(faultstore.Duplicate)
	require.Equal(t, reached, requests.saves, "%v", faults)
	require.Equal(t, []translog.Position{log.End()}, ends(t, requests))
}
