//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestReadWaitsForItsPosition reads on a replica with the token of a write on the primary: the
// read waits until the write is there. With an ended context it fails, and tells how far it is.
func TestReadWaitsForItsPosition(t *testing.T) {
	db, r := openFollowed(t)
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES('second')")
	require.NoError(t, err)
	token := ack.FrameNo()

	ended, cancel := context.WithCancel(mylibsql.WithMinFrame(context.Background(), token))
	cancel()
	var stale *mylibsql.StaleError
	lib := r.lib
	for name, read := range map[string]func(context.Context) error{
		"query": func(ctx context.Context) error {
			return conn(t, r, func(c *mylibsql.Conn) error {
				_, err := c.QueryContext(ctx, "SELECT x FROM t", nil)
				return err
			})
		},
		"exec": func(ctx context.Context) error {
			return conn(t, r, func(c *mylibsql.Conn) error {
				_, err := c.ExecContext(ctx, "SELECT x FROM t", nil)
				return err
			})
		},
	} {
		err := read(ended)
		require.ErrorIs(t, err, mylibsql.ErrStale, name)
		require.ErrorIs(t, err, context.Canceled, name)
		require.ErrorAs(t, err, &stale, name)
		require.Equal(t, token, stale.Want)
		require.Equal(t, lib.Stats().Committed, stale.Have)
	}

	read := make(chan error, 1)
	var x string
	go func() {
		ctx := mylibsql.WithMinFrame(context.Background(), token)
		read <- r.QueryRowContext(ctx, "SELECT x FROM t ORDER BY id DESC").Scan(&x)
	}()
	db.checkpoint(t)
	r.take(t, db.saved.logs...)
	require.NoError(t, <-read)
	require.Equal(t, "second", x)
}

// conn runs something on a connection of the driver.
func conn(t *testing.T, r *replica, use func(*mylibsql.Conn) error) error {
	t.Helper()
	c, err := r.Conn(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	return c.Raw(func(driverConn any) error { return use(driverConn.(*mylibsql.Conn)) })
}

// TestTransactionKeepsItsSnapshot asks for a later position inside a read transaction that has its
// snapshot already: it can never see it, and says so at once. A transaction that begins with the
// position sees it.
func TestTransactionKeepsItsSnapshot(t *testing.T) {
	db, r := openFollowed(t)
	tx, err := r.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	count := func(ctx context.Context, tx *sql.Tx) (n int, err error) {
		return n, tx.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n)
	}
	n, err := count(t.Context(), tx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	db.exec(t, "INSERT INTO t(x) VALUES('second')")
	later := db.checkpoint(t)
	r.take(t, db.saved.logs...)
	_, err = count(mylibsql.WithMinFrame(t.Context(), later), tx)
	require.ErrorIs(t, err, mylibsql.ErrStale)
	n, err = count(mylibsql.WithMinFrame(t.Context(), db.saved.logs[0].Last()), tx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, tx.Commit())
	tx, err = r.BeginTx(mylibsql.WithMinFrame(t.Context(), later), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	n, err = count(mylibsql.WithMinFrame(t.Context(), later), tx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, tx.Commit())
}

// TestReadOfAPositionThatNeverComes ends with its context, and at once for a plain reader, which
// has no positions.
func TestReadOfAPositionThatNeverComes(t *testing.T) {
	_, r := openFollowed(t)
	position := r.lib.Stats().Committed
	waited := make(chan error, 1)
	c, err := r.Conn(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(mylibsql.WithMinFrame(context.Background(), position+100))
	go func() {
		_, err := c.ExecContext(ctx, "SELECT 1")
		waited <- err
	}()
	cancel()
	require.ErrorIs(t, <-waited, mylibsql.ErrStale)
	require.NoError(t, c.Close())
	plain := openPool(t, "mylibsql", "file:"+r.path+"?mode=ro")
	err = plain.QueryRowContext(mylibsql.WithMinFrame(t.Context(), 1), "SELECT 1").Scan(new(int))
	require.ErrorIs(t, err, mylibsql.ErrNoEngine)
}

// TestOpenRowsKeepTheirSnapshot asks for a later position while rows are open on the connection,
// outside a transaction: the second statement would share their snapshot.
func TestOpenRowsKeepTheirSnapshot(t *testing.T) {
	db, r := openFollowed(t)
	c, err := r.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	rows, err := c.QueryContext(t.Context(), "SELECT x FROM t")
	require.NoError(t, err)
	require.True(t, rows.Next())
	db.exec(t, "INSERT INTO t(x) VALUES('second')")
	later := mylibsql.WithMinFrame(t.Context(), db.checkpoint(t))
	r.take(t, db.saved.logs...)
	var n int
	err = c.QueryRowContext(later, "SELECT count(*) FROM t").Scan(&n)
	require.ErrorIs(t, err, mylibsql.ErrStale)
	long := mylibsql.WithMinFrame(t.Context(), db.saved.logs[0].Last())
	require.NoError(t, c.QueryRowContext(long, "SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 1, n, "the snapshot of the rows")
	require.NoError(t, rows.Close())
	require.NoError(t, c.QueryRowContext(later, "SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 2, n)
}

// TestWriteTransactionSeesEverything asks inside a write transaction for what was committed while
// it waited for its turn.
func TestWriteTransactionSeesEverything(t *testing.T) {
	db, _ := openFollowed(t)
	first, err := db.Begin()
	require.NoError(t, err)
	begun := make(chan *sql.Tx)
	go func() {
		second, err := db.Begin()
		if err != nil {
			t.Error(err)
		}
		begun <- second
	}()
	ctx, ack := mylibsql.WithAck(t.Context())
	_, err = first.ExecContext(ctx, "INSERT INTO t(x) VALUES('before')")
	require.NoError(t, err)
	require.NoError(t, first.Commit())
	second := <-begun
	var n int
	later := mylibsql.WithMinFrame(t.Context(), ack.FrameNo())
	require.NoError(t, second.QueryRowContext(later, "SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 2, n)
	require.NoError(t, second.Rollback())
}
