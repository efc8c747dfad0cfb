//go:build cgo

package compat

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"os"
	"path/filepath"
	"testing"

	"github.com/XSAM/otelsql"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/acktest"
	"github.com/mylibsql/mylibsql/internal/dbtest"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// TestAckTableOtelsql runs the ack table below the tracing wrapper: contexts arrive through
// it, and the handle is that of the Connector that was wrapped.
func TestAckTableOtelsql(t *testing.T) {
	acktest.Run(t, func(t *testing.T, path string) (acktest.Client, *sql.DB, *mylibsql.Database) {
		connector, err := mylibsql.NewConnector(path, nil)
		require.NoError(t, err)
		pool := otelsql.OpenDB(connector)
		return acktest.NewSQLClient(pool), pool, connector.Database
	})
}

// TestOtelsqlOpens opens the same database by every way that the wrapper has. Behind those that
// take a DSN, From finds no driver of ours and says what to do instead; the
// engine is one for all of them, so a Connector beside them checkpoints what they write.
func TestOtelsqlOpens(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "app.db")
	connector, err := mylibsql.NewConnector(path, nil)
	require.NoError(t, err)
	require.NoFileExists(t, path, "a connector touched the disk")
	ours := otelsql.OpenDB(connector)
	life := pooltest.Watch(t, path, ours, connector.Database)
	registered, err := otelsql.Register("mylibsql")
	require.NoError(t, err)
	byName, err := sql.Open(registered, path)
	require.NoError(t, err)
	opened, err := otelsql.Open("mylibsql", path)
	require.NoError(t, err)
	pooltest.Watch(t, path, byName, nil)
	pooltest.Watch(t, path, opened, nil)
	require.NoFileExists(t, path, "opening a pool touched the disk")

	_, err = ours.ExecContext(ctx, acktest.Schema)
	require.NoError(t, err)
	for name, pool := range map[string]*sql.DB{
		"OpenDB": ours, "Register": byName, "Open": opened,
	} {
		_, err := mylibsql.From(ctx, pool)
		require.ErrorIs(t, err, mylibsql.ErrNoEngine, name)

		ackContext, ack := mylibsql.WithAck(ctx)
		_, err = pool.ExecContext(ackContext, acktest.InsertStatement, name)
		require.NoError(t, err, name)
		require.ErrorIs(t, ack.Err(), mylibsql.ErrPending, name)
		position, err := connector.Checkpoint(ctx, life.Save)
		require.NoError(t, err, name)
		require.Equal(t, position, ack.FrameNo(), name)
		require.NoError(t, ack.Wait(ctx), name)
		checkpointByRaw(t, pool, life.Save)
	}
	var rows int
	require.NoError(t, opened.QueryRow("SELECT count(*) FROM notes").Scan(&rows))
	require.Equal(t, 3+3, rows)

	// Every pool closes what it holds; the last one closes the database.
	require.NoError(t, opened.Close())
	require.NoError(t, ours.Close())
	require.NoError(t, byName.Ping())
	require.NoError(t, byName.Close())
	_, err = connector.Checkpoint(ctx, life.Save)
	require.ErrorIs(t, err, mylibsql.ErrClosed)
	_, err = os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "the database is still open")
}

// checkpointByRaw reaches the handle through a connection, which the wrapper lets go of by its
// own Raw.
func checkpointByRaw(t *testing.T, pool *sql.DB, save dbtest.Save) {
	t.Helper()
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := pool.ExecContext(ctx, acktest.InsertStatement, "by Raw")
	require.NoError(t, err)
	conn, err := pool.Conn(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.Raw(func(wrapped any) error {
		inner := wrapped.(interface{ Raw() driver.Conn }).Raw().(*mylibsql.Conn)
		_, err := inner.Checkpoint(ctx, save)
		return err
	}))
	require.NoError(t, ack.Err())
}

// TestOtelsqlReportsParameters has the wrapper hand out this driver's own errors of a DSN.
func TestOtelsqlReportsParameters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	_, err := otelsql.Open("mylibsql", path+"?_no_such_parameter=1")
	require.ErrorIs(t, err, mylibsql.ErrParam)
	require.NoFileExists(t, path)
}
