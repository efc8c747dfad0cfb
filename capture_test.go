//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"sync"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// The commits below end in ways that SQLite's commit hooks do not tell, or go past the driver.
// Every one must move the position while its ack can still join, and be in the next log.

// openNotes opens a database with a table, and saves that much.
func openNotes(t *testing.T, params string) *database {
	t.Helper()
	db := openDatabase(t, params)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)")
	db.checkpoint(t)
	return db
}

// requireCaptured asks that the ack knew its commit at once, and that a restore of what is saved
// has as many rows as the primary. Byte by byte they are compared when the database closes.
func (d *database) requireCaptured(t *testing.T, ack *mylibsql.Ack) {
	t.Helper()
	if ack != nil {
		require.NotZero(t, ack.FrameNo(), "the commit was not seen")
		require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	}
	stats := d.lib.Stats()
	require.Greater(t, stats.Committed, stats.Saved)
	require.Equal(t, stats.Committed, d.checkpoint(t))
	if ack != nil {
		require.Equal(t, stats.Committed, ack.FrameNo())
		require.NoError(t, ack.Err())
	}
	copied := filepath.Join(t.TempDir(), "restored.db")
	require.Equal(t, stats.Committed, d.saved.restore(t, copied).FrameNo)
	restored, err := sql.Open("sqlite3", "file:"+copied+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, restored.Close()) }()
	var rows int
	require.NoError(t, restored.QueryRow("SELECT count(*) FROM t").Scan(&rows))
	require.Equal(t, d.count(t, "t"), rows)
}

// raw runs use on the driver's connection below an sql.Conn.
func raw(t *testing.T, conn *sql.Conn, use func(*mylibsql.Conn) error) {
	t.Helper()
	require.NoError(t, conn.Raw(func(c any) error { return use(c.(*mylibsql.Conn)) }))
}

// QueryRow reads one row and closes the statement, which ends in sqlite3_reset.
func TestCaptureQueryRowReturning(t *testing.T) {
	db := openNotes(t, "")
	ctx, ack := mylibsql.WithAck(context.Background())
	var id int
	row := db.QueryRowContext(ctx, "INSERT INTO t(x) VALUES('a'), ('b') RETURNING id")
	require.NoError(t, row.Scan(&id))
	require.Equal(t, 2, db.count(t, "t"))
	db.requireCaptured(t, ack)

	// The same on a connection that does not go back to the pool, where nothing else looks.
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	ctx, ack = mylibsql.WithAck(context.Background())
	row = conn.QueryRowContext(ctx, "INSERT INTO t(x) VALUES('c'), ('d') RETURNING id")
	require.NoError(t, row.Scan(&id))
	db.requireCaptured(t, ack)
}

// Exec of a statement with RETURNING takes one step and resets it.
func TestCaptureExecReturning(t *testing.T) {
	db := openNotes(t, "")
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES('a'), ('b') RETURNING id")
	require.NoError(t, err)
	require.Equal(t, 2, db.count(t, "t"))
	db.requireCaptured(t, ack)
}

// INSERT OR FAIL that fails half way keeps the rows before the failure: it fails and commits.
func TestCaptureInsertOrFailHalfWay(t *testing.T) {
	db := openNotes(t, "")
	db.exec(t, "INSERT INTO t(x) VALUES('taken')")
	db.checkpoint(t)
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "INSERT OR FAIL INTO t(x) VALUES('a'), ('b'), ('taken'), ('c')")
	require.Equal(t, sqlite3.ErrConstraint, sqliteCode(err))
	require.Equal(t, 3, db.count(t, "t"))
	db.requireCaptured(t, ack)
}

// A RETURNING whose context is cancelled between two rows has made all its changes, and
// commits them when the rows close.
func TestCaptureCancelledReturning(t *testing.T) {
	db := openNotes(t, "")
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx, ack := mylibsql.WithAck(cancellable)
	rows, err := db.QueryContext(ctx, "INSERT INTO t(x) VALUES('a'), ('b'), ('c') RETURNING id")
	require.NoError(t, err)
	require.True(t, rows.Next())
	cancel()
	for rows.Next() { // until the cancellation arrives
	}
	_ = rows.Close()
	require.Equal(t, 3, db.count(t, "t"))
	db.requireCaptured(t, ack)
}

// PRAGMA optimize calls itself read-only, writes sqlite_stat1 and commits.
func TestCapturePragmaOptimize(t *testing.T) {
	for _, how := range []string{"Exec", "Query", "Prepare"} {
		t.Run(how, func(t *testing.T) {
			db := openNotes(t, "")
			db.exec(t, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500)
				INSERT INTO t(x) SELECT 'row ' || i FROM n`)
			db.checkpoint(t)
			ctx, ack := mylibsql.WithAck(context.Background())
			const optimize = "PRAGMA optimize(0x10002)"
			switch how {
			case "Exec":
				_, err := db.ExecContext(ctx, optimize)
				require.NoError(t, err)
			case "Query":
				rows, err := db.QueryContext(ctx, optimize)
				require.NoError(t, err)
				for rows.Next() {
				}
				require.NoError(t, rows.Close())
			case "Prepare":
				statement, err := db.PrepareContext(ctx, optimize)
				require.NoError(t, err)
				_, err = statement.ExecContext(ctx)
				require.NoError(t, err)
				require.NoError(t, statement.Close())
			}
			require.NotZero(t, db.count(t, "sqlite_stat1"))
			db.requireCaptured(t, ack)
		})
	}
}

// The backup API replaces the whole database through the raw connection.
func TestCaptureBackupInto(t *testing.T) {
	ctx := context.Background()
	source, err := sql.Open("sqlite3", filepath.Join(t.TempDir(), "source.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, source.Close()) }()
	_, err = source.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000)
		INSERT INTO t(x) SELECT 'of the source ' || i FROM n`)
	require.NoError(t, err)

	db := openNotes(t, "")
	db.exec(t, "INSERT INTO t(x) VALUES('goes away')")
	to, err := db.Conn(ctx)
	require.NoError(t, err)
	from, err := source.Conn(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, from.Close()) }()
	raw(t, to, func(c *mylibsql.Conn) error {
		return from.Raw(func(plain any) error {
			backup, err := c.SQLite().Backup("main", plain.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			if _, err := backup.Step(-1); err != nil {
				return err
			}
			return backup.Finish()
		})
	})
	// The connection goes on being captured, and an ack on it works.
	require.NoError(t, to.Close())
	db.requireCaptured(t, nil)
	require.Equal(t, 3000, db.count(t, "t"))
	ackContext, ack := mylibsql.WithAck(ctx)
	_, err = db.ExecContext(ackContext, "INSERT INTO t(x) VALUES('after')")
	require.NoError(t, err)
	db.requireCaptured(t, ack)
}

func TestCaptureWritesThroughSQLite(t *testing.T) {
	db := openNotes(t, "")
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	exec := func(query string) {
		raw(t, conn, func(c *mylibsql.Conn) error {
			_, err := c.SQLite().Exec(query, []driver.Value{})
			return err
		})
	}
	exec("INSERT INTO t(x) VALUES('alone')")
	db.requireCaptured(t, nil)

	// Begun below, written on both levels, committed above under an ack.
	exec("BEGIN; INSERT INTO t(x) VALUES('below')")
	ackContext, ack := mylibsql.WithAck(ctx)
	_, err = conn.ExecContext(ackContext, "INSERT INTO t(x) VALUES('above')")
	require.NoError(t, err)
	require.ErrorIs(t, ack.Err(), mylibsql.ErrUncommitted)
	_, err = conn.ExecContext(ctx, "COMMIT")
	require.NoError(t, err)
	db.requireCaptured(t, ack)

	// Begun above under an ack, committed below: seen when the connection is used again.
	ackContext, ack = mylibsql.WithAck(ctx)
	_, err = conn.ExecContext(ackContext, "BEGIN IMMEDIATE")
	require.NoError(t, err)
	exec("INSERT INTO t(x) VALUES('inside'); COMMIT")
	require.NoError(t, conn.PingContext(ctx))
	require.NoError(t, conn.Close())
	db.requireCaptured(t, ack)

	// One that is left open goes away with the connection, and holds up nobody.
	conn, err = db.Conn(ctx)
	require.NoError(t, err)
	exec("BEGIN; INSERT INTO t(x) VALUES('forgotten')")
	require.NoError(t, conn.Close())
	db.exec(t, "INSERT INTO t(x) VALUES('next')")
	require.Equal(t, 5, db.count(t, "t"))
	db.requireCaptured(t, nil)
}

// User code that replaces the hooks through the raw connection cannot make SQLite checkpoint
// unsaved frames away.
func TestCaptureWithHooksReplaced(t *testing.T) {
	db := openNotes(t, "")
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	raw(t, conn, func(c *mylibsql.Conn) error {
		c.SQLite().RegisterAuthorizer(func(int, string, string, string) int { return 0 })
		_, err := c.SQLite().Exec("PRAGMA wal_autocheckpoint=1", nil)
		for range 50 {
			if err == nil {
				_, err = c.SQLite().Exec("INSERT INTO t(x) VALUES(hex(randomblob(500)))", nil)
			}
		}
		return err
	})
	_, err = conn.ExecContext(ctx, "PRAGMA journal_mode=DELETE")
	require.ErrorIs(t, err, mylibsql.ErrRefused, "the authorizer stands again")
	require.NoError(t, conn.Close())
	require.Equal(t, 50, db.count(t, "t"))
	db.requireCaptured(t, nil)
}

// ownRowsMin is how many rows are written here at least beside the foreign side.
const ownRowsMin = 40

// TestCaptureForeign has a plain go-sqlite3 pool write to, or checkpoint, the database all the
// while that it is written and saved here: in this process, and in another one.
func TestCaptureForeign(t *testing.T) {
	for _, job := range []string{foreignWrite, foreignCheckpoint} {
		t.Run(job+" in this process", func(t *testing.T) {
			db := openNotes(t, "_wal_limit_frames=200&_busy_timeout=20000")
			plain, err := openForeign(db.path, job)
			require.NoError(t, err)
			stop, begun := make(chan struct{}), make(chan struct{})
			var group sync.WaitGroup
			group.Go(func() { foreignWork(plain, job, stop, func() { close(begun) }) })
			<-begun
			db.writeBesideForeign(t)
			close(stop)
			group.Wait()
			require.NoError(t, plain.Close())
			db.requireForeignRows(t, job)
		})
		t.Run(job+" in another process", func(t *testing.T) {
			db := openNotes(t, "_wal_limit_frames=200&_busy_timeout=20000")
			child := startForeign(t, db.path, job)
			db.writeBesideForeign(t)
			child.stop(t)
			db.requireForeignRows(t, job)
		})
	}
}

// writeBesideForeign writes and saves for a moment.
func (d *database) writeBesideForeign(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(500 * time.Millisecond)
	for i := 0; i < ownRowsMin || time.Now().Before(deadline); i++ {
		ctx, ack := mylibsql.WithAck(context.Background())
		_, err := d.ExecContext(ctx, "INSERT INTO t(x) VALUES('own ' || hex(randomblob(500)))")
		require.NoError(t, err)
		require.NotZero(t, ack.FrameNo())
		if i%10 == 0 {
			position := d.checkpoint(t)
			require.GreaterOrEqual(t, position, ack.FrameNo())
			require.NoError(t, ack.Err())
		}
	}
}

func (d *database) requireForeignRows(t *testing.T, job string) {
	t.Helper()
	var foreign int
	row := d.QueryRow("SELECT count(*) FROM t WHERE x LIKE 'foreign %'")
	require.NoError(t, row.Scan(&foreign))
	if job == foreignWrite {
		require.NotZero(t, foreign)
	}
	d.exec(t, "INSERT INTO t(x) VALUES('last')")
	d.requireCaptured(t, nil)
}
