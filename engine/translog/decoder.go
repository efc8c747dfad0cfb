package translog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/superfly/ltx"
)

// decoder reads one log from beginning to end and verifies everything on the way. It
// surrounds ltx's decoder, which by itself panics on some damaged files and accepts pages
// that a database of the recorded size cannot have.
type decoder struct {
	facts  facts
	source *source
	guard  *guard
	ltx    *ltx.Decoder
	page   []byte
	// release lets go of what is read; nil when there is nothing to let go of.
	release  func() error
	lockPage PageNo
	previous PageNo // the page read last
	count    uint32 // pages read
	failure  error  // what next returns from now on: io.EOF after the verified end
}

// newDecoder reads the header. It does not close r.
func newDecoder(r io.Reader, bufferBytes int) (*decoder, error) {
	d := &decoder{source: &source{reader: r}}
	d.guard = &guard{reader: bufio.NewReaderSize(d.source, bufferBytes)}
	d.ltx = ltx.NewDecoder(d.guard)
	d.ltx.SetRetainPageIndex(false)
	if err := d.safely("header", d.ltx.DecodeHeader); err != nil {
		return nil, err
	}
	facts, err := factsOf(d.ltx.Header())
	if err != nil {
		return nil, err
	}
	d.facts = facts
	d.guard.blockBytesMax = blockBytesMax(facts.pageSize)
	d.lockPage = LockPage(facts.pageSize)
	d.page = make([]byte, facts.pageSize)
	return d, nil
}

// decode opens a decoder on the log, which holds on to the log's bytes until it is
// closed.
func (l *Log) decode(bufferBytes int) (*decoder, error) {
	c, err := l.handle.open()
	if err != nil {
		return nil, err
	}
	d, err := newDecoder(io.NewSectionReader(c, 0, c.size), bufferBytes)
	if err == nil && !d.facts.sameHeader(l.facts) {
		err = &FormatError{Field: "header", Err: errChanged}
	}
	if err != nil {
		_ = c.release()
		return nil, err
	}
	d.release = c.release
	return d, nil
}

var errChanged = errors.New("the file has changed since it was opened")

func (d *decoder) close() {
	if d.release != nil {
		_ = d.release()
		d.release = nil
	}
	d.failure = ErrClosed
}

// next returns the next page, valid until the following call, and [io.EOF] when there is
// none and the whole file has proved sound.
func (d *decoder) next() (Page, error) {
	if d.failure != nil {
		return Page{}, d.failure
	}
	page, err := d.read()
	if err != nil {
		d.failure = err
	}
	return page, err
}

func (d *decoder) read() (Page, error) {
	var header ltx.PageHeader
	d.guard.expectPage()
	var end bool
	err := d.safely("page "+strconv.Itoa(int(d.previous)+1), func() error {
		err := d.ltx.DecodePage(&header, d.page)
		// Only an all-zero page header ends the pages: every other EOF is a truncated
		// file.
		end = err == io.EOF && header.IsZero() && d.guard.headerComplete()
		return err
	})
	if end {
		return Page{}, d.verifyEnd()
	}
	if err != nil {
		return Page{}, err
	}
	no := PageNo(header.Pgno)
	switch {
	case no <= d.previous:
		return Page{}, &FormatError{Field: "page number", Got: no,
			Want: fmt.Sprint("above ", d.previous)}
	case uint32(no) > d.facts.commit:
		return Page{}, &FormatError{Field: "page number", Got: no,
			Want: fmt.Sprint("at most ", d.facts.commit)}
	case no == d.lockPage:
		return Page{}, &FormatError{Field: "page number", Got: no, Want: "not the lock page"}
	}
	d.previous = no
	d.count++
	return Page{No: no, Data: d.page}, nil
}

// verifyEnd checks index, trailer, file checksum and, for a snapshot, completeness and
// the checksum of the database (ltx's decoder has added it up).
func (d *decoder) verifyEnd() error {
	d.guard.expectEnd()
	if err := d.safely("end", d.ltx.Close); err != nil {
		return err
	}
	if err := d.facts.finish(d.ltx.Trailer()); err != nil {
		return err
	}
	want := pageCount(d.facts.commit, d.facts.pageSize)
	if d.facts.first == 1 && d.count != want {
		// Pages are in order and none is too high, so the number alone tells.
		return &FormatError{Field: "snapshot's number of pages", Got: d.count, Want: want}
	}
	return io.EOF
}

// safely runs a step of ltx's decoder and makes its errors and panics ours: what reading
// the source returned stays that, all else says that the bytes are no log.
func (d *decoder) safely(field string, step func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = &FormatError{Field: field, Err: fmt.Errorf("decoder failed: %v", caught)}
		}
	}()
	err = step()
	if err == nil {
		return nil
	}
	if d.source.failure != nil {
		return fmt.Errorf("translog: read log: %w", d.source.failure)
	}
	if formatError := (*FormatError)(nil); errors.As(err, &formatError) {
		return formatError
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &FormatError{Field: field, Err: err}
}

// source remembers how reading failed, to tell a broken disk from a broken log.
type source struct {
	reader  io.Reader
	failure error // not io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.reader.Read(p)
	if err != nil && err != io.EOF && s.failure == nil {
		s.failure = err
		if errors.Is(err, fs.ErrClosed) {
			s.failure = ErrClosed
		}
	}
	return n, err
}
