//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// endlessInsert runs until it is interrupted, in little memory.
const endlessInsert = "INSERT INTO t(x) WITH RECURSIVE n(i) AS" +
	" (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

// openTable opens a database with a table t that holds one row, 'first'.
func openTable(t *testing.T, params string) *database {
	t.Helper()
	db := openDatabase(t, params)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)")
	db.exec(t, "INSERT INTO t(x) VALUES('first')")
	return db
}

// oneConn takes a connection of the pool until the end of the test.
func (d *database) oneConn(t *testing.T) *sql.Conn {
	t.Helper()
	conn, err := d.DB.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
			require.NoError(t, err)
		}
	})
	return conn
}

// TestReadOnlyTransaction tries to write in every way inside a read-only transaction. Nothing gets
// through, what only reads does, and the connection writes again afterwards.
func TestReadOnlyTransaction(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	other := filepath.Join(t.TempDir(), "other.db")
	for _, statement := range []string{
		"INSERT INTO t(x) VALUES('no')",
		"INSERT INTO t(x) VALUES('no') RETURNING id",
		"UPDATE t SET x = 'no'",
		"DELETE FROM t",
		"/* hidden */ DELETE FROM t",
		"WITH n AS (SELECT 1) DELETE FROM t",
		"CREATE TABLE no(x)",
		"DROP TABLE t",
		"REINDEX",
		"ANALYZE",
		"VACUUM",
		"PRAGMA user_version = 1",
		"PRAGMA application_id = 1",
		"PRAGMA optimize",
		"BEGIN IMMEDIATE",
		"SELECT 1; DELETE FROM t",
		"SELECT 1; SELECT 2; PRAGMA user_version = 1",
		"ROLLBACK; DELETE FROM t",
		"COMMIT; BEGIN; DELETE FROM t; COMMIT",
		"ATTACH '" + other + "' AS o",
		"ATTACH ':memory:' AS o; SELECT * FROM o.sqlite_master; DELETE FROM t",
	} {
		t.Run(statement, func(t *testing.T) { requireRefusedReadOnly(t, db, statement) })
	}
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var x string
	require.NoError(t, tx.QueryRow("SELECT x FROM t").Scan(&x))
	require.NoError(t, tx.QueryRow("SELECT 1; SELECT x FROM t").Scan(&x))
	require.NoError(t, tx.QueryRow("PRAGMA user_version").Scan(new(int)))
	_, err = tx.Exec("SAVEPOINT s; SELECT 1; RELEASE s")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	db.exec(t, "INSERT INTO t(x) VALUES('second')")
	require.Equal(t, 2, db.count(t, "t"))
}

func requireRefusedReadOnly(t *testing.T, db *database, statement string) {
	t.Helper()
	ways := []string{"exec", "query", "prepared"}
	if strings.Contains(statement, ";") {
		ways = ways[:2] // go-sqlite3 prepares the first one only
	}
	for _, how := range ways {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		switch how {
		case "exec":
			_, err = tx.Exec(statement)
		case "query":
			var rows *sql.Rows
			if rows, err = tx.Query(statement); err == nil {
				for rows.Next() {
				}
				err = errors.Join(rows.Err(), rows.Close())
			}
		case "prepared":
			var prepared *sql.Stmt
			if prepared, err = tx.Prepare(statement); err == nil {
				_, err = prepared.Exec()
				require.NoError(t, prepared.Close())
			}
		}
		require.ErrorIs(t, err, mylibsql.ErrReadOnly, how)
		require.Equal(t, sqlite3.ErrReadonly, sqliteCode(err))
		require.NoError(t, tx.Rollback())
		require.Equal(t, 1, db.count(t, "t"))
	}
}

// TestIsolationLevels: SQLite is serializable, which satisfies all levels but one.
func TestIsolationLevels(t *testing.T) {
	db := openTable(t, "")
	for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: level})
		if level == sql.LevelLinearizable {
			require.ErrorContains(t, err, "Linearizable")
			continue
		}
		require.NoError(t, err, level)
		require.NoError(t, tx.Commit(), level)
	}
	_, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: 99})
	require.Error(t, err)
	db.exec(t, "INSERT INTO t(x) VALUES('after')")
}

// TestLeakedTransaction opens transactions by Exec on the pool, which gives the connection back
// with the transaction open. It is rolled back there and holds up nobody.
func TestLeakedTransaction(t *testing.T) {
	db := openTable(t, "_busy_timeout=50")
	conn := db.oneConn(t)
	for _, leak := range []string{
		"BEGIN IMMEDIATE",
		"BEGIN EXCLUSIVE",
		"BEGIN; INSERT INTO t(x) VALUES('leaked')",
		"BEGIN IMMEDIATE; INSERT INTO t(x) VALUES('leaked')",
		"SAVEPOINT s; INSERT INTO t(x) VALUES('leaked')",
	} {
		db.exec(t, leak)
		_, err := conn.ExecContext(context.Background(), "INSERT INTO t(x) VALUES(?)", leak)
		require.NoError(t, err, leak)
	}
	require.Equal(t, 6, db.count(t, "t"))
}

// TestTransactionEndedBySQLite: after SQLite has rolled a transaction back by itself, what the
// program still believes to be inside it must not be committed by itself.
func TestTransactionEndedBySQLite(t *testing.T) {
	db := openTable(t, "")
	for name, end := range map[string]func(*sql.Tx) error{
		"OR ROLLBACK": func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT OR ROLLBACK INTO t(x) VALUES('first')")
			return err
		},
		"OR ROLLBACK RETURNING": func(tx *sql.Tx) error {
			return tx.QueryRow("INSERT OR ROLLBACK INTO t(x) VALUES('first') RETURNING id").
				Scan(new(int))
		},
		"cancelled": func(tx *sql.Tx) error {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			_, err := tx.ExecContext(ctx, endlessInsert)
			return err
		},
	} {
		for _, commit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s commit=%t", name, commit), func(t *testing.T) {
				tx, err := db.Begin()
				require.NoError(t, err)
				prepared, err := tx.Prepare("INSERT INTO t(x) VALUES('prepared')")
				require.NoError(t, err)
				_, err = tx.Exec("INSERT INTO t(x) VALUES('before')")
				require.NoError(t, err)
				require.Error(t, end(tx))
				requireEnded(t, tx, prepared)
				if commit {
					require.ErrorIs(t, tx.Commit(), mylibsql.ErrTransactionEnded)
				} else {
					require.NoError(t, tx.Rollback())
				}
				require.Equal(t, 1, db.count(t, "t"))
			})
		}
	}
	db.exec(t, "INSERT INTO t(x) VALUES('after')")
}

func requireEnded(t *testing.T, tx *sql.Tx, prepared *sql.Stmt) {
	t.Helper()
	_, err := tx.Exec("INSERT INTO t(x) VALUES('lost')")
	require.ErrorIs(t, err, mylibsql.ErrTransactionEnded)
	_, err = prepared.Exec()
	require.ErrorIs(t, err, mylibsql.ErrTransactionEnded)
	require.ErrorIs(t, tx.QueryRow("SELECT 1").Scan(new(int)), mylibsql.ErrTransactionEnded)
	require.ErrorIs(t, tx.QueryRow("INSERT INTO t(x) VALUES('lost') RETURNING id").Scan(new(int)),
		mylibsql.ErrTransactionEnded)
}

// TestTransactionOutlivesClose: a transaction that is open while its pool closes commits, its
// ack and its row survive, and only then is the database free.
func TestTransactionOutlivesClose(t *testing.T) {
	for _, idle := range []int{0, 2} {
		db := openTable(t, "")
		db.SetMaxIdleConns(idle)
		tx, err := db.Begin()
		require.NoError(t, err)
		_, err = tx.Exec("INSERT INTO t(x) VALUES('before the close')")
		require.NoError(t, err)
		require.NoError(t, db.DB.Close())
		_, err = tx.Exec("INSERT INTO t(x) VALUES('after the close')")
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		again := openDatabaseAt(t, db.path, "")
		require.Equal(t, 3, again.count(t, "t"))
		require.NoError(t, again.DB.Close())
	}
}

// TestFailedCommitLeavesNothingOpen: a COMMIT that a deferred foreign key refuses rolls back.
func TestFailedCommitLeavesNothingOpen(t *testing.T) {
	db := openTable(t, "_foreign_keys=1&_busy_timeout=50")
	db.exec(t, "CREATE TABLE c(p INT REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)")
	conn := db.oneConn(t)
	tx, err := conn.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO c VALUES(12345)")
	require.NoError(t, err)
	require.IsType(t, sqlite3.Error{}, tx.Commit())
	db.exec(t, "INSERT INTO t(x) VALUES('another connection')")
	_, err = conn.ExecContext(context.Background(), "INSERT INTO t(x) VALUES('the same')")
	require.NoError(t, err)
	require.Zero(t, db.count(t, "c"))
}
