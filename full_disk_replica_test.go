//go:build linux && cgo

package mylibsql_test

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// fullHistory is a primary's logs, with the rows that a replica shows after each.
type fullHistory struct {
	logs []*mylibsql.Log
	rows []map[int64]int
	file string // the database after the last
}

// newFullHistory makes logs of all sizes, by a primary on the roomy disk that grows and shrinks.
func newFullHistory(t *testing.T, random *rand.Rand) *fullHistory {
	t.Helper()
	primary := openDatabaseAt(t, filepath.Join(t.TempDir(), "primary.db"), "_page_size=1024")
	h, rows := &fullHistory{file: filepath.Join(t.TempDir(), "last.db")}, newLedger()
	primary.exec(t, createLedger)
	for i := range 16 {
		for range 1 + random.IntN(4) {
			require.NoError(t, rows.insert(t.Context(), primary.DB, 1+random.IntN(20000)))
		}
		switch i % 8 {
		case 3:
			primary.exec(t, "UPDATE t SET x = randomblob(length(x))")
		case 5:
			primary.exec(t, "DELETE FROM t WHERE id % 2 = 1")
		case 6:
			primary.exec(t, "VACUUM")
		}
		primary.checkpoint(t)
		h.rows = append(h.rows, rows.read(t, primary.DB))
	}
	h.logs = primary.saved.logs
	primary.saved.restore(t, h.file)
	require.Len(t, h.logs, len(h.rows))
	return h
}

// next is the index of the log that continues a replica.
func (h *fullHistory) next(t *testing.T, at mylibsql.Position) int {
	t.Helper()
	if at.IsZero() {
		return 0
	}
	for i, log := range h.logs {
		if log.End() == at {
			return i + 1
		}
	}
	require.Fail(t, "the replica is at no log's end", at)
	return 0
}

// requireAt wants a replica that took the logs before next, and serves what they lead to.
func (h *fullHistory) requireAt(t *testing.T, r *replica, next int) {
	t.Helper()
	at, err := r.lib.Position(t.Context())
	require.NoError(t, err)
	require.Equal(t, next, h.next(t, at))
	require.False(t, r.lib.Stats().Diverged)
	if next > 0 {
		require.Equal(t, h.rows[next-1], newLedger().read(t, r.DB))
	}
}

// follow takes all logs from next on, on a disk on which some do not fit: then the replica is what
// it was, twice, and goes on once there is room, with the same log or with one that reaches
// further. After that the disk is full again.
func (h *fullHistory) follow(
	t *testing.T, r *replica, d *smallDisk, random *rand.Rand, freeKB int,
) {
	t.Helper()
	for next := 0; next < len(h.logs); next++ {
		err := r.lib.Replicate(t.Context(), h.logs[next])
		if err == nil {
			h.requireAt(t, r, next+1)
			continue
		}
		d.requireNoSpace(t, err)
		h.requireAt(t, r, next)
		log := h.logs[next]
		if last := min(next+random.IntN(3), len(h.logs)-1); last > next {
			log, err = translog.Merge("", h.logs[next:last+1]...)
			require.NoError(t, err)
			defer func() { require.NoError(t, log.Close()) }()
			next = last
		}
		if err := r.lib.Replicate(t.Context(), log); err != nil {
			d.requireNoSpace(t, err)
			d.makeRoom(t)
			require.NoError(t, r.lib.Replicate(t.Context(), log))
			h.requireAt(t, r, next+1)
			d.fill(t, freeKB)
		}
		h.requireAt(t, r, next+1)
	}
}

// requireSame closes a replica that has taken all logs, and compares the file.
func (h *fullHistory) requireSame(t *testing.T, r *replica) {
	t.Helper()
	h.requireAt(t, r, len(h.logs))
	require.NoError(t, r.DB.Close())
	requireSameFile(t, h.file, r.path)
	requireSound(t, r.path)
}

const fullReplicaSettings = "_role=replica&_wal_limit_frames=100"

// reopenWhileFull closes a replica on the full disk and opens it again, which may be refused; then
// it is opened with room. It is where it was.
func (h *fullHistory) reopenWhileFull(t *testing.T, r *replica, d *smallDisk, next int) *replica {
	t.Helper()
	d.requireClosesFull(t, r.DB)
	d.openWhileFull(t, r.path, fullReplicaSettings, func(full *database) {
		h.requireAt(t, &replica{DB: full.DB, lib: full.lib, path: full.path}, next)
	})
	d.makeRoom(t)
	again := openReplicaAt(t, r.path, fullReplicaSettings)
	h.requireAt(t, again, next)
	return again
}

// TestFullDiskUnderAReplica: a log that does not fit on the disk leaves a replica what it was,
// and is taken once there is room. A reader that holds a snapshot keeps the WAL from being
// emptied in some of the runs.
func TestFullDiskUnderAReplica(t *testing.T) {
	places := []string{placeApply, placeSQLite, placeState, openedFull}
	onSmallDisk(t, places, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		h := newFullHistory(t, rand.New(rand.NewPCG(seed, 0)))
		disk.each(t, 92, 4, func(t *testing.T, freeKB int) {
			random := rand.New(rand.NewPCG(seed, uint64(freeKB+1)))
			path := filepath.Join(disk.folder(t), "replica.db")
			r := openReplicaAt(t, path, fullReplicaSettings)
			t.Cleanup(func() { disk.makeRoom(t) })
			disk.fill(t, freeKB)
			reader, err := r.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
			require.NoError(t, err)
			if random.IntN(3) == 0 {
				var tables int
				row := reader.QueryRow("SELECT count(*) FROM sqlite_master")
				require.NoError(t, row.Scan(&tables))
			}
			h.follow(t, r, disk, random, freeKB)
			require.NoError(t, reader.Rollback())
			h.requireSame(t, h.reopenWhileFull(t, r, disk, len(h.logs)))
		})
	})
}
