//go:build cgo

package mylibsql

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// Conn is one connection to a database. [database/sql.Conn.Raw] hands it out: beyond the
// interfaces of database/sql/driver it has the methods of [Database], which work while
// the connection is inside a transaction, and SQLite.
//
// Like every driver connection it is used by one goroutine at a time; the methods of
// Database are safe for concurrent use.
type Conn struct {
	*Database
	sqlite  *sqlite3.SQLiteConn
	session *engine.Session // nil for a plain reader (mode=ro)
	txLock  string          // what BeginTx opens, in the words of _txlock
	tx      *Tx             // opened by BeginTx and not ended yet

	begin, commit, rollback control
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// SQLite is the go-sqlite3 connection below, for what database/sql has no words for:
// functions, collations, hooks, the backup API. What is written through it is captured.
// An authorizer that is registered on it is replaced by the engine's own before the next
// statement.
func (c *Conn) SQLite() *sqlite3.SQLiteConn {
	if c.session != nil {
		c.session.Expose()
	}
	return c.sqlite
}

// ExecContext runs statements and discards their rows. A write waits for the write gate,
// at most for _busy_timeout; SQLite's own errors are returned bare.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (
	driver.Result, error,
) {
	if c.session == nil {
		if err := c.refuseMinFrame(ctx); err != nil {
			return nil, err
		}
		return c.sqlite.ExecContext(ctx, query, args)
	}
	class := c.session.Classify(query)
	if class == engine.Several && engine.MentionsReturning(query) {
		return c.execEach(ctx, query, args)
	}
	return c.exec(ctx, class, query, func() (driver.Result, error) {
		return c.sqlite.ExecContext(context.Background(), query, args)
	})
}

// QueryContext runs a statement that returns rows. Those of a statement that only reads
// are go-sqlite3's own.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (
	driver.Rows, error,
) {
	if c.session == nil {
		if err := c.refuseMinFrame(ctx); err != nil {
			return nil, err
		}
		return c.sqlite.QueryContext(ctx, query, args)
	}
	class := c.session.Classify(query)
	if class == engine.Several && engine.MentionsReturning(query) {
		return c.queryLast(ctx, query, args)
	}
	return c.query(ctx, class, query, func() (driver.Rows, error) {
		return c.sqlite.QueryContext(ctx, query, args)
	})
}

// PrepareContext prepares one statement.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.session == nil {
		if err := c.refuseMinFrame(ctx); err != nil {
			return nil, err
		}
		return c.sqlite.PrepareContext(ctx, query)
	}
	class := c.session.Classify(query)
	prepared, err := c.sqlite.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.session.Explain(err)
	}
	return &Stmt{
		conn: c, sqlite: prepared.(*sqlite3.SQLiteStmt), class: class, query: query,
		returning: class != engine.Read && engine.MentionsReturning(query),
	}, nil
}

// Prepare is PrepareContext without a context.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// Ping reports whether the connection is open.
func (c *Conn) Ping(ctx context.Context) error { return c.sqlite.Ping(ctx) }

// ResetSession is called when the connection is taken from the pool.
func (c *Conn) ResetSession(context.Context) error {
	if c.session != nil {
		c.session.NoSnapshot()
	}
	return nil
}

// IsValid is called when the connection goes back to the pool: a transaction that was
// left open is rolled back here, so that it cannot hold up other writers.
func (c *Conn) IsValid() bool {
	c.tx = nil
	return c.session == nil || c.session.Idle()
}

// Close closes the connection. A transaction that is open is rolled back.
func (c *Conn) Close() error {
	c.begin.close()
	c.commit.close()
	c.rollback.close()
	if c.session == nil {
		return c.sqlite.Close()
	}
	return c.session.Close()
}

// exec runs a statement without rows between before and after, and interrupts it when ctx
// ends. PRAGMA wal_checkpoint is answered by the engine, and run is not called.
func (c *Conn) exec(
	ctx context.Context, class engine.Class, query string, run func() (driver.Result, error),
) (driver.Result, error) {
	if class == engine.Checkpoint {
		return noResult{}, c.reset(ctx)
	}
	ack, err := c.before(ctx, class, query)
	if err != nil {
		return nil, err
	}
	watch := startWatch(ctx, c.session)
	result, err := run()
	err = watch.stop(err)
	return result, c.after(class, ack, err)
}

// query is exec for a statement with rows, which go-sqlite3 interrupts by itself.
func (c *Conn) query(
	ctx context.Context, class engine.Class, query string, run func() (driver.Rows, error),
) (driver.Rows, error) {
	if class == engine.Checkpoint {
		return c.resetRows(ctx)
	}
	ack, err := c.before(ctx, class, query)
	if err != nil {
		return nil, err
	}
	if class != engine.Read {
		c.session.CarryRows(ack)
	}
	rows, err := run()
	return c.settleRows(class, ack, rows, err)
}

// before is called ahead of every statement, and returns the ack that the statement joins.
func (c *Conn) before(ctx context.Context, class engine.Class, query string) (*Ack, error) {
	if c.tx != nil && c.tx.ended {
		return nil, ErrTransactionEnded
	}
	carried := carriedBy(ctx)
	if carried.minFrame != 0 {
		if err := c.session.AwaitFrame(ctx, carried.minFrame); err != nil {
			return nil, err
		}
	}
	return carried.ack, c.session.Before(ctx, class, query, carried.ack)
}

// refuseMinFrame returns an error for a plain reader's statement that asks for a position.
func (c *Conn) refuseMinFrame(ctx context.Context) error {
	if carriedBy(ctx).minFrame != 0 {
		return fmt.Errorf("%w: WithMinFrame with mode=ro", ErrNoEngine)
	}
	return nil
}

// after is called behind every statement, with what it returned.
func (c *Conn) after(class engine.Class, ack *Ack, err error) error {
	if !c.session.NeedsAfter(class, err) {
		return c.session.Explain(err)
	}
	if class == engine.Attach || class == engine.Several {
		if refused := c.session.CheckAttached(); refused != nil {
			err = refused
		}
	}
	settleErr := c.session.After(ack)
	if err == nil {
		return cmp.Or(settleErr, c.session.LateError())
	}
	if c.tx != nil && !c.session.Explicit() {
		c.tx.ended = true
	}
	return c.session.Explain(err)
}
