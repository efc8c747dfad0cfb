//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

var registeredHooks atomic.Int64

func init() {
	sql.Register("mylibsql-with-hook", &mylibsql.Driver{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			registeredHooks.Add(1)
			return c.RegisterFunc("twice", func(n int64) int64 { return 2 * n }, true)
		},
	})
	sql.Register("mylibsql-with-extension", &mylibsql.Driver{
		Extensions: []string{"no-such-extension"},
	})
}

// TestRegisteredDriver registers a Driver with a hook under a name of its own, as programs do with
// go-sqlite3: every connection has the function.
func TestRegisteredDriver(t *testing.T) {
	db := openPool(t, "mylibsql-with-hook", filepath.Join(t.TempDir(), "app.db"))
	before := registeredHooks.Load()
	var conns []*sql.Conn
	for range 3 {
		conn, err := db.Conn(context.Background())
		require.NoError(t, err)
		conns = append(conns, conn)
		var n int
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT twice(21)").Scan(&n))
		require.Equal(t, 42, n)
	}
	require.Equal(t, before+3, registeredHooks.Load(), "not for the engine's own connections")
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	lib, err := mylibsql.From(t.Context(), db)
	require.NoError(t, err)
	require.Zero(t, lib.Stats().Committed)
}

// TestExtensionThatDoesNotLoad fails the connection, and nothing else.
func TestExtensionThatDoesNotLoad(t *testing.T) {
	db := openPool(t, "mylibsql-with-extension", filepath.Join(t.TempDir(), "app.db"))
	require.Error(t, db.Ping())
	require.NoError(t, db.Close())
}

// TestFailingHook fails the first connection of every open, over a WAL full of unsaved commits:
// the connection must not close as SQLite's last one, which would delete the WAL, and must
// leave no descriptor behind.
func TestFailingHook(t *testing.T) {
	db := openTable(t, "")
	tx, err := db.Begin() // keeps the engine open, with its WAL
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	for range 20 {
		db.exec(t, "INSERT INTO t(x) VALUES(NULL)")
	}
	committed, frames := db.lib.Stats().Committed, db.lib.Stats().WALFrames
	failure := errors.New("the hook's own error")
	open := func(path string) error {
		connector, err := mylibsql.NewConnector(path, &mylibsql.Options{
			ConnectHook: func(c *sqlite3.SQLiteConn) error {
				_, err := c.Exec("SELECT count(*) FROM sqlite_master", nil)
				return errors.Join(err, failure)
			},
		})
		require.NoError(t, err)
		pool := openConnector(t, connector, path)
		defer func() { require.NoError(t, pool.Close()) }()
		return pool.Ping()
	}
	require.ErrorIs(t, open(db.path), failure)
	before := descriptors(t)
	for range 10 {
		require.ErrorIs(t, open(db.path), failure)
		require.ErrorIs(t, open(filepath.Join(t.TempDir(), "new.db")), failure)
	}
	require.LessOrEqual(t, descriptors(t), before)
	require.Equal(t, committed, db.lib.Stats().Committed)
	require.Equal(t, frames, db.lib.Stats().WALFrames)
	db.checkpoint(t)
	require.Equal(t, 21, db.count(t, "t"))
}

// descriptors counts what the process has open, 0 where that cannot be known.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	return len(entries)
}

// TestHookThatWrites: what the hook of each connection commits is captured.
func TestHookThatWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	connector, err := mylibsql.NewConnector("file:"+path+"?_busy_timeout=50", &mylibsql.Options{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, err := c.Exec("CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1)", nil)
			return err
		},
	})
	require.NoError(t, err)
	db := adopt(t, openConnector(t, connector, path), path)
	for range 3 {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
	}
	require.NoError(t, db.QueryRow("SELECT count(*) FROM t").Scan(new(int)))
	position, err := connector.Checkpoint(t.Context(), db.saved.save)
	require.NoError(t, err)
	require.Equal(t, connector.Stats().Committed, position)
	copied := filepath.Join(t.TempDir(), "copy.db")
	db.saved.restore(t, copied)
	restored, err := sql.Open("sqlite3", copied)
	require.NoError(t, err)
	defer func() { require.NoError(t, restored.Close()) }()
	var n int
	require.NoError(t, restored.QueryRow("SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 4, n)
}
