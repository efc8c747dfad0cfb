//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// openFollowed opens a primary with a table and one row, and a replica of it.
func openFollowed(t *testing.T) (*database, *replica) {
	t.Helper()
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	db.exec(t, "INSERT INTO t(x) VALUES('first')")
	db.checkpoint(t)
	r := openReplica(t, "")
	r.take(t, db.saved.logs...)
	return db, r
}

// TestReplicaRefusesEveryWrite tries to write to a replica in every way that there is: the error
// names the way out, matches SQLite's own, and nothing has changed.
func TestReplicaRefusesEveryWrite(t *testing.T) {
	_, r := openFollowed(t)
	ctx := context.Background()
	before, err := r.lib.Position(ctx)
	require.NoError(t, err)
	requireRefused := func(err error, what string) {
		t.Helper()
		require.ErrorIs(t, err, mylibsql.ErrReadOnly, what)
		require.ErrorContains(t, err, "Promote", what)
		require.Equal(t, sqlite3.ErrReadonly, sqliteCode(err), what)
	}
	for _, statement := range []string{
		"INSERT INTO t(x) VALUES(1)", "INSERT INTO t(x) VALUES(1) RETURNING id",
		"UPDATE t SET x = 1", "DELETE FROM t", "CREATE TABLE u(x)", "DROP TABLE t", "VACUUM",
		"CREATE TEMP TABLE u(x)", "REINDEX", "ANALYZE", "PRAGMA user_version = 5",
		"PRAGMA optimize", "PRAGMA auto_vacuum = 1",
		"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "SELECT 1; DELETE FROM t",
		"WITH a AS (SELECT 1, 2) INSERT INTO t SELECT * FROM a", "PRAGMA incremental_vacuum",
		"SELECT * FROM pragma_optimize",
	} {
		_, err := r.ExecContext(ctx, statement)
		requireRefused(err, statement)
		rows, err := r.QueryContext(ctx, statement)
		requireRefused(err, statement)
		require.Nil(t, rows)
	}
	_, err = r.BeginTx(ctx, nil)
	requireRefused(err, "BeginTx")
	tx, err := r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	_, err = tx.Exec("DELETE FROM t")
	require.ErrorIs(t, err, mylibsql.ErrReadOnly)
	require.NoError(t, tx.Commit())
	conn, err := r.Conn(ctx)
	require.NoError(t, err)
	_, err = conn.ExecContext(ctx, "BEGIN")
	require.NoError(t, err)
	_, err = conn.ExecContext(ctx, "DELETE FROM t")
	requireRefused(err, "in a hand-written BEGIN")
	_, err = conn.ExecContext(ctx, "COMMIT")
	require.NoError(t, err)
	raw(t, conn, func(c *mylibsql.Conn) error {
		_, err := c.SQLite().ExecContext(ctx, "DELETE FROM t", nil)
		require.Equal(t, sqlite3.ErrReadonly, sqliteCode(err), "through the raw connection")
		return nil
	})
	require.NoError(t, conn.Close())
	stmt, err := r.Prepare("INSERT INTO t(x) VALUES(1)")
	require.NoError(t, err)
	_, err = stmt.Exec()
	requireRefused(err, "prepared")
	require.NoError(t, stmt.Close())
	_, err = r.lib.Checkpoint(ctx, discard)
	require.ErrorIs(t, err, mylibsql.ErrRole)
	_, err = r.lib.Frames(ctx, mylibsql.Position{})
	require.ErrorIs(t, err, mylibsql.ErrRole)
	after, err := r.lib.Position(ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.False(t, r.lib.Stats().Diverged)
}

// TestReplicaServesEveryRead reads a replica in the ways that do not write, an attached database
// included.
func TestReplicaServesEveryRead(t *testing.T) {
	db, r := openFollowed(t)
	other := filepath.Join(t.TempDir(), "other.db")
	plain, err := sql.Open("sqlite3", other)
	require.NoError(t, err)
	_, err = plain.Exec("CREATE TABLE o(y); INSERT INTO o VALUES('other')")
	require.NoError(t, err)
	require.NoError(t, plain.Close())
	r.SetMaxOpenConns(1)
	for _, statement := range []string{
		"SELECT x FROM t", "WITH a AS (SELECT x FROM t) SELECT x FROM a", "EXPLAIN SELECT x FROM t",
		"PRAGMA table_info(t)", "PRAGMA user_version", "PRAGMA integrity_check", "BEGIN", "COMMIT",
		"PRAGMA wal_checkpoint", "SELECT 1; SELECT 2", "PRAGMA foreign_keys = ON",
	} {
		_, err := r.Exec(statement)
		if statement != "COMMIT" { // the pool has ended the transaction
			require.NoError(t, err, statement)
		}
	}
	_, err = r.Exec("ATTACH ? AS other", other)
	require.NoError(t, err)
	var x, y string
	require.NoError(t, r.QueryRow("SELECT x, y FROM t, other.o").Scan(&x, &y))
	require.Equal(t, "first other", x+" "+y)
	_, err = r.Exec("DETACH other")
	require.NoError(t, err)
	require.Error(t, db.lib.Replicate(t.Context(), db.saved.logs[0]), "a primary takes no logs")
}

// TestRoleLivesInTheDatabase opens replicas and primaries with DSNs that contradict them, that say
// nothing, and that agree; and an existing database as a replica.
func TestRoleLivesInTheDatabase(t *testing.T) {
	db, r := openFollowed(t)
	open := func(path, params string) error { return tryOpen(t, "file:"+path+"?"+params) }
	require.ErrorIs(t, open(r.path, "_role=primary"), mylibsql.ErrRole)
	require.NoError(t, open(r.path, "_role=replica"))
	require.NoError(t, open(r.path, ""))
	require.NoError(t, r.DB.Close())
	require.ErrorContains(t, open(r.path, "_role=primary"), "Promote")
	require.ErrorContains(t, open(db.path, "_role=replica"), "Demote")
	again := openReplicaAt(t, r.path, "")
	require.Equal(t, mylibsql.RoleReplica, again.lib.Stats().Role)
	require.Equal(t, db.lib.Stats().Saved, again.lib.Stats().Committed)
	require.NoError(t, again.lib.Promote(t.Context()))
	require.NoError(t, again.lib.Promote(t.Context()), "twice is once")
	again.continues(db)
	require.NoError(t, open(r.path, "_role=primary"), "the DSN may follow")

	plain := filepath.Join(t.TempDir(), "plain.db")
	other, err := sql.Open("sqlite3", plain)
	require.NoError(t, err)
	_, err = other.Exec("CREATE TABLE t(x)")
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.ErrorIs(t, open(plain, "_role=replica"), mylibsql.ErrRole)
}

// TestPromotedDatabaseGoesOn promotes, writes, and closes or reopens: the logs continue those that
// were applied, also for commits that were found unsaved at open.
func TestPromotedDatabaseGoesOn(t *testing.T) {
	db, r := openFollowed(t)
	db.exec(t, "INSERT INTO t(x) SELECT randomblob(2000) FROM t, t, t")
	for range 30 {
		db.exec(t, "INSERT INTO t(x) VALUES(randomblob(3000))")
		db.checkpoint(t)
	}
	r.take(t, db.saved.logs...)
	require.NoError(t, db.lib.Demote(t.Context()))
	require.NoError(t, r.lib.Promote(t.Context()))
	path := r.path
	logs := db.saved.logs
	db.saved.logs = nil
	for round := range 4 {
		_, err := r.Exec("INSERT INTO t(x) VALUES(randomblob(5000))")
		require.NoError(t, err)
		if round%2 == 0 { // kept for after the open
			require.ErrorIs(t, r.DB.Close(), mylibsql.ErrUnsaved)
			r = openReplicaAt(t, path, "")
		}
		_, err = r.lib.Checkpoint(t.Context(), db.saved.save)
		require.NoError(t, err)
	}
	for _, log := range db.saved.logs {
		require.False(t, log.IsSnapshot())
		require.NoError(t, db.lib.Replicate(t.Context(), log))
	}
	db.saved.logs = append(logs, db.saved.logs...)
	r.continues(db)
	require.Equal(t, r.lib.Stats().Committed, db.lib.Stats().Committed)
	require.NoError(t, r.DB.Close())
	require.NoError(t, db.DB.Close())
	requireSameFile(t, path, db.path)
}

// TestDemoteUnderLoad turns a primary that is written to all the time into a replica by one call:
// what it committed is saved, and the writers are refused.
func TestDemoteUnderLoad(t *testing.T) {
	db, r := openFollowed(t)
	ctx := context.Background()
	results := make(chan error)
	for range 8 {
		go func() {
			for {
				if _, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES(1)"); err != nil {
					results <- err
					return
				}
			}
		}()
	}
	saves := 0
	require.NoError(t, db.lib.CheckpointAndDemote(ctx,
		func(ctx context.Context, log *mylibsql.Log) error {
			saves++
			require.ErrorIs(t, db.lib.Demote(ctx), mylibsql.ErrNested)
			return errors.Join(r.lib.Replicate(ctx, log), db.saved.save(ctx, log))
		}))
	for range 8 {
		require.ErrorIs(t, <-results, mylibsql.ErrReadOnly)
	}
	require.LessOrEqual(t, saves, 2)
	require.Equal(t, db.lib.Stats().Committed, r.lib.Stats().Committed)
	require.NoError(t, r.lib.Promote(ctx))
	_, err := r.Exec("INSERT INTO t(x) VALUES(2)")
	require.NoError(t, err)
	r.continues(db)
	r.checkpoint(t)
}

// TestDemoteWaitsForTheTransaction demotes while a transaction is open: it waits for it, until its
// context ends.
func TestDemoteWaitsForTheTransaction(t *testing.T) {
	db, _ := openFollowed(t)
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO t(x) VALUES(1)")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	demoted := make(chan error, 1)
	go func() { demoted <- db.lib.Demote(ctx) }()
	cancel()
	require.ErrorIs(t, <-demoted, context.Canceled)
	go func() { demoted <- db.lib.Demote(context.Background()) }()
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-demoted)
	_, err = db.Begin()
	require.ErrorIs(t, err, mylibsql.ErrReadOnly)
}
