//go:build cgo

package mylibsql_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestNoTimeoutBesideResets: _busy_timeout=0 gives up when another writer has the gate. A reset of
// the WAL is none: a single writer never meets one as an error.
func TestNoTimeoutBesideResets(t *testing.T) {
	for name, beside := range map[string]string{
		"of its own": "", "with checkpoints": "save", "with PRAGMA": "PRAGMA wal_checkpoint",
	} {
		t.Run(name, func(t *testing.T) {
			db := openDatabase(t, "_busy_timeout=0&_wal_limit_frames=100&_synchronous=OFF")
			db.exec(t, "CREATE TABLE t(x)")
			stop, stopped := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					select {
					case <-stop:
						stopped <- nil
						return
					default:
					}
					var err error
					switch beside {
					case "":
						<-stop
					case "save":
						_, err = db.lib.Checkpoint(context.Background(), db.saved.save)
					default:
						_, err = db.Exec(beside)
					}
					if err != nil {
						stopped <- err
						return
					}
				}
			}()
			failed := 0
			for range 5000 {
				if _, err := db.Exec("INSERT INTO t VALUES(1)"); err != nil {
					require.ErrorContains(t, err, "database is locked")
					failed++
				}
			}
			close(stop)
			require.NoError(t, <-stopped)
			require.Zero(t, failed, "of 5000 inserts")
		})
	}
}

func discard(context.Context, *mylibsql.Log) error { return nil }

// TestReadsDoNotQueue runs texts that write nothing while another connection holds the gate, with a
// pool that does not wait: none is busy, and one that does not compile says why.
func TestReadsDoNotQueue(t *testing.T) {
	db := openTable(t, "_busy_timeout=0")
	tx, err := db.Begin()
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	_, err = tx.Exec("INSERT INTO t(x) VALUES('open')")
	require.NoError(t, err)
	for _, text := range []string{
		"SELECT 1; -- done", "SELECT 1; /* done */ ", "SELECT 1 -- a;b\n", "SELECT ';'",
		"SELECT 1; SELECT 2", "SELECT 1; SELECT 2; -- done", "VALUES(1);;",
		"PRAGMA table_info(t); ", "PRAGMA table_info(t); -- done", "-- first\nSELECT 1",
		"WITH n AS (SELECT 1) SELECT * FROM n; -- done",
	} {
		_, err := db.Exec(text)
		require.NoError(t, err, text)
		rows, err := db.Query(text)
		require.NoError(t, err, text)
		require.NoError(t, rows.Close(), text)
	}
	for text, want := range map[string]string{
		"WITH n AS (SELECT 1) SELECT nosuch FROM n": "no such column",
		"SELECT nosuch FROM t; SELECT 1":            "no such column",
		"CREATE TABLE":                              "incomplete input",
		"nonsense":                                  "syntax error",
		"ALTER TABLE nosuch ADD COLUMN y":           "no such table",
	} {
		_, err := db.Exec(text)
		require.ErrorContains(t, err, want, text)
		rows, err := db.Query(text)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			_ = rows.Close()
		}
		require.ErrorContains(t, err, want, text)
	}
	conn := db.oneConn(t)
	for _, text := range []string{"ATTACH ':memory:' AS m", "SELECT * FROM m.sqlite_master",
		"DETACH m"} {
		_, err = conn.ExecContext(context.Background(), text)
		require.NoError(t, err, text)
	}
}
