//go:build cgo

package mylibsql_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

var (
	reopenMB     = flag.Int("reopen.mb", 1024, "MiB of rows in the databases of BenchmarkReopen")
	reopenFrames = flag.Int("reopen.frames", 1000, "frames in the WAL that a crash leaves there")
)

const (
	reopenShortMB = 64
	reopenRounds  = 31
	// reopenRowBytes makes an update of a row's number change one page, whatever the row's size.
	reopenRowBytes = 64 << 10
	reopenPageSize = 4096
)

// reopenEnv makes the test binary a process that opens a database: the driver, what to do then,
// one letter a step, and the path, each behind a colon.
const reopenEnv = "MYLIBSQL_TEST_REOPEN"

// reopenSteps are what the process can do once it has the database open. Without a c the database
// stays open until the process is killed.
var reopenSteps = map[rune]func(db *sql.DB, path string) error{
	// w commits transactions of one frame each, to pages that lie far apart.
	'w': func(db *sql.DB, _ string) error {
		var rows int
		if err := db.QueryRow("SELECT max(id) FROM t").Scan(&rows); err != nil {
			return err
		}
		for i := range *reopenFrames {
			_, err := db.Exec("UPDATE t SET n = n + 1 WHERE id = ?", i*7919%rows+1)
			if err != nil {
				return err
			}
		}
		return nil
	},
	// s saves everything into a folder beside the database.
	's': func(db *sql.DB, path string) error {
		store, err := checkpoint.OpenDirectory(filepath.Join(filepath.Dir(path), "store"))
		if err != nil {
			return err
		}
		lib, err := mylibsql.From(context.Background(), db)
		if err != nil {
			return err
		}
		_, err = lib.Checkpoint(context.Background(), store.Save)
		return err
	},
	'c': func(db *sql.DB, _ string) error { return db.Close() },
}

// TestReopenProcess is the process of BenchmarkReopen; in an ordinary run it does nothing. It tells
// how long it took from sql.Open until it had read a row.
func TestReopenProcess(t *testing.T) {
	todo := strings.SplitN(os.Getenv(reopenEnv), ":", 3)
	if len(todo) < 3 {
		t.Skip("the body of the processes of a benchmark")
	}
	driverName, steps, path := todo[0], todo[1], todo[2]
	start := time.Now()
	db, err := sql.Open(driverName, "file:"+path+benchParams)
	require.NoError(t, err)
	var n int
	require.NoError(t, db.QueryRow("SELECT n FROM t WHERE id = 1").Scan(&n))
	took := time.Since(start)
	for _, step := range steps {
		require.NoError(t, reopenSteps[step](db, path), "step %c", step)
	}
	fmt.Printf("opened %d\n", took.Nanoseconds())
	if !strings.HasSuffix(steps, "c") {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// reopen lets a process open a database, do its steps, and unless it closes the database kills it
// with SIGKILL. It returns how long the open and the first read took, in ms.
func reopen(b *testing.B, driverName, steps, path string) float64 {
	b.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestReopenProcess$", "-test.v",
		fmt.Sprintf("-reopen.frames=%d", *reopenFrames))
	command.Env = append(os.Environ(), reopenEnv+"="+driverName+":"+steps+":"+path)
	var warnings bytes.Buffer
	command.Stderr = &warnings
	_, err := command.StdinPipe()
	require.NoError(b, err)
	output, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	var tookNs int64
	var said []string
	for lines := bufio.NewScanner(output); tookNs == 0 && lines.Scan(); {
		said = append(said, lines.Text())
		_, _ = fmt.Sscanf(lines.Text(), "opened %d", &tookNs)
	}
	if strings.HasSuffix(steps, "c") {
		_, _ = io.Copy(io.Discard, output)
		require.NoError(b, command.Wait(), strings.Join(said, "\n"))
	} else {
		require.NoError(b, command.Process.Kill())
		require.Error(b, command.Wait())
	}
	require.NotZero(b, tookNs, strings.Join(said, "\n"))
	// A history that started over would be another case, and take another time.
	require.Empty(b, warnings.String())
	return float64(tookNs) / 1e6
}

// reopenRows are the states of a database that is opened, by the processes that lead there, and
// what the measured process does after its open, so that the next one finds that state again.
var reopenRows = []struct {
	name   string
	before []string
	after  string
}{
	{"clean-close", []string{"sc"}, "c"},
	{"crash", []string{"sc", "w"}, ""},
	{"crash-all-saved", []string{"sc", "ws"}, ""},
	{"crash-never-saved", []string{"c", "w"}, ""},
}

// BenchmarkReopen compares opening a database and reading its first row with the same on plain
// go-sqlite3, which recovers the WAL too: after a clean close it must take at most 5 ms more, after
// a crash with a WAL of 1,000 frames (-reopen.frames) at most 50 ms, whatever the size of the
// database (-reopen.mb).
//
// Every open is that of a process of its own, on both sides in turn. After a crash the process is
// killed as soon as it has read the row, and what its open wrote beside the database is put back:
// so that again the WAL was not fsynced, and the state is that of the crash. The database file is
// never written to, for as one that somebody wrote to the engine would read all of it. What is read
// is in the system's cache. Our open has to wait for the disk, SQLite's does not: fsync-ms is what
// the fsync of one page takes meanwhile.
func BenchmarkReopen(b *testing.B) {
	megabytes := *reopenMB
	if testing.Short() {
		megabytes = min(megabytes, reopenShortMB)
	}
	for _, row := range reopenRows {
		b.Run(fmt.Sprintf("db=%dMB/%s", megabytes, row.name), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "app.db")
			fillReopened(b, path, megabytes)
			for _, steps := range row.before {
				reopen(b, "mylibsql", steps, path)
			}
			left := leftBehind(b, path, row.after == "")
			var ours, plain, fsync []float64
			for b.Loop() {
				for range reopenRounds {
					fsync = append(fsync, syncOnce(b, path+"-probe"))
					left.putBack(b)
					ours = append(ours, reopen(b, "mylibsql", row.after, path))
					left.putBack(b)
					plain = append(plain, reopen(b, "sqlite3", row.after, path))
				}
			}
			left.requireUntouched(b)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours), "ours-ms")
			b.ReportMetric(median(plain), "sqlite-ms")
			b.ReportMetric(median(ours)-median(plain), "ms-beyond-sqlite")
			b.ReportMetric(median(fsync), "fsync-ms")
		})
	}
}

// fillReopened makes a database with that many MiB of rows and closes it.
func fillReopened(b *testing.B, path string, megabytes int) {
	b.Helper()
	db, err := sql.Open("sqlite3", fmt.Sprintf("file:%s%s", path, benchParams))
	require.NoError(b, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(fmt.Sprintf("PRAGMA page_size = %d", reopenPageSize))
	require.NoError(b, err)
	_, err = db.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, x BLOB)")
	require.NoError(b, err)
	rows := megabytes << 20 / reopenRowBytes
	const batch = 256 // so that the WAL stays small
	for done := 0; done < rows; done += batch {
		_, err = db.Exec(`WITH RECURSIVE i(k) AS (SELECT 1 UNION ALL SELECT k+1 FROM i WHERE k < ?)
			INSERT INTO t(n, x) SELECT 1000000, randomblob(?) FROM i`,
			min(batch, rows-done), reopenRowBytes)
		require.NoError(b, err)
	}
	require.NoError(b, db.Close())
	file, err := os.Open(path)
	require.NoError(b, err)
	require.NoError(b, file.Sync()) // not while the opens are measured
	require.NoError(b, file.Close())
}

// left is what a crash left beside a database, and what the database's file looked like.
type left struct {
	path       string
	database   os.FileInfo
	wal, state []byte
}

// leftBehind looks at a database that nobody has open. After a clean close there is nothing that
// would have to be put back.
func leftBehind(b *testing.B, path string, crashed bool) left {
	b.Helper()
	info, err := os.Stat(path)
	require.NoError(b, err)
	l := left{path: path, database: info}
	if !crashed {
		require.NoFileExists(b, l.walPath())
	} else {
		l.wal, err = os.ReadFile(l.walPath())
		require.NoError(b, err)
		require.Len(b, l.wal, 32+*reopenFrames*(24+reopenPageSize)) // headers and pages
		l.state, err = os.ReadFile(l.statePath())
		require.NoError(b, err)
	}
	return l
}

func (l left) walPath() string   { return l.path + "-wal" }
func (l left) statePath() string { return filepath.Join(l.path+"-mylibsql", "state") }

// putBack writes the WAL to a new file, for which the disk has no room yet, and the state in place:
// so were they when their process was killed.
func (l left) putBack(b *testing.B) {
	b.Helper()
	if l.wal == nil {
		return
	}
	require.NoError(b, os.Remove(l.walPath()))
	require.NoError(b, os.WriteFile(l.walPath(), l.wal, 0o644))
	state, err := os.OpenFile(l.statePath(), os.O_WRONLY, 0)
	require.NoError(b, err)
	_, err = state.WriteAt(l.state, 0)
	require.NoError(b, err)
	require.NoError(b, state.Close())
}

// syncOnce returns how long a write of one page and its fsync take, in ms.
func syncOnce(b *testing.B, path string) float64 {
	b.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	require.NoError(b, err)
	start := time.Now()
	_, err = file.WriteAt(make([]byte, reopenPageSize), 0)
	require.NoError(b, err)
	require.NoError(b, file.Sync())
	took := time.Since(start)
	require.NoError(b, file.Close())
	return float64(took.Nanoseconds()) / 1e6
}

// requireUntouched makes sure that nothing came into the database's file.
func (l left) requireUntouched(b *testing.B) {
	b.Helper()
	info, err := os.Stat(l.path)
	require.NoError(b, err)
	require.True(b, os.SameFile(l.database, info))
	require.Equal(b, l.database.ModTime(), info.ModTime())
}
