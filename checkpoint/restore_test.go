package checkpoint

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: at any time the store restores the newest saved state, byte for byte.
// Method: random logs and now and then a snapshot in each page size, restored after every save.
func TestRestoreEqualsTheSource(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
		h.pageSize = pageSize
		for range 12 {
			if h.end.FrameNo > 0 && h.random.IntN(4) == 0 {
				before := h.end
				h.jump(translog.FrameNo(1 + h.random.Uint64N(1<<32)))
				require.NoError(t, store.Save(t.Context(), h.snapshot(before)))
			} else {
				h.save(store, 1)
			}
			requireRestored(t, store, h)
		}
	}
}

// Goal: a long history is restored with few open files.
// Method: more logs than one level holds; the restored bytes are compared, then the stack's height
// is watched while the same logs are pushed.
func TestRestoreOfManyLogs(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.pageSize = 512
	counting := &countingStore{Store: store}
	for range 3*openLogsMax + 5 {
		require.NoError(t, store.Save(t.Context(), h.log(1)))
	}
	requireRestored(t, counting, h)
	require.Equal(t, 3*openLogsMax+5, counting.opened)

	stack := &logStack{folder: t.TempDir()}
	defer stack.close()
	for _, record := range records(t, store, 0)[1:] {
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		require.NoError(t, stack.push(log))
		require.Less(t, len(stack.logs()), openLogsMax+3)
	}
	logs := stack.logs()
	require.Len(t, logs, 3+4)
	end, err := translog.CheckChain(logs[0].Start(), logs...)
	require.NoError(t, err)
	require.Equal(t, h.end, end)
}

// countingStore counts the logs that are opened.
type countingStore struct {
	Store
	opened int
}

func (c *countingStore) Open(ctx context.Context, record Record) (*translog.Log, error) {
	c.opened++
	return c.Store.Open(ctx, record)
}

// Goal: only the newest snapshot and what follows is read.
// Method: count the logs that a restore opens behind a snapshot in mid-chain.
func TestRestoreBeginsAtTheNewestSnapshot(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.save(store, 5)
	before := h.end
	h.jump(10)
	require.NoError(t, store.Save(t.Context(), h.snapshot(before)))
	h.save(store, 2)
	counting := &countingStore{Store: store}
	requireRestored(t, counting, h)
	require.Equal(t, 3, counting.opened)
}

// Goal: a store without logs says so.
// Method: a folder that does not exist yet, and one whose folders are empty.
func TestRestoreOfEmptyStore(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	path := filepath.Join(t.TempDir(), "restored.db")
	_, err := Restore(t.Context(), open(t, root), path)
	require.ErrorIs(t, err, ErrEmpty)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "ltx", "chain"), 0o700))
	_, err = Restore(t.Context(), open(t, root), path)
	require.ErrorIs(t, err, ErrEmpty)
	require.NoFileExists(t, path)
}

// Goal: a restore never overwrites, and never puts a database beside a stale WAL.
// Method: each of the three files exists, before the store is even read.
func TestRestoreNeverOverwrites(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	h.save(store, 2)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		path := filepath.Join(t.TempDir(), "restored.db")
		require.NoError(t, os.WriteFile(path+suffix, []byte("mine"), 0o600))
		_, err := Restore(t.Context(), store, path)
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, []string{"restored.db" + suffix}, names(t, filepath.Dir(path)))
	}
}

// Goal: damage that only reading every page shows stops the restore, and nothing is left.
// Method: flip one bit of the checksum over a whole record, which Records does not look at; a
// context that has ended.
func TestRestoreOfDamagedPages(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 4)
	record := filepath.Join(root, "ltx", "chain", keyName(records(t, store, 0)[2].key()))
	content, err := os.ReadFile(record)
	require.NoError(t, err)
	content[len(content)-1] ^= 1
	require.NoError(t, os.WriteFile(record, content, 0o600))
	path := filepath.Join(t.TempDir(), "restored.db")
	_, err = Restore(t.Context(), store, path)
	require.Error(t, err)
	require.Empty(t, names(t, filepath.Dir(path)))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Restore(ctx, store, path)
	require.ErrorIs(t, err, context.Canceled)
}
