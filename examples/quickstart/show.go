//go:build cgo

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// demonstration is a primary, the store of its logs, and where to tell about them.
type demonstration struct {
	out   io.Writer
	db    *sql.DB
	lib   *mylibsql.Database
	store *checkpoint.Directory
	width int // of a position, in characters
}

// show opens the primary, writes, saves, closes, restores and compares.
func show(ctx context.Context, out io.Writer, f files) error {
	store, err := checkpoint.OpenDirectory(f.store)
	if err != nil {
		return err
	}
	begun := time.Now()
	db, err := sql.Open("mylibsql", "file:"+uriPath(f.primary))
	if err != nil {
		return err
	}
	d := &demonstration{out: out, db: db, store: store}
	counts, err := d.primary(ctx, f, begun)
	// Closed before anything is compared: reading an open database file by its path would
	// drop SQLite's locks on it.
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return restoreAndCompare(ctx, out, store, f, counts)
}

// primary does everything that needs the database open, which was begun then, and returns
// its row counts at the end.
func (d *demonstration) primary(ctx context.Context, f files, begun time.Time) (
	counts rowCounts, err error,
) {
	if d.lib, err = mylibsql.From(ctx, d.db); err != nil {
		return nil, err
	}
	opened := time.Since(begun)
	if counts, err = countRows(ctx, d.db); err != nil {
		return nil, err
	}
	origin := ""
	if f.resumed {
		origin = ", as the last run left it"
	}
	fmt.Fprintf(d.out, "%s: %s tables, %s rows, pages of %d bytes%s\n\n",
		filepath.Base(f.primary), number(len(counts)), number(counts.total()),
		d.lib.Stats().PageSize, origin)
	// A history that started over has large positions.
	d.width = max(len("committed"), len(number(d.lib.Stats().Committed)))
	d.print("", "time", "committed", "saved", "acks pending", "saved log")
	d.row("open as a primary", opened, "")

	if err := d.checkpoint(ctx); err != nil {
		return nil, err
	}
	begun = time.Now()
	written, err := writeConcurrently(ctx, d.db)
	if err != nil {
		return nil, err
	}
	step := fmt.Sprintf("%d writers (sql, sqlx): %s rows", writerCount, number(writtenRows))
	d.row(step, time.Since(begun), "")
	if err := d.checkpoint(ctx); err != nil {
		return nil, err
	}
	if err := written.wait(ctx); err != nil {
		return nil, fmt.Errorf("an ack after the checkpoint: %w", err)
	}
	if err := d.writeAndWait(ctx); err != nil {
		return nil, err
	}
	return countRows(ctx, d.db)
}

// checkpoint saves what is not saved and tells about the log.
func (d *demonstration) checkpoint(ctx context.Context) error {
	begun := time.Now()
	log, err := d.save(ctx)
	if err != nil {
		return err
	}
	d.row("checkpoint", time.Since(begun), log)
	return nil
}

// save calls Checkpoint and describes the log that it saved.
func (d *demonstration) save(ctx context.Context) (description string, err error) {
	description = "nothing new"
	_, err = d.lib.Checkpoint(ctx, func(ctx context.Context, log *mylibsql.Log) error {
		description = describe(log)
		return d.store.Save(ctx, log)
	})
	return description, err
}

// writeAndWait is what a request does that must not lose its write.
func (d *demonstration) writeAndWait(ctx context.Context) error {
	begun := time.Now()
	ackContext, ack := mylibsql.WithAck(ctx)
	_, err := d.db.ExecContext(ackContext,
		"INSERT INTO quickstart_notes(writer, note) VALUES('one', 'until it is saved')")
	if err != nil {
		return err
	}
	log, err := d.save(ctx)
	if err != nil {
		return err
	}
	if err := ack.Wait(ctx); err != nil {
		return err
	}
	d.row("one row until it is saved", time.Since(begun), log)
	return nil
}

// row prints one step and where the database stands after it.
func (d *demonstration) row(step string, took time.Duration, log string) {
	stats := d.lib.Stats()
	d.print(step, milliseconds(took), number(stats.Committed), number(stats.Saved),
		number(stats.PendingAcks), log)
}

func (d *demonstration) print(step, took, committed, saved, pending, log string) {
	line := fmt.Sprintf("%-34s %8s  %*s  %*s %13s   %s", step, took, d.width, committed, d.width,
		saved, pending, log)
	fmt.Fprintln(d.out, strings.TrimRight(line, " "))
}

func describe(log *mylibsql.Log) string {
	kind := "log"
	if log.IsSnapshot() {
		kind = "snapshot"
	}
	return fmt.Sprintf("%s %d..%d, %s", kind, log.First(), log.Last(), bytesText(log.Size()))
}
