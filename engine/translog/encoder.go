package translog

import (
	"bufio"
	"fmt"
	"io"
)

// Encoder writes a log as an LTX file to a writer, page by page. It is not safe for
// concurrent use. It ends with Close or Abort; every later call returns [ErrClosed], or
// the error that ended it.
//
// Memory is a constant plus about 25 bytes per page for the file's index; given a folder
// for it, an index of more than a million pages moves to a temporary file there.
type Encoder struct {
	encoding encoding
	buffer   *bufio.Writer
}

// NewEncoder begins a log. A spillDir of "" keeps the index in memory. A specification
// that does not hold together is a [*FormatError], and nothing is written then.
func NewEncoder(w io.Writer, spec Spec, spillDir string) (*Encoder, error) {
	e := &Encoder{buffer: bufio.NewWriterSize(w, readBufferBytes)}
	if err := e.encoding.begin(e.buffer, spec, spillDir); err != nil {
		return nil, err
	}
	return e, nil
}

// WritePage adds the next page. Pages come in ascending order, are of the specified size
// and at most Commit, and the lock page is left out; a snapshot needs all of them. A page
// that breaks a rule is refused with a [*FormatError] and the encoder goes on as if it
// had not been offered. After an error of the writer the log cannot be completed. The
// data is not kept.
func (e *Encoder) WritePage(no PageNo, data []byte) error { return e.encoding.writePage(no, data) }

// Close completes the log with the checksum of the whole database after it, and returns
// the log's end. The checksum is not compared with the pages here. A snapshot that lacks
// a page is a [*FormatError]. After an error what was written is not a log. The writer is
// not closed.
func (e *Encoder) Close(after Checksum) (Position, error) {
	end, err := e.encoding.finish(after)
	if err != nil {
		return Position{}, err
	}
	if err := e.buffer.Flush(); err != nil {
		return Position{}, fmt.Errorf("translog: write log: %w", err)
	}
	return end, nil
}

// Abort gives up. What was written is not a log. After Close or Abort it does nothing.
func (e *Encoder) Abort() { _ = e.encoding.fail(ErrClosed) }
