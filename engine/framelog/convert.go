package framelog

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// ConvertOptions say what a converted or imported log records beside its pages, and where
// its bytes are kept.
type ConvertOptions struct {
	// Build is where the bytes of the log are kept.
	Build translog.BuildOptions
	// Timestamp is the time of the log; zero records none.
	Timestamp time.Time
	// NodeID names the node that writes the log, 0 records none.
	NodeID uint64
}

// sizeOffset is where SQLite keeps the database's size in pages, big-endian, in page 1
// (https://sqlite.org/fileformat2.html#in_header_database_size).
const sizeOffset = 28

// Convert makes one log of the whole transactions after the base up to last, 0 for all
// there are: the newest image of each page, and the database's checksum before and after.
// The caller closes the result. A zero Base makes a snapshot, which must then have every
// page.
//
// A page that the database grew by and that no frame holds is free, and SQLite did not
// write it: it becomes zeros. The frames are read twice, and verified. Memory is 8 bytes
// for each frame.
//
// Frames that do not continue the base are a [*translog.GapError]; when the base or last
// is inside a transaction it is [ErrTransaction], and [ErrEmpty] when the log holds
// nothing after the base. Otherwise the error is one of [Log.Frame], also [*FormatError]
// when a commit's size is not the one in SQLite's own header, or one of
// [translog.Builder].
func (l *Log) Convert(base Base, last translog.FrameNo, options ConvertOptions) (
	*translog.Log, error,
) {
	h := l.header()
	if err := l.checkBase(base, h); err != nil {
		return nil, err
	}
	first := base.Position.FrameNo + 1
	if last == 0 && first == h.next() {
		return nil, fmt.Errorf("%w: no frames after %v", ErrEmpty, base.Position.FrameNo)
	}
	if last >= h.next() || last != 0 && last < first {
		return nil, &RangeError{Asked: last, First: first, Next: h.next()}
	}
	c := conversion{log: l, base: base, first: first, pageSize: h.pageSize, commit: base.Pages}
	if err := c.scan(last, h.next()); err != nil {
		return nil, err
	}
	builder, err := translog.NewBuilder(translog.Spec{
		First: first, Last: c.last, PageSize: h.pageSize, Commit: c.commit,
		Timestamp: options.Timestamp, PreApply: base.Position.Checksum, NodeID: options.NodeID,
	}, options.Build)
	if err != nil {
		return nil, err
	}
	defer builder.Abort()
	after, err := c.build(builder)
	if err != nil {
		return nil, err
	}
	return builder.Finish(after)
}

// checkBase checks that the frames after the base are those that the log holds next.
func (l *Log) checkBase(base Base, h header) error {
	at := base.Position.FrameNo
	if at+1 < h.first() || at >= h.next() {
		return &translog.GapError{Have: base.Position,
			Want:  translog.Position{FrameNo: h.first() - 1},
			First: h.first(), Last: h.next() - 1}
	}
	if at == 0 {
		if base.Pages != 0 || base.Position.Checksum != 0 {
			return &FormatError{Field: "base", Got: base.Position, Want: "nothing at position 0"}
		}
		return nil
	}
	if base.PageSize != h.pageSize {
		return &FormatError{Field: "page size of the base", Got: base.PageSize, Want: h.pageSize}
	}
	if at >= h.first() {
		frame, err := l.Frame(at)
		if err != nil {
			return err
		}
		if frame.Commit == 0 {
			return fmt.Errorf("%w: base at frame %v, which is no commit", ErrTransaction, at)
		}
	}
	return nil
}

// conversion is one Convert.
type conversion struct {
	log      *Log
	base     Base
	pageSize int
	first    translog.FrameNo
	last     translog.FrameNo // of the last commit that was read
	commit   uint32           // size there, in pages
	keys     []uint64         // page number in the upper half, frame after first in the lower
}

// scan reads the frames up to last, or to the last commit before next, and keeps where
// the newest image of each page is.
func (c *conversion) scan(last, next translog.FrameNo) error {
	stop := last
	if stop == 0 {
		stop = next - 1
	}
	if uint64(stop-c.first) > math.MaxUint32 {
		return &RangeError{Asked: stop, First: c.first, Next: c.first + math.MaxUint32}
	}
	whole := 0 // keys up to the last commit
	var inHeader *uint32
	cursor := cursor{log: c.log, next: c.first}
	for cursor.next <= stop {
		frame, err := cursor.read()
		if err == io.EOF {
			return &RangeError{Asked: stop, First: c.first, Next: cursor.next}
		}
		if err != nil {
			return err
		}
		c.keys = append(c.keys, uint64(frame.PageNo)<<32|uint64(frame.FrameNo-c.first))
		if frame.PageNo == 1 {
			size := binary.BigEndian.Uint32(frame.Data[sizeOffset:])
			inHeader = &size
		}
		if frame.Commit == 0 {
			continue
		}
		if err := checkCommit(frame, c.commit, inHeader); err != nil {
			return err
		}
		c.last, c.commit, whole, inHeader = frame.FrameNo, frame.Commit, len(c.keys), nil
	}
	if whole == 0 || last != 0 && c.last != last {
		return fmt.Errorf("%w: frame %v is no commit", ErrTransaction, stop)
	}
	c.keys = translog.NewestFrames(c.keys[:whole], c.commit)
	return c.checkGrowth()
}

// checkCommit compares the size after a commit with the one in SQLite's header. Whenever
// the size changes, SQLite writes page 1.
func checkCommit(frame translog.Frame, before uint32, inHeader *uint32) error {
	want := before
	if inHeader != nil {
		want = *inHeader
	}
	if frame.Commit != want {
		return &FormatError{FrameNo: frame.FrameNo, Field: "database size", Got: frame.Commit,
			Want: want}
	}
	return nil
}

// checkGrowth bounds the pages that are to become zeros by what SQLite's free list can
// hold: its trunk pages are written, and each names fewer than a quarter of its bytes
// (https://sqlite.org/fileformat2.html#the_freelist).
func (c *conversion) checkGrowth() error {
	grown := uint64(0)
	for _, key := range c.keys {
		if uint32(key>>32) > c.base.Pages {
			grown++
		}
	}
	most := uint64(c.base.Pages) + grown + uint64(len(c.keys))*uint64(c.pageSize/4) + 1
	if uint64(c.commit) > most {
		return &FormatError{FrameNo: c.last, Field: "database size", Got: c.commit,
			Want: fmt.Sprint("at most ", most)}
	}
	return nil
}

// build writes the pages and returns the checksum of the database after them.
func (c *conversion) build(builder *translog.Builder) (translog.Checksum, error) {
	total := c.base.Position.Checksum
	if c.base.Position.IsZero() {
		total = translog.EmptyChecksum
	}
	grown := uint64(c.base.Pages) + 1 // the next page that is new
	zeros, buffer := make([]byte, c.pageSize), make([]byte, frameHeaderBytes+c.pageSize)
	write := func(no translog.PageNo, data []byte) error {
		before, err := c.sumBefore(no)
		if err != nil {
			return err
		}
		total = total.Replace(before, translog.PageSum(no, data))
		return builder.WritePage(no, data)
	}
	fill := func(end uint64) error {
		for ; grown < end; grown++ {
			if no := translog.PageNo(grown); no != translog.LockPage(c.pageSize) {
				if err := write(no, zeros); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, key := range c.keys {
		no := translog.PageNo(key >> 32)
		if err := fill(uint64(no)); err != nil {
			return 0, err
		}
		frame, err := c.image(c.first+translog.FrameNo(uint32(key)), buffer)
		if err != nil {
			return 0, err
		}
		if err := write(no, frame.Data); err != nil {
			return 0, err
		}
		grown = max(grown, uint64(no)+1)
	}
	if err := fill(uint64(c.commit) + 1); err != nil {
		return 0, err
	}
	for no := uint64(c.commit) + 1; no <= uint64(c.base.Pages); no++ {
		before, err := c.sumBefore(translog.PageNo(no))
		if err != nil {
			return 0, err
		}
		total = total.Replace(before, 0)
	}
	return total, nil
}

func (c *conversion) image(no translog.FrameNo, buffer []byte) (translog.Frame, error) {
	c.log.files.RLock()
	defer c.log.files.RUnlock()
	frame, _, err := c.log.readFrame(no, buffer)
	return frame, err
}

// sumBefore returns the sum that a page has in the base, 0 for one that is not there.
func (c *conversion) sumBefore(no translog.PageNo) (translog.Checksum, error) {
	if uint32(no) > c.base.Pages || no == translog.LockPage(c.pageSize) {
		return 0, nil
	}
	sum, err := c.base.PageSum(no)
	if err != nil {
		return 0, fmt.Errorf("framelog: sum of page %d: %w", no, err)
	}
	if sum == 0 {
		return 0, &FormatError{Field: "page sum of the base", Got: fmt.Sprint("none for page ", no)}
	}
	return sum, nil
}
