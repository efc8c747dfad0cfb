//go:build cgo

package mylibsql

import (
	"context"
	"database/sql/driver"
	"io"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// Rows are the rows of a statement that may write, such as INSERT ... RETURNING. It
// commits when the last row was read or the rows are closed, and the write gate is held
// until then.
type Rows struct {
	*sqlite3.SQLiteRows
	conn  *Conn
	class engine.Class
	ack   *Ack
}

var (
	_ driver.Rows                           = (*Rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*Rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*Rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*Rows)(nil)
)

// Next reads a row.
func (r *Rows) Next(into []driver.Value) error {
	err := r.SQLiteRows.Next(into)
	if err == nil {
		return nil
	}
	if err == io.EOF {
		if settleErr := r.conn.after(r.class, r.ack, nil); settleErr != nil {
			return settleErr
		}
		return io.EOF
	}
	return r.conn.after(r.class, r.ack, err)
}

// Close ends the statement, which commits it outside a transaction.
func (r *Rows) Close() error {
	return r.conn.after(r.class, r.ack, r.SQLiteRows.Close())
}

// settleRows wraps the rows of a statement that may write, and looks at what its first
// step, which go-sqlite3 takes at once, has done.
func (c *Conn) settleRows(class engine.Class, ack *Ack, rows driver.Rows, err error) (
	driver.Rows, error,
) {
	if class == engine.Read {
		if err != nil {
			return nil, c.after(class, ack, err)
		}
		return rows, nil
	}
	if err := c.after(class, ack, err); err != nil {
		// Closing may end a transaction, or the statement that held the gate: look again.
		if rows, ok := rows.(*sqlite3.SQLiteRows); ok && rows != nil {
			_ = rows.Close()
		}
		return nil, c.after(class, ack, err)
	}
	return &Rows{SQLiteRows: rows.(*sqlite3.SQLiteRows), conn: c, class: class, ack: ack}, nil
}

// resetRows answers PRAGMA wal_checkpoint.
func (c *Conn) resetRows(ctx context.Context) (driver.Rows, error) {
	c.session.Ran(carriedBy(ctx).ack)
	result, err := c.session.DB().Reset(ctx)
	if err != nil {
		return nil, hideBadConn(err)
	}
	row := []driver.Value{int64(0), int64(result.WALFrames), int64(result.Backfilled)}
	if result.Busy {
		row[0] = int64(1)
	}
	return &fixedRows{columns: []string{"busy", "log", "checkpointed"}, row: row}, nil
}

// reset is resetRows for who does not want rows.
func (c *Conn) reset(ctx context.Context) error {
	c.session.Ran(carriedBy(ctx).ack)
	_, err := c.session.DB().Reset(ctx)
	return hideBadConn(err)
}

// noResult is that of a statement that the engine answered.
type noResult struct{}

func (noResult) LastInsertId() (int64, error) { return 0, nil }
func (noResult) RowsAffected() (int64, error) { return 0, nil }

// fixedRows is one row that the engine made.
type fixedRows struct {
	columns []string
	row     []driver.Value // nil once it was read
}

func (r *fixedRows) Columns() []string { return r.columns }
func (r *fixedRows) Close() error      { return nil }

func (r *fixedRows) Next(into []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(into, r.row)
	r.row = nil
	return nil
}
