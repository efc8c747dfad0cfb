package framelog

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// rustFile returns the path of a file that the Rust crate wrote, and skips where there is none.
func rustFile(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "rust-mylibsql", name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the files of the Rust crate are not here: ", path)
	}
	return path
}

// Goal: the crate's logs are read, every number and checksum of them.
// Method: what is known of the two files is compared, and all frames are verified.
func TestRustLogsAreRead(t *testing.T) {
	for name, want := range map[string]struct {
		first, next translog.FrameNo
		firstPage   translog.PageNo
	}{
		"0.log": {1, 4, 1},
		"1.log": {4, 16, 2},
	} {
		l := openLog(t, rustFile(t, name))
		require.Equal(t, want.first, l.First())
		require.Equal(t, want.next, l.NextFrameNo())
		require.False(t, l.IsEmpty())
		require.Equal(t, 4096, l.PageSize())
		require.Equal(t, Version{0, 0, 1, 0}, l.Version())
		require.Zero(t, l.StartChecksum())
		require.Zero(t, l.LeftoverBytes())
		require.NoError(t, l.Verify())
		frame, err := l.Frame(want.first)
		require.NoError(t, err)
		require.Equal(t, want.firstPage, frame.PageNo)
		frame, err = l.Frame(want.next - 1)
		require.NoError(t, err)
		require.EqualValues(t, 3, frame.Commit)
	}
}

// Goal: a log written here is the crate's, bit for bit, but for the library version.
// Method: the frames of each file are appended, as one batch and one by one transaction.
func TestRustLogsAreWrittenBitForBit(t *testing.T) {
	for _, name := range []string{"0.log", "1.log"} {
		want := readFile(t, rustFile(t, name))
		original := openLog(t, rustFile(t, name))
		frames := framesOf(t, original)
		for _, split := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "log")
			l, err := Create(path, CreateOptions{First: original.First()})
			require.NoError(t, err)
			begin := 0
			for i, frame := range frames {
				if frame.Commit != 0 && (split || i == len(frames)-1) {
					require.NoError(t, l.Append(frames[begin:i+1]))
					begin = i + 1
				}
			}
			require.NoError(t, l.Sync())
			got := readFile(t, path)
			require.Equal(t, want[:40], got[:40])
			require.NotEqual(t, want[40:48], got[40:48], "the library version tells who wrote it")
			require.True(t, bytes.Equal(want[48:], got[48:]))
			require.NoError(t, l.Close())
			require.Equal(t, got, readFile(t, path))
		}
	}
}

// Goal: the crate's snapshot and log lead to the database that their SQL makes, and importing
// writes nothing.
// Method: 0.db is imported, 1.log converted on top, both restored and compared with a database in
// which the SQL was run; the files are compared before and after.
func TestRustSnapshotAndLogAreRestored(t *testing.T) {
	path := rustFile(t, "0.db")
	before := readFile(t, path)
	snapshot, err := ImportSnapshot(path, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, snapshot.Close()) }()
	require.Equal(t, before, readFile(t, path))
	require.EqualValues(t, 3, snapshot.Last())
	require.NoError(t, snapshot.Verify())

	sums, err := ReadSums(snapshot)
	require.NoError(t, err)
	require.Equal(t, snapshot.End(), sums.Position())
	log, err := openLog(t, rustFile(t, "1.log")).Convert(sums.Base(), 0, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	require.EqualValues(t, 4, log.First())
	require.EqualValues(t, 15, log.Last())
	require.Equal(t, snapshot.End(), log.Start())
	require.NoError(t, sums.Apply(log))
	require.Equal(t, log.End(), sums.Position())

	restored := filepath.Join(t.TempDir(), "restored.db")
	end, err := snapshot.Restore(restored, log)
	require.NoError(t, err)
	require.Equal(t, log.End(), end)
	made := filepath.Join(t.TempDir(), "made.db")
	require.Equal(t, companies(t, made, rustFile(t, "0.sql"), rustFile(t, "1.sql")),
		companies(t, restored))
}

// Goal: a log from the very beginning is a snapshot by itself, the crate's own one but for the
// position that the crate wrote into the file.
// Method: 0.log is converted upon nothing and compared with 0.db.
func TestRustFirstLogIsSnapshot(t *testing.T) {
	log, err := openLog(t, rustFile(t, "0.log")).Convert(Base{}, 0, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	snapshot, err := translog.AsSnapshot(log)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "restored.db")
	_, err = snapshot.Restore(path)
	require.NoError(t, err)
	want := readFile(t, rustFile(t, "0.db"))
	copy(want[databaseUserVersion:], make([]byte, 4))
	copy(want[databaseApplication:], make([]byte, 4))
	require.True(t, bytes.Equal(want, readFile(t, path)))
}

// companies runs scripts and returns the rows of the crate's example.
func companies(t *testing.T, path string, scripts ...string) (rows []string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, script := range scripts {
		_, err := db.Exec(string(readFile(t, script)))
		require.NoError(t, err)
	}
	var check string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&check))
	require.Equal(t, "ok", check)
	result, err := db.Query(
		"SELECT ID || NAME || AGE || ADDRESS || SALARY FROM COMPANY ORDER BY ID")
	require.NoError(t, err)
	for result.Next() {
		var row string
		require.NoError(t, result.Scan(&row))
		rows = append(rows, row)
	}
	require.NoError(t, errors.Join(result.Err(), result.Close()))
	require.Len(t, rows, 6)
	return rows
}
