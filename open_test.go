//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/dsn"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/dbtest"
	"github.com/mylibsql/mylibsql/internal/pooltest"
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

// all returns the logs so far.
func (s *saved) all() []*mylibsql.Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*mylibsql.Log(nil), s.logs...)
}

// restore makes a database file of everything saved so far.
func (s *saved) restore(t *testing.T, path string) mylibsql.Position {
	t.Helper()
	logs := s.all()
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
	life  *dbtest.Life
}

// openDatabase opens a new database in a folder of the test, with DSN parameters such as
// "_page_size=512". What is below is the only way by which the tests of this package open a
// database (see opening_test.go): at the end of the test dbtest looks at the file. It must be
// sound, and what was saved must restore to it: the logs in saved, and the stores that saveTo or
// saveAll named.
func openDatabase(t testing.TB, params string) *database {
	t.Helper()
	return openDatabaseAt(t, filepath.Join(t.TempDir(), "app.db"), params)
}

func openDatabaseAt(t testing.TB, path, params string) *database {
	t.Helper()
	db, err := sql.Open("mylibsql", "file:"+path+"?"+params)
	require.NoError(t, err)
	return adopt(t, db, path)
}

// openPrimary makes a primary of a snapshot and logs, which count as saved by the test.
func openPrimary(
	t testing.TB, path string, snapshot *mylibsql.Snapshot, logs ...*mylibsql.Log,
) *database {
	t.Helper()
	db, err := mylibsql.OpenPrimary(context.Background(), path, snapshot, logs...)
	require.NoError(t, err)
	d := adopt(t, db, path)
	d.saved.logs = append([]*mylibsql.Log{snapshot.Log}, logs...)
	return d
}

// openPrimaryFails is openPrimary where it must be refused.
func openPrimaryFails(
	t testing.TB, path string, snapshot *mylibsql.Snapshot, logs ...*mylibsql.Log,
) error {
	t.Helper()
	db, err := mylibsql.OpenPrimary(context.Background(), path, snapshot, logs...)
	require.Error(t, err)
	require.Nil(t, db)
	return err
}

// openReplicaOf makes a replica of a snapshot and logs.
func openReplicaOf(
	t testing.TB, path string, snapshot *mylibsql.Snapshot, logs ...*mylibsql.Log,
) *replica {
	t.Helper()
	db, err := mylibsql.OpenReplica(context.Background(), path, snapshot, logs...)
	require.NoError(t, err)
	return adopt(t, db, path)
}

// adopt takes over a pool of the database at path.
func adopt(t testing.TB, db *sql.DB, path string) *database {
	t.Helper()
	lib, err := mylibsql.From(context.Background(), db)
	if err != nil {
		_ = db.Close()
	}
	require.NoError(t, err)
	d := &database{DB: db, lib: lib, path: path, life: pooltest.Watch(t, path, db, lib)}
	d.life.Logs = d.saved.all
	return d
}

// openPool opens a pool by the name of its driver, of which a test may not need more, and which it
// may expect to fail later. A database in memory is checked while it is open, and one of plain
// go-sqlite3 not at all.
func openPool(t testing.TB, driverName, dataSourceName string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driverName, dataSourceName)
	require.NoError(t, err)
	if driverName == "sqlite3" {
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
	config, err := dsn.Parse(dataSourceName)
	require.NoError(t, err)
	if !config.Memory {
		pooltest.Watch(t, config.Path, db, nil)
		return db
	}
	t.Cleanup(func() {
		var answer string
		err := db.QueryRow("PRAGMA integrity_check").Scan(&answer)
		if err == nil {
			require.Equal(t, "ok", answer)
		} else {
			require.ErrorContains(t, err, "database is closed")
		}
		require.NoError(t, db.Close())
	})
	return db
}

// openConnector opens a pool of a connector for the database at path.
func openConnector(t testing.TB, connector driver.Connector, path string) *sql.DB {
	t.Helper()
	db := sql.OpenDB(connector)
	pooltest.Watch(t, path, db, nil)
	return db
}

// tryOpen opens a database and closes it again, and returns what the opening says. The file is one
// that the test has open, or that must be refused.
func tryOpen(t testing.TB, dataSourceName string) error {
	t.Helper()
	db, err := sql.Open("mylibsql", dataSourceName)
	require.NoError(t, err)
	err = db.Ping()
	require.NoError(t, db.Close())
	return err
}

// saveTo is the save function of a store, which the database must be restored from in the end.
func (d *database) saveTo(store *checkpoint.Directory) dbtest.Save {
	d.life.Keep(store)
	return store.Save
}

// leavesWAL says why a WAL may be left when the database is closed.
func (d *database) leavesWAL(reason string) { d.life.LeavesWAL = reason }

// continues says that the logs of another database come before those of this one, which was
// promoted.
func (d *database) continues(other *database) { d.saved.logs = other.saved.all() }

// notRestored says why what was saved of the database does not restore to it in the end.
func (d *database) notRestored(reason string) { d.life.Unrestored = reason }

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

// requireSound runs integrity_check on a closed file, through plain go-sqlite3.
func requireSound(t *testing.T, path string) {
	t.Helper()
	dbtest.RequireSound(t, path)
}

// requireSameFile compares two closed databases byte by byte.
func requireSameFile(t *testing.T, want, got string) {
	t.Helper()
	dbtest.RequireSame(t, want, got)
}

// sqliteCode is the SQLite result code of an error, 0 when it is none of SQLite's.
func sqliteCode(err error) sqlite3.ErrNo {
	var failure sqlite3.Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return 0
}
