//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// gateWaits are the ways in which a writer comes to the gate.
var gateWaits = map[string]func(context.Context, *sql.Conn) error{
	"exec": func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "INSERT INTO t(x) VALUES('waited')")
		return err
	},
	"several": func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "SELECT 1; INSERT INTO t(x) VALUES('waited')")
		return err
	},
	"query": func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "INSERT INTO t(x) VALUES('waited') RETURNING id").
			Scan(new(int))
	},
	"prepared": func(ctx context.Context, conn *sql.Conn) error {
		prepared, err := conn.PrepareContext(context.Background(), "DELETE FROM t")
		if err != nil {
			return err
		}
		_, err = prepared.ExecContext(ctx)
		return errors.Join(err, prepared.Close())
	},
	"begin": func(ctx context.Context, conn *sql.Conn) error {
		tx, err := conn.BeginTx(ctx, nil)
		if err == nil {
			err = tx.Rollback()
		}
		return err
	},
}

// TestGateTimeout: a writer that waits longer than _busy_timeout gets the very value that
// go-sqlite3 returns for SQLITE_BUSY, not before that time and not much later.
func TestGateTimeout(t *testing.T) {
	const timeout = 60 * time.Millisecond
	db := openTable(t, "_busy_timeout=60")
	conn := db.oneConn(t)
	tx, err := db.Begin()
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	for name, wait := range gateWaits {
		start := time.Now()
		err := wait(context.Background(), conn)
		waited := time.Since(start)
		if name == "prepared" {
			require.Equal(t, sqlite3.ErrBusy, sqliteCode(err), name)
		} else {
			require.IsType(t, sqlite3.Error{}, err, name)
			require.Equal(t, sqlite3.ErrBusy, err.(sqlite3.Error).Code, name)
			require.Equal(t, "database is locked", err.Error())
		}
		require.GreaterOrEqual(t, waited, timeout, name)
		require.Less(t, waited, 40*timeout, name)
	}
	require.NoError(t, conn.QueryRowContext(context.Background(), "SELECT 1").Scan(new(int)))
}

// TestGateCancel: a writer that waits is cancelled at once, with its context's error, and
// leaves the gate as it was.
func TestGateCancel(t *testing.T) {
	db := openTable(t, "_busy_timeout=600000")
	conn := db.oneConn(t)
	tx, err := db.Begin()
	require.NoError(t, err)
	for name, wait := range gateWaits {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		start := time.Now()
		require.ErrorIs(t, wait(ctx, conn), context.DeadlineExceeded, name)
		require.Less(t, time.Since(start), 10*time.Second, name)
		cancel()
	}
	require.NoError(t, tx.Commit())
	_, err = conn.ExecContext(context.Background(), "INSERT INTO t(x) VALUES('after')")
	require.NoError(t, err)
	require.Equal(t, 2, db.count(t, "t"))
}

// TestCancelInterrupts: a context that ends interrupts a statement that would run for ever; it
// returns the context's error, and has written nothing.
func TestCancelInterrupts(t *testing.T) {
	db := openTable(t, "")
	conn := db.oneConn(t)
	ctx := context.Background()
	prepared, err := conn.PrepareContext(ctx, endlessInsert)
	require.NoError(t, err)
	defer func() { require.NoError(t, prepared.Close()) }()
	const endlessRead = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)" +
		" SELECT max(i) FROM n"
	for name, statement := range map[string]func(context.Context) error{
		"exec": func(ctx context.Context) error {
			_, err := conn.ExecContext(ctx, endlessInsert)
			return err
		},
		"several": func(ctx context.Context) error {
			_, err := conn.ExecContext(ctx, "SELECT 1; "+endlessInsert)
			return err
		},
		"prepared": func(ctx context.Context) error {
			_, err := prepared.ExecContext(ctx)
			return err
		},
		"returning": func(ctx context.Context) error {
			return conn.QueryRowContext(ctx, endlessInsert+" RETURNING id").Scan(new(int))
		},
		"read": func(ctx context.Context) error {
			return conn.QueryRowContext(ctx, endlessRead).Scan(new(int))
		},
		"read by exec": func(ctx context.Context) error {
			_, err := conn.ExecContext(ctx, endlessRead)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			limited, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, statement(limited), context.DeadlineExceeded)
			require.Less(t, time.Since(start), 10*time.Second)
			_, err := conn.ExecContext(ctx, "UPDATE t SET x = x")
			require.NoError(t, err)
			require.Equal(t, 1, db.count(t, "t"))
		})
	}
}

// TestCancelNeverHitsTheNextStatement ends a context at every moment around the end of a short
// statement. Whatever became of that one, the next on the connection is not interrupted.
func TestCancelNeverHitsTheNextStatement(t *testing.T) {
	db := openTable(t, "")
	conn := db.oneConn(t)
	background := context.Background()
	cancelled := 0
	for range 2000 {
		ctx, cancel := context.WithCancel(background)
		done := make(chan struct{})
		go func() { cancel(); close(done) }()
		_, err := conn.ExecContext(ctx, "UPDATE t SET x = x || '' WHERE id = 1")
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			cancelled++
		}
		_, err = conn.ExecContext(background, "UPDATE t SET x = 'first'")
		require.NoError(t, err)
		<-done
	}
	t.Logf("%d of 2000 were cancelled", cancelled)
}

// TestRawCheckpointInsideATransaction: the handle that Raw gives works on the very connection that
// holds the write gate, and sees what is committed only.
func TestRawCheckpointInsideATransaction(t *testing.T) {
	db := openTable(t, "")
	db.SetMaxOpenConns(1)
	conn := db.oneConn(t)
	ctx := context.Background()
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE; INSERT INTO t(x) VALUES('open')")
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(raw any) error {
		c := raw.(*mylibsql.Conn)
		position, err := c.Checkpoint(ctx, db.saved.save)
		require.Equal(t, c.Stats().Committed, position)
		return err
	}))
	_, err = conn.ExecContext(ctx, "COMMIT")
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(raw any) error {
		_, err := raw.(*mylibsql.Conn).SQLite().ExecContext(ctx,
			"INSERT INTO t(x) VALUES('through SQLite')", nil)
		return err
	}))
	require.NoError(t, conn.Close())
	db.checkpoint(t)
	require.Equal(t, 3, db.count(t, "t"))
}
