//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// returning are the ways to run a statement that commits only after it has returned a row: when its
// rows are read to the end or closed. What goes wrong then must not be lost.
var returning = map[string]func(ctx context.Context, db *sql.DB, query string) error{
	"Exec": func(ctx context.Context, db *sql.DB, query string) error {
		_, err := db.ExecContext(ctx, query)
		return err
	},
	"Exec several": func(ctx context.Context, db *sql.DB, query string) error {
		_, err := db.ExecContext(ctx, query+"; SELECT 1")
		return err
	},
	"Exec prepared": func(ctx context.Context, db *sql.DB, query string) error {
		statement, err := db.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = statement.Close() }()
		_, err = statement.ExecContext(ctx)
		return err
	},
	"QueryRow": func(ctx context.Context, db *sql.DB, query string) error {
		var id int
		return db.QueryRowContext(ctx, query).Scan(&id)
	},
	"Query, all rows": func(ctx context.Context, db *sql.DB, query string) error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		for rows.Next() {
			continue
		}
		return rows.Err()
	},
	"Query, closed": func(ctx context.Context, db *sql.DB, query string) error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		rows.Next()
		return rows.Close()
	},
}

// requireToldOf runs a statement that cannot commit in every way. It inserts nothing, so there
// must be an error.
func requireToldOf(t *testing.T, db *database, query string) {
	t.Helper()
	for name, run := range returning {
		t.Run(name, func(t *testing.T) {
			before := db.count(t, "t")
			err := run(t.Context(), db.DB, query)
			require.Equal(t, before, db.count(t, "t"))
			require.Error(t, err, "the row is not there, and nobody knows")
		})
	}
}

// TestFullDiskAndReturning: a row that found no room is told of, however it was inserted.
func TestFullDiskAndReturning(t *testing.T) {
	onSmallDisk(t, nil, func(t *testing.T, disk *smallDisk) {
		p := openFullPrimary(t, disk, disk.folder(t), t.TempDir(), fullSettings,
			newLedger())
		p.begin(t)
		disk.fill(t, 0)
		requireToldOf(t, p.database, "INSERT INTO t(x) VALUES(randomblob(90000)) RETURNING id")
	})
}

// TestReturningAndADeferredForeignKey is the same for a constraint that is checked at commit.
func TestReturningAndADeferredForeignKey(t *testing.T) {
	db := openDatabase(t, "_fk=1")
	db.exec(t, "CREATE TABLE parent(id INTEGER PRIMARY KEY)")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, "+
		"parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
	requireToldOf(t, db, "INSERT INTO t(parent) VALUES(99) RETURNING id")
}
