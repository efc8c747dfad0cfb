//go:build linux && cgo

package mylibsql_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// requireClosesFull closes a pool while the disk is full: what cannot be made durable or copied
// then is reported, and stays where it was.
func (d *smallDisk) requireClosesFull(t *testing.T, db *sql.DB) {
	t.Helper()
	if err := db.Close(); !errors.Is(err, mylibsql.ErrUnsaved) || saysNoSpace(err) {
		d.mayLackRoom(t, err)
	}
}

func (d *smallDisk) mayLackRoom(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		d.requireNoSpace(t, err)
	}
}

// fillAgain takes, or does not, what the end of a process gave back.
func (d *smallDisk) fillAgain(t *testing.T, random *rand.Rand) {
	t.Helper()
	if random.IntN(2) == 0 {
		d.fill(t, min(random.IntN(16), d.freeBlocks(t))*diskBlockKB)
	}
}

// contentBelow is every file of a folder, but not what tells only of processes: the lock with its
// owner's number and the wal-index. An empty WAL, which SQLite creates to look at it, is none.
func contentBelow(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" || strings.HasSuffix(path, "-shm") {
			return err
		}
		content, err := os.ReadFile(path)
		if len(content) == 0 && strings.HasSuffix(path, "-wal") {
			return err
		}
		files[strings.TrimPrefix(path, folder)] = string(content)
		return err
	}))
	return files
}

// openWhileFull opens a closed database on the full disk. Either it is refused, by an error that
// says why, and nothing has changed; or it is open, and check is called.
func (d *smallDisk) openWhileFull(
	t *testing.T, path, params string, check func(*database),
) {
	t.Helper()
	before := contentBelow(t, filepath.Dir(path))
	db, err := sql.Open("mylibsql", path+"?"+params)
	require.NoError(t, err)
	lib, err := mylibsql.From(t.Context(), db)
	if err != nil {
		d.requireNoSpace(t, err)
		require.NoError(t, db.Close())
		after := contentBelow(t, filepath.Dir(path))
		require.Equal(t, slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
		for name := range before {
			require.True(t, before[name] == after[name], "%s was changed", name)
		}
		d.struck.note(refusedToOpen)
		return
	}
	d.struck.note(openedFull)
	check(&database{DB: db, lib: lib, path: path})
	d.requireClosesFull(t, db)
}

// requireReopens opens a database while the disk is full, then when it is not: it has every row,
// and goes on.
func (p *fullPrimary) requireReopens(t *testing.T) {
	t.Helper()
	p.disk.openWhileFull(t, p.path, fullSettings, func(full *database) {
		p.rows.settle(t, full.DB)
		p.disk.mayLackRoom(t, p.rows.insert(t.Context(), full.DB, 5000))
		p.rows.requireRows(t, full.DB)
		_, err := full.lib.Checkpoint(t.Context(), p.save)
		if !errors.Is(err, errStoreDown) {
			p.disk.mayLackRoom(t, err)
		}
		p.rows.requireRows(t, full.DB)
	})
	p.disk.makeRoom(t)
	again := openFullPrimary(t, p.disk, filepath.Dir(p.path), filepath.Dir(p.store.Root()),
		fullSettings, p.rows)
	p.rows.settle(t, again.DB)
	again.requireRecovers(t)
}

// TestFullDiskAtClose closes a primary that has written until the disk was full, and opens it
// again there.
func TestFullDiskAtClose(t *testing.T) {
	places := []string{placeSQLite, placeOutbox, openedFull}
	onSmallDisk(t, places, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		disk.each(t, 512, 32, func(t *testing.T, freeKB int) {
			random := rand.New(rand.NewPCG(seed, uint64(freeKB)))
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, folder, fullSettings, newLedger())
			p.begin(t)
			p.down = random.IntN(2) == 0
			disk.fill(t, freeKB)
			p.work(t, random, random.IntN(16))
			disk.requireClosesFull(t, p.DB)
			disk.fillAgain(t, random)
			p.requireReopens(t)
		})
	})
}

// TestFullDiskAtOpen opens a primary on a full disk that was closed while there was room: all that
// is left of it is one file and the sidecar folder.
func TestFullDiskAtOpen(t *testing.T) {
	onSmallDisk(t, []string{refusedToOpen, openedFull}, func(t *testing.T, disk *smallDisk) {
		disk.each(t, 64, 4, func(t *testing.T, freeKB int) {
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, folder, fullSettings, newLedger())
			p.begin(t)
			if freeKB%8 == 0 { // the outbox keeps this
				require.NoError(t, p.rows.insert(t.Context(), p.DB, 20000))
			}
			requireNilOr(t, mylibsql.ErrUnsaved, p.DB.Close())
			disk.fill(t, freeKB)
			p.requireReopens(t)
		})
	})
}
