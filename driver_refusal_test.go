//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// requireRefused wants a *RefusedError that says why and that also matches sqlite3.Error.
func requireRefused(t *testing.T, err error, what string) {
	t.Helper()
	var refused *mylibsql.RefusedError
	require.ErrorAs(t, err, &refused, what)
	require.ErrorIs(t, err, mylibsql.ErrRefused)
	require.NotEmpty(t, refused.Reason)
	var failure sqlite3.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, sqlite3.ErrAuth, failure.Code)
}

// requireCapturing proves that the database is in WAL mode and commits are still seen.
func requireCapturing(t *testing.T, db *database) {
	t.Helper()
	var mode string
	require.NoError(t, db.QueryRow("PRAGMA journal_mode").Scan(&mode))
	require.Equal(t, "wal", mode)
	before := db.lib.Stats().Committed
	db.exec(t, "INSERT INTO t(x) VALUES(NULL)")
	require.Greater(t, db.lib.Stats().Committed, before)
}

// TestRefusedStatements tries what would break the capture of commits, by every way to run it.
func TestRefusedStatements(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(db.path, link))
	for _, statement := range []string{
		"PRAGMA journal_mode = DELETE",
		"PRAGMA journal_mode('off')",
		"pragma main.JOURNAL_MODE = \"memory\"",
		"SELECT 1; PRAGMA journal_mode = PERSIST",
		"PRAGMA locking_mode = EXCLUSIVE",
		"PRAGMA main.locking_mode = exclusive",
		"ATTACH '" + db.path + "' AS again",
		"ATTACH '" + link + "' AS again",
		"ATTACH 'file:" + db.path + "?cache=private' AS again",
		"ATTACH '" + filepath.Dir(db.path) + "/../" + filepath.Base(filepath.Dir(db.path)) +
			"/app.db' AS \"a \"\"quoted\"\" name\"",
		"SELECT 1; ATTACH '" + db.path + "' AS again",
		"ATTACH '" + db.path + "' AS again; SELECT * FROM again.t",
		"BEGIN; ATTACH '" + db.path + "' AS again; SELECT * FROM again.t",
		"ATTACH '" + db.path + "' AS again; SELECT * FROM missing",
		"ATTACH '" + db.path + "' AS again; INSERT INTO again.t(x) VALUES('past the gate')",
	} {
		t.Run(statement, func(t *testing.T) {
			_, err := db.Exec(statement)
			requireRefused(t, err, "exec")
			rows, err := db.Query(statement)
			if err == nil {
				_ = rows.Close()
			}
			requireRefused(t, err, "query")
			if !strings.Contains(statement, ";") { // go-sqlite3 prepares the first one only
				prepared, err := db.Prepare(statement)
				if err == nil {
					_, err = prepared.Exec()
					require.NoError(t, prepared.Close())
				}
				requireRefused(t, err, "prepared")
			}
			require.Zero(t, attachedCount(t, db))
			requireCapturing(t, db)
		})
	}
}

func attachedCount(t *testing.T, db *database) (n int) {
	t.Helper()
	const query = "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"
	require.NoError(t, db.QueryRow(query).Scan(&n))
	return n
}

// TestAttachOfTheMainFileInsideATransaction: SQLite cannot detach there, so the
// refusal must hold some other way.
func TestAttachOfTheMainFileInsideATransaction(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("ATTACH '" + db.path + "' AS again")
	requireRefused(t, err, "inside a transaction")
	_ = tx.Rollback()
	require.Zero(t, attachedCount(t, db))
	requireCapturing(t, db)
}

// TestCheckpointPragma: the engine answers it, with SQLite's three columns, in every form that
// programs use, and moves the WAL into the file when it can.
func TestCheckpointPragma(t *testing.T) {
	db := openTable(t, "")
	for _, statement := range []string{
		"PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", "pragma main.wal_checkpoint;",
		"PRAGMA wal_checkpoint = FULL",
	} {
		db.exec(t, "INSERT INTO t(x) VALUES(?)", statement)
		rows, err := db.Query(statement)
		require.NoError(t, err, statement)
		columns, err := rows.Columns()
		require.NoError(t, err)
		require.Equal(t, []string{"busy", "log", "checkpointed"}, columns)
		require.True(t, rows.Next())
		var busy, log, checkpointed int
		require.NoError(t, rows.Scan(&busy, &log, &checkpointed))
		require.False(t, rows.Next())
		require.NoError(t, rows.Close())
		require.Zero(t, busy, statement)
		require.Positive(t, log)
		require.Equal(t, log, checkpointed, statement)
		_, err = db.Exec(statement)
		require.NoError(t, err)
		prepared, err := db.Prepare(statement)
		require.NoError(t, err)
		require.NoError(t, prepared.QueryRow().Scan(&busy, &log, &checkpointed))
		require.NoError(t, prepared.Close())
	}
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO t(x) VALUES('open')")
	require.NoError(t, err)
	var busy, log, checkpointed int
	require.NoError(t, tx.QueryRow("PRAGMA wal_checkpoint").Scan(&busy, &log, &checkpointed))
	require.Equal(t, 1, busy, "a writer is at work")
	require.NoError(t, tx.Commit())
}

// TestAutoCheckpointPragma: programs set it at their start; it neither fails nor acts.
func TestAutoCheckpointPragma(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	db.checkpoint(t)
	db.exec(t, "PRAGMA wal_autocheckpoint = 1")
	for range 50 {
		db.exec(t, "INSERT INTO t(x) VALUES(NULL)")
	}
	require.GreaterOrEqual(t, db.lib.Stats().WALFrames, 50, "SQLite has checkpointed by itself")
	db.checkpoint(t)
}

// TestAuthorizerOfTheUser: one that is set through Raw does not open the way for what
// would break capture.
func TestAuthorizerOfTheUser(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	conn := db.oneConn(t)
	require.NoError(t, conn.Raw(func(raw any) error {
		raw.(*mylibsql.Conn).SQLite().RegisterAuthorizer(func(int, string, string, string) int {
			return sqlite3.SQLITE_OK
		})
		return nil
	}))
	_, err := conn.ExecContext(context.Background(), "PRAGMA journal_mode = DELETE")
	requireRefused(t, err, "after Raw")
	require.NoError(t, conn.Raw(func(raw any) error {
		raw.(*mylibsql.Conn).SQLite().RegisterAuthorizer(nil)
		return nil
	}))
	require.NoError(t, conn.Close())
	_, err = db.Exec("PRAGMA locking_mode = EXCLUSIVE")
	requireRefused(t, err, "after the connection went back")
	requireCapturing(t, db)
}

// TestAuthorizerOfTheHook is the same with one that the connect hook sets, and with what the
// hook itself tries.
func TestAuthorizerOfTheHook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	connector, err := mylibsql.NewConnector(path, &mylibsql.Options{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, err := c.Exec("PRAGMA journal_mode = DELETE", nil)
			if sqliteCode(err) != sqlite3.ErrAuth {
				return sql.ErrConnDone
			}
			c.RegisterAuthorizer(func(int, string, string, string) int { return sqlite3.SQLITE_OK })
			return nil
		},
	})
	require.NoError(t, err)
	db := openConnector(t, connector, path)
	_, err = db.Exec("PRAGMA journal_mode = DELETE")
	requireRefused(t, err, "after the hook")
}
