//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// saved keeps the logs of one database, as an application's storage would.
type saved struct {
	mu   sync.Mutex
	logs []*mylibsql.Log
}

// save is a function for Checkpoint.
func (s *saved) save(_ context.Context, log *mylibsql.Log) error {
	clone, err := log.Clone()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, clone)
	return nil
}

// restore makes a database file of everything saved so far.
func (s *saved) restore(t *testing.T, path string) mylibsql.Position {
	t.Helper()
	s.mu.Lock()
	logs := append([]*mylibsql.Log(nil), s.logs...)
	s.mu.Unlock()
	require.NotEmpty(t, logs, "nothing was saved")
	snapshot, err := translog.AsSnapshot(logs[0])
	require.NoError(t, err)
	end, err := snapshot.Restore(path, logs[1:]...)
	require.NoError(t, err)
	return end
}

// database is an open pool with what a test needs to know of it.
type database struct {
	*sql.DB
	lib   *mylibsql.Database
	path  string
	saved saved
}

// openDatabase opens a new database in a folder of the test, with DSN parameters
// such as "_page_size=512", and checks it at the end: it must be sound, and where something was
// saved, a restore must give the database as it was at that position.
func openDatabase(t *testing.T, params string) *database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	return openDatabaseAt(t, path, params)
}

func openDatabaseAt(t *testing.T, path, params string) *database {
	t.Helper()
	db, err := sql.Open("mylibsql", "file:"+path+"?"+params)
	require.NoError(t, err)
	handle, err := mylibsql.From(context.Background(), db)
	require.NoError(t, err)
	d := &database{DB: db, lib: handle, path: path}
	t.Cleanup(func() { d.verify(t) })
	return d
}

// verify saves what is left, closes the database and checks the file.
func (d *database) verify(t *testing.T) {
	t.Helper()
	isPrimary := d.lib.Stats().Role == mylibsql.RolePrimary // not one that is closed, or demoted
	if len(d.saved.logs) > 0 && isPrimary {
		_, err := d.lib.Checkpoint(context.Background(), d.saved.save)
		require.NoError(t, err)
	}
	if err := d.DB.Close(); !errors.Is(err, mylibsql.ErrUnsaved) {
		require.NoError(t, err)
	}
	requireSound(t, d.path)
	if len(d.saved.logs) == 0 {
		return
	}
	copied := filepath.Join(t.TempDir(), "restored.db")
	d.saved.restore(t, copied)
	requireSound(t, copied)
	requireSameFile(t, d.path, copied)
}

// exec runs a statement that must succeed.
func (d *database) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := d.DB.Exec(query, args...)
	require.NoError(t, err, query)
}

// checkpoint saves into d.saved.
func (d *database) checkpoint(t *testing.T) mylibsql.FrameNo {
	t.Helper()
	position, err := d.lib.Checkpoint(context.Background(), d.saved.save)
	require.NoError(t, err)
	return position
}

// count is the number of rows of a table.
func (d *database) count(t *testing.T, table string) int {
	t.Helper()
	var n int
	require.NoError(t, d.DB.QueryRow("SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// requireSound runs integrity_check through plain go-sqlite3.
func requireSound(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var answer string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&answer))
	require.Equal(t, "ok", answer)
}

// requireSameFile compares two closed databases byte by byte.
func requireSameFile(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	require.NoError(t, err)
	b, err := os.ReadFile(got)
	require.NoError(t, err)
	require.True(t, string(a) == string(b), "%s and %s differ", want, got)
}

// sqliteCode is the SQLite result code of an error, 0 when it is none of SQLite's.
func sqliteCode(err error) sqlite3.ErrNo {
	var failure sqlite3.Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return 0
}
