package translog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/superfly/ltx"
)

// logBytesMin is the length of a log without pages: header, the page header that ends the
// pages, the empty index with its length, trailer.
const logBytesMin = ltx.HeaderSize + ltx.PageHeaderSize + 1 + 8 + ltx.TrailerSize

// OpenLog opens an LTX file and keeps it open until the log is closed. Only header and
// trailer are read and checked: [Log.Verify] reads the whole. A file that is not a log is
// a [*FormatError]. The file must not be written to while the log is open; it may be
// renamed and removed.
func OpenLog(path string) (*Log, error) {
	// A pipe in the place of a log opens at once then, and is refused.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("translog: open log: %w", err)
	}
	log, err := openFile(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return log, nil
}

func openFile(file *os.File) (*Log, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("translog: open log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{Field: "file", Got: info.Mode().Type(), Want: "a regular file"}
	}
	c := &content{file: file, size: info.Size()}
	c.users.Store(1)
	facts, err := readFacts(c)
	if err != nil {
		return nil, err
	}
	return &Log{handle: newHandle(c), facts: facts, follows: facts.start()}, nil
}

func readFacts(c *content) (facts, error) {
	if c.size < logBytesMin {
		return facts{}, &FormatError{Field: "file", Got: fmt.Sprint(c.size, " bytes"),
			Want: fmt.Sprint("at least ", logBytesMin)}
	}
	var head [ltx.HeaderSize]byte
	var tail [ltx.TrailerSize]byte
	if _, err := c.ReadAt(head[:], 0); err != nil {
		return facts{}, fmt.Errorf("translog: read log: %w", err)
	}
	if n, err := c.ReadAt(tail[:], c.size-ltx.TrailerSize); err != nil && n < len(tail) {
		return facts{}, fmt.Errorf("translog: read log: %w", err)
	}
	var header ltx.Header
	if err := header.UnmarshalBinary(head[:]); err != nil {
		return facts{}, &FormatError{Field: "header", Err: err}
	}
	read, err := factsOf(header)
	if err != nil {
		return facts{}, err
	}
	var trailer ltx.Trailer
	if err := trailer.UnmarshalBinary(tail[:]); err != nil {
		return facts{}, &FormatError{Field: "trailer", Err: err}
	}
	return read, read.finish(trailer)
}

// ReadLog reads an LTX file from r to its end and verifies the whole of it, as
// [Log.Verify] does, before it returns. Up to [DefaultMemoryBytes] are held in memory; a
// longer log goes to a temporary file without a name in dir, "" is [os.TempDir]. A file
// that is not a sound log is a [*FormatError]; errors of r are returned wrapped. After an
// error nothing is left, and r has been read to an unspecified place. The caller closes
// the log.
func ReadLog(r io.Reader, dir string) (*Log, error) {
	spool := newSpool(dir, 0)
	log, err := readLog(r, spool)
	if err != nil {
		_ = spool.discard()
		return nil, err
	}
	return log, nil
}

func readLog(r io.Reader, spool *spool) (*Log, error) {
	decoder, err := newDecoder(io.TeeReader(r, spool), readBufferBytes)
	if err != nil {
		return nil, err
	}
	for err == nil {
		_, err = decoder.next()
	}
	if err != io.EOF {
		return nil, err
	}
	c, err := spool.finish()
	if err != nil {
		return nil, err
	}
	facts := decoder.facts
	return &Log{handle: newHandle(c), facts: facts, follows: facts.start()}, nil
}
