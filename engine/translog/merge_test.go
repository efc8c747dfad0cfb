package translog

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// Goal: a merged log leads where its logs lead one by one, whatever is cut off and grown between.
// Method: random histories, with and without pages that come back without an image; merge random
// stretches, apply them to a snapshot, compare bytes with the model and with the logs one by one.
func TestMergedLogsEqualTheirLogs(t *testing.T) {
	eachPageSize(t, func(t *testing.T, pageSize int) {
		for seed := range uint64(6) {
			h := newHistory(t, 100+seed, pageSize)
			if seed%2 == 1 {
				h.options.MemoryBytes = 1000
			}
			snapshot := h.start(12)
			logs := h.wander(15, seed >= 2)
			from := h.random.IntN(5)
			to := from + 2 + h.random.IntN(8)
			merged, err := Merge(t.TempDir(), logs[from:to]...)
			require.NoError(t, err)
			defer merged.Close()
			require.NoError(t, merged.Verify())
			require.Equal(t, logs[from].Start(), merged.Start())
			require.Equal(t, logs[from].Follows(), merged.Follows())
			require.Equal(t, logs[to-1].End(), merged.End())
			require.Equal(t, logs[to-1].Timestamp(), merged.Timestamp())
			require.Equal(t, uint64(7), merged.NodeID())

			shorter := append(append(append([]*Log{}, logs[:from]...), merged), logs[to:]...)
			require.Equal(t, h.bytes(), restored(t, h.at, snapshot, logs...))
			require.Equal(t, h.bytes(), restored(t, h.at, snapshot, shorter...))
		}
	})
}

// Goal: a snapshot with logs appended is the snapshot that would have been taken then.
// Method: compare with a fresh one, page by page, and with the restore of the parts.
func TestAppendedSnapshotIsTheLaterSnapshot(t *testing.T) {
	eachPageSize(t, func(t *testing.T, pageSize int) {
		h := newHistory(t, 31, pageSize)
		early := h.start(9)
		logs := h.wander(12, true)
		fresh := h.snapshot(Position{})
		appended, err := early.Append(logs...)
		require.NoError(t, err)
		defer appended.Close()
		require.NoError(t, appended.Verify())
		require.Equal(t, fresh.End(), appended.End())
		require.Equal(t, pagesOf(t, fresh.Log), pagesOf(t, appended.Log))
		require.Equal(t, h.bytes(), restored(t, h.at, appended))
		require.Equal(t, h.bytes(), restored(t, h.at, early, logs...))
		require.Equal(t, h.bytes(), restored(t, h.at, early, append(logs[:5:5], fresh.Log)...))

		same, err := fresh.Append(logs...)
		require.NoError(t, err)
		require.Equal(t, encoded(t, fresh.Log), encoded(t, same.Log), "all logs are before it")
		require.NoError(t, same.Close())
	})
}

// Goal: for logs whose pages are all there we write what ltx's compactor writes.
// Method: both over one history, comparing pages and trailer.
func TestMergeAgreesWithLTXCompactor(t *testing.T) {
	h := newHistory(t, 32, 4096)
	logs := []*Log{h.start(10).Log}
	for range 6 {
		logs = append(logs, h.change(len(h.pages)+h.random.IntN(4), 5, false))
	}
	for _, inputs := range [][]*Log{logs, logs[1:], logs[3:5]} {
		var readers []io.Reader
		for _, log := range inputs {
			readers = append(readers, log.Reader())
		}
		var buffer bytes.Buffer
		compactor, err := ltx.NewCompactor(&buffer, readers)
		require.NoError(t, err)
		require.NoError(t, compactor.Compact(context.Background()))
		theirs, err := ReadLog(&buffer, t.TempDir())
		require.NoError(t, err)
		ours, err := Merge(t.TempDir(), inputs...)
		require.NoError(t, err)
		require.Equal(t, pagesOf(t, theirs), pagesOf(t, ours))
		withNode := theirs.facts
		withNode.nodeID = ours.NodeID() // The compactor drops it.
		require.Equal(t, withNode, ours.facts)
	}
}

// Goal: more logs than are read side by side merge to the same.
// Method: a long chain of small logs, as a snapshot and without.
func TestLongChainsMergeInGroups(t *testing.T) {
	h := newHistory(t, 33, 512)
	snapshot := h.start(6)
	logs := h.wander(2*mergeWidth+3, true)
	merged, err := Merge(t.TempDir(), logs...)
	require.NoError(t, err)
	defer merged.Close()
	require.Equal(t, h.bytes(), restored(t, h.at, snapshot, merged))
	appended, err := snapshot.Append(logs...)
	require.NoError(t, err)
	defer appended.Close()
	require.Equal(t, h.bytes(), restored(t, h.at, appended))
}

// Goal: what does not fit is refused, and nothing is left. Method: one row per reason.
func TestWhatCannotBeMergedIsRefused(t *testing.T) {
	h := newHistory(t, 34, 512)
	snapshot := h.start(6)
	logs := h.wander(4, false)
	other := newHistory(t, 35, 512)
	other.start(6)
	stranger := other.change(6, 3, false)
	dir := t.TempDir()

	_, err := Merge(dir)
	require.ErrorIs(t, err, ErrFormat)
	_, err = Merge(dir, logs[0], logs[2])
	require.ErrorIs(t, err, ErrGap)
	_, err = Merge(dir, logs[1], logs[0])
	require.NoError(t, err, "a log from before is skipped")
	_, err = snapshot.Append(logs[1])
	require.ErrorIs(t, err, ErrGap)
	_, err = snapshot.Append(stranger)
	require.ErrorIs(t, err, ErrChecksum)

	damaged := encoded(t, logs[1])
	damaged[len(damaged)-1] ^= 0x55
	path := writeBytes(t, damaged)
	broken, err := OpenLog(path)
	require.NoError(t, err, "the ends are sound")
	_, err = Merge(dir, logs[0], broken, logs[2])
	require.ErrorIs(t, err, ErrFormat)
	require.NoError(t, broken.Close())
	_, err = Merge(dir, logs[0], broken, logs[2])
	require.ErrorIs(t, err, ErrClosed)
	require.Empty(t, namesIn(t, dir))
}

// Goal: a log that lies about its checksum is found when it is merged into a snapshot.
// Method: forge the end of a log, which its own file checksum covers.
func TestAppendFindsALogThatLies(t *testing.T) {
	h := newHistory(t, 36, 512)
	snapshot := h.start(6)
	start := h.at
	h.change(6, 3, false)
	builder, err := NewBuilder(Spec{First: start.FrameNo + 1, Last: 9, PageSize: 512, Commit: 6,
		PreApply: start.Checksum}, h.options)
	require.NoError(t, err)
	require.NoError(t, builder.WritePage(2, h.randomPage()))
	liar, err := builder.Finish(h.at.Checksum)
	require.NoError(t, err)
	defer liar.Close()
	require.NoError(t, liar.Verify(), "by itself it is sound")

	_, err = snapshot.Append(liar)
	require.ErrorIs(t, err, ErrChecksum)
	dir := t.TempDir()
	_, err = snapshot.Restore(dir+"/lie.db", liar)
	var checksum *ChecksumError
	require.ErrorAs(t, err, &checksum)
	require.Equal(t, FrameNo(9), checksum.At)
	require.Equal(t, h.at.Checksum, checksum.Want)
	require.Empty(t, namesIn(t, dir))
}

// Goal: logs that do not track checksums, as Litestream writes them, are read, merged and restored.
// Method: the same pages with the flag NoChecksum.
func TestLogsWithoutChecksumsAreAccepted(t *testing.T) {
	h := newHistory(t, 37, 512)
	build := func(first, last FrameNo, pages ...PageNo) *Log {
		builder, err := NewBuilder(Spec{First: first, Last: last, PageSize: 512, Commit: 3,
			unchecked: true}, h.options)
		require.NoError(t, err)
		for _, no := range pages {
			require.NoError(t, builder.WritePage(no, h.pages[no-1]))
		}
		log, err := builder.Finish(0)
		require.NoError(t, err)
		read, err := ReadLog(log.Reader(), t.TempDir())
		require.NoError(t, err)
		require.Equal(t, Position{FrameNo: last}, read.End())
		return read
	}
	h.pages = [][]byte{h.randomPage(), h.randomPage(), h.randomPage()}
	snapshot, err := AsSnapshot(build(1, 4, 1, 2, 3))
	require.NoError(t, err)
	h.pages[1] = h.randomPage()
	log := build(5, 5, 2)
	h.pages[2] = h.randomPage()
	next := build(6, 7, 3)
	require.Equal(t, h.bytes(), restored(t, Position{FrameNo: 7}, snapshot, log, next))
	merged, err := Merge(t.TempDir(), log, next)
	require.NoError(t, err)
	require.NoError(t, merged.Verify())
	appended, err := snapshot.Append(merged)
	require.NoError(t, err)
	require.Equal(t, h.bytes(), restored(t, Position{FrameNo: 7}, appended))
}

// Goal: of logs that several primaries of one history wrote, the merged one tells the last.
// Method: a replica that is made of it must know whose history it continues.
func TestMergedLogHasTheNewestNode(t *testing.T) {
	h := newHistory(t, 1, 512)
	h.start(12)
	logs := h.wander(2, false)
	for _, row := range []struct{ first, second, want uint64 }{
		{7, 7, 7}, {7, 9, 9}, {7, 0, 7}, {0, 9, 9}, {0, 0, 0},
	} {
		first, second := logs[0], logs[1]
		first.nodeID, second.nodeID = row.first, row.second
		require.Equal(t, row.want, mergeSpec([]*Log{first, second}).NodeID, row)
	}
}
