//go:build cgo

package mylibsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/dsn"
	"github.com/mylibsql/mylibsql/engine"
)

// Tx is a transaction opened by BeginTx.
type Tx struct {
	conn  *Conn
	ctx   context.Context // of BeginTx, for Commit, which has none of its own
	ended bool            // SQLite rolled it back by itself: only Rollback is left
}

var _ driver.Tx = (*Tx)(nil)

// control is a statement without parameters or rows that a connection runs again and
// again. It is prepared by its first run.
type control struct{ prepared *sqlite3.SQLiteStmt }

func (s *control) run(sqlite *sqlite3.SQLiteConn, statement string) error {
	if s.prepared == nil {
		prepared, err := sqlite.Prepare(statement)
		if err != nil {
			return err
		}
		s.prepared = prepared.(*sqlite3.SQLiteStmt)
	}
	_, err := s.prepared.ExecContext(context.Background(), nil)
	return err
}

func (s *control) close() {
	if s.prepared != nil {
		_ = s.prepared.Close()
	}
}

// Begin is BeginTx with default options.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx opens a transaction: BEGIN IMMEDIATE, so that it cannot fail later for want of
// the write lock, unless _txlock says deferred (in WAL mode exclusive is the same as
// immediate, https://www.sqlite.org/lang_transaction.html). It waits for the write gate,
// at most for _busy_timeout. A read-only one is BEGIN; a write in it fails with
// ErrReadOnly.
//
// SQLite's transactions are serializable, which satisfies every isolation level but
// sql.LevelLinearizable, which is refused.
func (c *Conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	level := sql.IsolationLevel(options.Isolation)
	if level < sql.LevelDefault || level > sql.LevelSerializable {
		return nil, fmt.Errorf("mylibsql: isolation level %s is not supported", level)
	}
	if c.session == nil {
		return c.sqlite.BeginTx(ctx, options)
	}
	class, statement := engine.Control, "BEGIN"
	if !options.ReadOnly && c.txLock != dsn.TxLockDeferred {
		class, statement = engine.Write, "BEGIN IMMEDIATE"
	}
	ack, err := c.before(ctx, class, statement)
	if err != nil {
		return nil, err
	}
	if err := c.after(class, ack, c.runBegin(statement)); err != nil {
		return nil, err
	}
	c.session.SetReadOnly(options.ReadOnly)
	c.tx = &Tx{conn: c, ctx: ctx}
	return c.tx, nil
}

func (c *Conn) runBegin(statement string) error {
	if statement == "BEGIN" {
		_, err := c.sqlite.ExecContext(context.Background(), statement, nil)
		return err
	}
	return c.begin.run(c.sqlite, statement)
}

// Commit commits the transaction, which makes it as durable here as _synchronous says. It
// returns ErrTransactionEnded for one that SQLite has rolled back by itself, and SQLite's
// own errors bare. After an error nothing was committed, except that the outcome of an
// I/O error is known only after the database was reopened.
func (tx *Tx) Commit() error {
	c := tx.conn
	if tx.ended {
		tx.finish()
		return ErrTransactionEnded
	}
	if err := c.session.Before(tx.ctx, engine.Control, "COMMIT", nil); err != nil {
		return err
	}
	err := c.commit.run(c.sqlite, "COMMIT")
	if err != nil && !c.sqlite.AutoCommit() {
		// database/sql holds the transaction for ended now.
		_, _ = c.sqlite.ExecContext(context.Background(), "ROLLBACK", nil)
	}
	tx.finish()
	return c.after(engine.Control, nil, err)
}

// Rollback rolls the transaction back, whatever became of its context. It returns nil for
// one that SQLite has rolled back by itself.
func (tx *Tx) Rollback() error {
	c := tx.conn
	ended := tx.ended
	tx.finish()
	if ended {
		return nil
	}
	if err := c.session.Before(context.Background(), engine.Control, "ROLLBACK", nil); err != nil {
		return err
	}
	return c.after(engine.Control, nil, c.rollback.run(c.sqlite, "ROLLBACK"))
}

func (tx *Tx) finish() {
	tx.conn.session.SetReadOnly(false)
	tx.conn.tx = nil
}
