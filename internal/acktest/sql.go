//go:build cgo

package acktest

import (
	"context"
	"database/sql"
)

// Statements is what sql.DB, sql.Conn and sql.Tx have in common, and what wrappers of
// them embed.
type Statements interface {
	// ExecContext runs a statement without rows.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	// QueryContext runs a statement and returns its rows.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// SQLSession is a Session by database/sql.
type SQLSession struct {
	On Statements
}

// Insert adds one row.
func (s SQLSession) Insert(ctx context.Context, text string) error {
	_, err := s.On.ExecContext(ctx, InsertStatement, text)
	return err
}

// Exec runs a statement as it is written.
func (s SQLSession) Exec(ctx context.Context, query string) error {
	_, err := s.On.ExecContext(ctx, query)
	return err
}

// Returning inserts two rows and opens the rows of INSERT ... RETURNING.
func (s SQLSession) Returning(ctx context.Context) (Rows, error) {
	return s.On.QueryContext(ctx, ReturningStatement)
}

// Ending is what ends a transaction of database/sql, and of libraries that keep to it.
type Ending interface {
	// Commit makes what was done in it permanent here.
	Commit() error
	// Rollback undoes it.
	Rollback() error
}

// Transact makes a Transaction of a session inside it and of what ends it.
func Transact(inside Session, end Ending) Transaction {
	return struct {
		Session
		Ending
	}{inside, end}
}

// SQLClient is a Client by database/sql.
type SQLClient struct {
	SQLSession
	db *sql.DB
}

// NewSQLClient returns a Client of a pool.
func NewSQLClient(db *sql.DB) SQLClient { return SQLClient{SQLSession{db}, db} }

// Begin opens a transaction.
func (c SQLClient) Begin(ctx context.Context) (Transaction, error) {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return Transact(SQLSession{tx}, tx), nil
}

// Connection runs use on a single connection of the pool.
func (c SQLClient) Connection(ctx context.Context, use func(Session) error) error {
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return use(SQLSession{conn})
}

// Prepare prepares an insert.
func (c SQLClient) Prepare(ctx context.Context) (Insert, func() error, error) {
	statement, err := c.db.PrepareContext(ctx, InsertStatement)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, text string) error {
		_, err := statement.ExecContext(ctx, text)
		return err
	}, statement.Close, nil
}
