//go:build cgo

package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// fill creates a table with about that many pages, one row a page.
func (o *opened) fill(t testing.TB, pages int) {
	t.Helper()
	o.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	o.grow(t, pages)
}

// rowBytes is what makes a row fill most of a page, so that each page holds one.
func (o *opened) rowBytes() int64 { return int64(o.pageSize) * 7 / 10 }

func (o *opened) grow(t testing.TB, pages int) {
	t.Helper()
	o.exec(t, `WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO t(x) SELECT randomblob(?) FROM n`, int64(pages), o.rowBytes())
}

// touch changes rows, and with them as many pages, in one transaction.
func (o *opened) touch(t testing.TB, pages int) {
	t.Helper()
	o.exec(t, "UPDATE t SET x = randomblob(?) WHERE id <= ?", o.rowBytes(), int64(pages))
}

// sealAll seals what is committed, and returns the new log.
func (o *opened) sealAll(ctx context.Context, t testing.TB) *translog.Log {
	t.Helper()
	require.NoError(t, o.sealing.Acquire(ctx, 1))
	defer o.sealing.Release(1)
	to, _, err := o.observeIndex()
	require.NoError(t, err)
	before := len(o.sealer.pending)
	require.NoError(t, o.seal(ctx, to))
	require.Len(t, o.sealer.pending, before+1)
	return o.sealer.pending[before].log
}

// encodeAgain makes the log once more from its own pages, and counts only what that allocates.
func encodeAgain(t testing.TB, log *translog.Log) (allocations uint64) {
	t.Helper()
	var pages []translog.Page
	for page, err := range log.Pages() {
		require.NoError(t, err)
		pages = append(pages, translog.Page{No: page.No, Data: append([]byte(nil), page.Data...)})
	}
	spec := translog.Spec{First: log.First(), Last: log.Last(), Follows: log.Follows(),
		PageSize: log.PageSize(), Commit: log.Commit(), PreApply: log.Start().Checksum}
	dir := t.TempDir()
	return allocationsOf(func() {
		builder, err := translog.NewBuilder(spec, translog.BuildOptions{Dir: dir})
		if err != nil {
			panic(err)
		}
		for _, page := range pages {
			if err := builder.WritePage(page.No, page.Data); err != nil {
				panic(err)
			}
		}
		again, err := builder.Finish(log.End().Checksum)
		if err != nil {
			panic(err)
		}
		_ = again.Close()
	})
}

func allocationsOf(work func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// TestSealAllocatesNothingPerPage seals a small and a large transaction, and makes both logs once
// more by the encoder alone: what a further page costs beyond that must be nothing. Both fit
// in what a seal keeps, or neither does.
func TestSealAllocatesNothingPerPage(t *testing.T) {
	for _, row := range []struct{ pageSize, few, many int }{
		{4096, 500, 4500}, {512, 60_000, 90_000},
	} {
		t.Run(fmt.Sprintf("page size %d, %d and %d pages", row.pageSize, row.few, row.many),
			func(t *testing.T) {
				db := openNew(t, Options{PageSize: row.pageSize, WALLimitFrames: 1 << 30})
				db.fill(t, row.many)
				db.checkpoint(t)
				var sealed, encoded [2]float64
				for i, pages := range []int{row.few, row.many} {
					db.touch(t, pages)
					var log *translog.Log
					sealed[i] = float64(allocationsOf(func() { log = db.sealAll(t.Context(), t) }))
					encoded[i] = float64(encodeAgain(t, log))
				}
				further := float64(row.many - row.few)
				whole, share := (sealed[1]-sealed[0])/further, (encoded[1]-encoded[0])/further
				t.Logf("allocations a page: %.3f, of them the LTX encoder's %.3f", whole, share)
				require.InDelta(t, share, whole, 0.01)
			})
	}
}

// heapProbe is a context that is asked between pages; it measures the live heap now and then.
type heapProbe struct {
	context.Context
	every, asked  int
	highest, last uint64
}

func (p *heapProbe) Err() error {
	if p.asked++; p.asked%p.every == 0 {
		p.last = liveHeap()
		p.highest = max(p.highest, p.last)
	}
	return nil
}

func liveHeap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// sealMemory is the live heap during a seal of so many pages of a database, above what was live
// before the database was opened: at the last page, and the highest.
func sealMemory(t testing.TB, databasePages, logPages int) (last, highest float64) {
	t.Helper()
	base := liveHeap()
	db := openNew(t, Options{PageSize: 512, WALLimitFrames: 1 << 30})
	db.fill(t, databasePages)
	_, err := db.Checkpoint(t.Context(), func(context.Context, *translog.Log) error { return nil })
	require.NoError(t, err)
	db.notRestored("a log that is kept would count as memory")
	db.touch(t, logPages)
	// Asked once for each frame that is read and once for each page that is encoded.
	probe := &heapProbe{Context: t.Context(), every: logPages / 10}
	log := db.sealAll(probe, t)
	require.GreaterOrEqual(t, probe.asked, 2*logPages)
	require.NoError(t, log.Verify())
	require.ErrorIs(t, db.close(), ErrUnsaved)
	return float64(probe.last) - float64(base), float64(probe.highest) - float64(base)
}

// TestSealMemory measures the live heap at many moments of seals that are larger than what a
// seal keeps of images, with more pages of the log, and with more pages of the database: a
// constant, 8 bytes a page of the database, about 40 bytes a page of the log.
func TestSealMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	const few, many = 50_000, 100_000
	small, _ := sealMemory(t, many, few)
	longer, highest := sealMemory(t, many, many)
	larger, _ := sealMemory(t, 2*many, few)
	perLogPage, perDatabasePage := (longer-small)/(many-few), (larger-small)/many
	constant := highest - (perLogPage+perDatabasePage)*many
	t.Logf("%.1f bytes a page of the log, %.1f a page of the database, at most %.0f KiB besides",
		perLogPage, perDatabasePage, constant/1024)
	require.InDelta(t, 40, perLogPage, 20)
	require.InDelta(t, 8, perDatabasePage, 2)
	require.Less(t, constant, float64(2*translog.DefaultMemoryBytes+sealKeepBytes+2<<20))
}

// TestSealOfARefusedContext ends a seal in the middle, at each of many moments: nothing is
// half done, and the next checkpoint has everything.
func TestSealOfARefusedContext(t *testing.T) {
	db := openNew(t, Options{WALLimitFrames: 1 << 30})
	db.fill(t, 300)
	db.checkpoint(t)
	for i := range 40 {
		db.touch(t, 100)
		ctx := &endingContext{Context: t.Context(), left: i * 7}
		_, err := db.Checkpoint(ctx, db.save)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.LessOrEqual(t, len(db.sealer.pending), 1)
	}
	db.requireRestores(t)
}

// endingContext is cancelled once it was asked often enough.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestHoleStartsOver makes the engine believe that the file was smaller: the pages past that size
// are then not in the WAL, nothing says what they hold, and the next log is a snapshot.
func TestHoleStartsOver(t *testing.T) {
	db := openNew(t, Options{})
	db.fill(t, 50)
	db.checkpoint(t)
	require.NoError(t, db.sealing.Acquire(t.Context(), 1))
	db.sealer.sums.resize(db.sealer.sums.pages() - 3)
	db.sealing.Release(1)
	db.touch(t, 10)
	db.checkpoint(t)
	require.Len(t, db.logs, 2)
	require.True(t, db.logs[1].IsSnapshot())
	require.Contains(t, db.warnings.String(), "not in the WAL")
	db.grow(t, 80)
	db.checkpoint(t)
	require.False(t, db.logs[2].IsSnapshot(), "goes on after the snapshot")
	db.requireRestores(t)
}

// TestPagesThatAreFreeAgain grows the file by pages that are free again at the commit: they are in
// the WAL all the same, so the log needs no snapshot.
func TestPagesThatAreFreeAgain(t *testing.T) {
	db := openNew(t, Options{})
	db.fill(t, 50)
	db.checkpoint(t)
	for _, text := range []string{"BEGIN IMMEDIATE", "CREATE TABLE u(x)",
		"INSERT INTO u SELECT x FROM t", "DROP TABLE u", "SAVEPOINT s",
		"INSERT INTO t(x) SELECT x FROM t", "ROLLBACK TO s", "COMMIT"} {
		db.exec(t, text)
	}
	db.checkpoint(t)
	require.Len(t, db.logs, 2)
	require.False(t, db.logs[1].IsSnapshot())
	require.Greater(t, db.logs[1].Commit(), db.logs[0].Commit())
	db.requireRestores(t)
}

// TestCheckGrowth is the table of what may be missing of the pages past the old size.
func TestCheckGrowth(t *testing.T) {
	lockPage := uint32(translog.LockPage(65536))
	for _, row := range []struct {
		before, commit uint32
		pages          []uint32
		hole           bool
	}{
		{10, 10, []uint32{1}, false},
		{10, 9, nil, false},
		{10, 12, []uint32{1, 11, 12}, false},
		{10, 12, []uint32{1, 12}, true},
		{10, 12, []uint32{11}, true},
		{10, 12, nil, true},
		{0, 2, []uint32{1, 2}, false},
		{lockPage - 1, lockPage + 1, []uint32{lockPage + 1}, false},
		{lockPage - 2, lockPage + 1, []uint32{lockPage + 1}, true},
		{lockPage, lockPage + 1, []uint32{lockPage + 1}, false},
		{lockPage - 1, lockPage, nil, false},
	} {
		db := &DB{pageSize: 65536}
		db.sealer.sums.resize(row.before)
		f := stretch{commit: row.commit}
		for _, page := range row.pages {
			f.keys = append(f.keys, uint64(page)<<32|7)
		}
		if err := db.checkGrowth(f); row.hole {
			require.ErrorIs(t, err, errHole, "%v", row)
		} else {
			require.NoError(t, err, "%v", row)
		}
	}
}

// TestSnapshotWhileTheWALRestarts saves a first snapshot while a transaction that spills has begun
// the WAL anew and is not committed: the next log goes on from there, frame by frame.
func TestSnapshotWhileTheWALRestarts(t *testing.T) {
	db := openNew(t, Options{})
	db.fill(t, 100)
	result, err := db.Reset(t.Context())
	require.NoError(t, err)
	require.False(t, result.Busy)
	salt := db.salt()
	db.exec(t, "PRAGMA cache_size = 10")
	db.exec(t, "BEGIN IMMEDIATE")
	db.touch(t, 100)
	db.checkpoint(t)
	require.NotEqual(t, salt, db.salt())
	require.Zero(t, db.Stats().WALFrames)
	db.exec(t, "COMMIT")
	db.checkpoint(t)
	require.Empty(t, db.warnings.String())
	require.Len(t, db.logs, 2)
	require.False(t, db.logs[1].IsSnapshot())
	db.requireRestores(t)
}

// TestSealShrinks seals transactions that make the file smaller and larger again, by every way that
// SQLite has, at each page size.
func TestSealShrinks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(strconv.Itoa(pageSize), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			db := openNew(t, Options{PageSize: pageSize, WALLimitFrames: 300})
			db.exec(t, "PRAGMA auto_vacuum = INCREMENTAL")
			db.exec(t, "VACUUM")
			db.fill(t, 100)
			db.checkpoint(t)
			for range 30 {
				db.grow(t, random.IntN(40))
				db.exec(t, "DELETE FROM t WHERE id % 3 = ?", int64(random.IntN(3)))
				if random.IntN(3) > 0 {
					db.exec(t, "PRAGMA incremental_vacuum")
				} else {
					db.exec(t, "VACUUM")
				}
				if random.IntN(2) > 0 {
					db.checkpoint(t)
				}
			}
			snapshots := 0
			for _, log := range db.logs {
				if log.IsSnapshot() {
					snapshots++
				}
			}
			t.Logf("%d logs, %d snapshots", len(db.logs), snapshots)
			db.requireRestores(t)
		})
	}
}

// TestSealLargerThanItsImages seals one transaction that holds more than sealImageBytes, with
// pages that SQLite wrote several times as its cache spilled.
func TestSealLargerThanItsImages(t *testing.T) {
	db := openNew(t, Options{WALLimitFrames: 1 << 30})
	db.fill(t, 100)
	db.checkpoint(t)
	pages := sealImageBytes/db.pageSize + 500
	db.exec(t, "PRAGMA cache_size = 50")
	db.exec(t, "BEGIN IMMEDIATE")
	db.grow(t, pages)
	for range 3 {
		db.touch(t, 300)
	}
	db.exec(t, "DELETE FROM t WHERE id BETWEEN 150 AND 250")
	db.exec(t, "COMMIT")
	require.Greater(t, db.Stats().WALFrames*db.pageSize, sealImageBytes)
	db.checkpoint(t)
	require.Zero(t, cap(db.sealer.images))
	require.Len(t, db.logs, 2)
	require.False(t, db.logs[1].IsSnapshot())
	db.requireRestores(t)
}

// BenchmarkSeal seals transactions of some sizes into logs: bytes are those of the pages.
func BenchmarkSeal(b *testing.B) {
	for _, pages := range []int{10, 1000, 5000, 20_000} {
		b.Run(strconv.Itoa(pages), func(b *testing.B) {
			db := openNew(b, Options{WALLimitFrames: 1 << 30})
			db.fill(b, pages)
			db.checkpoint(b)
			db.notRestored("forgetSealed drops logs")
			b.SetBytes(int64(pages * db.pageSize))
			var allocations uint64
			for b.Loop() {
				b.StopTimer()
				db.touch(b, pages)
				b.StartTimer()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				db.sealAll(b.Context(), b)
				runtime.ReadMemStats(&after)
				b.StopTimer()
				allocations += after.Mallocs - before.Mallocs
				db.forgetSealed(b)
				b.StartTimer()
			}
			b.ReportMetric(float64(allocations)/float64(b.N)/float64(pages), "allocs/page")
		})
	}
}

// forgetSealed drops the sealed logs, as a save does, and empties the WAL.
func (o *opened) forgetSealed(b *testing.B) {
	b.Helper()
	require.NoError(b, o.sealing.Acquire(b.Context(), 1))
	o.dropPending(^translog.FrameNo(0))
	o.sealing.Release(1)
	result, err := o.Reset(b.Context())
	require.NoError(b, err)
	require.False(b, result.Busy)
}
