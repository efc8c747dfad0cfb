//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// ledger is what an application knows of the rows of its table t: which were committed, and
// of which it was told by an I/O error that nothing is known until a reopen. Any other row is
// none that may be there.
type ledger struct {
	Next  int64
	Kept  map[int64]int // bytes by id
	Maybe map[int64]int
	Found int // how many of those were there after a reopen
}

func newLedger() *ledger {
	return &ledger{Next: 1, Kept: map[int64]int{}, Maybe: map[int64]int{}}
}

const createLedger = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)"

// executor is a pool, or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// insert adds a row of that many bytes, which on a full disk may be refused.
func (l *ledger) insert(ctx context.Context, db executor, size int) error {
	id, err := l.try(ctx, db, size)
	l.note(id, size, err)
	return err
}

// try is insert for who notes the outcome later.
func (l *ledger) try(ctx context.Context, db executor, size int) (id int64, err error) {
	id = l.Next
	l.Next++
	_, err = db.ExecContext(ctx, "INSERT INTO t VALUES(?, randomblob(?))", id, size)
	return id, err
}

// note enters the outcome of a commit. SQLITE_FULL takes the transaction back; an I/O error can
// come behind the commit mark, so that a recovery may find the row after all.
func (l *ledger) note(id int64, size int, err error) {
	switch {
	case err == nil:
		l.Kept[id] = size
	case sqliteCode(err) != sqlite3.ErrFull:
		l.Maybe[id] = size
	}
}

// read is what the table holds.
func (l *ledger) read(t *testing.T, db *sql.DB) map[int64]int {
	t.Helper()
	rows, err := db.Query("SELECT id, length(x) FROM t")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	got := map[int64]int{}
	for rows.Next() {
		var id int64
		var size int
		require.NoError(t, rows.Scan(&id, &size))
		got[id] = size
	}
	require.NoError(t, rows.Err())
	return got
}

// requireRows compares the table with the ledger, while the process lives that wrote it.
func (l *ledger) requireRows(t *testing.T, db *sql.DB) {
	t.Helper()
	require.Equal(t, l.Kept, l.read(t, db))
}

// settle lets the unknown rows be there or not after a reopen, and knows them after that.
func (l *ledger) settle(t *testing.T, db *sql.DB) {
	t.Helper()
	got := l.read(t, db)
	for id, size := range l.Maybe {
		if _, found := got[id]; found {
			l.Kept[id] = size
			l.Found++
		}
	}
	clear(l.Maybe)
	require.Equal(t, l.Kept, got)
}
