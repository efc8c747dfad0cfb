package framelog

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Log is one file of frames. It is safe for concurrent use: reads run beside each other
// and beside an Append; TruncateHead and Close wait for what runs, and others wait for
// them.
//
// What describes the log can still be asked after Close.
type Log struct {
	path      string // without symbolic links, so that a rename replaces the file itself
	leftover  int64
	appending bool

	// files is held for reading while file is used, for writing while it is exchanged or
	// closed. With it held for writing everything below may be changed.
	files sync.RWMutex
	file  *os.File // nil once closed
	head  header   // but for its count, which lags behind: see count and published

	// count is the number of frames. It grows only after they are in the file, so whoever
	// has read it may read them without a lock; they do not change any more.
	count atomic.Uint64

	// writing makes Append and Sync come one after the other, and guards the following.
	writing   sync.Mutex
	checksum  Checksum // of the last frame
	published uint64   // count that the header in the file has
	dirty     bool     // a Sync has something to do
	failure   error    // of a sync, after which nothing about the file is certain
	buffer    []byte   // reused by Append
}

// header returns the header as it is with every frame of this moment.
func (l *Log) header() header {
	l.files.RLock()
	defer l.files.RUnlock()
	return l.headerLocked()
}

func (l *Log) headerLocked() header {
	h := l.head
	h.count = l.count.Load()
	return h
}

// First returns the position of the first frame, or of the next one when the log is
// empty.
func (l *Log) First() translog.FrameNo { return l.header().first() }

// NextFrameNo returns the position that the next frame must have.
func (l *Log) NextFrameNo() translog.FrameNo { return l.header().next() }

// IsEmpty reports whether the log holds no frame.
func (l *Log) IsEmpty() bool { return l.count.Load() == 0 }

// PageSize returns the size of a page in bytes.
func (l *Log) PageSize() int { return l.header().pageSize }

// StartChecksum returns the running checksum before the first frame.
func (l *Log) StartChecksum() Checksum { return l.header().startChecksum }

// Version returns the library version that created the file.
func (l *Log) Version() Version { return l.header().version }

// LeftoverBytes returns how many bytes the file had past its counted frames when it was
// opened: a batch that was never synced, or a transaction that was rolled back. They are
// not part of the log.
func (l *Log) LeftoverBytes() int64 { return l.leftover }

// Close closes the log. Frames that were appended since the last Sync are synced first;
// the error of that, or of an earlier Sync that failed, is returned, and the file is
// closed nevertheless. A second Close is [ErrClosed].
func (l *Log) Close() error {
	l.files.Lock()
	defer l.files.Unlock()
	if l.file == nil {
		return ErrClosed
	}
	err := l.failure
	if err == nil && l.appending && l.published != l.count.Load() {
		err = l.publish()
	}
	if closing := l.file.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("framelog: close: %w", closing))
	}
	l.file = nil
	return err
}

// writable returns why the log cannot be changed, nil when it can.
func (l *Log) writable() error {
	switch {
	case l.file == nil:
		return ErrClosed
	case !l.appending:
		return ErrReadOnly
	}
	return l.failure
}
