//go:build cgo

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// compare proves that the closed databases are one and the same, sound, and complete.
func compare(ctx context.Context, out io.Writer, folder string, written int) error {
	first := filepath.Join(folder, databaseName(alpha))
	var size int64
	for _, name := range []string{beta, gamma} {
		var err error
		size, err = requireSameBytes(first, filepath.Join(folder, databaseName(name)))
		if err != nil {
			return err
		}
	}
	for _, name := range []string{alpha, beta, gamma} {
		rows, err := checkPlain(ctx, filepath.Join(folder, databaseName(name)))
		if err != nil {
			return err
		}
		if rows != written {
			return fmt.Errorf("%s has %d rows, and %d were written", name, rows, written)
		}
	}
	_, err := fmt.Fprintf(out, "\nidentical  3 files of %s bytes, integrity_check ok, "+
		"%s rows: all that were written\n", number(size), number(written))
	return err
}

// compareBytes is how much is compared at once.
const compareBytes = 64 << 10

// requireSameBytes compares two closed files and returns their size.
func requireSameBytes(pathA, pathB string) (size int64, err error) {
	a, err := os.Open(pathA)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := os.Open(pathB)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	blockA, blockB := make([]byte, compareBytes), make([]byte, compareBytes)
	for {
		readA, errA := io.ReadFull(a, blockA)
		readB, errB := io.ReadFull(b, blockB)
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return 0, err
			}
		}
		if !bytes.Equal(blockA[:readA], blockB[:readB]) {
			return 0, fmt.Errorf("%s and %s differ after byte %d", pathA, pathB, size)
		}
		size += int64(readA)
		if readA < compareBytes {
			return size, nil
		}
	}
}

// checkPlain opens a file with plain go-sqlite3, which mylibsql brings along, runs
// integrity_check and counts the rows.
func checkPlain(ctx context.Context, path string) (rows int, err error) {
	db, err := sql.Open("sqlite3", "file:"+uriPath(path)+"?mode=rw")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil {
		return 0, err
	}
	if answer != "ok" {
		return 0, fmt.Errorf("integrity_check of %s: %s", path, answer)
	}
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM notes").Scan(&rows)
	return rows, err
}
