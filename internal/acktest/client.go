//go:build cgo

// Package acktest is what an ack means, as a table of tests that every way to a
// database/sql pool must pass: database/sql itself, and libraries above it. It stands
// apart from the tests of the root module, so that modules with heavier dependencies run
// the same table.
package acktest

import "context"

// A Client is one way to reach a pool. Every method hands its context on as the library
// does it. Insert adds one row to the table [Schema] creates.
type Client interface {
	Session
	// Begin opens a transaction. Statements inside run under contexts of their own.
	Begin(ctx context.Context) (Transaction, error)
	// Connection runs use on a single connection of the pool.
	Connection(ctx context.Context, use func(Session) error) error
	// Prepare prepares an insert, which close lets go of.
	Prepare(ctx context.Context) (insert Insert, close func() error, err error)
}

// Insert adds one row.
type Insert func(ctx context.Context, text string) error

// A Session runs statements: on a pool, on one connection, or in a transaction.
type Session interface {
	// Insert adds one row, in the way the library's users do it.
	Insert(ctx context.Context, text string) error
	// Exec runs a statement as it is written.
	Exec(ctx context.Context, query string) error
	// Returning inserts two rows and opens the rows of INSERT ... RETURNING.
	Returning(ctx context.Context) (Rows, error)
}

// A Transaction is a Session that ends once.
type Transaction interface {
	Session
	Ending
}

// Rows are those that a Session has opened.
type Rows interface {
	// Next moves to the next row and reports whether there is one.
	Next() bool
	// Err is why Next ended, nil at the last row.
	Err() error
	// Close ends the statement.
	Close() error
}

// Schema creates the table that a Client inserts into.
const Schema = "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL)"

// Statements that every client runs as they are.
const (
	InsertStatement    = "INSERT INTO notes(text) VALUES(?)"
	ReturningStatement = "INSERT INTO notes(text) VALUES('one'), ('two') RETURNING id"
)
