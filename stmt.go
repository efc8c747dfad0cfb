//go:build cgo

package mylibsql

import (
	"context"
	"database/sql/driver"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// Stmt is a prepared statement of a [Conn].
type Stmt struct {
	conn   *Conn
	sqlite *sqlite3.SQLiteStmt
	class  engine.Class
	query  string
}

var (
	_ driver.Stmt             = (*Stmt)(nil)
	_ driver.StmtExecContext  = (*Stmt)(nil)
	_ driver.StmtQueryContext = (*Stmt)(nil)
)

// Close finalizes the statement.
func (s *Stmt) Close() error { return s.sqlite.Close() }

// NumInput is the number of parameters.
func (s *Stmt) NumInput() int { return s.sqlite.NumInput() }

// ExecContext runs the statement and discards its rows, as Conn.ExecContext does.
func (s *Stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	c := s.conn
	if s.class == engine.Checkpoint {
		return noResult{}, c.reset(ctx)
	}
	ack := ackOf(ctx)
	if err := c.before(ctx, s.class, s.query, ack); err != nil {
		return nil, err
	}
	watch := startWatch(ctx, c.session)
	result, err := s.sqlite.ExecContext(context.Background(), args)
	err = watch.stop(err)
	return result, c.after(s.class, ack, err)
}

// QueryContext runs the statement and returns its rows, as Conn.QueryContext does.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	c := s.conn
	if s.class == engine.Checkpoint {
		return c.resetRows(ctx)
	}
	ack := ackOf(ctx)
	if err := c.before(ctx, s.class, s.query, ack); err != nil {
		return nil, err
	}
	if s.class != engine.Read {
		c.session.CarryRows(ack)
	}
	rows, err := s.sqlite.QueryContext(ctx, args)
	return c.settleRows(s.class, ack, rows, err)
}

// Exec is ExecContext without a context.
func (s *Stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

// Query is QueryContext without a context.
func (s *Stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, value := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	return values
}
