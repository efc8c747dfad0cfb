//go:build cgo

package wal_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// recoveryCase makes a database file and the frames of its WAL.
func recoveryCase(t *testing.T, pageSize int) (database []byte, frames []testFrame) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, conn := openSQLite(t, path, pageSize)
	execute(t, conn, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	execute(t, conn, "INSERT INTO t(x) VALUES(randomblob(100))")
	first := requireLikeIndex(t, path)
	checkpoint(t, conn, "RESTART")
	fillTables(t, conn, 6, pageSize/2)
	frames = requireLikeIndex(t, path)
	require.NoError(t, conn.Close())
	require.NoError(t, db.Close())
	return overlay(nil, first), frames
}

// recoverWAL lets SQLite recover a WAL beside a database, and returns how many frames it took over
// and how many rows there are then.
func recoverWAL(t *testing.T, database, file []byte) (frames, rows int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.db")
	require.NoError(t, os.WriteFile(path, database, 0o600))
	require.NoError(t, os.WriteFile(path+"-wal", file, 0o600))
	db, err := sql.Open("sqlite3", "file:"+path)
	require.NoError(t, err)
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	row := conn.QueryRowContext(context.Background(), "SELECT count(*) FROM t")
	require.NoError(t, row.Scan(&rows))
	var check string
	row = conn.QueryRowContext(context.Background(), "PRAGMA integrity_check")
	require.NoError(t, row.Scan(&check))
	require.Equal(t, "ok", check)
	frames = checkpoint(t, conn, "PASSIVE")
	require.NoError(t, conn.Close())
	require.NoError(t, db.Close())
	return frames, rows
}

// lastCommit returns the last valid frame of a file that ends a commit, by our Reader.
func lastCommit(t *testing.T, file []byte) int {
	t.Helper()
	header, err := wal.ParseHeader(file)
	if err != nil {
		require.ErrorIs(t, err, wal.ErrFormat)
		return 0
	}
	reader := wal.NewReader(
		bytes.NewReader(file), header, wal.Cursor{Checksum: header.Checksum})
	frames, _ := readAll(t, reader)
	for last := len(frames); last > 0; last-- {
		if frames[last-1].commit != 0 {
			return last
		}
	}
	return 0
}

// Goal: SQLite takes what AppendFrame writes, in both byte orders and with other salts than those
// it would choose. Method: the frames of a real WAL encoded anew, recovered by SQLite.
func TestSQLiteRecoversWhatAppendFrameWrites(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		database, frames := recoveryCase(t, pageSize)
		for _, bigEndian := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,bigEndian=%t", pageSize, bigEndian), func(t *testing.T) {
				header := wal.Header{
					BigEndianChecksum: bigEndian, PageSize: pageSize, Sequence: 9, Salt: testSalt,
				}
				file, _, _ := buildWAL(t, header, frames)
				recovered, rows := recoverWAL(t, database, file)
				require.Equal(t, len(frames), recovered)
				require.Equal(t, 1+6*5, rows)
			})
		}
	}
}

// Goal: we see the end of a damaged WAL where SQLite's recovery sees it. Method: random bits
// turned, tails cut off and bytes overwritten; SQLite counts the frames that it recovers.
func TestDamageEndsWhereSQLiteSaysSo(t *testing.T) {
	random := newRandom(t)
	for _, pageSize := range []int{512, 4096} {
		database, frames := recoveryCase(t, pageSize)
		header := wal.Header{PageSize: pageSize, Salt: testSalt}
		for round := range 40 {
			header.BigEndianChecksum = round%2 == 1
			file, _, _ := buildWAL(t, header, frames)
			damaged, how := damage(random, file, pageSize)
			recovered, _ := recoverWAL(t, database, damaged)
			require.Equal(t, recovered, lastCommit(t, damaged), "%s, round %d", how, round)
		}
	}
}

// damage spoils a file at random, more often than chance would in the headers.
func damage(random *rand.Rand, file []byte, pageSize int) ([]byte, string) {
	place := random.IntN(len(file))
	if random.IntN(2) == 0 {
		count := (len(file) - wal.HeaderSize) / (wal.FrameHeaderSize + pageSize)
		frame := uint32(1 + random.IntN(count))
		place = int(wal.FrameOffset(frame, pageSize)) + random.IntN(wal.FrameHeaderSize)
	}
	if random.IntN(8) == 0 {
		place = random.IntN(wal.HeaderSize)
	}
	switch random.IntN(3) {
	case 0:
		file[place] ^= 1 << random.IntN(8)
		return file, fmt.Sprintf("bit turned at %d", place)
	case 1:
		return file[:place], fmt.Sprintf("cut at %d", place)
	default:
		end := min(len(file), place+1+random.IntN(2*pageSize))
		clear(file[place:end])
		return file, fmt.Sprintf("zeros from %d to %d", place, end)
	}
}
