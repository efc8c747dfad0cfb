package storetest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// DefaultPageSize is the page size of a history that asks for none, in bytes.
const DefaultPageSize = 4096

// historyTime is the time of position 0; each position adds a millisecond, so that logs
// have times that differ.
var historyTime = time.Date(2024, 2, 29, 12, 30, 45, 678_000_000, time.UTC)

// History is a database that lives in memory and changes at random, from a seed. It makes
// the logs that an engine would hand to a store: the same ones for the same seed and the
// same calls. Its pages are random bytes, no SQLite file: nothing that keeps or restores
// logs looks into them.
//
// It is not safe for concurrent use; the logs it has made are.
type History struct {
	source   rand.PCG
	pageSize int
	pages    [][]byte // a page's slice is never written to again, so forks may share it
	sums     []translog.Checksum
	sum      translog.Checksum
	changed  map[translog.PageNo]bool // since the newest log
	end      translog.Position
	nodeID   uint64
	timeless bool // logs record neither time nor node
}

// NewHistory begins a history without any page. A pageSize of 0 is [DefaultPageSize]; one
// that SQLite does not know is reported by the first log.
func NewHistory(seed uint64, pageSize int) *History {
	if pageSize == 0 {
		pageSize = DefaultPageSize
	}
	return &History{
		source: *rand.NewPCG(seed, 0), pageSize: pageSize, sum: translog.EmptyChecksum,
		changed: make(map[translog.PageNo]bool), nodeID: 1,
	}
}

// Fork returns an independent history with the same past, as a second primary has that
// was started from a copy. What either does from now on differs.
func (h *History) Fork() *History {
	other := h.twin()
	other.source = *rand.NewPCG(h.source.Uint64(), h.source.Uint64())
	return other
}

// twin is a fork that will make the very same changes. Its logs have other bytes all the
// same, for they carry another node's id.
func (h *History) twin() *History {
	other := *h
	other.nodeID++
	other.pages = slices.Clone(h.pages)
	other.sums = slices.Clone(h.sums)
	other.changed = make(map[translog.PageNo]bool)
	return &other
}

// End is the end of the newest log, zero before the first.
func (h *History) End() translog.Position { return h.end }

// Bytes is the content of the database file at End, what a restore must give.
func (h *History) Bytes() []byte { return slices.Concat(h.pages...) }

// Log changes the database, and returns a log of the changes that continues the newest one
// and covers that many positions, at least one. The first log of a history is a snapshot.
// The caller closes it. An error is that of [translog.NewBuilder] or of writing a
// temporary file; the history is of no use after one.
func (h *History) Log(positions translog.FrameNo) (*translog.Log, error) {
	if h.end.IsZero() {
		return h.Snapshot(positions)
	}
	h.change()
	return h.build(translog.Spec{
		First: h.end.FrameNo + 1, Last: h.end.FrameNo + positions, PreApply: h.end.Checksum,
	}, h.changed)
}

// Snapshot is [History.Log], and the log is one of every page. It too continues the newest
// one, which its Follows says.
func (h *History) Snapshot(positions translog.FrameNo) (*translog.Log, error) {
	h.change()
	all := make(map[translog.PageNo]bool)
	for index := range h.pages {
		all[translog.PageNo(index+1)] = true
	}
	return h.build(translog.Spec{
		First: 1, Last: h.end.FrameNo + positions, Follows: h.end,
	}, all)
}

// grow adds pages to what the next log holds.
func (h *History) grow(pages int) {
	for range pages {
		h.pages, h.sums = append(h.pages, nil), append(h.sums, 0)
		h.set(len(h.pages) - 1)
	}
}

// change adds a page or drops the last one, and replaces a few.
func (h *History) change() {
	if last := len(h.pages) - 1; last > 3 && h.source.Uint64()%4 == 0 {
		h.sum = h.sum.Replace(h.sums[last], 0)
		h.pages, h.sums = h.pages[:last], h.sums[:last]
		delete(h.changed, translog.PageNo(last+1))
	} else {
		h.grow(1)
	}
	for range 3 {
		h.set(int(h.source.Uint64() % uint64(len(h.pages))))
	}
}

// set gives a page new content that does not compress.
func (h *History) set(index int) {
	page := make([]byte, h.pageSize)
	for offset := 0; offset+8 <= len(page); offset += 8 {
		binary.LittleEndian.PutUint64(page[offset:], h.source.Uint64())
	}
	no := translog.PageNo(index + 1)
	sum := translog.PageSum(no, page)
	h.sum = h.sum.Replace(h.sums[index], sum)
	h.pages[index], h.sums[index] = page, sum
	h.changed[no] = true
}

func (h *History) build(
	spec translog.Spec, pages map[translog.PageNo]bool,
) (*translog.Log, error) {
	spec.PageSize, spec.Commit = h.pageSize, uint32(len(h.pages))
	if !h.timeless {
		spec.NodeID = h.nodeID
		// A time has room for the small positions only, and tests have no use for more.
		spec.Timestamp = historyTime.Add(time.Duration(uint32(spec.Last)) * time.Millisecond)
	}
	builder, err := translog.NewBuilder(spec, translog.BuildOptions{})
	if err != nil {
		return nil, err
	}
	defer builder.Abort()
	for index, page := range h.pages {
		if no := translog.PageNo(index + 1); pages[no] {
			if err := builder.WritePage(no, page); err != nil {
				return nil, err
			}
		}
	}
	log, err := builder.Finish(h.sum)
	if err != nil {
		return nil, err
	}
	h.end = log.End()
	h.changed = make(map[translog.PageNo]bool)
	return log, nil
}
