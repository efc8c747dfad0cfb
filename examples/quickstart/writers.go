//go:build cgo

package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/mylibsql/mylibsql"
)

// Half of the writers use database/sql, the other half sqlx, all on one pool.
const (
	writerCount           = 16
	transactionsPerWriter = 25
	rowsPerTransaction    = 10
	writtenRows           = writerCount * transactionsPerWriter * rowsPerTransaction
)

const notesSchema = `
CREATE TABLE IF NOT EXISTS quickstart_notes(
	id INTEGER PRIMARY KEY, writer TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS quickstart_notes_writer ON quickstart_notes(writer, id);
`

// acks collects one ack for each transaction.
type acks struct {
	mutex sync.Mutex
	list  []*mylibsql.Ack
}

func (a *acks) add(ack *mylibsql.Ack) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.list = append(a.list, ack)
}

// wait returns nil when every transaction is saved.
func (a *acks) wait(ctx context.Context) error {
	for _, ack := range a.list {
		if err := ack.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// writeConcurrently runs all writers and returns the acks of what they committed.
func writeConcurrently(ctx context.Context, db *sql.DB) (*acks, error) {
	if _, err := db.ExecContext(ctx, notesSchema); err != nil {
		return nil, err
	}
	var collected acks
	shared := sqlx.NewDb(db, "sqlite3") // sqlx knows the placeholders by this name
	group, ctx := errgroup.WithContext(ctx)
	for writer := range writerCount {
		write := func(ctx context.Context) error { return writePlain(ctx, db, writer) }
		if writer%2 == 1 {
			write = func(ctx context.Context) error { return writeSqlx(ctx, shared, writer) }
		}
		group.Go(func() error {
			for range transactionsPerWriter {
				ctx, ack := mylibsql.WithAck(ctx)
				if err := write(ctx); err != nil {
					return err
				}
				collected.add(ack)
			}
			return nil
		})
	}
	return &collected, group.Wait()
}

// writePlain is one transaction through database/sql.
func writePlain(ctx context.Context, db *sql.DB, writer int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	for row := range rowsPerTransaction {
		_, err := tx.ExecContext(ctx, "INSERT INTO quickstart_notes(writer, note) VALUES(?, ?)",
			fmt.Sprintf("sql %d", writer), fmt.Sprintf("note %d", row))
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// writeSqlx is one transaction through sqlx.
func writeSqlx(ctx context.Context, db *sqlx.DB, writer int) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	for row := range rowsPerTransaction {
		_, err := tx.NamedExecContext(ctx,
			"INSERT INTO quickstart_notes(writer, note) VALUES(:writer, :note)",
			map[string]any{
				"writer": fmt.Sprintf("sqlx %d", writer), "note": fmt.Sprintf("note %d", row),
			})
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
