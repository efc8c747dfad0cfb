package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: the floor is durable before anything is removed, and the snapshot before the floor.
// Method: the file system calls of a Prune, word for word.
func TestPruneMakesTheseCallsInThisOrder(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.save(store, 3)
	last := h.end
	watching := &watch{limit: -1}
	store.calls = watching.calls()
	require.NoError(t, store.Prune(t.Context(), last.FrameNo))
	end := keyName(last.FrameNo)
	base, name := "base-"+end, "0000000000000001-"+end+".ltx"
	want := []string{
		"write tmp/0000000000000001-*", "sync tmp/0000000000000001-*",
		"remove chain/" + base,
		"link tmp/0000000000000001-* chain/" + base,
		"syncdir ltx/chain",
		"link chain/" + base + " 0/" + name,
		"link chain/" + base + " 9/" + name,
		"remove tmp/0000000000000001-*",
		"write tmp/0000000000000001-*", "sync tmp/0000000000000001-*",
		"rename tmp/0000000000000001-* chain/floor",
		"syncdir ltx/chain",
		"remove tmp/0000000000000001-*",
	}
	var calls []string
	for _, call := range watching.trace {
		switch {
		case call == "syncdir ltx/chain" && len(calls) == 0: // of the listing
		case call == "syncdir ltx/chain" && calls[len(calls)-1] == call:
		case len(calls) > 0 || call[:5] == "write":
			calls = append(calls, call)
		}
	}
	want = append(want, "syncdir ltx/chain") // before each removal of what is below a floor
	require.Equal(t, want, calls[:len(want)])
	for _, call := range calls[len(want):] {
		require.Regexp(t, "^remove (0|9|chain)/", call)
	}
}

// Goal: a crash at any call of a Prune leaves the chain as it was or as it should be; the next
// open finds nothing lost and nothing left over, and a writer who comes from below the floor is
// refused in both.
// Method: let a process die at its k-th call, for every k; open, compare, prune again.
func TestCrashAtEveryCallOfAPrune(t *testing.T) {
	h := newHistory(t)
	logs := []*translog.Log{h.log(3), h.log(4), h.log(2), h.log(5)}
	complete := filepath.Join(t.TempDir(), "store")
	saveAll := func(store *Directory) {
		for _, log := range logs {
			require.NoError(t, store.Save(t.Context(), log))
		}
	}
	saveAll(open(t, complete))
	require.NoError(t, open(t, complete).Prune(t.Context(), logs[1].Last()))
	require.NoError(t, open(t, complete).Prune(t.Context(), logs[2].Last()))
	for limit := 0; ; limit++ {
		root := filepath.Join(t.TempDir(), "store")
		saveAll(open(t, root))
		require.NoError(t, open(t, root).Prune(t.Context(), logs[1].Last()))
		dying := open(t, root)
		watching := &watch{limit: limit}
		dying.calls = watching.calls()
		err := dying.Prune(t.Context(), logs[2].Last())
		again := open(t, root)
		saved := records(t, again, 0)
		require.Contains(t, []int{2, 3}, len(saved), "died at call %d", limit)
		require.ErrorIs(t, again.Save(t.Context(), logs[1]), translog.ErrTaken)
		requireRestored(t, again, h)
		require.NoError(t, again.Prune(t.Context(), logs[2].Last()))
		require.Equal(t, names(t, complete), names(t, root), "died at call %d", limit)
		requireRestored(t, again, h)
		if err == nil && len(watching.trace) < limit {
			t.Logf("%d calls", len(watching.trace))
			return
		}
	}
}

// Goal: a floor that cannot be read is an error, never "nothing was pruned".
// Method: cut it, empty it, put other bytes there.
func TestDamagedFloorIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 3)
	log := h.log(2)
	require.NoError(t, store.Prune(t.Context(), h.end.FrameNo-2))
	content, err := os.ReadFile(store.floorPath())
	require.NoError(t, err)
	for _, damaged := range []string{
		"", string(content[:8]), string(content[:16]), "0000000000000000\n", "0000000000000001\n",
		"000000000000000G\n", string(content) + "\n",
	} {
		require.NoError(t, os.WriteFile(store.floorPath(), []byte(damaged), 0o600))
		require.ErrorIs(t, store.Save(t.Context(), log), translog.ErrFormat, "%q", damaged)
		require.ErrorIs(t, store.Prune(t.Context(), 1), translog.ErrFormat)
		_, err := Restore(t.Context(), store, filepath.Join(t.TempDir(), "out.db"))
		require.ErrorIs(t, err, translog.ErrFormat)
		_, err = OpenDirectory(root)
		require.ErrorIs(t, err, translog.ErrFormat)
	}
	require.NoError(t, os.WriteFile(store.floorPath(), content, 0o600))
	require.NoError(t, store.Save(t.Context(), log))
	requireRestored(t, open(t, root), h)
}

// Goal: a writer who finds its place free because it was pruned, a moment before it creates its
// record, is told that the history went on.
// Method: between the write of a log and its link another process takes the place, goes on, and
// prunes all of it.
func TestPlaceThatIsPrunedBeforeTheLinkIsTaken(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 2)
	before, strange := *h, *h
	stale := strange.log(3)
	*h = before
	others := []*translog.Log{h.log(4), h.log(2)}
	link := store.calls.link
	store.calls.link = func(from, to string) error {
		if others != nil {
			other := open(t, root)
			for _, log := range others {
				require.NoError(t, other.Save(t.Context(), log))
			}
			others = nil
			require.NoError(t, other.Prune(t.Context(), h.end.FrameNo))
		}
		return link(from, to)
	}
	var taken *translog.TakenError
	require.ErrorAs(t, store.Save(t.Context(), stale), &taken)
	require.Equal(t, h.end, taken.End)
	require.Len(t, records(t, open(t, root), 0), 1)
	requireRestored(t, open(t, root), h)
}

// Goal: a floor that its raiser did not make durable costs nothing when power fails.
// Method: a process dies between the rename of the floor and the sync; the next one opens the
// store, and must sync before it removes. Where a floor is gone with all records, the base stays.
func TestFloorThatIsNotDurableRemovesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 3)
	store.calls.syncFolder = func(path string) error {
		if _, err := os.Stat(store.floorPath()); err == nil {
			return errCrash
		}
		return systemCalls().syncFolder(path)
	}
	require.ErrorIs(t, store.Prune(t.Context(), h.end.FrameNo), errCrash)
	second := &Directory{root: root, calls: systemCalls(), ready: map[string]bool{}}
	watching := &watch{limit: -1}
	second.calls = watching.calls()
	require.NoError(t, second.open())
	sync := slices.Index(watching.trace, "syncdir ltx/chain")
	remove := slices.IndexFunc(watching.trace, func(call string) bool {
		return strings.HasPrefix(call, "remove ")
	})
	require.GreaterOrEqual(t, sync, 0)
	require.Less(t, sync, remove)
	requireRestored(t, open(t, root), h)

	require.NoError(t, os.Remove(store.floorPath()))
	again := open(t, root)
	bases, err := filepath.Glob(filepath.Join(again.folder(chainFolder), "base-*"))
	require.NoError(t, err)
	require.Len(t, bases, 1)
}
