//go:build cgo

package wal_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// printVariable names the file that this binary prints instead of running tests.
const printVariable = "WAL_TEST_PRINT_FILE"

func TestMain(m *testing.M) {
	path := os.Getenv(printVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	file, err := os.ReadFile(path)
	if err == nil {
		_, err = os.Stdout.Write(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// readElsewhere reads a file in a child process: opening and closing the wal-index in this one
// would drop the POSIX locks that SQLite holds.
func readElsewhere(t *testing.T, path string) []byte {
	t.Helper()
	command := exec.Command(os.Args[0])
	// The race detector would make each child sleep for a second before it ends.
	command.Env = append(os.Environ(), printVariable+"="+path, "GORACE=atexit_sleep_ms=0")
	command.Stderr = os.Stderr
	file, err := command.Output()
	require.NoError(t, err)
	return file
}

// openSQLite opens one connection to a database in WAL mode that never checkpoints by itself.
func openSQLite(t *testing.T, path string, pageSize int) (*sql.DB, *sql.Conn) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	execute(t, conn, fmt.Sprintf("PRAGMA page_size=%d", pageSize))
	execute(t, conn, "PRAGMA journal_mode=WAL")
	execute(t, conn, "PRAGMA wal_autocheckpoint=0")
	return db, conn
}

func execute(t *testing.T, conn *sql.Conn, statement string, arguments ...any) {
	t.Helper()
	_, err := conn.ExecContext(context.Background(), statement, arguments...)
	require.NoError(t, err, statement)
}

// checkpoint runs a checkpoint and returns how many frames SQLite says the WAL has.
func checkpoint(t *testing.T, conn *sql.Conn, mode string) int {
	t.Helper()
	var busy, frames, copied int
	row := conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")")
	require.NoError(t, row.Scan(&busy, &frames, &copied))
	require.Zero(t, busy)
	return frames
}

// fillTables makes so many commits of several shapes.
func fillTables(t *testing.T, conn *sql.Conn, commits, rowBytes int) {
	t.Helper()
	for range commits {
		execute(t, conn, "BEGIN")
		for range 5 {
			execute(t, conn, "INSERT INTO t(x) VALUES(randomblob(?))", rowBytes)
		}
		execute(t, conn, "UPDATE t SET x = randomblob(?) WHERE id % 7 = 0", rowBytes/2)
		execute(t, conn, "COMMIT")
	}
}

// requireLikeIndex checks a whole WAL against the wal-index that SQLite keeps of it.
// https://www.sqlite.org/walformat.html#the_wal_index_file_format
func requireLikeIndex(t *testing.T, path string) []testFrame {
	t.Helper()
	file, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	header, err := wal.ParseHeader(file)
	require.NoError(t, err)
	require.Equal(t, file[:wal.HeaderSize], header.Append(nil), "encoding gives the same bytes")
	reader := wal.NewReader(
		bytes.NewReader(file), header, wal.Cursor{Checksum: header.Checksum})
	frames, err := readAll(t, reader)
	require.Equal(t, io.EOF, err)

	index := readElsewhere(t, path+"-shm")
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(index[at:]) }
	require.Equal(t, word(16), reader.Cursor().Frame, "mxFrame")
	require.Equal(t, word(20), frames[len(frames)-1].commit, "database size in pages")
	require.Equal(t, wal.Checksum{word(24), word(28)}, reader.Cursor().Checksum)
	require.Equal(t, wal.Salt{word(32), word(36)}, header.Salt)
	require.Equal(t, index[13] == 1, header.BigEndianChecksum)

	encoded, cursor := header.Append(nil), wal.Cursor{Checksum: header.Checksum}
	for _, f := range frames {
		encoded, cursor = wal.AppendFrame(encoded, header, cursor, f.pageNo, f.commit, f.data)
	}
	require.True(t, bytes.Equal(file[:len(encoded)], encoded), "encoding gives the same bytes")
	return frames
}

// overlay writes page images over a database, as a checkpoint does.
func overlay(database []byte, frames []testFrame) []byte {
	for _, f := range frames {
		end := int(f.pageNo) * len(f.data)
		if len(database) < end {
			database = append(database, make([]byte, end-len(database))...)
		}
		copy(database[end-len(f.data):end], f.data)
		if f.commit != 0 {
			database = database[:min(len(database), int(f.commit)*len(f.data))]
		}
	}
	return database
}

// Goal: files of SQLite itself are read to the last frame, byte for byte. Method: commits through
// go-sqlite3, a shrinking database, a restart that leaves old frames behind; the wal-index says
// what is right at each stage, and the checkpointed file what the pages hold.
func TestReaderAgreesWithSQLite(t *testing.T) {
	for _, pageSize := range []int{512, 1024, 4096, 65536} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db, conn := openSQLite(t, path, pageSize)
			execute(t, conn, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
			fillTables(t, conn, 30, pageSize)
			first := requireLikeIndex(t, path)
			require.Equal(t, 31, countCommits(first))
			execute(t, conn, "DELETE FROM t WHERE id > 20")
			execute(t, conn, "VACUUM")
			first = requireLikeIndex(t, path)
			require.Equal(t, 33, countCommits(first))
			require.Equal(t, len(first), checkpoint(t, conn, "RESTART"))

			fillTables(t, conn, 3, pageSize)
			second := requireLikeIndex(t, path)
			require.Equal(t, 3, countCommits(second))
			size := wal.FrameOffset(uint32(len(second))+1, pageSize)
			info, err := os.Stat(path + "-wal")
			require.NoError(t, err)
			require.Greater(t, info.Size(), size, "frames of the earlier life follow")

			require.Equal(t, len(second), checkpoint(t, conn, "PASSIVE"))
			require.NoError(t, conn.Close())
			require.NoError(t, db.Close())
			database, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(database, overlay(nil, append(first, second...))))
		})
	}
}

func countCommits(frames []testFrame) int {
	count := 0
	for _, f := range frames {
		if f.commit != 0 {
			count++
		}
	}
	return count
}
