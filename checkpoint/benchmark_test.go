package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSave saves logs of about four pages, each one new, to a directory. Most of it is three
// calls of fsync.
func BenchmarkSave(b *testing.B) {
	store, h := open(b, filepath.Join(b.TempDir(), "store")), newHistory(b)
	for b.Loop() {
		b.StopTimer()
		log := h.log(1)
		b.StartTimer()
		require.NoError(b, store.Save(b.Context(), log))
		b.StopTimer()
		require.NoError(b, log.Close())
		if len(h.pages) > 100 {
			h.pages = h.pages[:1:1]
		}
		b.StartTimer()
	}
}

// BenchmarkRestore restores a snapshot of 16 MiB and a thousand small logs.
func BenchmarkRestore(b *testing.B) {
	store, h := open(b, filepath.Join(b.TempDir(), "store")), newHistory(b)
	for len(h.pages) < 4096 {
		h.change()
	}
	h.save(store, 1001)
	path := filepath.Join(b.TempDir(), "restored.db")
	b.SetBytes(int64(len(h.pages)) * int64(h.pageSize))
	for b.Loop() {
		_, err := Restore(b.Context(), store, path)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, os.Remove(path))
		b.StartTimer()
	}
}
