package framelog

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// database is a file that SQLite wrote, with the crate's position put into it.
func databaseAt(t *testing.T, pageSize int, number uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	db, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	for _, statement := range []string{
		fmt.Sprint("PRAGMA page_size=", pageSize), "CREATE TABLE t (x)",
		"INSERT INTO t VALUES (zeroblob(100000))",
		fmt.Sprint("PRAGMA user_version=", int32(number>>32)),
		fmt.Sprint("PRAGMA application_id=", int32(number)),
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return path
}

// Goal: a snapshot is imported with the position in its header, and keeps its bytes.
// Method: files that SQLite itself wrote with both pragmas, for numbers that use both halves and
// all page sizes at the ends of the range, restored and compared.
func TestSnapshotIsImported(t *testing.T) {
	for _, number := range []uint64{0, 2, 1<<32 - 1, 1 << 32, 0x8000_0001_8000_0002, 1<<64 - 2} {
		for _, pageSize := range []int{512, 65536} {
			path := databaseAt(t, pageSize, number)
			before := readFile(t, path)
			snapshot, err := ImportSnapshot(path, ConvertOptions{NodeID: 3})
			require.NoError(t, err)
			require.Equal(t, translog.FrameNo(number+1), snapshot.Last())
			require.Equal(t, pageSize, snapshot.PageSize())
			require.EqualValues(t, 3, snapshot.NodeID())
			require.NoError(t, snapshot.Verify())
			restored := filepath.Join(t.TempDir(), "restored.db")
			_, err = snapshot.Restore(restored)
			require.NoError(t, err)
			require.True(t, bytes.Equal(before, readFile(t, restored)))
			require.True(t, bytes.Equal(before, readFile(t, path)))
			require.NoError(t, snapshot.Close())
		}
	}
}

// Goal: what is not a whole snapshot is refused by name.
// Method: a table of changes to a file.
func TestImportRefusesWhatIsNoSnapshot(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(path string, b []byte) []byte
		want   error
	}{
		{"sound", func(_ string, b []byte) []byte { return b }, nil},
		{"empty", func(string, []byte) []byte { return nil }, translog.ErrFormat},
		{"short", func(_ string, b []byte) []byte { return b[:50] }, translog.ErrFormat},
		{"magic", func(_ string, b []byte) []byte { b[0] = 0; return b }, translog.ErrFormat},
		{"page size", func(_ string, b []byte) []byte { b[16] = 3; return b }, translog.ErrFormat},
		{"cut page", func(_ string, b []byte) []byte { return b[:len(b)-1] }, translog.ErrFormat},
		{"page missing",
			func(_ string, b []byte) []byte { return b[:len(b)-512] }, translog.ErrFormat},
		{"no frame yet", func(_ string, b []byte) []byte {
			binary.BigEndian.PutUint32(b[databaseUserVersion:], 1<<32-1)
			binary.BigEndian.PutUint32(b[databaseApplication:], 1<<32-1)
			return b
		}, ErrEmpty},
		{"no frame yet in an empty file", func(string, []byte) []byte {
			b := make([]byte, 72)
			copy(b[60:], "\xff\xff\xff\xff")
			copy(b[68:], "\xff\xff\xff\xff")
			return b
		}, ErrEmpty},
		{"WAL", func(path string, b []byte) []byte {
			require.NoError(t, os.WriteFile(path+"-wal", []byte("frames"), 0o600))
			return b
		}, ErrUnclean},
		{"empty WAL", func(path string, b []byte) []byte {
			require.NoError(t, os.WriteFile(path+"-wal", nil, 0o600))
			return b
		}, nil},
		{"journal", func(path string, b []byte) []byte {
			require.NoError(t, os.WriteFile(path+"-journal", []byte("pages"), 0o600))
			return b
		}, ErrUnclean},
	} {
		path := databaseAt(t, 512, 41)
		require.NoError(t, os.WriteFile(path, row.change(path, readFile(t, path)), 0o600))
		snapshot, err := ImportSnapshot(path, ConvertOptions{})
		require.ErrorIs(t, err, row.want, row.name)
		if err == nil {
			require.NoError(t, snapshot.Close())
		}
	}
	_, err := ImportSnapshot(filepath.Join(t.TempDir(), "none"), ConvertOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ImportSnapshot(t.TempDir(), ConvertOptions{})
	require.ErrorIs(t, err, translog.ErrFormat)
}
