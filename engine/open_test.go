//go:build cgo

package engine

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// opened is a database that a test has open, with one session and the logs that it saved.
type opened struct {
	*DB
	session  *Session
	warnings *warnings

	mu   sync.Mutex
	logs []*translog.Log
}

// warnings collects what the engine logs.
type warnings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *warnings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// openNew opens a new database in a folder of the test.
func openNew(t testing.TB, options Options) *opened {
	t.Helper()
	db, err := openAt(filepath.Join(t.TempDir(), "app.db"), options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.close() })
	return db
}

// openAt opens a database and its session.
func openAt(path string, options Options) (*opened, error) {
	w := &warnings{}
	options.Logger = slog.New(slog.NewTextHandler(w, nil))
	db, err := Acquire(context.Background(), path, options)
	if err != nil {
		return nil, err
	}
	o := &opened{DB: db, warnings: w}
	db.Hold() // for the session
	if o.session, err = db.Connect(ConnectOptions{
		DSN: "file:" + path + "?_busy_timeout=0", BusyTimeout: time.Minute,
	}); err != nil {
		return nil, errors.Join(err, db.Release(), db.Release())
	}
	return o, nil
}

// close lets go of the database; a second call does nothing.
func (o *opened) close() error {
	if o.session == nil {
		return nil
	}
	err := o.session.Close()
	o.session = nil
	return errors.Join(err, o.DB.Release())
}

// run runs a statement as the driver does.
func (o *opened) run(text string, args ...any) error {
	return o.runUnder(nil, text, args...)
}

func (o *opened) runUnder(ack *Ack, text string, args ...any) error {
	ctx := context.Background()
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	if err := o.session.Before(ctx, o.session.Classify(text), text, ack); err != nil {
		return err
	}
	_, err := o.session.SQLite().ExecContext(ctx, text, values)
	return errors.Join(o.session.Explain(err), o.session.After(ack))
}

func (o *opened) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	require.NoError(t, o.run(text, args...), text)
}

// save keeps a log, as an application's storage would.
func (o *opened) save(_ context.Context, log *translog.Log) error {
	clone, err := log.Clone()
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logs = append(o.logs, clone)
	return nil
}

func (o *opened) checkpoint(t testing.TB) translog.FrameNo {
	t.Helper()
	position, err := o.Checkpoint(context.Background(), o.save)
	require.NoError(t, err)
	return position
}

// requireRestores saves what is left, closes the database, and requires that a restore of
// everything saved is the file, byte for byte.
func (o *opened) requireRestores(t testing.TB) {
	t.Helper()
	o.checkpoint(t)
	require.NoError(t, o.close())
	restored := requireRestored(t, o.path, o.logs)
	db := openPlain(t, restored, "mode=ro")
	var answer string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&answer))
	require.Equal(t, "ok", answer)
}

// requireRestored compares a closed database with a restore of all logs of its history, and returns
// the restored file.
func requireRestored(t testing.TB, path string, logs []*translog.Log) (restored string) {
	t.Helper()
	requireChain(t, logs)
	start := 0
	for i, log := range logs {
		if log.IsSnapshot() {
			start = i
		}
	}
	snapshot, err := translog.AsSnapshot(logs[start])
	require.NoError(t, err)
	restored = filepath.Join(t.TempDir(), "restored.db")
	_, err = snapshot.Restore(restored, logs[start+1:]...)
	require.NoError(t, err)
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	got, err := os.ReadFile(restored)
	require.NoError(t, err)
	require.Equal(t, len(want), len(got), "length of the restored file")
	require.True(t, bytes.Equal(want, got), "the restored file differs")
	return restored
}

// requireChain requires that every log says that it continues the one before it.
func requireChain(t testing.TB, logs []*translog.Log) {
	t.Helper()
	require.NotEmpty(t, logs)
	require.True(t, logs[0].IsSnapshot(), "the first log is a snapshot")
	for i := 1; i < len(logs); i++ {
		require.Equal(t, logs[i-1].End(), logs[i].Follows(), "log %d", i)
		require.Greater(t, logs[i].Last(), logs[i-1].Last(), "log %d", i)
	}
}

// openPlain opens a database through go-sqlite3 alone, on one connection.
func openPlain(t testing.TB, path, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?"+params)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// drain runs a text on the raw connection, past the engine, and reads all its rows.
func (o *opened) drain(ctx context.Context, text string) error {
	rows, err := o.session.conn.QueryContext(ctx, text, nil)
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for err == nil {
		err = rows.Next(row)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// change is the counter of commits in the wal-index, whoever made them.
func (o *opened) change(t testing.TB) uint32 {
	t.Helper()
	state, err := o.index.Read()
	require.NoError(t, err)
	return state.Change
}

// columnOf reads the first column of rows as text.
func columnOf(rows driver.Rows) (values []string, err error) {
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return nil, err
		}
		text, _ := row[0].(string)
		values = append(values, text)
	}
}
