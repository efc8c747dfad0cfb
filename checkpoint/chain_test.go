package checkpoint

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: the listing begins at the record that continues a position, wherever the position lies.
// Method: a chain with a snapshot in its middle, listed from every position that matters.
func TestRecordsBeginWhereThePositionIsContinued(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	require.Empty(t, records(t, store, 0))
	for _, positions := range []int{10, 5, 5} {
		require.NoError(t, store.Save(t.Context(), h.log(positions)))
	}
	before := h.end
	h.jump(100)
	snapshot := h.snapshot(before)
	require.NoError(t, store.Save(t.Context(), snapshot))
	last := h.log(3)
	require.NoError(t, store.Save(t.Context(), last))

	all := records(t, store, 0)
	var lasts []translog.FrameNo
	follows := translog.Position{}
	for _, record := range all {
		require.Equal(t, follows, record.Follows)
		require.Equal(t, record.Last, record.End.FrameNo)
		require.Equal(t, timeOf(record.Last), record.Timestamp.UTC())
		follows = record.End
		lasts = append(lasts, record.Last)
	}
	require.Equal(t, []translog.FrameNo{10, 15, 20, 120, 123}, lasts)
	require.Equal(t, Record{
		Follows: before, First: 1, Last: 120, End: snapshot.End(), Size: snapshot.Size(),
		Timestamp: snapshot.Timestamp(),
	}, all[3])
	require.True(t, all[3].IsSnapshot())
	require.False(t, all[4].IsSnapshot())

	for after, index := range map[translog.FrameNo]int{
		0: 0, 9: 0, 10: 1, 12: 1, 15: 2, 19: 2, 20: 3, 21: 3, 119: 3, 120: 4, 122: 4,
		123: 5, 124: 5, 1000: 5, math.MaxUint64: 5,
	} {
		require.ElementsMatch(t, all[index:], records(t, store, after), "after %d", after)
	}
}

// Goal: a saved log comes back as it was, with the position that it continues.
// Method: open each record and compare; a snapshot's Follows is known by the chain alone.
func TestOpenedLogFollowsItsChain(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	saved := h.save(store, 3)
	saved = append(saved, h.log(2).WithFollows(h.end))
	before := saved[2].End()
	saved[3] = h.snapshot(before)
	require.NoError(t, store.Save(t.Context(), saved[3]))
	for index, record := range records(t, store, 0) {
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		require.Equal(t, saved[index].Follows(), log.Follows())
		require.Equal(t, saved[index].End(), log.End())
		require.Equal(t, saved[index].Size(), log.Size())
		require.NoError(t, log.Verify())
		require.NoError(t, log.Close())
	}
	record := records(t, store, 0)[1]
	record.End.Checksum ^= 1
	_, err := store.Open(t.Context(), record)
	require.ErrorIs(t, err, translog.ErrFormat)
	record.Follows.FrameNo = 1000
	_, err = store.Open(t.Context(), record)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Goal: a listing that is left early, or whose context ends, stops without harm.
// Method: break after the first record; cancel after the first record.
func TestRecordsCanBeLeft(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.save(store, 3)
	for range store.Records(t.Context(), 0) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	count := 0
	var last error
	for _, err := range store.Records(ctx, 0) {
		cancel()
		count++
		last = err
	}
	require.Equal(t, 2, count)
	require.ErrorIs(t, last, context.Canceled)
	_, err := store.Open(ctx, records(t, store, 0)[0])
	require.ErrorIs(t, err, context.Canceled)
}

// Goal: each way to break a chain is found by listing and by restoring, and the file is named.
// Method: five records; break the chain in one way; compare what is listed before the error.
func TestBrokenChainIsAnError(t *testing.T) {
	for _, row := range []struct {
		name   string
		damage func(t *testing.T, chain string, keys []string, foreign *translog.Log)
		listed int
		want   error
		file   int // index of the key that the message must name
	}{
		{"missing in the middle", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			require.NoError(t, os.Remove(filepath.Join(chain, keys[2])))
		}, 2, translog.ErrGap, 2},
		{"missing first", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			require.NoError(t, os.Remove(filepath.Join(chain, keys[0])))
		}, 0, translog.ErrGap, 0},
		{"truncated", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			require.NoError(t, os.Truncate(filepath.Join(chain, keys[3]), 90))
		}, 3, translog.ErrFormat, 3},
		{"empty", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			require.NoError(t, os.Truncate(filepath.Join(chain, keys[1]), 0))
		}, 1, translog.ErrFormat, 1},
		{"other log", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			copyFile(t, filepath.Join(chain, keys[2]), filepath.Join(chain, keys[1]))
		}, 1, translog.ErrFormat, 1},
		{"forked", func(t *testing.T, chain string, keys []string, foreign *translog.Log) {
			path := filepath.Join(chain, keys[4])
			require.NoError(t, os.Remove(path))
			require.NoError(t, foreign.WriteFile(path, 0o600))
		}, 4, translog.ErrChecksum, 4},
		{"inside another", func(t *testing.T, chain string, keys []string, foreign *translog.Log) {
			path := filepath.Join(chain, keyName(foreign.First()+1))
			require.NoError(t, foreign.WriteFile(path, 0o600))
		}, 4, translog.ErrFormat, 4},
		{"a folder", func(t *testing.T, chain string, keys []string, _ *translog.Log) {
			require.NoError(t, os.Remove(filepath.Join(chain, keys[4])))
			require.NoError(t, os.Mkdir(filepath.Join(chain, keys[4]), 0o700))
		}, 4, nil, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			store, h := open(t, root), newHistory(t)
			var keys []string
			for range 4 {
				keys = append(keys, keyName(h.end.FrameNo+1))
				require.NoError(t, store.Save(t.Context(), h.log(5)))
			}
			keys = append(keys, keyName(h.end.FrameNo+1))
			fork := h.fork()
			fork.change()
			fork.end.Checksum = fork.checksum()
			require.NoError(t, store.Save(t.Context(), h.log(5)))
			chain := filepath.Join(root, "ltx", "chain")
			row.damage(t, chain, keys, fork.log(5))

			listed, err := recordsError(t, store)
			require.Len(t, listed, row.listed)
			require.ErrorContains(t, err, filepath.Join(chain, keys[row.file]))
			if row.want != nil {
				require.ErrorIs(t, err, row.want)
			}
			path := filepath.Join(t.TempDir(), "restored.db")
			_, restoreErr := Restore(t.Context(), store, path)
			require.EqualError(t, restoreErr, err.Error())
			require.Empty(t, names(t, filepath.Dir(path)))
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}

// Goal: the two errors that name positions name the right ones.
// Method: a missing record; a fork that has other checksums.
func TestGapNamesBothSides(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	first := h.log(5)
	require.NoError(t, store.Save(t.Context(), first))
	require.NoError(t, store.Save(t.Context(), h.log(5)))
	require.NoError(t, store.Save(t.Context(), h.log(5)))
	require.NoError(t, os.Remove(filepath.Join(root, "ltx/chain/0000000000000006")))
	_, err := recordsError(t, store)
	var gapError *translog.GapError
	require.ErrorAs(t, err, &gapError)
	require.Equal(t, first.End(), gapError.Have)
	require.Equal(t, translog.FrameNo(10), gapError.Want.FrameNo)
}

// Goal: listing while others save never shows a gap that is none.
// Method: one goroutine saves a hundred logs, another lists all the time.
func TestRecordsWhileOthersSave(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			if store.Save(context.Background(), h.log(1)) != nil {
				return
			}
		}
	}()
	reader := open(t, root)
	for seen, running := 0, true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		now := len(records(t, reader, 0))
		require.GreaterOrEqual(t, now, seen)
		seen = now
	}
	require.Len(t, records(t, reader, 0), 100)
}
