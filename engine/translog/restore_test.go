package translog

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: restore never touches what is there, nor puts a database where SQLite would play an old
// journal into it. Method: each such file in turn; compare the folder before and after.
func TestRestoreOverwritesNothing(t *testing.T) {
	h := newHistory(t, 41, 512)
	snapshot := h.start(5)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.db")
		require.NoError(t, os.WriteFile(path+suffix, []byte("mine"), 0o600))
		_, err := snapshot.Restore(path)
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, []string{"a.db" + suffix}, namesIn(t, dir))
		data, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.Equal(t, "mine", string(data))
	}
	dangling := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink("nowhere", dangling))
	_, err := snapshot.Restore(dangling)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = snapshot.Restore(filepath.Join(t.TempDir(), "missing", "a.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Goal: after an error nothing is left, however far the restore came.
// Method: damage each log of a chain in turn; a gap; a closed log.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	h := newHistory(t, 42, 512)
	snapshot := h.start(30)
	logs := h.wander(4, false)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	for i := range logs {
		data := encoded(t, logs[i])
		data[len(data)-9] ^= 1 // In the checksum after the log, whose flag stays.
		broken, err := OpenLog(writeBytes(t, data))
		require.NoError(t, err)
		chain := append(append([]*Log{}, logs[:i]...), broken)
		_, err = snapshot.Restore(path, chain...)
		require.ErrorIs(t, err, ErrFormat)
		require.Empty(t, namesIn(t, dir))
		require.NoError(t, broken.Close())
	}
	_, err := snapshot.Restore(path, logs[1])
	require.ErrorIs(t, err, ErrGap)
	clone, err := logs[0].Clone()
	require.NoError(t, err)
	require.NoError(t, clone.Close())
	_, err = snapshot.Restore(path, clone)
	require.ErrorIs(t, err, ErrClosed)
	require.Empty(t, namesIn(t, dir))
}

// Goal: the lock page is a hole of zeros, and counts in no checksum; so do pages that a log gains
// without an image, which count as zeros. Method: a log that grows a one-page database to beyond
// the lock page, with its last page only; the file is a gigabyte of zeros, sparse.
func TestTheLockPageIsAHole(t *testing.T) {
	if testing.Short() {
		t.Skip("sums a gigabyte of zeros")
	}
	const pageSize = 65536
	lock := LockPage(pageSize)
	h := newHistory(t, 43, pageSize)
	snapshot := h.start(1)
	last := lock + 1
	page := h.randomPage()
	after := h.at.Checksum.Replace(0, PageSum(last, page))
	zeros := make([]byte, pageSize)
	for no := PageNo(2); no < lock; no++ {
		after = after.Replace(0, PageSum(no, zeros))
	}
	builder, err := NewBuilder(Spec{First: 2, Last: 2, PageSize: pageSize, Commit: uint32(last),
		PreApply: h.at.Checksum}, h.options)
	require.NoError(t, err)
	require.NoError(t, builder.WritePage(last, page))
	log, err := builder.Finish(after)
	require.NoError(t, err)
	defer log.Close()

	path := filepath.Join(t.TempDir(), "lock.db")
	position, err := snapshot.Restore(path, log)
	require.NoError(t, err)
	require.Equal(t, Position{2, after}, position)
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(t, err)
	require.Equal(t, int64(last)*pageSize, info.Size())
	got := make([]byte, pageSize)
	_, err = file.ReadAt(got, int64(lock-1)*pageSize)
	require.NoError(t, err)
	require.Equal(t, zeros, got)
	_, err = file.ReadAt(got, int64(last-1)*pageSize)
	require.NoError(t, err)
	require.Equal(t, page, got)
}

// Goal: a database without pages, and one that becomes empty, are restored as empty files.
// Method: shrink to nothing.
func TestAnEmptyDatabaseIsAnEmptyFile(t *testing.T) {
	h := newHistory(t, 44, 512)
	snapshot := h.start(3)
	spec := Spec{First: 2, Last: 2, PageSize: 512, PreApply: h.at.Checksum}
	builder, err := NewBuilder(spec, h.options)
	require.NoError(t, err)
	log, err := builder.Finish(EmptyChecksum)
	require.NoError(t, err)
	defer log.Close()
	require.Empty(t, restored(t, Position{2, EmptyChecksum}, snapshot, log))
	appended, err := snapshot.Append(log)
	require.NoError(t, err)
	defer appended.Close()
	require.Empty(t, restored(t, Position{2, EmptyChecksum}, appended))
}

// Goal: a restored file is as readable as one that SQLite makes. Method: its mode, under the umask.
func TestRestoredFilesHaveAnOrdinaryMode(t *testing.T) {
	h := newHistory(t, 45, 512)
	snapshot := h.start(3)
	dir := t.TempDir()
	_, err := snapshot.Restore(filepath.Join(dir, "a.db"))
	require.NoError(t, err)
	ordinary, err := os.OpenFile(filepath.Join(dir, "b.db"), os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	require.NoError(t, ordinary.Close())
	want, err := os.Stat(filepath.Join(dir, "b.db"))
	require.NoError(t, err)
	got, err := os.Stat(filepath.Join(dir, "a.db"))
	require.NoError(t, err)
	require.Equal(t, want.Mode(), got.Mode())
}

func writeBytes(t testing.TB, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "bytes.ltx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}
