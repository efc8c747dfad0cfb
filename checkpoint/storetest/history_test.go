package storetest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// A history stands in for a database where a store is to be filled. The logs of this one are
// saved, the last of them a snapshot, and restored.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		log.Fatal(err)
	}

	history := storetest.NewHistory(1, 0)
	for _, next := range []func(translog.FrameNo) (*translog.Log, error){
		history.Log, history.Log, history.Snapshot,
	} {
		made, err := next(10)
		if err != nil {
			log.Fatal(err)
		}
		if err := store.Save(ctx, made); err != nil {
			log.Fatal(err)
		}
		fmt.Println(made.Name(), "follows", made.Follows().FrameNo)
		_ = made.Close()
	}

	path := filepath.Join(folder, "restored.db")
	end, err := checkpoint.Restore(ctx, store, path)
	if err != nil {
		log.Fatal(err)
	}
	restored, err := os.ReadFile(path)
	fmt.Println(end == history.End(), string(restored) == string(history.Bytes()), err)
	// Output:
	// 0000000000000001-000000000000000a.ltx follows 0
	// 000000000000000b-0000000000000014.ltx follows 10
	// 0000000000000001-000000000000001e.ltx follows 20
	// true true <nil>
}

// logs makes that many logs of a history, every fifth of them a snapshot.
func logs(t *testing.T, h *storetest.History, count int) []*translog.Log {
	t.Helper()
	var all []*translog.Log
	for index := range count {
		next := h.Log
		if index%5 == 4 {
			next = h.Snapshot
		}
		log, err := next(translog.FrameNo(1 + index%3))
		require.NoError(t, err)
		t.Cleanup(func() { _ = log.Close() })
		require.NoError(t, log.Verify())
		all = append(all, log)
	}
	return all
}

// Goal: a history is the same for the same seed, and another one for another seed.
// Method: make forty logs twice, which add and drop pages, and compare bytes.
func TestHistoryRepeatsWithItsSeed(t *testing.T) {
	one, again, other := storetest.NewHistory(7, 512), storetest.NewHistory(7, 512),
		storetest.NewHistory(8, 512)
	ones, agains, others := logs(t, one, 40), logs(t, again, 40), logs(t, other, 40)
	for index := range ones {
		require.Equal(t, bytesOf(ones[index]), bytesOf(agains[index]))
		require.NotEqual(t, ones[index].End(), others[index].End())
	}
	require.Equal(t, one.Bytes(), again.Bytes())
	_, err := translog.CheckChain(translog.Position{}, ones...)
	require.NoError(t, err)
}

// Goal: logs applied one after the other give the bytes of the history, whose checksum is right.
// Method: restore the first snapshot and all logs, without a store.
func TestHistoryIsWhatItsLogsGive(t *testing.T) {
	h := storetest.NewHistory(7, 512)
	all := logs(t, h, 40)
	first, err := translog.AsSnapshot(all[0])
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "restored.db")
	end, err := first.Restore(path, all[1:4]...)
	require.NoError(t, err)
	require.Equal(t, all[3].End(), end)
	require.NoError(t, os.Remove(path))
	end, err = first.Restore(path, all...)
	require.NoError(t, err)
	require.Equal(t, h.End(), end)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, h.Bytes(), content)
}

// Goal: forks have the same past and go separate ways, and neither changes the other.
// Method: fork twice, make logs on all three, compare their ends.
func TestForkedHistoriesDiffer(t *testing.T) {
	h := storetest.NewHistory(7, 512)
	logs(t, h, 10)
	end, content := h.End(), h.Bytes()
	fork, second := h.Fork(), h.Fork()
	require.Equal(t, end, fork.End())
	require.Equal(t, content, fork.Bytes())
	forked, others, own := logs(t, fork, 10), logs(t, second, 10), logs(t, h, 10)
	for index := range own {
		require.Equal(t, own[index].Follows().FrameNo, forked[index].Follows().FrameNo)
		require.NotEqual(t, own[index].End(), forked[index].End())
		require.NotEqual(t, others[index].End(), forked[index].End())
	}
	require.Equal(t, end, own[0].Follows())
	require.Equal(t, end, forked[0].Follows())
}

// Goal: what no log can be made of is an error.
// Method: a page size that SQLite does not know, a log of no positions.
func TestHistoryRefusesWhatIsNoLog(t *testing.T) {
	_, err := storetest.NewHistory(7, 1000).Log(1)
	require.ErrorIs(t, err, translog.ErrFormat)
	_, err = storetest.NewHistory(7, 0).Log(0)
	require.ErrorIs(t, err, translog.ErrFormat)
}
