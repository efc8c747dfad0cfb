//go:build cgo

package mylibsql_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// openStore opens an empty directory store.
func openStore(t *testing.T) *checkpoint.Directory {
	t.Helper()
	store, err := checkpoint.OpenDirectory(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	return store
}

// saveAll checkpoints into a store until everything is saved. A lost answer takes one round more.
func (d *database) saveAll(t *testing.T, store *checkpoint.Directory) {
	t.Helper()
	for range 3 {
		saved, err := d.lib.Checkpoint(context.Background(), d.saveTo(store))
		require.NoError(t, err)
		if saved == d.lib.Stats().Committed {
			return
		}
	}
	require.Equal(t, d.lib.Stats().Committed, d.lib.Stats().Saved)
}

// requireRestores saves the rest, closes, and compares the file with a restore of the store.
func (d *database) requireRestores(t *testing.T, store *checkpoint.Directory) {
	t.Helper()
	d.saveAll(t, store)
	position := d.lib.Stats().Committed
	require.NoError(t, d.DB.Close())
	copied := filepath.Join(t.TempDir(), "restored.db")
	end, err := checkpoint.Restore(context.Background(), store, copied)
	require.NoError(t, err)
	require.Equal(t, position, end.FrameNo)
	requireSameFile(t, d.path, copied)
}

// requireNilOr wants no error, or one that matches.
func requireNilOr(t *testing.T, want, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, want)
	}
}

// TestCloseDuringACheckpoint closes at many moments of a Checkpoint, of a first one and of a later
// one. It returns ErrClosed or succeeds; the next life goes on, and a restore equals the file.
func TestCloseDuringACheckpoint(t *testing.T) {
	const moments, step = 40, 20 * time.Microsecond // denser at first
	closed := 0
	for i := range moments {
		store := openStore(t)
		db := openDatabase(t, "")
		db.exec(t, "CREATE TABLE t(x)")
		if i%2 == 1 {
			db.saveAll(t, store)
		}
		db.exec(t, "INSERT INTO t SELECT randomblob(200000) FROM (VALUES(1), (2), (3))")
		begun, done := make(chan struct{}), make(chan error)
		go func() {
			close(begun)
			_, err := db.lib.Checkpoint(context.Background(), store.Save)
			done <- err
		}()
		<-begun
		<-time.After(time.Duration(i*i) * step)
		requireNilOr(t, mylibsql.ErrUnsaved, db.DB.Close())
		err := <-done
		requireNilOr(t, mylibsql.ErrClosed, err)
		if err != nil {
			closed++
		}
		again := openDatabaseAt(t, db.path, "")
		again.exec(t, "INSERT INTO t VALUES('next life')")
		require.Equal(t, 4, again.count(t, "t"))
		again.requireRestores(t, store)
	}
	t.Logf("%d of %d checkpoints were closed", closed, moments)
}

// TestCloseDuringASave: Close does not wait for a save that hangs, and pending acks fail. The save
// may end before or after the next life has saved: its Checkpoint says ErrClosed, and the
// history in the store stays one chain.
func TestCloseDuringASave(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			store := openStore(t)
			db := openDatabase(t, "")
			db.exec(t, "CREATE TABLE t(x)")
			if !first {
				db.saveAll(t, store)
			}
			ctx, ack := mylibsql.WithAck(context.Background())
			_, err := db.ExecContext(ctx, "INSERT INTO t VALUES(1)")
			require.NoError(t, err)
			entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				_, err := db.lib.Checkpoint(context.Background(),
					func(ctx context.Context, log *mylibsql.Log) error {
						close(entered)
						<-leave
						return store.Save(ctx, log)
					})
				done <- err
			}()
			<-entered
			requireNilOr(t, mylibsql.ErrUnsaved, db.DB.Close())
			require.ErrorIs(t, ack.Wait(context.Background()), mylibsql.ErrClosed)
			again := openDatabaseAt(t, db.path, "")
			again.exec(t, "INSERT INTO t VALUES(2)")
			if late {
				again.saveAll(t, store)
				again.exec(t, "INSERT INTO t VALUES(3)")
			}
			close(leave)
			require.ErrorIs(t, <-done, mylibsql.ErrClosed)
			again.exec(t, "INSERT INTO t VALUES(4)")
			again.requireRestores(t, store)
		}
	}
}

// TestKeptHandleAfterClose: the handle of a closed connection says so, whatever it is asked.
func TestKeptHandleAfterClose(t *testing.T) {
	ctx := context.Background()
	for _, gone := range []bool{false, true} {
		db := openDatabase(t, "")
		db.exec(t, "CREATE TABLE t(x)")
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		var kept *mylibsql.Database
		raw(t, conn, func(c *mylibsql.Conn) error { kept = c.Database; return nil })
		committed := kept.Stats().Committed
		require.NotZero(t, committed)
		require.NoError(t, conn.Close())
		require.NoError(t, db.DB.Close())
		moved := db.path + ".moved"
		if gone {
			require.NoError(t, os.Rename(db.path, moved))
		}
		require.Zero(t, kept.Stats())
		_, err = kept.Checkpoint(ctx, db.saved.save)
		require.ErrorIs(t, err, mylibsql.ErrClosed)
		require.ErrorIs(t, kept.WaitSaved(ctx, committed), mylibsql.ErrClosed)
		_, err = kept.WriteSnapshot(ctx, io.Discard)
		require.ErrorIs(t, err, mylibsql.ErrClosed)
		if gone {
			require.NoError(t, os.Rename(moved, db.path))
		}
	}
}

// TestHandleWhileItCloses calls the methods of a connection's handle without a pause while the
// database closes: each succeeds or says ErrClosed.
func TestHandleWhileItCloses(t *testing.T) {
	ctx := context.Background()
	for range 20 {
		db := openDatabase(t, "")
		db.exec(t, "CREATE TABLE t(x)")
		db.leavesWAL("a WriteSnapshot that is under way reads it beyond the close")
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		var kept *mylibsql.Database
		raw(t, conn, func(c *mylibsql.Conn) error { kept = c.Database; return nil })
		require.NoError(t, conn.Close())
		errs := make(chan error, 8)
		var begun, group sync.WaitGroup
		for _, method := range []func() error{
			func() error { _, err := kept.Checkpoint(ctx, db.saved.save); return err },
			func() error { _, err := kept.WriteSnapshot(ctx, io.Discard); return err },
			func() error { return kept.WaitSaved(ctx, 1<<40) },
			func() error {
				if kept.Stats().Committed == 0 {
					return mylibsql.ErrClosed
				}
				return nil
			},
		} {
			begun.Add(1)
			group.Go(func() {
				begun.Done()
				for {
					if err := method(); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		begun.Wait()
		requireNilOr(t, mylibsql.ErrUnsaved, db.DB.Close())
		group.Wait()
		close(errs)
		for err := range errs {
			require.ErrorIs(t, err, mylibsql.ErrClosed)
		}
	}
}

// TestCloseLeavesOneFile: whatever was done last, a closed database has neither a WAL nor its index
// beside it. Connections that never read the newest schema must not keep them there.
func TestCloseLeavesOneFile(t *testing.T) {
	for _, last := range [][]string{
		{"CREATE TABLE u(x)"},
		{"INSERT INTO t VALUES(1)"},
		{"INSERT INTO t VALUES(1)", "CREATE INDEX i ON t(x)"},
		{"ALTER TABLE t ADD COLUMN y", "UPDATE t SET y = 1", "DROP TABLE t"},
		{"VACUUM"},
		{"SELECT 1"},
		{"PRAGMA wal_checkpoint", "CREATE TABLE u(x)"},
		nil,
	} {
		for _, save := range []bool{false, true} {
			db := openDatabase(t, "")
			db.exec(t, "CREATE TABLE t(x)")
			db.checkpoint(t)
			require.NoError(t, db.DB.Close())
			again := openDatabaseAt(t, db.path, "")
			idle, err := again.Conn(context.Background())
			require.NoError(t, err)
			for _, statement := range last {
				again.exec(t, statement)
			}
			if save {
				again.checkpoint(t)
			}
			require.NoError(t, idle.Close())
			requireNilOr(t, mylibsql.ErrUnsaved, again.DB.Close())
			require.Equal(t, []string{"app.db", "app.db-mylibsql"},
				namesIn(t, filepath.Dir(db.path)), strings.Join(last, "; "))
		}
	}
}

// TestConnectWhileTheConnectorCloses holds a connection in its ConnectHook while its connector
// closes. It works or fails; until it is gone no second process gets the database.
func TestConnectWhileTheConnectorCloses(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "app.db")
	entered, leave := make(chan struct{}), make(chan struct{})
	var hold sync.Once
	holding := false
	connector, err := mylibsql.NewConnector(path, &mylibsql.Options{
		ConnectHook: func(*sqlite3.SQLiteConn) error {
			if holding {
				hold.Do(func() { close(entered); <-leave })
			}
			return nil
		},
	})
	require.NoError(t, err)
	pooltest.Watch(t, path, nil, connector.Database)
	first, err := connector.Connect(ctx)
	require.NoError(t, err)
	_, err = first.(*mylibsql.Conn).ExecContext(ctx, "CREATE TABLE t(x)", nil)
	require.NoError(t, err)
	require.NoError(t, first.Close())

	holding = true
	result := make(chan error, 1)
	var late *mylibsql.Conn
	go func() {
		conn, err := connector.Connect(ctx)
		late, _ = conn.(*mylibsql.Conn)
		result <- err
	}()
	<-entered
	require.NoError(t, connector.Close())
	require.Contains(t, outputOfChild(t, path), "in use by")
	close(leave)
	if err := <-result; err == nil {
		_, err = late.ExecContext(ctx, "INSERT INTO t VALUES(1)", nil)
		require.NoError(t, err)
		require.Contains(t, outputOfChild(t, path), "in use by")
		require.NoError(t, late.Close())
		require.Contains(t, outputOfChild(t, path), "rows 1")
	} else {
		require.Contains(t, outputOfChild(t, path), "rows 0")
	}
	_, err = connector.Connect(ctx)
	require.ErrorIs(t, err, mylibsql.ErrClosed)
}

// TestPoolClosesInsideAHook is the same through database/sql, which forgets such a connection.
func TestPoolClosesInsideAHook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	entered, leave := make(chan struct{}), make(chan struct{})
	var hold sync.Once
	connector, err := mylibsql.NewConnector(path, &mylibsql.Options{
		ConnectHook: func(*sqlite3.SQLiteConn) error {
			hold.Do(func() { close(entered); <-leave })
			return nil
		},
	})
	require.NoError(t, err)
	db := openConnector(t, connector, path)
	result := make(chan error, 1)
	go func() {
		_, err := db.Exec("CREATE TABLE t(x)")
		result <- err
	}()
	<-entered
	require.NoError(t, db.Close())
	close(leave)
	err = <-result
	again := openDatabaseAt(t, path, "")
	if err == nil {
		require.Zero(t, again.count(t, "t"))
	} else {
		require.False(t, errors.Is(err, os.ErrNotExist), err)
		again.exec(t, "CREATE TABLE t(x)")
	}
}
