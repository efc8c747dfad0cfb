//go:build cgo

package engine

import (
	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// EndStatement ends a prepared statement that has run and is still open, so that what it wrote
// is committed, outside a transaction. It returns SQLite's error of the commit: nothing of
// the statement was committed then.
func EndStatement(statement *sqlite3.SQLiteStmt) error { return sqlite.ResetStatement(statement) }
