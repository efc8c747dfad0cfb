//go:build cgo

// Package pooltest is dbtest for whoever opens a database as a pool of this driver: the
// tests of the root package, acktest, and the modules beside the root.
package pooltest

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/dbtest"
)

// Watch begins a life of the database at path, which db is a pool of. lib is its handle,
// nil where there is none. See [dbtest.Watch].
func Watch(t testing.TB, path string, db *sql.DB, lib *mylibsql.Database) *dbtest.Life {
	t.Helper()
	life := &dbtest.Life{ErrUnsaved: mylibsql.ErrUnsaved, Reopen: reopen}
	if db != nil {
		life.Close = db.Close
	}
	if lib != nil {
		life.IsOpen = func() bool { return lib.Stats().Role != "" }
	}
	return dbtest.Watch(t, path, life)
}

// reopen waits for the lock, which a process that was started at the wrong moment has
// until it is a program of its own.
func reopen(path string) (*dbtest.Reopened, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_lock_timeout=1m"}
	db, err := sql.Open("mylibsql", name.String())
	if err != nil {
		return nil, err
	}
	lib, err := mylibsql.From(context.Background(), db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	stats := lib.Stats()
	return &dbtest.Reopened{
		IsPrimary: stats.Role == mylibsql.RolePrimary,
		Saved:     stats.Saved,
		Committed: stats.Committed,
		Checkpoint: func(ctx context.Context, save dbtest.Save) (mylibsql.FrameNo, error) {
			return lib.Checkpoint(ctx, save)
		},
		Close: db.Close,
	}, nil
}
