package translog

import (
	"io"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkPageSum(b *testing.B) {
	for _, pageSize := range pageSizes {
		b.Run(strconv.Itoa(pageSize), func(b *testing.B) {
			page := newHistory(b, 1, pageSize).randomPage()
			b.SetBytes(int64(pageSize))
			b.ReportAllocs()
			for b.Loop() {
				PageSum(7, page)
			}
		})
	}
}

// benchmarkPages is 16 MiB of pages of 4 KiB.
const benchmarkPages = 4096

func BenchmarkEncode(b *testing.B) {
	h := newHistory(b, 2, 4096)
	h.start(benchmarkPages)
	b.SetBytes(benchmarkPages * 4096)
	b.ReportAllocs()
	for b.Loop() {
		encoder, err := NewEncoder(io.Discard,
			Spec{First: 1, Last: 1, PageSize: 4096, Commit: benchmarkPages}, "")
		require.NoError(b, err)
		for i, page := range h.pages {
			if err := encoder.WritePage(PageNo(i+1), page); err != nil {
				b.Fatal(err)
			}
		}
		_, err = encoder.Close(h.at.Checksum)
		require.NoError(b, err)
	}
}

func BenchmarkDecode(b *testing.B) {
	h := newHistory(b, 3, 4096)
	h.start(1)
	log := h.change(benchmarkPages, 0, false)
	b.SetBytes(benchmarkPages * 4096)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, log.Verify())
	}
}

func BenchmarkSmallLog(b *testing.B) {
	page := newHistory(b, 4, 4096).randomPage()
	spec := Spec{First: 5, Last: 16, PageSize: 4096, Commit: 100, PreApply: EmptyChecksum | 1}
	b.ReportAllocs()
	for b.Loop() {
		builder, err := NewBuilder(spec, BuildOptions{})
		require.NoError(b, err)
		for no := range PageNo(12) {
			if err := builder.WritePage(no+1, page); err != nil {
				b.Fatal(err)
			}
		}
		log, err := builder.Finish(EmptyChecksum | 2)
		require.NoError(b, err)
		require.NoError(b, log.Close())
	}
}

func BenchmarkRestore(b *testing.B) {
	h := newHistory(b, 5, 4096)
	snapshot := h.start(benchmarkPages)
	logs := h.wander(50, false)
	dir := b.TempDir()
	b.SetBytes(benchmarkPages * 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := snapshot.Restore(filepath.Join(dir, strconv.Itoa(i)), logs...)
		require.NoError(b, err)
	}
}
