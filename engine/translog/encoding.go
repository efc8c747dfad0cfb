package translog

import (
	"fmt"
	"io"

	"github.com/superfly/ltx"
)

// encoding is an LTX file in the making: the state that [Encoder] and [Builder] share. It
// refuses what would make a log that does not verify, before anything is written.
type encoding struct {
	ltx      *ltx.Encoder
	facts    facts
	lockPage PageNo
	previous PageNo // the page written last, 0 before the first
	failure  error  // why no further call is possible
}

func (e *encoding) begin(w io.Writer, spec Spec, spillDir string) error {
	facts, err := spec.facts()
	if err != nil {
		return err
	}
	encoder, err := ltx.NewEncoder(w)
	if err != nil {
		return fmt.Errorf("translog: encode log: %w", err)
	}
	if spillDir != "" {
		encoder.SetSpillDir(spillDir)
	}
	if err := encoder.EncodeHeader(facts.header()); err != nil {
		return fmt.Errorf("translog: encode log: %w", err)
	}
	*e = encoding{ltx: encoder, facts: facts, lockPage: LockPage(facts.pageSize)}
	return nil
}

// writePage writes the next page. A page that is refused changes nothing; a failed write
// ends the encoding.
func (e *encoding) writePage(no PageNo, data []byte) error {
	if e.failure != nil {
		return e.failure
	}
	if err := e.accept(no, data); err != nil {
		return err
	}
	if err := e.ltx.EncodePage(ltx.PageHeader{Pgno: uint32(no)}, data); err != nil {
		return e.fail(fmt.Errorf("translog: encode page %d: %w", no, err))
	}
	e.previous = no
	return nil
}

func (e *encoding) accept(no PageNo, data []byte) error {
	f := &e.facts
	switch {
	case len(data) != f.pageSize:
		return &FormatError{Field: "page length", Got: len(data), Want: f.pageSize}
	case no == e.lockPage:
		return &FormatError{Field: "page number", Got: no, Want: "not the lock page"}
	case uint32(no) > f.commit:
		return &FormatError{Field: "page number", Got: no, Want: fmt.Sprint("at most ", f.commit)}
	case f.first == 1 && no != e.following():
		return &FormatError{Field: "page number", Got: no, Want: e.following()}
	case no <= e.previous:
		return &FormatError{Field: "page number", Got: no, Want: fmt.Sprint("above ", e.previous)}
	}
	return nil
}

// following is the page that a snapshot must have next.
func (e *encoding) following() PageNo {
	if e.previous+1 == e.lockPage {
		return e.previous + 2
	}
	return e.previous + 1
}

// finish writes the index and the trailer. The encoding is over, whatever the outcome.
func (e *encoding) finish(after Checksum) (Position, error) {
	if e.failure != nil {
		return Position{}, e.failure
	}
	f := &e.facts
	if missing := e.following(); f.first == 1 && uint32(missing) <= f.commit {
		err := &FormatError{Field: "snapshot", Got: fmt.Sprint("page ", missing, " missing")}
		return Position{}, e.fail(err)
	}
	if err := f.finish(ltx.Trailer{
		PostApplyChecksum: ltx.Checksum(after), FileChecksum: ltx.ChecksumFlag,
	}); err != nil {
		return Position{}, e.fail(err)
	}
	e.ltx.SetPostApplyChecksum(ltx.Checksum(after))
	if err := e.ltx.Close(); err != nil {
		return Position{}, e.fail(fmt.Errorf("translog: encode log: %w", err))
	}
	e.failure = ErrClosed
	return Position{FrameNo: f.last, Checksum: after}, nil
}

// fail ends the encoding, and removes the index's spill file.
func (e *encoding) fail(err error) error {
	if e.failure == nil {
		e.failure = err
		_ = e.ltx.Cleanup()
	}
	return err
}
