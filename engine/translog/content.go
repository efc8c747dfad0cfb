package translog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
)

// content is the bytes of one log, in memory or in an open file, shared by all handles on
// it and counted. The bytes never change.
type content struct {
	bytes []byte   // when file is nil
	file  *os.File // own descriptor, read by offset only
	name  string   // of a temporary file that could not be unlinked while open, else empty
	size  int64    // bytes
	dir   string   // where temporary files made from this log go
	users atomic.Int64
}

// retain counts one more user. It fails when the last one has already gone.
func (c *content) retain() bool {
	for {
		users := c.users.Load()
		if users == 0 {
			return false
		}
		if c.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

// release counts one user less. The last one closes the file.
func (c *content) release() error {
	if c.users.Add(-1) > 0 || c.file == nil {
		return nil
	}
	err := c.file.Close()
	if c.name != "" {
		err = errors.Join(err, os.Remove(c.name))
	}
	if err != nil {
		return fmt.Errorf("translog: close log: %w", err)
	}
	return nil
}

func (c *content) ReadAt(p []byte, offset int64) (int, error) {
	if c.file != nil {
		return c.file.ReadAt(p, offset)
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	if offset >= int64(len(c.bytes)) {
		return 0, io.EOF
	}
	n := copy(p, c.bytes[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// handle is one user's hold on a content. It is safe for concurrent use.
type handle struct {
	content *content
	closed  atomic.Bool
}

// newHandle takes over one count of the content.
func newHandle(c *content) *handle { return &handle{content: c} }

// open gives a hold on the content that lasts until release, even if the handle is closed
// meanwhile.
func (h *handle) open() (*content, error) {
	if h.closed.Load() || !h.content.retain() {
		return nil, ErrClosed
	}
	return h.content, nil
}

func (h *handle) close() error {
	if h.closed.Swap(true) {
		return nil
	}
	return h.content.release()
}

// ReadAt reads the content. It holds the content only while it runs, so that a reader
// that is dropped needs no closing.
func (h *handle) ReadAt(p []byte, offset int64) (int, error) {
	c, err := h.open()
	if err != nil {
		return 0, err
	}
	n, err := c.ReadAt(p, offset)
	if closing := c.release(); err == nil {
		err = closing
	}
	return n, err
}
