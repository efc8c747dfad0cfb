package framelog

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// writer makes up the frames of a database as SQLite would write them: page 1 carries the size, and
// is written whenever that changes.
type writer struct {
	random   *rand.Rand
	pageSize int
	next     translog.FrameNo
	pages    uint32
}

func newWriter(t testing.TB, pageSize int) *writer {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seededWriter(seed, pageSize)
}

func seededWriter(seed uint64, pageSize int) *writer {
	return &writer{random: rand.New(rand.NewPCG(seed, 0)), pageSize: pageSize, next: 1}
}

func (w *writer) page() []byte {
	data := make([]byte, w.pageSize)
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], w.random.Uint64())
	}
	return data
}

// commit makes one transaction that writes the given pages and leaves the given size. Page 1 comes
// first when it is needed.
func (w *writer) commit(size uint32, pages ...translog.PageNo) []translog.Frame {
	if size != w.pages && (len(pages) == 0 || pages[0] != 1) {
		pages = append([]translog.PageNo{1}, pages...)
	}
	w.pages = size
	var frames []translog.Frame
	for _, no := range pages {
		frame := translog.Frame{FrameNo: w.next, PageNo: no, Data: w.page()}
		if no == 1 {
			binary.BigEndian.PutUint32(frame.Data[sizeOffset:], size)
		}
		frames = append(frames, frame)
		w.next++
	}
	frames[len(frames)-1].Commit = size
	return frames
}

// some makes a transaction that writes random pages and sometimes changes the size, at times
// without writing all pages that it grows by.
func (w *writer) some() []translog.Frame {
	size := max(1, w.pages)
	switch w.random.IntN(5) {
	case 0:
		size += 1 + uint32(w.random.IntN(4))
	case 1:
		size = max(1, size-min(size, uint32(w.random.IntN(4))))
	}
	var pages []translog.PageNo
	for no := translog.PageNo(2); uint32(no) <= size; no++ {
		grown := uint32(no) > w.pages
		if w.random.IntN(4) == 0 || grown && w.random.IntN(8) != 0 {
			pages = append(pages, no)
		}
	}
	if len(pages) == 0 {
		pages = append(pages, 1)
	}
	return w.commit(size, pages...)
}

func (w *writer) create(t testing.TB) *Log {
	t.Helper()
	l, err := Create(filepath.Join(t.TempDir(), "frames.log"),
		CreateOptions{First: w.next, PageSize: w.pageSize})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// threeCommits is a closed log of three transactions, with 1, 2 and 3 frames, from position 1.
func threeCommits(t testing.TB, pageSize int) (path string, frames []translog.Frame) {
	t.Helper()
	return newWriter(t, pageSize).threeCommits(t)
}

func (w *writer) threeCommits(t testing.TB) (path string, frames []translog.Frame) {
	t.Helper()
	l := w.create(t)
	for _, batch := range [][]translog.Frame{
		w.commit(1, 1), w.commit(2, 1, 2), w.commit(2, 1, 2, 1),
	} {
		require.NoError(t, l.Append(batch))
		frames = append(frames, batch...)
	}
	require.NoError(t, l.Close())
	return l.path, frames
}

// framesOf reads a whole log.
func framesOf(t testing.TB, l *Log) []translog.Frame {
	t.Helper()
	var frames []translog.Frame
	for frame, err := range l.Frames(0) {
		require.NoError(t, err)
		frame.Data = append([]byte(nil), frame.Data...)
		frames = append(frames, frame)
	}
	return frames
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// fileOf is a new file with these bytes.
func fileOf(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.log")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

func openLog(t testing.TB, path string) *Log {
	t.Helper()
	l, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func openAppend(t testing.TB, path string) *Log {
	t.Helper()
	l, err := OpenAppend(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}
