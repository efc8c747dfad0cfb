//go:build cgo

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// prepare makes the primary's file: a copy of file, or the sample. One that is there from
// an earlier run stays. What an earlier run restored is removed.
func (f *files) prepare(ctx context.Context, file string) error {
	for _, path := range []string{f.restored, f.restored + "-wal", f.restored + "-shm"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if _, err := os.Stat(f.primary); err == nil {
		f.resumed = true
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Under another name first: an interrupted run leaves no half of a database.
	unfinished := f.primary + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fill := createSample
	if file != "" {
		fill = func(ctx context.Context, path string) error { return copyDatabase(ctx, file, path) }
	}
	if err := fill(ctx, unfinished); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return os.Rename(unfinished, f.primary)
}

// copyDatabase copies a database that another program may be using: SQLite reads it, with
// its locks and its write-ahead log, and writes the copy.
func copyDatabase(ctx context.Context, from, to string) (err error) {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	db, err := openPlain(from, "ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// openPlain opens a file with go-sqlite3 itself, which mylibsql brings along.
func openPlain(path, mode string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+uriPath(path)+"?mode="+mode)
}
