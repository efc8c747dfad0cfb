//go:build cgo

package engine

import (
	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// EndStatement ends a prepared statement that has run, so that what it wrote is committed
// outside a transaction, or the error says why not. It must not be closed.
func EndStatement(statement *sqlite3.SQLiteStmt) error { return sqlite.ResetStatement(statement) }
