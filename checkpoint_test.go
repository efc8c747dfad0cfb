//go:build cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestSaveThatMisbehaves calls Checkpoint with save functions that fail in every way. Each time the
// error is clear, nothing is lost, and the next save gets the same pages.
func TestSaveThatMisbehaves(t *testing.T) {
	wanted := errors.New("storage is down")
	type save = func(context.Context, *mylibsql.Log) error
	cases := []struct {
		name string
		save func(*database) save
		want error
	}{
		{"fails", func(*database) save {
			return func(context.Context, *mylibsql.Log) error { return wanted }
		}, wanted},
		{"panics", func(*database) save {
			return func(context.Context, *mylibsql.Log) error { panic("out of cheese") }
		}, mylibsql.ErrSavePanic},
		{"blocks until its context ends", func(*database) save {
			return func(ctx context.Context, _ *mylibsql.Log) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}, context.DeadlineExceeded},
		{"checkpoints the same database", func(d *database) save {
			return func(ctx context.Context, _ *mylibsql.Log) error {
				_, err := d.lib.Checkpoint(ctx, d.saved.save)
				return err
			}
		}, mylibsql.ErrNested},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db := openDatabase(t, "")
			db.exec(t, "CREATE TABLE t(x)")
			db.checkpoint(t)
			ctx, ack := mylibsql.WithAck(context.Background())
			_, err := db.ExecContext(ctx, "INSERT INTO t VALUES(1)")
			require.NoError(t, err)
			bounded, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			before := db.lib.Stats().Saved
			saved, err := db.lib.Checkpoint(bounded, c.save(db))
			require.ErrorIs(t, err, c.want)
			require.Equal(t, before, saved)
			require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
			db.exec(t, "INSERT INTO t VALUES(2)")
			saved = db.checkpoint(t)
			require.NoError(t, ack.Wait(context.Background()))
			last := db.saved.logs[len(db.saved.logs)-1]
			require.Equal(t, before, last.Follows().FrameNo, "offered again from the same position")
			require.Equal(t, saved, last.Last())
		})
	}
}

// TestSaveUsesTheDatabase writes and reads from inside save, with a pool of one connection: the
// Checkpoint takes none.
func TestSaveUsesTheDatabase(t *testing.T) {
	db := openDatabase(t, "")
	db.SetMaxOpenConns(1)
	db.exec(t, "CREATE TABLE t(x)")
	save := func(ctx context.Context, log *mylibsql.Log) error {
		if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES(1)"); err != nil {
			return err
		}
		return db.saved.save(ctx, log)
	}
	_, err := db.lib.Checkpoint(context.Background(), save)
	require.NoError(t, err)
	require.Less(t, db.lib.Stats().Saved, db.lib.Stats().Committed)
}

// TestCheckpointInsideATransaction runs while the caller holds the write gate and the only
// connection of the pool.
func TestCheckpointInsideATransaction(t *testing.T) {
	db := openDatabase(t, "_wal_limit_frames=100")
	db.SetMaxOpenConns(1)
	db.exec(t, "CREATE TABLE t(x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES(1)")
	require.NoError(t, err)
	position := db.checkpoint(t)
	require.Equal(t, position, db.lib.Stats().Committed)
	require.NoError(t, tx.Commit())
	require.Greater(t, db.checkpoint(t), position)
}

// TestCheckpointWithNothingNewDoesNotSave calls save only when there is something to save.
func TestCheckpointWithNothingNewDoesNotSave(t *testing.T) {
	db := openDatabase(t, "")
	never := func(context.Context, *mylibsql.Log) error { return errors.New("called") }
	position, err := db.lib.Checkpoint(context.Background(), never)
	require.NoError(t, err)
	require.Zero(t, position)
	db.exec(t, "CREATE TABLE t(x)")
	position = db.checkpoint(t)
	again, err := db.lib.Checkpoint(context.Background(), never)
	require.NoError(t, err)
	require.Equal(t, position, again)
}

// TestErrBadConnNeverLeavesRaw: database/sql would take it for a broken connection and may run
// the statement again.
func TestErrBadConnNeverLeavesRaw(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(x)")
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	err = conn.Raw(func(raw any) error {
		_, err := raw.(*mylibsql.Conn).Checkpoint(context.Background(),
			func(context.Context, *mylibsql.Log) error { return driver.ErrBadConn })
		return err
	})
	require.Error(t, err)
	require.NotErrorIs(t, err, driver.ErrBadConn)
	require.NoError(t, conn.PingContext(context.Background()))
}

// TestInitAndOpenPrimary makes a database from a snapshot and logs, and goes on from
// there; what does not fit is refused and leaves nothing behind.
func TestInitAndOpenPrimary(t *testing.T) {
	folder := t.TempDir()
	ctx := context.Background()
	first := filepath.Join(folder, "first.db")
	snapshot, err := mylibsql.Init(ctx, first, func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
		return err
	})
	require.NoError(t, err)
	_, err = mylibsql.Init(ctx, first, nil)
	require.ErrorIs(t, err, fs.ErrExist)

	a := openDatabaseAt(t, first, "")
	a.saved.logs = []*mylibsql.Log{snapshot.Log}
	for range 3 {
		a.exec(t, "INSERT INTO t VALUES(2)")
		a.checkpoint(t)
	}
	logs := a.saved.logs[1:]

	path := filepath.Join(folder, "second.db")
	require.ErrorIs(t, openPrimaryFails(t, path, snapshot, logs[1:]...), mylibsql.ErrGap)
	requireNothingAt(t, path)

	second := openPrimary(t, path, snapshot, logs...)
	require.NoError(t, second.DB.Close())
	require.ErrorIs(t, openPrimaryFails(t, path, snapshot, logs...), fs.ErrExist)
	b := openDatabaseAt(t, path, "")
	require.Equal(t, a.lib.Stats().Saved, b.lib.Stats().Saved)
	b.exec(t, "INSERT INTO t VALUES(3)")
	b.checkpoint(t)
	require.False(t, b.saved.logs[len(b.saved.logs)-1].IsSnapshot())
	require.Equal(t, 5, b.count(t, "t"))
}

// TestDamagedSnapshotIsRefused truncates and flips, and looks that nothing is left.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(x)")
	var buffer bytes.Buffer
	_, err := db.lib.WriteSnapshot(context.Background(), &buffer)
	require.NoError(t, err)
	whole := buffer.Bytes()
	for _, damaged := range [][]byte{whole[:len(whole)/2], whole[:50], nil, flipped(whole, 150)} {
		_, err := mylibsql.ReadSnapshot(bytes.NewReader(damaged))
		require.ErrorIs(t, err, mylibsql.ErrFormat)
	}
	file := filepath.Join(t.TempDir(), "damaged.ltx")
	require.NoError(t, os.WriteFile(file, flipped(whole, 150), 0o600))
	snapshot, err := mylibsql.OpenSnapshot(file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "app.db")
	require.ErrorIs(t, openPrimaryFails(t, path, snapshot), mylibsql.ErrFormat)
	require.NoError(t, snapshot.Close())
	requireNothingAt(t, path)
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

// requireNothingAt looks for the file and everything whose name starts with its.
func requireNothingAt(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, entry := range entries {
		require.False(t, strings.HasPrefix(entry.Name(), filepath.Base(path)), entry.Name())
	}
}

// TestNothingIsLeftOpen opens, uses and closes databases and counts file descriptors and
// goroutines.
func TestNothingIsLeftOpen(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc here to count descriptors in")
		}
		return len(entries)
	}
	use := func() {
		db := openDatabaseAt(t, filepath.Join(t.TempDir(), "app.db"), "_wal_limit_frames=100")
		db.exec(t, "CREATE TABLE t(x)")
		for range 300 {
			db.exec(t, "INSERT INTO t VALUES(randomblob(5000))")
		}
		db.checkpoint(t)
		require.NoError(t, db.DB.Close())
		for _, log := range db.saved.logs {
			require.NoError(t, log.Close())
		}
		db.saved.logs = nil
		db.notRestored("its logs are closed, for descriptors are counted")
	}
	use()
	before, goroutines := count(), runtime.NumGoroutine()
	for range 5 {
		use()
	}
	require.LessOrEqual(t, count(), before)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+1 },
		10*time.Second, time.Millisecond, "database/sql ends its own behind Close")
}
