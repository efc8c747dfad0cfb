//go:build cgo

package mylibsql_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

const (
	idleEnv    = "MYLIBSQL_TEST_IDLE"     // folder with app.db and store
	idleJobEnv = "MYLIBSQL_TEST_IDLE_JOB" // one of idleJobs

	idleLine = "idle now"
)

// idleJobs are what a primary did before it had nothing more to do.
var idleJobs = map[string]func(*sql.DB, func() error) error{
	"opened": func(*sql.DB, func() error) error { return nil },
	"read": func(db *sql.DB, _ func() error) error {
		return db.QueryRow("SELECT count(*) FROM t").Scan(new(int))
	},
	"saved": func(db *sql.DB, save func() error) error {
		return execAll(db, save, "INSERT INTO t VALUES('child')", "")
	},
	"saved and reset": func(db *sql.DB, save func() error) error {
		return execAll(db, save, "INSERT INTO t VALUES('child')", "PRAGMA wal_checkpoint", "")
	},
	"reset and rolled back": func(db *sql.DB, save func() error) error {
		return execAll(db, save, "INSERT INTO t VALUES('child')", "PRAGMA wal_checkpoint", "",
			"PRAGMA cache_size=5; BEGIN IMMEDIATE; INSERT INTO t "+manyRows+"; ROLLBACK", "")
	},
}

// manyRows do not fit a small cache: SQLite writes them to the WAL before the commit.
const manyRows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)" +
	" SELECT hex(randomblob(100)) FROM n"

// execAll runs statements; an empty one saves.
func execAll(db *sql.DB, save func() error, statements ...string) error {
	for _, statement := range statements {
		var err error
		if statement == "" {
			err = save()
		} else {
			_, err = db.Exec(statement)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// TestChildIsIdle is what the child process of the next test runs, until it is killed.
func TestChildIsIdle(t *testing.T) {
	folder := os.Getenv(idleEnv)
	if folder == "" {
		t.Skip("runs in a child process only")
	}
	db, err := sql.Open("mylibsql", filepath.Join(folder, "app.db"))
	require.NoError(t, err)
	lib, err := mylibsql.From(context.Background(), db)
	require.NoError(t, err)
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	require.NoError(t, idleJobs[os.Getenv(idleJobEnv)](db, func() error {
		_, err := lib.Checkpoint(context.Background(), store.Save)
		return err
	}))
	fmt.Println(idleLine)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// killWhenIdle runs a job in a child and kills it when it has nothing more to do.
func killWhenIdle(t *testing.T, folder, job string) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChildIsIdle$")
	command.Env = append(os.Environ(), idleEnv+"="+folder, idleJobEnv+"="+job)
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	defer func() { _ = stdin.Close() }()
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	var printed []string
	idle := false
	for lines := bufio.NewScanner(output); !idle && lines.Scan(); {
		printed = append(printed, lines.Text())
		idle = lines.Text() == idleLine
	}
	_ = command.Process.Kill()
	require.Error(t, command.Wait())
	require.True(t, idle, strings.Join(printed, "\n"))
}

// TestKilledWhileIdle kills a primary that has nothing to do, again and again. The next one goes on
// with the same history: the only snapshot is the first log, and positions do not jump.
func TestKilledWhileIdle(t *testing.T) {
	for job := range idleJobs {
		for _, unsaved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unsaved %v", job, unsaved), func(t *testing.T) {
				requireOneHistory(t, job, unsaved)
			})
		}
	}
}

func requireOneHistory(t *testing.T, job string, unsaved bool) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "app.db")
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	for range 3 {
		db := openDatabaseAt(t, path, "")
		db.exec(t, "CREATE TABLE IF NOT EXISTS t(x)")
		db.exec(t, "INSERT INTO t VALUES('parent')")
		db.saveAll(t, store)
		if unsaved {
			db.exec(t, "INSERT INTO t VALUES('unsaved')")
		}
		requireNilOr(t, mylibsql.ErrUnsaved, db.DB.Close())
		killWhenIdle(t, folder, job)
		killWhenIdle(t, folder, job)
	}
	db := openDatabaseAt(t, path, "")
	db.exec(t, "INSERT INTO t VALUES('last')")
	require.Less(t, db.lib.Stats().Committed, mylibsql.FrameNo(1)<<32, "the position jumped")
	db.requireRestores(t, store)
	requireOneSnapshot(t, store)
}

// requireOneSnapshot wants a chain that never started over.
func requireOneSnapshot(t *testing.T, store *checkpoint.Directory) {
	t.Helper()
	records := 0
	for record, err := range store.Records(context.Background(), 0) {
		require.NoError(t, err)
		require.Equal(t, records == 0, record.IsSnapshot(), "record %d", records)
		records++
	}
	require.NotZero(t, records)
}
