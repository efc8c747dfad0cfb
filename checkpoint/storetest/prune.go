package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// requirePruned checks that a store begins with a snapshot that ends where a log does, and
// that the records behind it are those of other logs.
func requirePruned(
	t *testing.T, store checkpoint.Store, end translog.Position, rest []*translog.Log,
) {
	t.Helper()
	listed := records(t, store, 0)
	require.NotEmpty(t, listed)
	require.True(t, listed[0].IsSnapshot(), "the chain begins with a snapshot")
	require.Zero(t, listed[0].Follows)
	require.Equal(t, end, listed[0].End)
	require.Equal(t, recordsOf(rest), append([]checkpoint.Record(nil), listed[1:]...))
	base, err := store.Open(t.Context(), listed[0])
	require.NoError(t, err)
	require.NoError(t, base.Verify())
	require.NoError(t, base.Close())
}

// requireRestores checks that a restore gives the bytes that a history has now.
func requireRestores(t *testing.T, store checkpoint.Store, h *History) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	end, err := checkpoint.Restore(t.Context(), store, path)
	require.NoError(t, err)
	require.Equal(t, h.End(), end)
	restored, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, h.Bytes(), restored, "the restored bytes")
}

// Goal: a prune makes one snapshot of what ends at or before a position, and of nothing else.
// Method: prune up to a log's end, up to the middle of another one, and up to places where
// there is nothing to do.
func pruningLeavesASnapshotAndTheRest(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	require.NoError(t, store.Prune(t.Context(), 100), "an empty store")
	logs := saveNext(t, store, h, 6)
	require.NoError(t, store.Prune(t.Context(), 0))
	require.NoError(t, store.Prune(t.Context(), logs[0].Last()), "one record is left alone")
	require.Equal(t, recordsOf(logs), records(t, store, 0))

	require.NoError(t, store.Prune(t.Context(), logs[2].Last()))
	for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
		requirePruned(t, handle, logs[2].End(), logs[3:])
		require.Len(t, records(t, handle, logs[3].Last()), 2)
		require.Len(t, records(t, handle, logs[1].Last()), 4, "from within the snapshot")
		requireRestores(t, handle, h)
	}
	require.NoError(t, store.Prune(t.Context(), logs[5].Last()-1))
	requirePruned(t, store, logs[4].End(), logs[5:])
	requireRestores(t, store, h)
	logs = append(logs, save(t, store, next(t, h, 4)))
	requirePruned(t, backend.Open(t), logs[4].End(), logs[5:])
}

// Goal: a pruned store is pruned on, and a snapshot in the chain is used as it is.
// Method: save and prune in turns, by several handles, to the very end as well.
func pruningAgainGoesOn(t *testing.T, backend Backend) {
	stores, h := openAll(t, backend, 3), NewHistory(seed, 0)
	for round := range 6 {
		store := stores[round%len(stores)]
		saveNext(t, store, h, 2)
		for range round % 3 {
			saveNext(t, store, h, 1)
			save(t, store, nextSnapshot(t, h, 3))
		}
		last := save(t, store, next(t, h, 2))
		if round%3 == 2 {
			require.NoError(t, store.Prune(t.Context(), last.Last()))
			requirePruned(t, stores[(round+1)%len(stores)], last.End(), nil)
		} else {
			require.NoError(t, store.Prune(t.Context(), last.Last()-1))
			require.Len(t, records(t, store, 0), 2)
		}
		requireRestores(t, stores[(round+2)%len(stores)], h)
	}
}

// Goal: a place whose record was pruned is never taken by another log, and its saver learns
// that the history went on.
// Method: a stranger offers logs for each place below the snapshot; and one who saved the
// last log of them, and was not told, offers it again.
func prunedPlaceIsNeverFreeAgain(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	var strange, logs []*translog.Log
	for range 5 {
		strange = append(strange, next(t, h.Fork(), 4))
		logs = append(logs, save(t, store, next(t, h, 3)))
	}
	require.NoError(t, store.Prune(t.Context(), logs[3].Last()))
	for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
		for _, log := range append(strange[:4:4], logs[1:4]...) {
			var taken *translog.TakenError
			require.ErrorAs(t, handle.Save(t.Context(), log), &taken)
			require.Equal(t, logs[3].End(), taken.End)
			require.EqualValues(t, 1, taken.First)
		}
		requirePruned(t, handle, logs[3].End(), logs[4:])
		requireTaken(t, handle.Save(t.Context(), strange[4]), logs[4])
	}
	requireRestores(t, store, h)
}

// Goal: a saver who looked before the prune, and creates its record after it, is told that the
// place is taken.
// Method: strangers save at all places at the same time as somebody prunes, many times.
func saveThatMeetsAPruneIsRefused(t *testing.T, backend Backend) {
	h := NewHistory(seed, 0)
	saver, pruner := backend.Open(t), backend.Open(t)
	save(t, saver, next(t, h, 2))
	for range rounds(60, 15) {
		var strange []*translog.Log
		for range 4 {
			strange = append(strange, next(t, h.Fork(), 4))
			save(t, saver, next(t, h, 3))
		}
		last := h.End()
		var pruning sync.WaitGroup
		var err error
		pruning.Go(func() { err = pruner.Prune(t.Context(), last.FrameNo) })
		answers := saveAll(t, openAll(t, backend, 4), strange)
		pruning.Wait()
		require.NoError(t, err)
		for _, answer := range answers {
			require.ErrorIs(t, answer, translog.ErrTaken)
		}
		requirePruned(t, saver, last, nil)
	}
	requireRestores(t, saver, h)
}

// Goal: who restores while the store is pruned gets what is saved, never less.
// Method: restores and listings beside prunes; nothing is saved meanwhile.
func restoreBesideAPruneIsWhole(t *testing.T, backend Backend) {
	h := NewHistory(seed, 0)
	reader, pruner := backend.Open(t), backend.Open(t)
	for range rounds(10, 3) {
		logs := saveNext(t, pruner, h, 8)
		var pruning sync.WaitGroup
		var err error
		pruning.Go(func() {
			for _, log := range logs {
				err = errors.Join(err, pruner.Prune(t.Context(), log.Last()))
			}
		})
		for range 3 {
			requireRestores(t, reader, h)
			_, listErr := list(t, reader, 0)
			if !errors.Is(listErr, checkpoint.ErrPruned) {
				require.NoError(t, listErr)
			}
		}
		pruning.Wait()
		require.NoError(t, err)
		requireRestores(t, reader, h)
	}
}
