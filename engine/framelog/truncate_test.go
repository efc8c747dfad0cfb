package framelog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

func isTransaction(err error) bool { return errors.Is(err, ErrTransaction) }

// Goal: TruncateHead drops what lies before a position, and nothing else.
// Method: a table of positions on a log of frames 1 to 6 with commits at 1, 3 and 6; after each the
// frames are compared, here and after a reopen, and the log goes on.
func TestTruncateHeadDropsWhatLiesBefore(t *testing.T) {
	for _, row := range []struct {
		first, want translog.FrameNo
		err         error
	}{
		{0, 1, nil}, {1, 1, nil}, {2, 2, nil}, {3, 1, ErrTransaction}, {4, 4, nil},
		{5, 1, ErrTransaction}, {6, 1, ErrTransaction}, {7, 7, nil}, {1 << 40, 1 << 40, nil},
		{1<<64 - 1, 1<<64 - 1, nil},
	} {
		path, frames := threeCommits(t, 512)
		require.NoError(t, os.Chmod(path, 0o640))
		require.NoError(t, os.WriteFile(path+truncateSuffix, []byte("of a crash"), 0o600))
		l := openAppend(t, path)
		require.ErrorIs(t, l.TruncateHead(row.first), row.err)
		require.Equal(t, row.want, l.First())
		var want []translog.Frame
		for _, frame := range frames {
			if frame.FrameNo >= row.want {
				want = append(want, frame)
			}
		}
		require.Equal(t, want, framesOf(t, l))
		require.Equal(t, want, framesOf(t, openLog(t, path)))
		if row.want == 1<<64-1 {
			continue // No frame can follow.
		}
		w := newWriter(t, 512)
		w.next, w.pages = max(row.want, 7), 2
		batch := w.commit(2, 2)
		require.NoError(t, l.Append(batch))
		require.NoError(t, l.Close())
		require.Equal(t, append(want, batch...), framesOf(t, openAppend(t, path)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
		if row.want > 1 {
			require.NoFileExists(t, path+truncateSuffix)
		}
	}
}

// Goal: truncating is a replacement: who has the old file open reads on, and a link to the file
// stays a link.
// Method: a reader from before and one from after, both through a symbolic link.
func TestTruncateHeadReplacesTheFile(t *testing.T) {
	path, frames := threeCommits(t, 512)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	l, before := openAppend(t, link), openLog(t, link)
	require.NoError(t, l.TruncateHead(4))
	require.Equal(t, frames, framesOf(t, before))
	require.Equal(t, frames[3:], framesOf(t, openLog(t, path)))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&fs.ModeSymlink)
	require.NotZero(t, l.StartChecksum(), "the chain goes on from the frame before")
}

// Goal: a TruncateHead that fails before the rename leaves the log as it was, and usable.
// Method: a folder that is not empty lies where the new file should be written.
func TestFailedTruncateHeadChangesNothing(t *testing.T) {
	path, frames := threeCommits(t, 512)
	l := openAppend(t, path)
	require.NoError(t, os.MkdirAll(filepath.Join(path+truncateSuffix, "full"), 0o700))
	require.Error(t, l.TruncateHead(4))
	require.Equal(t, frames, framesOf(t, l))
	require.NoError(t, os.RemoveAll(path+truncateSuffix))
	require.NoError(t, l.TruncateHead(4))
	require.Equal(t, frames[3:], framesOf(t, l))
}

// Goal: a loop over frames survives a truncation behind it, and one past it ends it by name.
// Method: truncate inside the loop.
func TestFramesAcrossTruncateHead(t *testing.T) {
	path, frames := threeCommits(t, 512)
	l := openAppend(t, path)
	var got []translog.FrameNo
	for frame, err := range l.Frames(0) {
		require.NoError(t, err)
		if got = append(got, frame.FrameNo); frame.FrameNo == 4 {
			require.NoError(t, l.TruncateHead(4))
		}
	}
	require.Len(t, got, len(frames))
	var last error
	for frame, err := range l.Frames(0) {
		if last = err; frame.FrameNo == 4 {
			require.NoError(t, l.TruncateHead(7))
			w := newWriter(t, 512)
			w.next, w.pages = 7, 2
			require.NoError(t, l.Append(w.commit(2, 2)))
		}
	}
	require.ErrorIs(t, last, ErrRange)
}
