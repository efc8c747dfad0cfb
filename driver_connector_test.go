//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestOpenConnectorTouchesNothing: only the first connection does, and a DSN's error comes at once.
func TestOpenConnectorTouchesNothing(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "app.db")
	connector, err := (&mylibsql.Driver{}).OpenConnector(path)
	require.NoError(t, err)
	db := openConnector(t, connector, path)
	require.Empty(t, namesIn(t, folder))
	require.NoError(t, db.Close())
	require.Empty(t, namesIn(t, folder))

	for _, name := range []string{
		path + "?_unknown=1", path + "?_busy_timeout=soon", path + "?_journal_mode=DELETE",
	} {
		_, err = (&mylibsql.Driver{}).OpenConnector(name)
		var bad *mylibsql.ParamError
		require.ErrorAs(t, err, &bad, name)
		require.ErrorIs(t, err, mylibsql.ErrParam)
		_, err = sql.Open("mylibsql", name)
		require.ErrorIs(t, err, mylibsql.ErrParam)
	}
	require.Empty(t, namesIn(t, folder))
}

// TestOpenConnectorOnABoundDriver: tracing wrappers open a database, keep its Driver, close it, and
// make their own connectors from that Driver.
func TestOpenConnectorOnABoundDriver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	first := openPool(t, "mylibsql", path)
	_, err := first.Exec("CREATE TABLE t(x)")
	require.NoError(t, err)
	bound := first.Driver()
	require.NoError(t, first.Close())
	require.ErrorContains(t, first.Ping(), "database is closed")

	connector, err := bound.(driver.DriverContext).OpenConnector(path)
	require.NoError(t, err)
	again := openConnector(t, connector, path)
	_, err = again.Exec("INSERT INTO t VALUES(1)")
	require.NoError(t, err)
	require.NoError(t, again.Close())

	conn, err := bound.Open(path)
	require.NoError(t, err)
	position := conn.(*mylibsql.Conn).Stats().Committed
	require.NotZero(t, position)
	require.NoError(t, conn.Close())
}

// TestHandleAfterClose: the methods of a handle say that the pool is closed.
func TestHandleAfterClose(t *testing.T) {
	db := openTable(t, "")
	require.NoError(t, db.DB.Close())
	ctx := context.Background()
	_, err := db.lib.Checkpoint(ctx, db.saved.save)
	require.ErrorIs(t, err, mylibsql.ErrClosed)
	require.ErrorIs(t, db.lib.WaitSaved(ctx, 1), mylibsql.ErrClosed)
	require.Zero(t, db.lib.Stats())
	_, err = mylibsql.From(ctx, db.DB)
	require.ErrorIs(t, err, mylibsql.ErrClosed)
	plain, err := sql.Open("sqlite3", ":memory:")
	require.NoError(t, err)
	_, err = mylibsql.From(ctx, plain)
	require.ErrorIs(t, err, mylibsql.ErrNoEngine)
	require.NoError(t, plain.Close())
}

// TestMemoryDatabases: private to a pool, whose connections share it, or shared between
// pools by name; gone, with the temporary files behind, when the last one closes.
func TestMemoryDatabases(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	for name, shared := range map[string]bool{
		":memory:": false, "": false, "file::memory:": false, "file:?mode=memory": false,
		"file:a?mode=memory": false, "file::memory:?cache=shared": true,
		"file:a?mode=memory&cache=shared": true, "file:b?cache=shared&mode=memory": true,
	} {
		t.Run(name, func(t *testing.T) {
			first, second := openMemory(t, name), openMemory(t, name)
			_, err := first.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)")
			require.NoError(t, err)
			requireShared(t, first)
			var n int
			err = second.QueryRow("SELECT count(*) FROM t").Scan(&n)
			if shared {
				require.NoError(t, err)
				require.NoError(t, first.Close())
				requireShared(t, second)
			} else {
				require.ErrorContains(t, err, "no such table")
			}
			require.NoError(t, first.Close())
			require.NoError(t, second.Close())
			require.Empty(t, namesIn(t, folder))

			again := openMemory(t, name)
			require.ErrorContains(t, again.QueryRow("SELECT * FROM t").Scan(&n), "no such table")
			_, err = again.Exec("CREATE TABLE t(x)")
			require.NoError(t, err)
			require.NoError(t, again.Close())
			require.Empty(t, namesIn(t, folder))
		})
	}
}

func openMemory(t *testing.T, name string) *sql.DB {
	t.Helper()
	return openPool(t, "mylibsql", name)
}

// requireShared wants two connections of a pool to see the same two rows.
func requireShared(t *testing.T, db *sql.DB) {
	t.Helper()
	for range 2 {
		conn, err := db.Conn(context.Background())
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		var n int
		row := conn.QueryRowContext(context.Background(), "SELECT count(*) FROM t")
		require.NoError(t, row.Scan(&n))
		require.Equal(t, 2, n)
	}
}

// TestMemoryDatabaseCanBeSaved: a database in memory has positions and logs too.
func TestMemoryDatabaseCanBeSaved(t *testing.T) {
	db := openMemory(t, ":memory:")
	_, err := db.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	require.NoError(t, err)
	lib, err := mylibsql.From(context.Background(), db)
	require.NoError(t, err)
	var keep saved
	_, err = lib.Checkpoint(context.Background(), keep.save)
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), "copy.db")
	keep.restore(t, copied)
	requireSound(t, copied)
}

// TestRelativePathAndSymlink: one database, by whatever name it is opened.
func TestRelativePathAndSymlink(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	require.NoError(t, os.Symlink("app.db", "link.db"))
	relative, link := openMemory(t, "app.db"), openMemory(t, "file:link.db")
	_, err := relative.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)")
	require.NoError(t, err)
	requireShared(t, link)
	a, err := mylibsql.From(context.Background(), relative)
	require.NoError(t, err)
	b, err := mylibsql.From(context.Background(), link)
	require.NoError(t, err)
	require.Equal(t, a.Stats().Committed, b.Stats().Committed)
	require.NoError(t, relative.Close())
	require.NoError(t, link.Close())
	require.Equal(t, []string{"app.db", "app.db-mylibsql", "link.db"}, namesIn(t, folder))
}
