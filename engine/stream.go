//go:build cgo

package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// StreamQueueBytes is how far a reader of a live stream may fall behind once frames leave
// the WAL: what it has not taken is kept in memory up to this many bytes of pages, and
// beyond that the stream ends with ErrLagged.
const StreamQueueBytes = 64 << 20

// Frames is a live stream of committed transactions, in the order of their commits and
// without a gap. Its methods are safe for concurrent use. It holds no connection and no
// goroutine, and costs nothing while it waits.
//
// Commits of other programs on the same file are delivered too, at the latest with the
// next commit or Checkpoint of this one.
type Frames struct {
	db        *DB
	historyID uint64        // NodeID of the batches
	wake      chan struct{} // holds a token after something happened; never closed

	mu        sync.Mutex        // taken after DB.sealing and DB.recording, before DB.mu
	end       translog.Position // of the last batch that was read from the WAL
	salt      wal.Salt          // of the WAL that cursor points into
	cursor    wal.Cursor        // after end
	sums      sums              // of the pages at end
	page      []byte            // reused: a page of the database file
	queue     []*translog.Batch // read and not delivered
	bytes     int64             // pages of queue
	delivered translog.FrameNo
	failure   error // why nothing follows the queue; io.EOF after a close

	acknowledged translog.FrameNo // guarded by DB.mu
}

// Next returns the next transaction, waiting for its commit. It returns the context's
// error when that ends first, io.EOF after the last one of a database that was closed or
// demoted, ErrClosed after Close, the reason when the database has failed, and ErrLagged
// when the frames are gone that come next: take the logs of the store then, and open
// another stream from there.
func (f *Frames) Next(ctx context.Context) (*translog.Batch, error) {
	for {
		batch, ok, err := f.TryNext()
		if ok || err != nil {
			return batch, err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: false when nothing is there yet.
func (f *Frames) TryNext() (*translog.Batch, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 && f.failure == nil {
		f.fill()
	}
	if len(f.queue) == 0 {
		if f.failure != nil {
			f.signal() // for whoever else waits
		}
		return nil, false, f.failure
	}
	batch := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	f.bytes -= batch.Bytes()
	f.delivered = batch.End.FrameNo
	f.signal() // there may be more, for whoever else waits
	return batch, true, nil
}

// All yields what Next returns, until an error, which comes as the last pair with a nil
// Batch. io.EOF ends it without one.
func (f *Frames) All(ctx context.Context) iter.Seq2[*translog.Batch, error] {
	return func(yield func(*translog.Batch, error) bool) {
		for {
			batch, err := f.Next(ctx)
			if errors.Is(err, io.EOF) || !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// Delivered is the end of the last transaction that was delivered, or where the stream
// began.
func (f *Frames) Delivered() translog.FrameNo {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delivered
}

// Acknowledged is the position that was acknowledged last, or the one that the stream was
// opened after.
func (f *Frames) Acknowledged() translog.FrameNo {
	f.db.mu.Lock()
	defer f.db.mu.Unlock()
	return f.acknowledged
}

// Close ends the stream: Next returns ErrClosed from now on. What it acknowledged stays
// acknowledged. Closing again does nothing.
func (f *Frames) Close() error {
	f.mu.Lock()
	f.failWith(ErrClosed)
	f.queue, f.bytes = nil, 0
	f.mu.Unlock()
	f.db.mu.Lock()
	defer f.db.mu.Unlock()
	f.db.forgetStreamLocked(f)
	return nil
}

// bound ends a stream whose queue has outgrown its bound, and drops what is beyond. The
// caller holds Frames.mu.
func (f *Frames) bound() {
	if f.bytes <= StreamQueueBytes {
		return
	}
	for f.bytes > StreamQueueBytes {
		last := len(f.queue) - 1
		f.bytes -= f.queue[last].Bytes()
		f.queue[last] = nil
		f.queue = f.queue[:last]
	}
	f.failWith(ErrLagged)
}

// signal lets one waiting Next look again.
func (f *Frames) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// failWith ends the stream behind its queue. The caller holds Frames.mu.
func (f *Frames) failWith(err error) {
	if f.failure == nil || errors.Is(err, ErrClosed) {
		f.failure = err
	}
	f.sums, f.page = sums{}, nil
	f.signal()
}

// wakeStreamsLocked tells the streams that there may be something new.
func (db *DB) wakeStreamsLocked() {
	for _, stream := range db.streams {
		stream.signal()
	}
}

func (db *DB) forgetStreamLocked(f *Frames) {
	db.streams = slices.DeleteFunc(db.streams, func(other *Frames) bool { return other == f })
}

func (db *DB) openStreams() []*Frames {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.streams)
}

// handOver gives every stream the frames up to a position that are about to leave the WAL.
// The caller holds sealing.
func (db *DB) handOver(to point) {
	for _, stream := range db.openStreams() {
		stream.mu.Lock()
		for stream.failure == nil && stream.end.FrameNo < to.position {
			stream.fill()
			stream.bound()
		}
		stream.mu.Unlock()
	}
}

// endStreams ends every stream behind its last frame. One that cannot be handed all of them
// ends with the reason for that. The caller holds sealing, and nobody commits.
func (db *DB) endStreams(reason error) {
	db.mu.Lock()
	last, failure := db.last, db.failure
	db.mu.Unlock()
	db.handOver(last)
	for _, stream := range db.openStreams() {
		stream.mu.Lock()
		if stream.end.FrameNo < last.position {
			stream.failWith(cmp.Or(failure, ErrLagged))
		}
		stream.failWith(reason)
		stream.mu.Unlock()
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.streams = nil
}
