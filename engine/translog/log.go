package translog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/mylibsql/mylibsql/internal/disk"
)

// Log is the pages that changed between two positions, one image per page, encoded as an
// LTX file. It is immutable, and all methods are safe for concurrent use.
//
// A log holds memory or an open file until [Log.Close]. What describes the log
// (positions, sizes, checksums, time) can still be asked afterwards; what reads its bytes
// returns [ErrClosed].
type Log struct {
	handle *handle
	facts
	follows Position
}

// First returns the first position that the log covers, 1 for a snapshot.
func (l *Log) First() FrameNo { return l.first }

// Last returns the last position that the log covers.
func (l *Log) Last() FrameNo { return l.last }

// Follows returns the position that the log continues in its chain. For an ordinary log
// that is [Log.Start]. For a snapshot it is the last position that was saved before it,
// zero when there is none or when nobody told: the file itself does not say (see
// [Log.WithFollows]).
func (l *Log) Follows() Position { return l.follows }

// Start returns the position that a database must have for the log to be applied: First-1
// with the checksum of the whole database there. It is zero for a snapshot, which can be
// applied to anything.
func (l *Log) Start() Position { return l.start() }

// End returns Last with the checksum of the whole database after the log. The checksum is
// zero when the file does not track it, as those that Litestream writes.
func (l *Log) End() Position { return Position{FrameNo: l.last, Checksum: l.after} }

// Commit returns the size of the database after the log, in pages.
func (l *Log) Commit() uint32 { return l.commit }

// PageSize returns the size of a page in bytes.
func (l *Log) PageSize() int { return l.pageSize }

// Timestamp returns the time of the log, to the millisecond and in UTC; zero when none is
// recorded.
func (l *Log) Timestamp() time.Time {
	if l.timestampMillis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.timestampMillis).UTC()
}

// NodeID returns the id of the node that wrote the log, zero when none is recorded. It
// informs people; nothing is decided by it.
func (l *Log) NodeID() uint64 { return l.nodeID }

// Size returns the length of the LTX file in bytes.
func (l *Log) Size() int64 { return l.handle.content.size }

// IsSnapshot reports whether the log holds every page of the database, which is when
// First is 1.
func (l *Log) IsSnapshot() bool { return l.first == 1 }

// Name returns the file name that LTX tools expect, "%016x-%016x.ltx" of First and Last.
// [ParseName] reads it.
func (l *Log) Name() string { return fmt.Sprintf(logName, uint64(l.first), uint64(l.last)) }

// String returns the positions, and what kind of log it is.
func (l *Log) String() string {
	if l.IsSnapshot() {
		return fmt.Sprintf("snapshot %v", l.End())
	}
	return fmt.Sprintf("log %v-%v", l.first, l.End())
}

// Reader returns a new reader of the LTX file's bytes, independent of all others, as they
// are and unverified. Reading it after the log is closed is [ErrClosed]. The reader
// itself needs no closing and is not safe for concurrent use, except for its ReadAt.
func (l *Log) Reader() *io.SectionReader { return io.NewSectionReader(l.handle, 0, l.Size()) }

// WriteTo writes the LTX file to w, as it is and unverified, and returns the bytes
// written. After an error w may have got a part of it.
func (l *Log) WriteTo(w io.Writer) (int64, error) {
	c, err := l.handle.open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.release() }()
	if c.file == nil {
		n, err := w.Write(c.bytes)
		if err != nil {
			return int64(n), fmt.Errorf("translog: write log: %w", err)
		}
		return int64(n), nil
	}
	// A plain writer, so that the copy is made with this buffer and not with a small one.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(c, 0, c.size),
		make([]byte, writeBufferBytes))
	if err == nil && n != c.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("translog: write log: %w", err)
	}
	return n, nil
}

// WriteFile writes the LTX file to a new file with the permissions perm (before umask)
// and syncs it. An existing file is left as it is, and the error is [fs.ErrExist]. After
// any other error no file is left. The file is durable when the caller has synced its
// folder.
func (l *Log) WriteFile(path string, perm fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fmt.Errorf("translog: create log file: %w", err)
	}
	_, err = l.WriteTo(file)
	if err == nil {
		err = disk.SyncFile(file)
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		return nil
	}
	return fmt.Errorf("translog: write log file: %w", errors.Join(err, os.Remove(path)))
}

// Pages decodes the log and yields its pages in ascending order. A page's Data is valid
// until the next one is asked for, and must not be written to.
//
// The file as a whole can be verified only at its end. When anything does not hold, the
// last pair is a zero Page with the error: a [*FormatError], [ErrClosed], or the error of
// reading the file. Without such a pair the log is sound, as after [Log.Verify].
func (l *Log) Pages() iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		decoder, err := l.decode(readBufferBytes)
		if err != nil {
			yield(Page{}, err)
			return
		}
		defer decoder.close()
		for {
			page, err := decoder.next()
			if err == io.EOF {
				return
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// Verify reads the whole log and returns what [Log.Pages] would yield as the error, nil
// when the log is sound: the file's checksum holds, its pages are in order, inside the
// database and not the lock page. Of a snapshot every page is there, and together they
// have the checksum it claims.
func (l *Log) Verify() error {
	for _, err := range l.Pages() {
		if err != nil {
			return err
		}
	}
	return nil
}

// Clone returns an independent handle on the same bytes, which stays valid after the
// original is closed, and must be closed itself. Nothing is copied. It is [ErrClosed]
// after Close.
func (l *Log) Clone() (*Log, error) {
	c, err := l.handle.open()
	if err != nil {
		return nil, err
	}
	return &Log{handle: newHandle(c), facts: l.facts, follows: l.follows}, nil
}

// WithFollows returns the same log with another [Log.Follows], for those who know it from
// the chain that the log is in. Both are one handle: closing either closes both.
func (l *Log) WithFollows(p Position) *Log {
	return &Log{handle: l.handle, facts: l.facts, follows: p}
}

// Close lets go of the log's memory or file. Closing again does nothing and returns nil.
// Readers and iterations that are under way end in [ErrClosed], or still come to their
// end.
func (l *Log) Close() error { return l.handle.close() }
