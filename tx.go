//go:build cgo

package mylibsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine"
)

// Tx is a transaction opened by BeginTx.
type Tx struct {
	conn     *Conn
	ctx      context.Context // of BeginTx, for Commit, which has none of its own
	readOnly bool
	ended    bool // SQLite rolled it back by itself: only Rollback is left
}

var _ driver.Tx = (*Tx)(nil)

// control is a prepared statement without parameters or rows.
type control struct{ sqlite driver.Stmt }

func (c *Conn) control(at **control, statement string) (*control, error) {
	if *at == nil {
		prepared, err := c.sqlite.Prepare(statement)
		if err != nil {
			return nil, err
		}
		*at = &control{prepared}
	}
	return *at, nil
}

func (s *control) run() error {
	_, err := s.sqlite.(*sqlite3.SQLiteStmt).ExecContext(context.Background(), nil)
	return err
}

func (s *control) close() {
	if s != nil {
		_ = s.sqlite.Close()
	}
}

// Begin is BeginTx with default options.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx opens a transaction: BEGIN IMMEDIATE, so that it cannot fail later for want of
// the write lock, unless _txlock says otherwise. It waits for the write gate. A read-only
// one is BEGIN; a write in it fails with ErrReadOnly.
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
	if !options.ReadOnly && c.txLock != "deferred" {
		class, statement = engine.Write, "BEGIN IMMEDIATE"
	}
	ack := ackOf(ctx)
	if err := c.before(ctx, class, statement, ack); err != nil {
		return nil, err
	}
	err := c.runBegin(statement)
	if err := c.after(class, ack, err); err != nil {
		return nil, err
	}
	c.session.SetReadOnly(options.ReadOnly)
	c.tx = &Tx{conn: c, ctx: ctx, readOnly: options.ReadOnly}
	return c.tx, nil
}

func (c *Conn) runBegin(statement string) error {
	if statement == "BEGIN" {
		_, err := c.sqlite.ExecContext(context.Background(), statement, nil)
		return err
	}
	begin, err := c.control(&c.begin, statement)
	if err != nil {
		return err
	}
	return begin.run()
}

// Commit commits the transaction. After an error nothing was committed, except that the
// outcome of an I/O error is known only after the database was reopened.
func (tx *Tx) Commit() error {
	c := tx.conn
	if tx.ended {
		tx.finish()
		return ErrTransactionEnded
	}
	if err := c.before(tx.ctx, engine.Control, "COMMIT", nil); err != nil {
		return err
	}
	commit, err := c.control(&c.commit, "COMMIT")
	if err == nil {
		err = commit.run()
	}
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
	if err := c.before(context.Background(), engine.Control, "ROLLBACK", nil); err != nil {
		return err
	}
	rollback, err := c.control(&c.rollback, "ROLLBACK")
	if err == nil {
		err = rollback.run()
	}
	return c.after(engine.Control, nil, err)
}

func (tx *Tx) finish() {
	tx.conn.session.SetReadOnly(false)
	tx.conn.tx = nil
}
