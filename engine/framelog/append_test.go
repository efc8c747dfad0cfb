package framelog

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: what was appended is read back, at once and after a reopen, by number and in order.
// Method: random transactions with three page sizes, reopened for appending in between.
func TestFramesAreReadAsAppended(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		w := newWriter(t, pageSize)
		w.next = 1000
		l := w.create(t)
		require.True(t, l.IsEmpty())
		require.EqualValues(t, 1000, l.First())
		require.EqualValues(t, 1000, l.NextFrameNo())
		var want []translog.Frame
		for range 4 {
			for range 5 {
				batch := w.some()
				require.NoError(t, l.Append(batch))
				want = append(want, batch...)
				require.Equal(t, w.next, l.NextFrameNo())
			}
			require.Equal(t, want, framesOf(t, l))
			require.NoError(t, l.Close())
			l = openAppend(t, l.path)
		}
		require.EqualValues(t, 1000, l.First())
		require.Equal(t, pageSize, l.PageSize())
		require.Equal(t, LibraryVersion, l.Version())
		for _, frame := range want {
			got, err := l.Frame(frame.FrameNo)
			require.NoError(t, err)
			require.Equal(t, frame, got)
		}
		for frame, err := range l.Frames(want[7].FrameNo) {
			require.NoError(t, err)
			require.Equal(t, want[7], frame)
			break
		}
		require.NoError(t, l.Append(nil))
		require.NoError(t, l.Verify())
	}
}

// Goal: a batch larger than one write is whole.
// Method: pages of 64 KiB, 200 in one transaction.
func TestLargeBatchIsAppended(t *testing.T) {
	w := newWriter(t, 65536)
	l := w.create(t)
	pages := make([]translog.PageNo, 200)
	for i := range pages {
		pages[i] = translog.PageNo(i + 1)
	}
	batch := w.commit(200, pages...)
	require.NoError(t, l.Append(batch))
	require.Equal(t, batch, framesOf(t, l))
	require.NoError(t, l.Append(w.commit(200, 1)))
	require.NoError(t, l.Verify())
}

// Goal: a batch that does not fit is refused with its own error, and changes nothing.
// Method: a table of batches, after each of which the log is the same and takes the right one.
func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	path, _ := threeCommits(t, 512)
	l := openAppend(t, path)
	w := newWriter(t, 512)
	w.next, w.pages = 7, 2
	good := w.commit(2, 1, 2)
	for name, row := range map[string]struct {
		change func(frames []translog.Frame) []translog.Frame
		want   error
	}{
		"gap": {func(f []translog.Frame) []translog.Frame { return f[1:] }, translog.ErrGap},
		"overlap": {func(f []translog.Frame) []translog.Frame {
			f[0].FrameNo, f[1].FrameNo = 6, 7
			return f
		}, translog.ErrGap},
		"zero": {func(f []translog.Frame) []translog.Frame {
			f[0].FrameNo = 0
			return f
		}, translog.ErrGap},
		"gap inside": {func(f []translog.Frame) []translog.Frame {
			f[1].FrameNo = 9
			return f
		}, translog.ErrFormat},
		"short page": {func(f []translog.Frame) []translog.Frame {
			f[1].Data = f[1].Data[:511]
			return f
		}, translog.ErrFormat},
		"page 0": {func(f []translog.Frame) []translog.Frame {
			f[0].PageNo = 0
			return f
		}, translog.ErrFormat},
		"lock page": {func(f []translog.Frame) []translog.Frame {
			f[0].PageNo = translog.LockPage(512)
			return f
		}, translog.ErrFormat},
		"half a transaction": {
			func(f []translog.Frame) []translog.Frame { return f[:1] }, ErrTransaction,
		},
	} {
		batch := row.change(append([]translog.Frame(nil), good...))
		require.ErrorIs(t, l.Append(batch), row.want, name)
		require.EqualValues(t, 7, l.NextFrameNo(), name)
	}
	require.NoError(t, l.Append(good))
	require.NoError(t, l.Verify())
}

// Goal: others see a batch when it is synced, and not before.
// Method: a second Log on the same file, opened before and after Sync.
func TestSyncMakesFramesVisible(t *testing.T) {
	path, frames := threeCommits(t, 512)
	l := openAppend(t, path)
	w := newWriter(t, 512)
	w.next, w.pages = 7, 2
	require.NoError(t, l.Append(w.commit(2, 2)))
	other := openLog(t, path)
	require.Equal(t, frames, framesOf(t, other))
	require.EqualValues(t, 24+512, other.LeftoverBytes())
	require.NoError(t, l.Sync())
	require.NoError(t, l.Sync())
	require.EqualValues(t, 8, openLog(t, path).NextFrameNo())
	require.EqualValues(t, 7, other.NextFrameNo())
}

// Goal: a copy has the same bytes however often it is made, and none that lie past the frames.
// Method: two copies, of a log with leftovers and of one with frames that are not synced.
func TestSecondCopyIsTheSame(t *testing.T) {
	path, frames := threeCommits(t, 512)
	want := readFile(t, path)
	require.NoError(t, os.WriteFile(path, append(want, "leftover"...), 0o600))
	l := openLog(t, path)
	for range 2 {
		var copied bytes.Buffer
		n, err := l.WriteTo(&copied)
		require.NoError(t, err)
		require.EqualValues(t, copied.Len(), n)
		require.Equal(t, want, copied.Bytes())
	}
	appending := openAppend(t, path)
	w := newWriter(t, 512)
	w.next, w.pages = 7, 2
	batch := w.commit(2, 2)
	require.NoError(t, appending.Append(batch))
	var copied bytes.Buffer
	_, err := appending.WriteTo(&copied)
	require.NoError(t, err)
	require.Equal(t, append(frames, batch...), framesOf(t, openLog(t, fileOf(t, copied.Bytes()))))
}

// Goal: reading, appending, syncing, copying and truncating at the same time lose nothing.
// Method: one goroutine appends, others do the rest until it has ended; for the race detector.
func TestConcurrentUse(t *testing.T) {
	w := newWriter(t, 512)
	l := w.create(t)
	require.NoError(t, l.Append(w.commit(1, 1)))
	done := make(chan struct{})
	var group sync.WaitGroup
	for _, work := range []func() error{
		l.Sync,
		func() error { _, err := l.WriteTo(io.Discard); return err },
		func() error {
			if err := l.Verify(); err != nil {
				require.ErrorIs(t, err, ErrRange) // TruncateHead overtook it.
			}
			return nil
		},
		func() error {
			frame, err := l.Frame(l.NextFrameNo() - 1)
			if err != nil || frame.Commit == 0 {
				return nil // Overtaken, or inside a transaction.
			}
			return l.TruncateHead(frame.FrameNo)
		},
	} {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := work(); err != nil && !isTransaction(err) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 300 {
		require.NoError(t, l.Append(w.some()))
	}
	close(done)
	group.Wait()
	require.Equal(t, w.next, l.NextFrameNo())
	require.NoError(t, l.Verify())
}

// Goal: a log refuses what its state does not allow, by name.
// Method: each call on a log for reading, on a closed one, and on paths that are no logs.
func TestStatesAreRefusedByName(t *testing.T) {
	path, frames := threeCommits(t, 512)
	l := openLog(t, path)
	require.ErrorIs(t, l.Append(frames), ErrReadOnly)
	require.ErrorIs(t, l.Sync(), ErrReadOnly)
	require.ErrorIs(t, l.TruncateHead(2), ErrReadOnly)
	var outside *RangeError
	_, err := l.Frame(7)
	require.ErrorAs(t, err, &outside)
	require.Equal(t, RangeError{Asked: 7, First: 1, Next: 7}, *outside)
	require.EqualError(t, err, "framelog: no frame 7: log holds 1 to 6")
	_, err = l.Frame(0)
	require.ErrorIs(t, err, ErrRange)
	for _, err := range l.Frames(7) {
		t.Fatal("the next position has no frame yet, and is no error: ", err)
	}
	for _, err := range l.Frames(8) {
		require.ErrorIs(t, err, ErrRange)
	}
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), ErrClosed)
	require.ErrorIs(t, l.Append(frames), ErrClosed)
	require.ErrorIs(t, l.Sync(), ErrClosed)
	require.ErrorIs(t, l.TruncateHead(2), ErrClosed)
	require.ErrorIs(t, l.Verify(), ErrClosed)
	_, err = l.Frame(1)
	require.ErrorIs(t, err, ErrClosed)
	_, err = l.WriteTo(io.Discard)
	require.ErrorIs(t, err, ErrClosed)
	_, err = l.Convert(Base{}, 0, ConvertOptions{})
	require.ErrorIs(t, err, ErrClosed)
	require.EqualValues(t, 7, l.NextFrameNo())

	_, err = Create(path, CreateOptions{})
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = Create(filepath.Join(t.TempDir(), "log"), CreateOptions{PageSize: 1000})
	require.ErrorIs(t, err, translog.ErrFormat)
	_, err = Create(filepath.Join(t.TempDir(), "log"), CreateOptions{First: 1<<64 - 1})
	require.NoError(t, err)
	_, err = Open(filepath.Join(t.TempDir(), "log"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Open(t.TempDir())
	require.ErrorIs(t, err, translog.ErrFormat)
}

// Goal: after a sync that failed nothing more is promised.
// Method: the file is closed underneath.
func TestFailedSyncEndsChanges(t *testing.T) {
	path, _ := threeCommits(t, 512)
	l := openAppend(t, path)
	w := newWriter(t, 512)
	w.next, w.pages = 7, 2
	require.NoError(t, l.Append(w.commit(2, 2)))
	require.NoError(t, l.file.Close())
	require.ErrorIs(t, l.Sync(), os.ErrClosed)
	require.ErrorIs(t, l.Append(w.commit(2, 2)), os.ErrClosed)
	require.ErrorIs(t, l.TruncateHead(7), os.ErrClosed)
	require.ErrorIs(t, l.Close(), os.ErrClosed)
	require.EqualValues(t, 7, openLog(t, path).NextFrameNo())
}
