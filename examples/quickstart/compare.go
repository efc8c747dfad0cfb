//go:build cgo

package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/mylibsql/mylibsql/checkpoint"
)

// restoreAndCompare makes a database of the store and proves that it is the primary.
func restoreAndCompare(ctx context.Context, out io.Writer, store *checkpoint.Directory, f files,
	want rowCounts,
) error {
	begun := time.Now()
	end, err := checkpoint.Restore(ctx, store, f.restored)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	logs, bytes := 0, int64(0)
	for record, err := range store.Records(ctx, 0) {
		if err != nil {
			return err
		}
		logs++
		bytes += record.Size
	}
	fmt.Fprintf(out, "\nrestore    %d saved logs, %s: position %s in %s\n", logs,
		bytesText(bytes), number(end.FrameNo), milliseconds(took))

	size, err := requireSameBytes(f.primary, f.restored)
	if err != nil {
		return err
	}
	got, err := checkPlain(ctx, f.restored)
	if err != nil {
		return err
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("row counts differ: %v and %v", want, got)
	}
	_, err = fmt.Fprintf(out, "identical  %s bytes, integrity_check ok, %s tables with %s rows\n",
		number(size), number(len(got)), number(got.total()))
	return err
}

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
	readerA, readerB := bufio.NewReader(a), bufio.NewReader(b)
	for {
		byteA, errA := readerA.ReadByte()
		byteB, errB := readerB.ReadByte()
		switch {
		case errA == io.EOF && errB == io.EOF:
			return size, nil
		case errA != nil && errA != io.EOF:
			return size, errA
		case errB != nil && errB != io.EOF:
			return size, errB
		case errA != errB || byteA != byteB:
			return size, fmt.Errorf("%s and %s differ at byte %d", pathA, pathB, size)
		}
		size++
	}
}

// checkPlain opens a file with plain go-sqlite3, runs integrity_check and counts its
// rows.
func checkPlain(ctx context.Context, path string) (counts rowCounts, err error) {
	db, err := openPlain(path, "rw")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil {
		return nil, err
	}
	if answer != "ok" {
		return nil, fmt.Errorf("integrity_check of %s: %s", path, answer)
	}
	return countRows(ctx, db)
}

// rowCounts maps each table to its number of rows.
type rowCounts map[string]int

func (c rowCounts) total() (rows int) {
	for _, n := range c {
		rows += n
	}
	return rows
}

// countRows counts the rows of every ordinary table.
func countRows(ctx context.Context, db *sql.DB) (counts rowCounts, err error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_list "+
		"WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	counts = make(rowCounts)
	for _, name := range names {
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		var n int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted).Scan(&n); err != nil {
			return nil, err
		}
		counts[name] = n
	}
	return counts, nil
}
