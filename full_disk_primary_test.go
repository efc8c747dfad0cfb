//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// fullPrimary is a primary on a small disk, with what its application knows.
type fullPrimary struct {
	*database
	disk  *smallDisk
	rows  *ledger
	acks  []*mylibsql.Ack // of rows that were committed
	store *checkpoint.Directory
	down  bool // the store says no
	// walLimit is in frames, as in the settings.
	walLimit int
	// inSave is called in every save, behind what the store did, when it is set.
	inSave func()
}

var errStoreDown = errors.New("the store is down")

// fullSettings make small frames, frequent resets, and a WAL that is written before COMMIT.
const fullSettings = "_wal_limit_frames=100&_page_size=1024&_cache_size=5"

// save is a function for Checkpoint.
func (p *fullPrimary) save(ctx context.Context, log *mylibsql.Log) error {
	err := errStoreDown
	if !p.down {
		err = p.store.Save(ctx, log)
	}
	if p.inSave != nil {
		p.inSave()
	}
	return err
}

// openFullPrimary opens the primary of a folder on the small disk, with the store of another
// folder. Room is made before the database is closed and checked at the end.
func openFullPrimary(
	t *testing.T, disk *smallDisk, folder, storeIn, params string, rows *ledger,
) *fullPrimary {
	t.Helper()
	path := filepath.Join(folder, "app.db")
	p := &fullPrimary{database: openDatabaseAt(t, path, params), disk: disk, rows: rows}
	t.Cleanup(func() { disk.makeRoom(t) })
	_, err := fmt.Sscanf(params, "_wal_limit_frames=%d", &p.walLimit)
	require.NoError(t, err)
	store, err := checkpoint.OpenDirectory(filepath.Join(storeIn, "store"))
	require.NoError(t, err)
	p.store = store
	return p
}

// begin makes some content and saves it.
func (p *fullPrimary) begin(t *testing.T) {
	t.Helper()
	p.exec(t, createLedger)
	for range 5 {
		require.NoError(t, p.rows.insert(t.Context(), p.DB, 9000))
	}
	p.saveAll(t, p.store)
}

// offerInVain leaves more offers without an answer than the engine remembers: the last of them
// must stay as it is, and what comes behind it be merged.
func (p *fullPrimary) offerInVain(t *testing.T) {
	t.Helper()
	for range 70 {
		require.NoError(t, p.rows.insert(t.Context(), p.DB, 10))
		_, err := p.lib.Checkpoint(t.Context(), func(context.Context, *mylibsql.Log) error {
			return errStoreDown
		})
		require.ErrorIs(t, err, errStoreDown)
	}
}

// fullRewrites change no row that the ledger knows, and many pages: their logs outgrow the
// database, and must not fill the outbox.
var fullRewrites = []string{
	"UPDATE t SET x = randomblob(length(x)) WHERE id > 3", "VACUUM",
	"CREATE INDEX IF NOT EXISTS i ON t(x)", "DROP INDEX IF EXISTS i",
}

// work writes, saves, resets and reads while the disk fills up: nothing fails for another
// reason than that, and every read succeeds.
func (p *fullPrimary) work(t *testing.T, random *rand.Rand, rounds int) {
	t.Helper()
	for round := range rounds {
		ctx, ack := mylibsql.WithAck(t.Context())
		err := p.rows.insert(ctx, p.DB, 1+random.IntN(30000))
		if err == nil {
			p.acks = append(p.acks, ack)
		}
		p.disk.mayLackRoom(t, err)
		switch round % 4 {
		case 0:
			_, err := p.Exec(fullRewrites[random.IntN(len(fullRewrites))])
			p.disk.mayLackRoom(t, err)
		case 1:
			_, err := p.lib.Checkpoint(t.Context(), p.save)
			if !errors.Is(err, errStoreDown) {
				p.disk.mayLackRoom(t, err)
			}
		case 2:
			p.workTransaction(t, random)
		case 3:
			var busy, frames, copied int
			p.disk.mayLackRoom(t, p.QueryRow("PRAGMA wal_checkpoint").Scan(&busy, &frames, &copied))
			_, err := p.lib.WriteSnapshot(t.Context(), io.Discard)
			p.disk.mayLackRoom(t, err)
			require.NoError(t, p.lib.Sync(t.Context()))
		}
		p.rows.requireRows(t, p.DB)
	}
}

// workTransaction writes rows of which all are there after COMMIT, or none. With a small cache
// SQLite writes them to the WAL before that.
func (p *fullPrimary) workTransaction(t *testing.T, random *rand.Rand) {
	t.Helper()
	tx, err := p.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	sizes := map[int64]int{}
	for range 3 {
		size := 1 + random.IntN(15000)
		var id int64
		if id, err = p.rows.try(t.Context(), tx, size); err != nil {
			break
		}
		sizes[id] = size
	}
	if err == nil {
		err = tx.Commit()
	} else {
		// SQLite may have rolled back by itself: nothing may be written outside then.
		_, again := p.rows.try(t.Context(), tx, 1)
		if !errors.Is(again, mylibsql.ErrTransactionEnded) {
			p.disk.mayLackRoom(t, again)
		}
		_ = tx.Rollback()
	}
	for id, size := range sizes {
		p.rows.note(id, size, err)
	}
	p.disk.mayLackRoom(t, err)
}

// requireRecovers makes room, and wants everything to go on: what was committed is saved and
// acked, the WAL is reset, and what is in the store is the database byte for byte.
func (p *fullPrimary) requireRecovers(t *testing.T) {
	t.Helper()
	p.disk.makeRoom(t)
	p.down = false
	p.saveAll(t, p.store)
	for _, ack := range p.acks {
		require.NoError(t, ack.Err())
	}
	p.rows.requireRows(t, p.DB)
	p.requireResets(t)
	p.rows.requireRows(t, p.DB)
	p.requireRestores(t, p.store)
	requireSound(t, p.path)
}

// requireResets writes until the WAL begins anew. Once it has grown by its limit that is due: the
// writer steps aside then, so that the disk is not full before the background had its turn.
func (p *fullPrimary) requireResets(t *testing.T) {
	t.Helper()
	size, due := 20000, p.lib.Stats().WALFrames+p.walLimit
	for deadline := time.Now().Add(20 * time.Second); ; {
		before := p.lib.Stats().WALFrames
		require.NoError(t, p.rows.insert(t.Context(), p.DB, size))
		if p.lib.Stats().WALFrames < before {
			return
		}
		require.True(t, time.Now().Before(deadline), "the WAL is never reset again")
		if before > due {
			size = 10
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// TestFullDiskUnderAPrimary: a primary whose store is down or lies on the same disk works until
// that disk is full, and beyond. Reads go on, nothing but the failed writes is lost, and
// once there is room everything goes on.
func TestFullDiskUnderAPrimary(t *testing.T) {
	onSmallDisk(t, []string{placeSQLite, placeOutbox, placeStore},
		func(t *testing.T, disk *smallDisk) {
			seed := fullDiskSeed(t)
			for _, down := range []bool{true, false} {
				disk.each(t, 512, 64, func(t *testing.T, freeKB int) {
					random := rand.New(rand.NewPCG(seed, uint64(freeKB)))
					folder := disk.folder(t)
					p := openFullPrimary(t, disk, folder, folder,
						fullSettings, newLedger())
					p.begin(t)
					p.down = down
					if random.IntN(4) == 0 {
						p.offerInVain(t)
					}
					disk.fill(t, freeKB)
					p.SetMaxIdleConns(random.IntN(2)) // 0: a new connection each time
					p.work(t, random, 16)
					p.requireRecovers(t)
				})
			}
		})
}

// TestFullDiskWithoutFiles is the same on a disk that has room, but no more files.
func TestFullDiskWithoutFiles(t *testing.T) {
	onSmallDisk(t, []string{placeOutbox, placeStoreName}, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		for free := range 8 {
			if free > 1 && testing.Short() {
				break
			}
			t.Run(fmt.Sprint(free), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, uint64(free)))
				folder := disk.folder(t)
				p := openFullPrimary(t, disk, folder, folder, fullSettings, newLedger())
				if free%3 != 1 {
					p.begin(t)
				} else {
					p.exec(t, createLedger)
				}
				p.down = free%2 == 0
				disk.fillFiles(t, free)
				p.work(t, random, 16)
				if random.IntN(2) == 0 {
					disk.requireClosesFull(t, p.DB)
					disk.fillFiles(t, random.IntN(4))
					p.requireReopens(t)
					return
				}
				p.requireRecovers(t)
			})
		}
	})
}

// TestFullDiskAndALargeLog seals more than is held in memory: it goes to a file in the sidecar
// folder, for which there may be no room, nor for its copy in the outbox or in the store.
func TestFullDiskAndALargeLog(t *testing.T) {
	places := []string{placeSpool, placeOutbox, placeStore}
	onDisk(t, largeDiskMB, places, func(t *testing.T, disk *smallDisk) {
		disk.each(t, 10<<10, 5<<10, func(t *testing.T, freeKB int) {
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, folder, "_wal_limit_frames=200", newLedger())
			p.begin(t)
			require.NoError(t, p.rows.insert(t.Context(), p.DB, 4600<<10))
			disk.fill(t, freeKB)
			for range 2 {
				_, err := p.lib.Checkpoint(t.Context(), p.save)
				disk.mayLackRoom(t, err)
				disk.mayLackRoom(t, p.rows.insert(t.Context(), p.DB, 5000))
				_, err = p.Exec("PRAGMA wal_checkpoint")
				disk.mayLackRoom(t, err)
				p.rows.requireRows(t, p.DB)
			}
			p.requireRecovers(t)
		})
	})
}
