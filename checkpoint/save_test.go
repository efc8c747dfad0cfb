package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: a saved log is found under its key, and under Litestream's names with the log's time.
// Method: save a snapshot, a log and a second snapshot, list every file of the store.
func TestSavedLogHasRecordAndLitestreamNames(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	for _, positions := range []int{3, 39} {
		require.NoError(t, store.Save(t.Context(), h.log(positions)))
	}
	before := h.end
	h.jump(1 << 32)
	require.NoError(t, store.Save(t.Context(), h.snapshot(before)))

	require.Equal(t, []string{
		"ltx/0/0000000000000001-0000000000000003.ltx",
		"ltx/0/0000000000000001-000000010000002a.ltx",
		"ltx/0/0000000000000004-000000000000002a.ltx",
		"ltx/9/0000000000000001-0000000000000003.ltx",
		"ltx/9/0000000000000001-000000010000002a.ltx",
		"ltx/chain/0000000000000001",
		"ltx/chain/0000000000000004",
		"ltx/chain/000000000000002b",
	}, names(t, root))
	for name, position := range map[string]translog.FrameNo{
		"0/0000000000000004-000000000000002a.ltx": 42, "chain/0000000000000004": 42,
		"9/0000000000000001-0000000000000003.ltx": 3,
	} {
		info, err := os.Stat(filepath.Join(root, "ltx", name))
		require.NoError(t, err)
		require.Equal(t, timeOf(position), info.ModTime().UTC())
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	info, err := os.Stat(filepath.Join(root, "ltx", "chain"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	requireRestored(t, store, h)
}

// Goal: of two histories only one can extend the chain, and the other learns by which log.
// Method: two stores on one folder save different logs for the same place at the same time, of
// which one ends later than the other.
func TestOfTwoLogsForOnePlaceExactlyOneIsSaved(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	h := newHistory(t)
	h.save(open(t, root), 1)
	for range 20 {
		histories := []*history{h, h.fork()}
		logs := []*translog.Log{histories[0].log(5), histories[1].log(8)}
		errs := make([]error, 2)
		var group sync.WaitGroup
		for index, log := range logs {
			store := open(t, root)
			group.Go(func() { errs[index] = store.Save(context.Background(), log) })
		}
		group.Wait()

		winner, loser := 0, 1
		if errs[0] != nil {
			winner, loser = 1, 0
		}
		require.NoError(t, errs[winner])
		require.ErrorIs(t, errs[loser], translog.ErrTaken)
		var taken *translog.TakenError
		require.ErrorAs(t, errs[loser], &taken)
		require.Equal(t, translog.TakenError{
			At: logs[winner].First(), First: logs[winner].First(),
			Last: logs[winner].Last(), End: logs[winner].End(), NodeID: logs[winner].NodeID(),
		}, *taken)
		h = histories[winner]
		requireRestored(t, open(t, root), h)
	}
	require.Empty(t, names(t, filepath.Join(root, "ltx", "tmp")))
}

// Goal: one log saved by many at once is saved for all of them.
// Method: four stores on one folder save the same log together.
func TestOneLogSavedByManyIsSavedForAll(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	h := newHistory(t)
	for range 10 {
		log := h.log(2)
		errs := make([]error, 4)
		var group sync.WaitGroup
		for index := range errs {
			store := open(t, root)
			group.Go(func() { errs[index] = store.Save(context.Background(), log) })
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
	}
	require.Len(t, records(t, open(t, root), 0), 10)
}

// Goal: a Save whose outcome is unknown can be repeated, any number of times.
// Method: repeat old and new logs on the same and on a new store.
func TestRepeatedSaveIsSaved(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	logs := h.save(store, 3)
	before := names(t, root)
	for _, repeating := range []*Directory{store, open(t, root)} {
		for _, log := range append(logs, logs...) {
			require.NoError(t, repeating.Save(t.Context(), log))
		}
	}
	require.Equal(t, before, names(t, root))
	h.save(store, 1)
	requireRestored(t, store, h)
}

// Goal: no record is made that could not be restored, and a fork is called by its name even when
// its place is free.
// Method: offer logs that continue positions which the store does not have, or has differently.
func TestLogThatContinuesNothingIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 1)
	stranger := h.fork()

	h.log(4)
	ahead := h.log(4)
	var gapError *translog.GapError
	require.ErrorAs(t, store.Save(t.Context(), ahead), &gapError)
	require.Equal(t, ahead.Follows(), gapError.Want)
	require.ErrorIs(t, open(t, root).Save(t.Context(), ahead), translog.ErrGap)
	empty := open(t, filepath.Join(t.TempDir(), "empty"))
	require.ErrorIs(t, empty.Save(t.Context(), ahead), translog.ErrGap)
	require.ErrorIs(t, empty.Save(t.Context(), h.snapshot(ahead.Follows())), translog.ErrGap)
	require.Empty(t, names(t, filepath.Dir(empty.Root())))

	other := h.fork()
	other.end, other.pages = stranger.end, stranger.pages
	require.NoError(t, store.Save(t.Context(), stranger.log(4)))
	other.log(4)
	forked := other.log(4)
	require.ErrorIs(t, store.Save(t.Context(), forked), translog.ErrTaken)

	other = stranger.fork()
	require.NoError(t, store.Save(t.Context(), stranger.log(10)))
	other.log(5)
	var taken *translog.TakenError
	require.ErrorAs(t, store.Save(t.Context(), other.log(5)), &taken)
	require.Equal(t, stranger.end, taken.End)
	requireRestored(t, store, stranger)
}

// Goal: a log that cannot stand where it says is refused before anything is created.
// Method: a snapshot that ends before its key, a log that begins elsewhere, one without checksums.
func TestLogThatDoesNotFitItsPlaceIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	first, second := h.log(3), h.log(3)
	require.ErrorIs(t, store.Save(t.Context(), h.snapshot(h.end)), translog.ErrFormat)
	require.ErrorIs(t, store.Save(t.Context(), second.WithFollows(translog.Position{})),
		translog.ErrGap)
	wrong := translog.Position{FrameNo: 3, Checksum: first.End().Checksum ^ 1}
	require.ErrorIs(t, store.Save(t.Context(), second.WithFollows(wrong)), translog.ErrChecksum)
	require.ErrorIs(t, store.Save(t.Context(), withoutChecksum(t)), translog.ErrFormat)
	require.NoFileExists(t, root)
}

// withoutChecksum is a log as Litestream writes it.
func withoutChecksum(t *testing.T) *translog.Log {
	t.Helper()
	var content bytes.Buffer
	encoder, err := ltx.NewEncoder(&content)
	require.NoError(t, err)
	require.NoError(t, encoder.EncodeHeader(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 512, Commit: 1,
		MinTXID: 1, MaxTXID: 1, Timestamp: logTime.UnixMilli(),
	}))
	require.NoError(t, encoder.EncodePage(ltx.PageHeader{Pgno: 1}, make([]byte, 512)))
	require.NoError(t, encoder.Close())
	log, err := translog.ReadLog(&content, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// Goal: a damaged record is neither taken for a stranger's log nor for our own.
// Method: cut the record short, or flip a bit inside, then save the same log again.
func TestDamagedRecordIsNotMistakenForALog(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"truncated": func(content []byte) []byte { return content[:len(content)-20] },
		"empty":     func([]byte) []byte { return nil },
		"flipped": func(content []byte) []byte {
			content[len(content)-1] ^= 4
			return content
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			store, h := open(t, root), newHistory(t)
			log := h.save(store, 1)[0]
			record := filepath.Join(root, "ltx/chain/0000000000000001")
			content, err := os.ReadFile(record)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(record, damage(content), 0o600))

			err = store.Save(t.Context(), log)
			require.Error(t, err)
			require.NotErrorIs(t, err, translog.ErrTaken)
			require.ErrorContains(t, err, record)
		})
	}
}

// Goal: a folder that was emptied under a running program is not taken for the old chain.
// Method: remove the store between two saves.
func TestSaveIntoRemovedStoreIsAGap(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	first := h.save(store, 1)[0]
	require.NoError(t, os.RemoveAll(root))
	log := h.log(2)
	require.ErrorIs(t, store.Save(t.Context(), log), translog.ErrGap)
	require.Error(t, store.Save(t.Context(), first), "the folders are believed to exist")
	require.NoError(t, store.Save(t.Context(), first))
	require.NoError(t, store.Save(t.Context(), log))
	requireRestored(t, store, h)
}

// Goal: a log is confirmed only behind the record that it continues, and only if it fits to it.
// Method: the folder gets another history's records behind the store's back, under the same keys;
// a log with pages of another size.
func TestPredecessorIsLookedAt(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	fork := h.fork()
	require.NoError(t, store.Save(t.Context(), h.log(3)))
	require.NoError(t, os.RemoveAll(root))
	require.NoError(t, open(t, root).Save(t.Context(), fork.log(3)))
	require.ErrorIs(t, store.Save(t.Context(), h.log(2)), translog.ErrTaken)

	larger := fork.fork()
	larger.pageSize, larger.pages = 8192, nil
	larger.end = translog.Position{FrameNo: 5, Checksum: translog.EmptyChecksum}
	log := larger.build(translog.Spec{
		First: fork.end.FrameNo + 1, Last: larger.end.FrameNo, PreApply: fork.end.Checksum,
	}, nil)
	require.ErrorIs(t, store.Save(t.Context(), log), translog.ErrFormat)
	require.Len(t, records(t, store, 0), 1)
}

// Goal: a log is confirmed by the saved one only if it is that, page by page: checksums of whole
// databases are linear, so two histories can have one in common.
// Method: both make the same change, to different pages.
func TestSameChecksumIsNotTheSameLog(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.pages = [][]byte{make([]byte, 4096), make([]byte, 4096), make([]byte, 4096)}
	h.end = translog.Position{FrameNo: 3, Checksum: h.checksum()}
	require.NoError(t, store.Save(t.Context(), h.snapshot(translog.Position{})))
	change := func(page translog.PageNo) *translog.Log {
		fork := h.fork()
		fork.pages[page-1] = bytes.Repeat([]byte{7}, 4096)
		fork.end = translog.Position{FrameNo: 4, Checksum: fork.checksum()}
		return fork.build(translog.Spec{First: 4, Last: 4, Follows: h.end,
			PreApply: h.end.Checksum}, map[translog.PageNo]bool{page: true})
	}
	one, other := change(2), change(3)
	require.Equal(t, one.End(), other.End())
	require.NoError(t, store.Save(t.Context(), one))
	require.ErrorIs(t, store.Save(t.Context(), other), translog.ErrTaken)
	require.NoError(t, store.Save(t.Context(), one))
}
