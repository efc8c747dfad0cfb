//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// creation makes a database file at a path that is free. The amounts of free space that it is
// tried with reach to one that is enough.
type creation struct {
	name            string
	limitKB, stepKB int
	create          func(t *testing.T, path string) error
}

// restoreFunc is OpenPrimary or OpenReplica.
type restoreFunc func(context.Context, string, *mylibsql.Snapshot, ...*mylibsql.Log) (
	*sql.DB, error)

// creations are all that there are. The last ones make the database of a history.
func creations(t *testing.T, disk *smallDisk, h *fullHistory) []creation {
	t.Helper()
	store := openStore(t)
	for _, log := range h.logs {
		require.NoError(t, store.Save(t.Context(), log))
	}
	snapshot, err := translog.AsSnapshot(h.logs[0])
	require.NoError(t, err)
	restored := func(open restoreFunc) func(*testing.T, string) error {
		return func(t *testing.T, path string) error {
			db, err := open(t.Context(), path, snapshot, h.logs[1:]...)
			if err == nil {
				require.Equal(t, h.rows[len(h.rows)-1], newLedger().read(t, db))
				disk.requireClosesFull(t, db)
			}
			return err
		}
	}
	return []creation{
		{"open", 64, 4, func(t *testing.T, path string) error {
			db, err := sql.Open("mylibsql", path)
			require.NoError(t, err)
			err = db.PingContext(t.Context())
			disk.requireClosesFull(t, db)
			return err
		}},
		{"init", 64, 8, func(t *testing.T, path string) error {
			_, err := mylibsql.Init(t.Context(), path, func(ctx context.Context, db *sql.DB) error {
				_, err := db.ExecContext(ctx, createLedger)
				return err
			})
			return err
		}},
		{"primary", 320, 20, restored(mylibsql.OpenPrimary)},
		{"replica", 320, 20, restored(mylibsql.OpenReplica)},
		{"restore", 320, 40, func(t *testing.T, path string) error {
			_, err := checkpoint.Restore(t.Context(), store, path)
			return err
		}},
	}
}

// TestFullDiskAndANewDatabase creates databases in an empty folder on a full disk. What does not
// come to be leaves the folder empty, and comes to be once there is room.
func TestFullDiskAndANewDatabase(t *testing.T) {
	places := []string{placeRestore, placeIndex, placeState}
	onSmallDisk(t, places, func(t *testing.T, disk *smallDisk) {
		h := newFullHistory(t, rand.New(rand.NewPCG(1, 1)))
		for _, c := range creations(t, disk, h) {
			t.Run(c.name, func(t *testing.T) {
				disk.each(t, c.limitKB, c.stepKB, func(t *testing.T, freeKB int) {
					folder := disk.folder(t)
					path := filepath.Join(folder, "new.db")
					disk.fill(t, freeKB)
					defer disk.makeRoom(t)
					if err := c.create(t, path); err != nil {
						disk.requireNoSpace(t, err)
						require.Empty(t, namesIn(t, folder))
						disk.makeRoom(t)
						require.NoError(t, c.create(t, path))
					}
					disk.makeRoom(t)
					requireSound(t, path)
				})
			})
		}
	})
}

// TestFullDiskAndAnOrdinaryDatabase opens a database that plain SQLite made, in its ordinary
// journal mode. Where it is refused it may be in WAL mode already, for whose index there is no
// room; all rows are there once there is, and it becomes a primary.
func TestFullDiskAndAnOrdinaryDatabase(t *testing.T) {
	places := []string{placeLock, placeSQLite, placeIndex, placeState}
	onSmallDisk(t, places, func(t *testing.T, disk *smallDisk) {
		disk.each(t, 64, 4, func(t *testing.T, freeKB int) {
			folder, rows := disk.folder(t), newLedger()
			path := filepath.Join(folder, "app.db")
			plain, err := sql.Open("sqlite3", path)
			require.NoError(t, err)
			_, err = plain.Exec(createLedger)
			require.NoError(t, err)
			for range 5 {
				require.NoError(t, rows.insert(t.Context(), plain, 9000))
			}
			require.NoError(t, plain.Close())
			disk.fill(t, freeKB)
			db, err := sql.Open("mylibsql", path)
			require.NoError(t, err)
			if _, err := mylibsql.From(t.Context(), db); err != nil {
				disk.requireNoSpace(t, err)
			} else {
				rows.requireRows(t, db)
			}
			disk.requireClosesFull(t, db)
			disk.makeRoom(t)
			p := openFullPrimary(t, disk, folder, folder, fullSettings, rows)
			rows.requireRows(t, p.DB)
			p.requireRecovers(t)
		})
	})
}
