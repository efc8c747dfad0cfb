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
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/dbtest"
)

// opened is a database that a test has open, with one session and the logs that it saved.
type opened struct {
	*DB
	session  *Session
	warnings *warnings
	life     *dbtest.Life

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
	db, err := openAt(t, filepath.Join(t.TempDir(), "app.db"), options)
	require.NoError(t, err)
	return db
}

// openAt opens a database and its session. It is the only way by which the tests of this package
// open one (see opening_test.go of the root): at the end of the test dbtest looks at the file. It
// must be sound, and where something was saved a restore of the logs must be the file.
func openAt(t testing.TB, path string, options Options) (*opened, error) {
	t.Helper()
	o, err := acquire(path, options)
	if err != nil {
		return nil, err
	}
	o.life = dbtest.Watch(t, path, &dbtest.Life{
		Close: o.close, ErrUnsaved: ErrUnsaved,
		IsOpen: func() bool { return o.session != nil }, Logs: o.kept, Reopen: reopen,
	})
	return o, nil
}

// reopen opens a database for dbtest.
func reopen(path string) (*dbtest.Reopened, error) {
	// A process that another test starts at this moment has the lock until it is a program.
	o, err := acquire(path, Options{LockTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	return &dbtest.Reopened{
		IsPrimary: o.Role() == RolePrimary, Saved: o.Saved().FrameNo, Committed: o.Committed(),
		Checkpoint: func(ctx context.Context, save dbtest.Save) (translog.FrameNo, error) {
			return o.Checkpoint(ctx, save)
		},
		Close: o.close,
	}, nil
}

// acquire opens a database that no cleanup closes.
func acquire(path string, options Options) (*opened, error) {
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

// kept returns the logs so far.
func (o *opened) kept() []*translog.Log {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*translog.Log(nil), o.logs...)
}

// damaged says why the file need be neither sound nor restored in the end.
func (o *opened) damaged(reason string) { o.life.Unsound, o.life.Unrestored = reason, reason }

// leavesWAL says why a WAL may be left when the database is closed.
func (o *opened) leavesWAL(reason string) { o.life.LeavesWAL = reason }

// notRestored says why what was saved of the database does not restore to it in the end.
func (o *opened) notRestored(reason string) { o.life.Unrestored = reason }

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
	dbtest.RequireSound(t, requireRestored(t, o.path, o.logs))
}

// requireRestored compares a closed database with a restore of all logs of its history, and returns
// the restored file.
func requireRestored(t testing.TB, path string, logs []*translog.Log) (restored string) {
	t.Helper()
	dbtest.RequireChain(t, logs)
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
	dbtest.RequireSame(t, path, restored)
	return restored
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
