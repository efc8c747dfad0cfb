//go:build linux && cgo

package mylibsql_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first 4062 frames of a WAL have their place in one region of the wal-index, of 32 KB; then it
// grows by a region. Frames of small pages need less room than that, so a disk that fills up there
// takes a commit and not its place in the index. https://www.sqlite.org/walformat.html
const (
	firstRegionFrames = 4062
	indexSettings     = "_wal_limit_frames=4500&_page_size=512"
)

// fillWAL writes until few frames are missing to the end of the first region.
func (p *fullPrimary) fillWAL(t *testing.T) {
	t.Helper()
	for missing := firstRegionFrames; missing > 20; {
		require.NoError(t, p.rows.insert(t.Context(), p.DB, min(missing-10, 500)*500))
		missing = firstRegionFrames - p.lib.Stats().WALFrames
		require.Positive(t, missing)
	}
}

// TestFullDiskAndTheWALIndex lets the wal-index of a primary find no room to grow. SQLite's error
// comes behind the commit mark in the WAL then: the row is not there, and may be after a
// kill, and everything goes on.
func TestFullDiskAndTheWALIndex(t *testing.T) {
	places := []string{placeIndex, placeSQLite}
	onDisk(t, largeDiskMB, places, func(t *testing.T, disk *smallDisk) {
		disk.each(t, 32, 4, func(t *testing.T, freeKB int) {
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, t.TempDir(), indexSettings, newLedger())
			p.begin(t)
			p.fillWAL(t)
			if freeKB%8 == 0 {
				p.saveAll(t, p.store)
			}
			disk.fill(t, freeKB)
			for range 20 {
				err := p.rows.insert(t.Context(), p.DB, 700)
				disk.mayLackRoom(t, err)
				p.rows.requireRows(t, p.DB)
			}
			_, err := p.lib.Checkpoint(t.Context(), p.save)
			disk.mayLackRoom(t, err)
			if freeKB%12 == 0 {
				disk.requireClosesFull(t, p.DB)
				p.requireReopens(t)
				return
			}
			p.requireRecovers(t)
		})
	})
}

// TestFullDiskAndTheWALIndexOfAReplica is the same for a log.
func TestFullDiskAndTheWALIndexOfAReplica(t *testing.T) {
	onSmallDisk(t, []string{placeAppend}, func(t *testing.T, disk *smallDisk) {
		primary := openDatabaseAt(t, filepath.Join(t.TempDir(), "primary.db"), "_page_size=512")
		rows := newLedger()
		h := &fullHistory{file: filepath.Join(t.TempDir(), "last.db")}
		primary.exec(t, createLedger)
		for i := range 30 {
			size := 3000
			if i == 0 {
				size = 500 * (firstRegionFrames - 60)
			}
			require.NoError(t, rows.insert(t.Context(), primary.DB, size))
			primary.checkpoint(t)
			h.rows = append(h.rows, rows.read(t, primary.DB))
		}
		h.logs = primary.saved.logs
		primary.saved.restore(t, h.file)
		disk.each(t, 40, 8, func(t *testing.T, freeKB int) {
			path := filepath.Join(disk.folder(t), "replica.db")
			r := openReplicaAt(t, path, "_role=replica&_wal_limit_frames=20000")
			t.Cleanup(func() { disk.makeRoom(t) })
			require.NoError(t, r.lib.Replicate(t.Context(), h.logs[0]))
			disk.fill(t, freeKB)
			h.follow(t, r, disk, rand.New(rand.NewPCG(1, 1)), freeKB)
			h.requireSame(t, h.reopenWhileFull(t, r, disk, len(h.logs)))
		})
	})
}

// failInIndex is the work of a primary whose commit finds no room in the wal-index.
func (v *victim) failInIndex(t *testing.T, disk *smallDisk) {
	p := openFullPrimary(t, disk, v.Folder, v.Folder, indexSettings, v.Rows)
	p.fillWAL(t)
	if v.Rounds > 0 {
		p.saveAll(t, p.store)
	}
	disk.fill(t, v.FreeKB)
	for range 20 {
		disk.mayLackRoom(t, p.rows.insert(t.Context(), p.DB, 700))
		if len(p.rows.Maybe) > v.Rounds {
			break
		}
	}
}

// TestFullDiskAndAKillInTheWALIndex kills a primary behind the I/O error of a commit that found no
// room in the wal-index. Recovery, which has that room, finds the last such commit whole:
// it is a commit like any other then, captured and saved.
func TestFullDiskAndAKillInTheWALIndex(t *testing.T) {
	onDisk(t, largeDiskMB, nil, func(t *testing.T, disk *smallDisk) {
		found := 0
		disk.each(t, 24, 8, func(t *testing.T, freeKB int) {
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, folder, indexSettings, newLedger())
			p.begin(t)
			require.NoError(t, p.DB.Close())
			v := victim{Job: "index", Folder: folder, FreeKB: freeKB, Rounds: freeKB % 3,
				Rows: p.rows}
			v.run(t)
			p.rows = v.Rows
			p.requireReopens(t)
			found += p.rows.Found
		})
		t.Log("full disk:", found, "rows were found")
		require.True(t, found > 0 || testing.Short(), "no commit was in the WAL alone")
	})
}
