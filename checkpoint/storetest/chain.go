package storetest

import (
	"io/fs"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: a store that holds nothing says so, and is no error.
// Method: list, open what was never saved, restore; by two handles.
func emptyStoreHasNothing(t *testing.T, backend Backend) {
	for _, store := range openAll(t, backend, 2) {
		for _, after := range []translog.FrameNo{0, 5, math.MaxUint64} {
			require.Empty(t, records(t, store, after), "after %v", after)
		}
		path := filepath.Join(t.TempDir(), "restored.db")
		_, err := checkpoint.Restore(t.Context(), store, path)
		require.ErrorIs(t, err, checkpoint.ErrEmpty)
		require.NoFileExists(t, path)
	}
	log := next(t, NewHistory(seed, 0), 3)
	_, err := backend.Open(t).Open(t.Context(), recordsOf([]*translog.Log{log})[0])
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Goal: the chain is listed in its order, with what each log says of itself.
// Method: enough logs for positions to pass from 9 to 10 and from 99 to 100, two of them
// snapshots.
func savedLogsAreListedInOrder(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 512)
	logs := saveNext(t, store, h, 20)
	logs = append(logs, save(t, store, nextSnapshot(t, h, 40)))
	logs = append(logs, saveNext(t, store, h, 20)...)
	require.Greater(t, h.End().FrameNo, translog.FrameNo(100))
	requireChain(t, store, logs)
	requireChain(t, backend.Open(t), logs)
	require.True(t, recordAt(t, store, 0).IsSnapshot())
	require.False(t, recordAt(t, store, 1).IsSnapshot())
	require.True(t, recordAt(t, store, 20).IsSnapshot())
}

// Goal: a listing begins at the record that contains the position after the given one.
// Method: a chain with a snapshot in its middle, listed from before, at, inside and behind
// every record. The snapshot covers the positions from 1 in its log, but in the chain it
// stands behind 20.
func listingBeginsAtThePosition(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := []*translog.Log{
		save(t, store, next(t, h, 10)), save(t, store, next(t, h, 5)),
		save(t, store, next(t, h, 5)), save(t, store, nextSnapshot(t, h, 100)),
		save(t, store, next(t, h, 3)),
	}
	wanted := recordsOf(logs)
	for after, begin := range map[translog.FrameNo]int{
		0: 0, 1: 0, 9: 0, 10: 1, 12: 1, 14: 1, 15: 2, 19: 2, 20: 3, 21: 3, 119: 3, 120: 4,
		122: 4, 123: 5, 124: 5, 1000: 5, math.MaxUint64: 5,
	} {
		for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
			listed := records(t, handle, after)
			require.Len(t, listed, len(wanted)-begin, "after %v", after)
			for index, record := range listed {
				require.Equal(t, wanted[begin+index], record, "after %v", after)
			}
		}
	}
}

// Goal: a log comes back as it was, and says what it continues, which a snapshot's bytes do
// not say. Opened logs are independent of each other.
// Method: open every record twice; close one handle, use the other.
func openedLogIsTheSavedOne(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 3)
	logs = append(logs, save(t, store, nextSnapshot(t, h, 2)), save(t, store, next(t, h, 2)))
	other := backend.Open(t)
	for index, record := range records(t, store, 0) {
		one, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		requireOpened(t, other, record, logs[index])
		requireOpened(t, store, record, logs[index])
		require.Equal(t, record.Follows, one.Follows())
		require.True(t, sameBytes(t, logs[index], one))
		require.NoError(t, one.Close())
	}
}

// Goal: the log remains its owner's: Save leaves it open, and needs it no more afterwards.
// Method: verify each log after it was saved and after it was refused; close it; read the
// store.
func saveNeitherClosesNorKeepsTheLog(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	first, stranger := next(t, h, 3), next(t, NewHistory(seed+1, 0), 3)
	save(t, store, first)
	require.NoError(t, first.Verify(), "the log after Save")
	save(t, store, first)
	require.NoError(t, first.Verify(), "the log after a repeated Save")
	require.ErrorIs(t, store.Save(t.Context(), stranger), translog.ErrTaken)
	require.NoError(t, stranger.Verify(), "the log after it was refused")

	copied := bytesOf(t, first)
	require.NoError(t, first.Close())
	log, err := store.Open(t.Context(), recordAt(t, store, 0))
	require.NoError(t, err)
	require.True(t, string(copied) == string(bytesOf(t, log)))
	require.NoError(t, log.Close())
	requireRestored(t, store, h)
}

// Goal: what one handle saved is there for every other one at once, however old it is.
// Method: handles that were opened on the empty store save in turn, and all list.
func handlesSeeEachOther(t *testing.T, backend Backend) {
	stores, h := openAll(t, backend, 3), NewHistory(seed, 512)
	var logs []*translog.Log
	for round := range 9 {
		logs = append(logs, save(t, stores[round%len(stores)], next(t, h, 2)))
		for _, store := range stores {
			require.Equal(t, recordsOf(logs), records(t, store, 0))
		}
	}
}

// Goal: a listing that is made while others save shows a beginning of the chain: no gap, no
// error, never less than before.
// Method: one handle saves, another one lists all the time.
func listingWhileOthersSaveHasNoGap(t *testing.T, backend Backend) {
	store, reader, h := backend.Open(t), backend.Open(t), NewHistory(seed, 512)
	var logs []*translog.Log
	for range rounds(40, 15) {
		logs = append(logs, next(t, h, 1))
	}
	var failure error
	saved := make(chan struct{})
	t.Cleanup(func() { <-saved }) // Its context has ended by then.
	go func() {
		defer close(saved)
		for _, log := range logs {
			if failure = store.Save(t.Context(), log); failure != nil {
				return
			}
		}
	}()
	wanted := recordsOf(logs)
	for seen, saving := 0, true; saving; {
		select {
		case <-saved:
			saving = false
		default:
		}
		listed := records(t, reader, 0)
		require.GreaterOrEqual(t, len(listed), seen, "a listing lost a record")
		require.LessOrEqual(t, len(listed), len(wanted))
		seen = len(listed)
		require.Equal(t, wanted[:seen:seen], append([]checkpoint.Record{}, listed...))
	}
	require.NoError(t, failure)
	require.Len(t, records(t, reader, 0), len(wanted))
}

// Goal: whoever has seen enough leaves the listing, and the handle remains usable.
// Method: break after each number of records; two listings at once, one inside the other.
func listingCanBeLeft(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 4)
	for limit := 1; limit <= len(logs); limit++ {
		count := 0
		for _, err := range store.Records(t.Context(), 0) {
			require.NoError(t, err)
			require.Len(t, records(t, store, 0), len(logs))
			if count++; count == limit {
				break
			}
		}
		require.Equal(t, limit, count)
	}
	requireChain(t, store, logs)
}

// Goal: at any time the store restores the newest saved state, byte for byte, in every page
// size that is special: the smallest, the usual, the largest.
// Method: logs and now and then a snapshot over a jump, restored after every save by a
// handle that did not save. The page size changes with a snapshot in mid-chain.
func restoreGivesTheBytes(t *testing.T, backend Backend) {
	store, reader := backend.Open(t), backend.Open(t)
	var end translog.Position
	for _, pageSize := range []int{512, DefaultPageSize, 65536} {
		h := NewHistory(seed, pageSize)
		h.end = end
		save(t, store, nextSnapshot(t, h, 7))
		requireRestored(t, reader, h)
		for index := range 4 {
			if index == 2 {
				save(t, store, nextSnapshot(t, h, 1<<20))
			} else {
				saveNext(t, store, h, 1)
			}
			requireRestored(t, reader, h)
		}
		end = h.End()
	}
}

// Goal: the size of a log is no limit: parts, buffers and listings do not mind.
// Method: a log of several megabytes that do not compress, by two handles at the same time,
// between small ones.
func largeLogIsSaved(t *testing.T, backend Backend) {
	stores, h := openAll(t, backend, 2), NewHistory(seed, 0)
	logs := saveNext(t, stores[0], h, 2)
	size := rounds(5<<20, 1<<20)
	h.grow(size / DefaultPageSize)
	large := next(t, h, 5)
	require.Greater(t, large.Size(), int64(size))
	for _, err := range saveAll(t, stores, []*translog.Log{large, large}) {
		require.NoError(t, err)
	}
	logs = append(logs, large, save(t, stores[0], next(t, h, 1)))
	requireChain(t, stores[1], logs)
	requireRestored(t, stores[1], h)
}

// Goal: positions are compared, never subtracted, and use all of their 64 bits.
// Method: jumps over 2^32 and 2^63, which break whoever keeps them as signed or shorter
// numbers, or sorts them as decimal text.
func positionsMayBeFarApart(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 1)
	for _, jump := range []translog.FrameNo{9, 1 << 32, 1 << 63} {
		logs = append(logs, save(t, store, nextSnapshot(t, h, jump)))
		logs = append(logs, saveNext(t, store, h, 2)...)
	}
	requireChain(t, backend.Open(t), logs)
	after := translog.FrameNo(1 << 62)
	require.Equal(t, recordsOf(logs[7:]), records(t, store, after))
	requireRestored(t, store, h)
}

// Goal: a time that is not recorded is none, neither 1970 nor now.
// Method: a chain whose logs have neither time nor node.
func logMayHaveNoTime(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	h.timeless = true
	logs := saveNext(t, store, h, 2)
	require.True(t, logs[0].Timestamp().IsZero())
	for _, record := range records(t, backend.Open(t), 0) {
		require.True(t, record.Timestamp.IsZero(), "got %v", record.Timestamp)
	}
	requireChain(t, store, logs)
}

// rounds is how much of something is done, less in a short run.
func rounds(all, short int) int {
	if testing.Short() {
		return short
	}
	return all
}
