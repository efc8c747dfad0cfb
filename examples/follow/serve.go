//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/mylibsql/mylibsql"
)

// streamHeader carries the number of a stream, which its acknowledgements name.
const streamHeader = "Follow-Stream"

// serveFrames gives a replica what is committed after its position, from now on.
//
// A replica whose next frames have left the write-ahead log is answered with 410 Gone.
// They are in the store then: what was not is saved before the answer.
func (n *node) serveFrames(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	after, err := mylibsql.ParsePosition(r.FormValue("after"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	frames, err := n.openFrames(ctx, after)
	if errors.Is(err, mylibsql.ErrLagged) {
		if saveErr := n.save(ctx); saveErr != nil {
			answer(w, nil, saveErr)
			return
		}
		http.Error(w, err.Error(), http.StatusGone)
		return
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer func() { _ = frames.Close() }() // always nil
	s := newStream(frames)
	number := n.streams.add(s)
	defer n.streams.remove(number)
	w.Header().Set(streamHeader, strconv.FormatUint(number, 10))
	// An error goes to nobody: the replica has gone, or asks again and is told then.
	_ = s.send(ctx, w)
}

// openFrames is Frames for a replica, which may be empty: the zero position stands for
// now in Frames, and for the very beginning here.
func (n *node) openFrames(ctx context.Context, after mylibsql.Position) (*mylibsql.Frames, error) {
	if after.IsZero() {
		return nil, fmt.Errorf("%w: an empty replica begins with a snapshot", mylibsql.ErrLagged)
	}
	return n.lib.Frames(ctx, after)
}

// stream is what a replica is given.
type stream struct {
	frames *mylibsql.Frames
	acked  chan struct{} // holds a token when the last log was acknowledged
}

func newStream(frames *mylibsql.Frames) *stream {
	return &stream{frames: frames, acked: make(chan struct{}, 1)}
}

// acknowledge takes note of what the replica has applied: writers that wait for it go on,
// and so does the stream.
func (s *stream) acknowledge(position mylibsql.FrameNo) error {
	err := s.frames.AckReplicated(position)
	select {
	case s.acked <- struct{}{}:
	default: // one that was not asked for
	}
	return err
}

// send writes one log after the other, until the primary is no primary any more or ctx
// ends. The next log waits until the last one is applied: what is committed meanwhile goes
// into it, so a replica that is slow gets larger logs, and not a queue of small ones, which
// would take it longer.
func (s *stream) send(ctx context.Context, w http.ResponseWriter) error {
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil { // the replica is to know its stream's number
		return err
	}
	for {
		log, err := nextLog(ctx, s.frames)
		if errors.Is(err, io.EOF) {
			return writeEnd(w)
		}
		if err != nil {
			return err
		}
		err = writeLog(w, log)
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		select {
		case <-s.acked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mergeBytesMax bounds the pages that go into one log, in bytes.
const mergeBytesMax = 4 << 20

// nextLog waits for a transaction, and makes one log of it and of all that came since: a
// page that they share is sent once.
func nextLog(ctx context.Context, frames *mylibsql.Frames) (*mylibsql.Log, error) {
	batch, err := frames.Next(ctx)
	if err != nil {
		return nil, err
	}
	batches, bytes := []*mylibsql.Batch{batch}, batch.Bytes()
	for bytes < mergeBytesMax {
		batch, ok, err := frames.TryNext()
		if !ok || err != nil {
			break // an error comes again with the next call
		}
		batches, bytes = append(batches, batch), bytes+batch.Bytes()
	}
	return mylibsql.MergeBatches(mylibsql.BuildOptions{}, batches...)
}

// takeAck passes on what a replica has applied, which resolves the acks of the writers.
func (n *node) takeAck(w http.ResponseWriter, r *http.Request) {
	position, err := mylibsql.ParsePosition(r.FormValue("position"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	number, _ := strconv.ParseUint(r.FormValue("stream"), 10, 64)
	s := n.streams.get(number)
	if s == nil {
		http.Error(w, "there is no such stream any more", http.StatusNotFound)
		return
	}
	answer(w, nil, s.acknowledge(position.FrameNo))
}

// streams are the open streams by their numbers. The zero value has none.
type streams struct {
	mutex sync.Mutex
	last  uint64
	open  map[uint64]*stream
}

func (s *streams) add(added *stream) (number uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.open == nil {
		s.open = make(map[uint64]*stream)
	}
	s.last++
	s.open[s.last] = added
	return s.last
}

func (s *streams) get(number uint64) *stream {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.open[number]
}

func (s *streams) remove(number uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.open, number)
}
