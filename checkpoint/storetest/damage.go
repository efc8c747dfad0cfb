package storetest

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: the log of a record that is gone, or never was, does not exist.
// Method: open a record of a place that nobody took; then one that was listed and removed.
func recordThatIsGoneDoesNotExist(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	saveNext(t, store, h, 3)
	never := next(t, h, 3)
	_, err := store.Open(t.Context(), recordsOf([]*translog.Log{never})[0])
	require.ErrorIs(t, err, fs.ErrNotExist)
	if backend.Remove == nil {
		t.Log("without Backend.Remove no record is removed")
		return
	}
	gone := recordAt(t, store, 2)
	backend.Remove(t, gone)
	for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
		_, err = handle.Open(t.Context(), gone)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.Len(t, records(t, handle, 0), 2)
	}
}

// Goal: a record that is missing in mid-chain is found by whoever lists or restores across
// it, and what stands behind it is not listed.
// Method: remove the third of five records.
func missingRecordIsAGap(t *testing.T, backend Backend) {
	if backend.Remove == nil {
		t.Skip("the backend has no Remove")
	}
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 5)
	backend.Remove(t, recordAt(t, store, 2))
	for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
		err := requireBroken(t, handle, logs[:2], translog.ErrGap)
		var gap *translog.GapError
		require.ErrorAs(t, err, &gap)
		require.Equal(t, logs[1].End(), gap.Have)
	}
}

// requireBroken checks that a listing stops behind these logs with this error, and a restore
// with the same kind.
func requireBroken(
	t *testing.T, store checkpoint.Store, before []*translog.Log, want error,
) error {
	t.Helper()
	listed, err := list(t, store, 0)
	require.ErrorIs(t, err, want)
	require.Equal(t, recordsOf(before), listed)
	path := filepath.Join(t.TempDir(), "restored.db")
	_, restoring := checkpoint.Restore(t.Context(), store, path)
	require.ErrorIs(t, restoring, want)
	require.NoFileExists(t, path)
	return err
}

// noLogs are bytes that are none, made of one that is.
func noLogs(log []byte) map[string][]byte {
	return map[string][]byte{
		"empty": nil, "header only": log[:100], "one byte": {1},
		"text": []byte("<Error><Code>NoSuchKey</Code></Error>"), "zeros": make([]byte, 4096),
	}
}

// Goal: a record whose bytes are no log is found by a listing, which reads the ends of each
// log.
// Method: put several kinds of bytes in the place of a record in mid-chain, and of the last.
func damagedRecordIsAFormatError(t *testing.T, backend Backend) {
	if backend.Replace == nil {
		t.Skip("the backend has no Replace")
	}
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 4)
	saved := records(t, store, 0)
	for _, index := range []int{1, 3} {
		sound := bytesOf(t, logs[index])
		for name, content := range noLogs(sound) {
			t.Run(name, func(t *testing.T) {
				backend.Replace(t, saved[index], content)
				requireBroken(t, store, logs[:index], translog.ErrFormat)
				requireBroken(t, backend.Open(t), logs[:index], translog.ErrFormat)
			})
		}
		backend.Replace(t, saved[index], sound)
		requireChain(t, store, logs)
	}
}

// Goal: records that do not continue each other are no chain, although each is sound.
// Method: put a fork's log, of the same range, in the place of the third of four records:
// the fourth does not continue it.
func forkInTheChainIsAChecksumError(t *testing.T, backend Backend) {
	if backend.Replace == nil {
		t.Skip("the backend has no Replace")
	}
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 2)
	fork := h.Fork()
	forked := next(t, fork, 5)
	logs = append(logs, save(t, store, next(t, h, 5)), save(t, store, next(t, h, 5)))

	backend.Replace(t, recordAt(t, store, 2), bytesOf(t, forked))
	logs[2] = forked
	requireBroken(t, store, logs[:3], translog.ErrChecksum)
	requireBroken(t, backend.Open(t), logs[:3], translog.ErrChecksum)
}

// Goal: a damaged record is neither confirmed as the log that it was, nor taken for a
// stranger's: the first would lose data, the second would fence a healthy database.
// Method: damage the last record, beginning and end intact too, and save its log again.
func damagedRecordIsNotTakenForALog(t *testing.T, backend Backend) {
	if backend.Replace == nil {
		t.Skip("the backend has no Replace")
	}
	store, h := backend.Open(t), NewHistory(seed, 0)
	log := saveNext(t, store, h, 2)[1]
	record := recordAt(t, store, 1)
	sound := bytesOf(t, log)
	damaged := noLogs(sound)
	flipped := append([]byte(nil), sound...)
	flipped[len(flipped)-1] ^= 1 // In the checksum over the whole file.
	damaged["flipped"] = flipped
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			backend.Replace(t, record, content)
			for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
				err := handle.Save(t.Context(), log)
				require.Error(t, err)
				require.NotErrorIs(t, err, translog.ErrTaken)
			}
		})
	}
	// In the checksum of the database after it, which the next log is compared with.
	moved := append([]byte(nil), sound...)
	moved[len(moved)-10] ^= 1
	backend.Replace(t, record, moved)
	err := backend.Open(t).Save(t.Context(), next(t, h, 2))
	require.Error(t, err)
	require.NotErrorIs(t, err, translog.ErrTaken)
	backend.Replace(t, record, sound)
	save(t, store, log)
}
