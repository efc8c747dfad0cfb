//go:build cgo

package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// ownBusyTimeoutMs is how long the engine's own connections wait for SQLite's locks, of
// which readers need some for moments only.
const ownBusyTimeoutMs = 5000

// connection is one of the engine's own: bare and not restricted.
type connection struct {
	sqlite *sqlite3.SQLiteConn
	handle *sqlite.Handle
}

func openConnection(path string) (*connection, error) {
	uri := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	uri.RawQuery = fmt.Sprintf("mode=rw&_busy_timeout=%d&_stmt_cache_size=8",
		ownBusyTimeoutMs)
	opened := &connection{}
	d := &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) (err error) {
		opened.handle, err = sqlite.Attach(c, false)
		if err != nil {
			return err
		}
		return opened.handle.Protect()
	}}
	conn, err := d.Open(uri.String())
	if err != nil {
		return nil, err
	}
	opened.sqlite = conn.(*sqlite3.SQLiteConn)
	return opened, nil
}

// setBusyTimeout sets how long the connection waits for SQLite's locks, in whole
// milliseconds.
func (c *connection) setBusyTimeout(timeout time.Duration) error {
	return c.exec(fmt.Sprintf("PRAGMA busy_timeout = %d", timeout.Milliseconds()))
}

// Who waits for another program's lock does so in SQLite, a slice at a time, so that the end
// of a context is seen.
const lockWaitSlice = 50 * time.Millisecond

// beginWrite takes SQLite's write lock, waiting for another program at most for wait, or
// until ctx ends. It returns SQLite's ErrBusy then, or the context's error.
func (c *connection) beginWrite(ctx context.Context, wait time.Duration) error {
	if err := c.setBusyTimeout(min(wait, lockWaitSlice)); err != nil {
		return err
	}
	for deadline := time.Now().Add(wait); ; {
		err := c.exec("BEGIN IMMEDIATE")
		if ignoreBusy(err) != nil || err == nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !time.Now().Before(deadline) {
			return err
		}
	}
}

// ignoreBusy is for who comes again later.
func ignoreBusy(err error) error {
	var failure sqlite3.Error
	if errors.As(err, &failure) && failure.Code == sqlite3.ErrBusy {
		return nil
	}
	return err
}

func (c *connection) exec(statement string) error {
	_, err := c.sqlite.ExecContext(context.Background(), statement, nil)
	return err
}

// row runs a statement to its end and returns its first row, nil when there is none.
func (c *connection) row(statement string) (row []driver.Value, err error) {
	rows, err := c.sqlite.QueryContext(context.Background(), statement, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	next := make([]driver.Value, len(rows.Columns()))
	for {
		// To the end: what goes wrong behind the last row is told nowhere else.
		err := rows.Next(next)
		if errors.Is(err, io.EOF) {
			return row, nil
		}
		if err != nil {
			return nil, err
		}
		if row == nil {
			row = slices.Clone(next)
		}
	}
}

// integers are those of the first row.
func (c *connection) integers(statement string) (values []int64, err error) {
	row, err := c.row(statement)
	for _, value := range row {
		if n, ok := value.(int64); ok {
			values = append(values, n)
		}
	}
	return values, err
}

// text is the first value of the first row, as text.
func (c *connection) text(statement string) (string, error) {
	row, err := c.row(statement)
	if err != nil || len(row) == 0 {
		return "", err
	}
	switch value := row[0].(type) {
	case string:
		return value, nil
	case []byte:
		return string(value), nil
	}
	return fmt.Sprint(row[0]), nil
}

// integer is integers for a statement that returns a single one.
func (c *connection) integer(statement string) (int64, error) {
	values, err := c.integers(statement)
	if err != nil {
		return 0, err
	}
	if len(values) != 1 {
		return 0, fmt.Errorf("engine: %s returned %d integers", statement, len(values))
	}
	return values[0], nil
}

// beginRead opens a read transaction and takes its snapshot.
func (c *connection) beginRead() error {
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	if _, err := c.integers("SELECT 1 FROM sqlite_master LIMIT 1"); err != nil {
		_ = c.exec("ROLLBACK")
		return err
	}
	return nil
}

func (c *connection) endRead() error { return c.exec("ROLLBACK") }

func (c *connection) close() error {
	if c == nil {
		return nil
	}
	err := c.sqlite.Close()
	c.handle.Release()
	return err
}

// checkpoint runs PRAGMA wal_checkpoint and reports whether everything in the WAL is in
// the database file afterwards.
func (c *connection) checkpoint(mode string) (complete bool, err error) {
	values, err := c.integers("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		return false, err
	}
	if len(values) != 3 {
		return false, fmt.Errorf("engine: wal_checkpoint returned %d columns", len(values))
	}
	busy, frames, copied := values[0], values[1], values[2]
	return busy == 0 && frames == copied, nil
}

// openWAL opens the -wal file, for writing too: a replica appends to it. SQLite takes no
// locks on it, so closing it is harmless.
func openWAL(path string) (*os.File, error) {
	file, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("engine: open WAL: %w", err)
	}
	return file, nil
}
