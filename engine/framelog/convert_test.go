package framelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// model is a database file that frames are laid upon, the plain way.
type model struct {
	pageSize int
	file     []byte
}

// apply lays whole transactions upon the file: the last image of each page that the last commit
// still has, and zeros for pages that are new and have none.
func (m *model) apply(frames []translog.Frame) {
	size := int(frames[len(frames)-1].Commit) * m.pageSize
	grown := append(m.file, make([]byte, max(0, size-len(m.file)))...)
	for _, frame := range frames {
		if begin := int(frame.PageNo-1) * m.pageSize; begin < size {
			copy(grown[begin:], frame.Data)
		}
	}
	m.file = grown[:size:size]
}

// Goal: converted logs lead to the bytes that the frames lead to, wherever they are cut.
// Method: random transactions that grow, shrink and leave holes; converted in pieces at random
// commits, restored, and compared with a plain model after each piece, for two page sizes.
func TestConvertedLogsLeadToTheSameBytes(t *testing.T) {
	for _, pageSize := range []int{512, 4096} {
		w := newWriter(t, pageSize)
		l := w.create(t)
		m := model{pageSize: pageSize}
		var logs []*translog.Log
		var sums *Sums
		base := Base{}
		for piece := range 12 {
			var frames []translog.Frame
			for range 1 + w.random.IntN(6) {
				batch := w.some()
				require.NoError(t, l.Append(batch))
				frames = append(frames, batch...)
			}
			m.apply(frames)
			last := translog.FrameNo(0)
			if piece%2 == 0 {
				last = w.next - 1
			}
			options := ConvertOptions{NodeID: 7, Timestamp: time.UnixMilli(5)}
			log, err := l.Convert(base, last, options)
			require.NoError(t, err)
			defer func() { require.NoError(t, log.Close()) }()
			require.NoError(t, log.Verify())
			require.Equal(t, base.Position, log.Start())
			require.Equal(t, base.Position, log.Follows())
			require.Equal(t, w.next-1, log.Last())
			require.EqualValues(t, 7, log.NodeID())
			require.EqualValues(t, 5, log.Timestamp().UnixMilli())
			logs = append(logs, log)
			snapshot, err := translog.AsSnapshot(logs[0])
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "restored")
			end, err := snapshot.Restore(path, logs[1:]...)
			require.NoError(t, err)
			require.True(t, bytes.Equal(m.file, readFile(t, path)), "piece %d", piece)
			if sums == nil {
				sums, err = ReadSums(snapshot)
				require.NoError(t, err)
			} else {
				require.NoError(t, sums.Apply(log))
			}
			require.Equal(t, end, sums.Position())
			base = sums.Base()
			if w.random.IntN(2) == 0 {
				require.NoError(t, l.TruncateHead(w.next))
			}
		}
		_, err := l.Convert(base, 0, ConvertOptions{})
		require.ErrorIs(t, err, ErrEmpty)
	}
}

// based is a log of three commits at 4, 6 and 9 upon a base of three pages at position 3.
func based(t *testing.T) (*Log, *Sums, *translog.Snapshot) {
	t.Helper()
	w := newWriter(t, 512)
	first := w.create(t)
	require.NoError(t, first.Append(w.commit(3, 1, 2, 3)))
	log, err := first.Convert(Base{}, 0, ConvertOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	snapshot, err := translog.AsSnapshot(log)
	require.NoError(t, err)
	sums, err := ReadSums(snapshot)
	require.NoError(t, err)
	l := w.create(t)
	require.NoError(t, l.Append(w.commit(3, 2)))
	require.NoError(t, l.Append(w.commit(3, 2, 3)))
	require.NoError(t, l.Append(w.commit(3, 3, 2, 3)))
	return l, sums, snapshot
}

// Goal: what cannot be converted is refused by name.
// Method: a table of bases and ends for a log of frames 4 to 9.
func TestConvertRefusesWhatDoesNotFit(t *testing.T) {
	l, sums, _ := based(t)
	failing := errors.New("failing")
	for _, row := range []struct {
		name   string
		change func(*Base)
		last   translog.FrameNo
		want   error
	}{
		{"all", func(*Base) {}, 0, nil},
		{"first", func(*Base) {}, 4, nil},
		{"base inside the log", func(b *Base) { b.Position.FrameNo = 6 }, 0, nil},
		{"last inside a transaction", func(*Base) {}, 5, ErrTransaction},
		{"base inside a transaction", func(b *Base) { b.Position.FrameNo = 5 }, 0, ErrTransaction},
		{"last past the end", func(*Base) {}, 10, ErrRange},
		{"last before the base", func(b *Base) { b.Position.FrameNo = 6 }, 4, ErrRange},
		{"base before the log", func(b *Base) { b.Position.FrameNo = 2 }, 0, translog.ErrGap},
		{"base past the log", func(b *Base) { b.Position.FrameNo = 10 }, 0, translog.ErrGap},
		{"base of nothing", func(b *Base) { *b = Base{} }, 0, translog.ErrGap},
		{"base at the end", func(b *Base) { b.Position.FrameNo = 9 }, 0, ErrEmpty},
		{"base at the last position of all",
			func(b *Base) { b.Position.FrameNo = 1<<64 - 1 }, 0, translog.ErrGap},
		{"page size", func(b *Base) { b.PageSize = 1024 }, 0, translog.ErrFormat},
		{"no checksum", func(b *Base) { b.Position.Checksum = 0 }, 0, translog.ErrFormat},
		{"other size", func(b *Base) { b.Pages = 4 }, 0, translog.ErrFormat},
		{"no sum", func(b *Base) {
			b.PageSum = func(translog.PageNo) (translog.Checksum, error) { return 0, nil }
		}, 0, translog.ErrFormat},
		{"failing sum", func(b *Base) {
			b.PageSum = func(translog.PageNo) (translog.Checksum, error) { return 0, failing }
		}, 0, failing},
	} {
		base := sums.Base()
		row.change(&base)
		log, err := l.Convert(base, row.last, ConvertOptions{})
		require.ErrorIs(t, err, row.want, row.name)
		if err == nil {
			require.NoError(t, log.Close())
		}
	}
}

// Goal: a frame that claims four billion pages costs neither memory nor time.
// Method: such a size in the commit and in page 1, which agree.
func TestConvertRefusesFourBillionPages(t *testing.T) {
	w := newWriter(t, 512)
	l := w.create(t)
	frames := w.commit(1<<32-1, 1)
	require.NoError(t, l.Append(frames))
	_, err := l.Convert(Base{}, 0, ConvertOptions{})
	var wrong *FormatError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "database size", wrong.Field)
}

// Goal: frames past the last commit are not converted.
// Method: a log as a foreign writer may leave it, whose count ends inside a transaction.
func TestConvertStopsAtTheLastCommit(t *testing.T) {
	path, frames := threeCommits(t, 512)
	b := readFile(t, path)
	binary.LittleEndian.PutUint64(b[countOffset:], 5)
	l := openLog(t, fileOf(t, b))
	log, err := l.Convert(Base{}, 0, ConvertOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 3, log.Last())
	require.NoError(t, log.Close())
	_, err = l.Convert(Base{}, 5, ConvertOptions{})
	require.ErrorIs(t, err, ErrTransaction)
	require.Len(t, frames, 6)
}

// Goal: sums that a log does not continue stay as they were.
// Method: the same log twice, a log that skips one, and one of another history.
func TestSumsRefuseWhatDoesNotContinue(t *testing.T) {
	l, sums, snapshot := based(t)
	first, err := l.Convert(sums.Base(), 4, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, first.Close()) }()
	forged := sums.Base()
	forged.Position.Checksum ^= 1
	other, err := l.Convert(forged, 0, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	require.ErrorIs(t, sums.Apply(other), translog.ErrChecksum)
	require.Equal(t, snapshot.End(), sums.Position())
	require.NoError(t, sums.Apply(first))
	require.ErrorIs(t, sums.Apply(first), translog.ErrGap)
	require.Equal(t, first.End(), sums.Position())
	require.NoError(t, sums.Apply(snapshot.Log))
	require.Equal(t, snapshot.End(), sums.Position())
	_, err = sums.pageSum(4)
	require.ErrorIs(t, err, translog.ErrFormat)
}

// Goal: the lock page is in no log, has no sum, and is nobody's hole.
// Method: a database of 64 KiB pages grows across its lock page and shrinks back; its sums are made
// up, so that it needs no gigabyte.
func TestConvertLeavesTheLockPageOut(t *testing.T) {
	lockPage := translog.LockPage(65536)
	w := newWriter(t, 65536)
	w.next, w.pages = 2, uint32(lockPage)-1
	l := w.create(t)
	require.NoError(t, l.Append(w.commit(uint32(lockPage)+1, 1, lockPage+1)))
	require.NoError(t, l.Append(w.commit(uint32(lockPage)-1, 1)))
	base := Base{
		Position: translog.Position{FrameNo: 1, Checksum: translog.EmptyChecksum | 5},
		PageSize: 65536, Pages: uint32(lockPage) - 1,
		PageSum: func(no translog.PageNo) (translog.Checksum, error) {
			require.NotEqual(t, lockPage, no)
			return translog.EmptyChecksum | translog.Checksum(no), nil
		},
	}
	grown, err := l.Convert(base, 3, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, grown.Close()) }()
	var pages []translog.PageNo
	for page, err := range grown.Pages() {
		require.NoError(t, err)
		pages = append(pages, page.No)
	}
	require.Equal(t, []translog.PageNo{1, lockPage + 1}, pages)
	base.Position, base.Pages = grown.End(), uint32(lockPage)+1
	shrunk, err := l.Convert(base, 0, ConvertOptions{})
	require.NoError(t, err)
	require.EqualValues(t, lockPage-1, shrunk.Commit())
	require.NoError(t, shrunk.Close())

	sums := Sums{lockPage: 3, sums: make([]translog.Checksum, 2)}
	require.NoError(t, sums.growTo(2))
	require.Len(t, sums.sums, 2)
	require.NoError(t, sums.growTo(3))
	require.Len(t, sums.sums, 3)
	require.ErrorIs(t, sums.growTo(4), translog.ErrFormat)
}

// Goal: a log that claims pages which it does not hold costs no memory for them.
// Method: one that grows the database to four billion pages, without one page.
func TestSumsRefuseMissingPages(t *testing.T) {
	_, sums, snapshot := based(t)
	builder, err := translog.NewBuilder(translog.Spec{
		First: 4, Last: 4, PageSize: 512, Commit: 1<<32 - 1, PreApply: snapshot.End().Checksum,
	}, translog.BuildOptions{})
	require.NoError(t, err)
	log, err := builder.Finish(snapshot.End().Checksum)
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	require.ErrorIs(t, sums.Apply(log), translog.ErrFormat)
	require.Equal(t, snapshot.End(), sums.Position())
}
