package translog

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// Goal: what is put into a log comes out again, by every way of opening it.
// Method: for each page size, in memory and spilled, build a log and read it back from memory, from
// a file and from a stream; ltx's own decoder must accept the bytes too.
func TestLogsComeBackAsTheyWereBuilt(t *testing.T) {
	eachPageSize(t, func(t *testing.T, pageSize int) {
		for name, memoryBytes := range map[string]int{"memory": 0, "spilled": 700} {
			t.Run(name, func(t *testing.T) {
				h := newHistory(t, 11, pageSize)
				h.options.MemoryBytes = memoryBytes
				h.start(20)
				before := h.at
				log := h.change(23, 9, false)
				require.Equal(t, name == "spilled", log.handle.content.file != nil)
				require.Empty(t, namesIn(t, h.options.Dir), "temporary files have no name")

				data := encoded(t, log)
				require.NoError(t, ltx.NewDecoder(bytes.NewReader(data)).Verify())
				fromFile, err := OpenLog(writeLog(t, log))
				require.NoError(t, err)
				defer fromFile.Close()
				fromStream, err := ReadLog(io.MultiReader(bytes.NewReader(data)), t.TempDir())
				require.NoError(t, err)
				defer fromStream.Close()

				for _, same := range []*Log{log, fromFile, fromStream} {
					requireFacts(t, h, before, same)
					require.NoError(t, same.Verify())
					require.Equal(t, pagesOf(t, log), pagesOf(t, same))
					require.Equal(t, data, encoded(t, same))
					read, err := io.ReadAll(same.Reader())
					require.NoError(t, err)
					require.Equal(t, data, read)
				}
			})
		}
	})
}

// requireFacts compares a log with the history that has just made it.
func requireFacts(t *testing.T, h *history, before Position, log *Log) {
	t.Helper()
	require.Equal(t, before.FrameNo+1, log.First())
	require.Equal(t, h.at.FrameNo, log.Last())
	require.Equal(t, before, log.Start())
	require.Equal(t, before, log.Follows())
	require.Equal(t, h.at, log.End())
	require.Equal(t, uint32(len(h.pages)), log.Commit())
	require.Equal(t, h.pageSize, log.PageSize())
	require.Equal(t, uint64(7), log.NodeID())
	require.False(t, log.IsSnapshot())
	require.True(t, log.Timestamp().Equal(time.UnixMilli(1_700_000_000_000+int64(h.at.FrameNo))))
	require.Equal(t, ltx.FormatFilename(ltx.TXID(log.First()), ltx.TXID(log.Last())), log.Name())
	first, last, err := ParseName(log.Name())
	require.NoError(t, err)
	require.Equal(t, log.First(), first)
	require.Equal(t, log.Last(), last)
}

// Goal: a snapshot keeps what it was told to follow, and a file does not know it.
// Method: build, reopen, and set Follows by hand.
func TestFollowsOfASnapshotIsWhatTheChainSays(t *testing.T) {
	h := newHistory(t, 12, 4096)
	h.start(5)
	h.change(6, 2, false)
	saved := Position{FrameNo: 3, Checksum: EmptyChecksum | 5}
	snapshot := h.snapshot(saved)
	require.True(t, snapshot.IsSnapshot())
	require.Equal(t, saved, snapshot.Follows())
	require.Equal(t, Position{}, snapshot.Start())
	require.Equal(t, h.at, snapshot.End())

	opened, err := OpenSnapshot(writeLog(t, snapshot.Log))
	require.NoError(t, err)
	require.Equal(t, Position{}, opened.Follows())
	told := opened.WithFollows(saved)
	require.Equal(t, saved, told.Follows())
	require.NoError(t, told.Verify())
	require.NoError(t, told.Close())
	require.ErrorIs(t, opened.Verify(), ErrClosed, "both are one handle")
}

// Goal: a log without a time says so. Method: encode a zero time.
func TestAZeroTimestampStaysZero(t *testing.T) {
	builder, err := NewBuilder(Spec{First: 1, Last: 1, PageSize: 512}, BuildOptions{})
	require.NoError(t, err)
	log, err := builder.Finish(EmptyChecksum)
	require.NoError(t, err)
	defer log.Close()
	require.True(t, log.Timestamp().IsZero())
	require.NoError(t, log.Verify(), "an empty database is a database")
	require.Empty(t, pagesOf(t, log))
}

// Goal: WriteFile never replaces a file and leaves none behind that is not whole.
// Method: an existing file; a closed log; a folder that is not there.
func TestWriteFileIsExclusive(t *testing.T) {
	h := newHistory(t, 13, 512)
	log := h.start(3).Log
	path := filepath.Join(t.TempDir(), "log.ltx")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	require.ErrorIs(t, log.WriteFile(path, 0o644), fs.ErrExist)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(data))

	require.ErrorIs(t, log.WriteFile(filepath.Join(path+".d", "log.ltx"), 0o644), fs.ErrNotExist)
	clone, err := log.Clone()
	require.NoError(t, err)
	require.NoError(t, clone.Close())
	other := filepath.Join(filepath.Dir(path), "other.ltx")
	require.ErrorIs(t, clone.WriteFile(other, 0o644), ErrClosed)
	require.NoFileExists(t, other)
}

// Goal: the encoder writes to any writer the very bytes that a builder keeps.
// Method: the same pages through both.
func TestEncoderAndBuilderAgree(t *testing.T) {
	h := newHistory(t, 14, 4096)
	snapshot := h.start(30)
	var buffer bytes.Buffer
	encoder, err := NewEncoder(&buffer, Spec{
		First: 1, Last: 1, PageSize: 4096, Commit: 30, Timestamp: snapshot.Timestamp(), NodeID: 7,
	}, t.TempDir())
	require.NoError(t, err)
	for i, page := range h.pages {
		require.NoError(t, encoder.WritePage(PageNo(i+1), page))
	}
	end, err := encoder.Close(h.at.Checksum)
	require.NoError(t, err)
	require.Equal(t, snapshot.End(), end)
	require.Equal(t, encoded(t, snapshot.Log), buffer.Bytes())
}
