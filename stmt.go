//go:build cgo

package mylibsql

import (
	"context"
	"database/sql/driver"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// Stmt is a prepared statement of a [Conn], and like it used by one goroutine at a time.
type Stmt struct {
	conn   *Conn
	sqlite *sqlite3.SQLiteStmt
	class  engine.Class
	query  string

	returning bool // it may have rows that Exec leaves, and commits only when it is ended
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
	return s.conn.exec(ctx, s.class, s.query, func() (driver.Result, error) {
		result, err := s.sqlite.ExecContext(context.Background(), args)
		if err == nil && s.returning {
			err = engine.EndStatement(s.sqlite)
		}
		return result, err
	})
}

// QueryContext runs the statement and returns its rows, as Conn.QueryContext does.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.query(ctx, s.class, s.query, func() (driver.Rows, error) {
		return s.sqlite.QueryContext(ctx, args)
	})
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
