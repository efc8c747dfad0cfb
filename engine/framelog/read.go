package framelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Frame reads one frame and verifies its number and checksum. The frame's Data is the
// caller's.
//
// A frame that the log does not hold is a [*RangeError], a damaged one a [*FormatError]
// or [*ChecksumError], and of a file that was cut behind our back a [*TruncatedError].
func (l *Log) Frame(frameNo translog.FrameNo) (translog.Frame, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	frame, _, err := l.readFrame(frameNo, nil)
	return frame, err
}

// Frames yields the frames from a position to the end, 0 is the first one. Frames that
// are appended meanwhile are yielded too. A frame's Data is valid until the next one is
// asked for.
//
// When a frame cannot be read the last pair is a zero Frame with an error of [Log.Frame]:
// also when from is neither in the log nor its next position, or when TruncateHead
// overtakes the loop.
func (l *Log) Frames(from translog.FrameNo) iter.Seq2[translog.Frame, error] {
	return func(yield func(translog.Frame, error) bool) {
		c := cursor{log: l, next: from}
		for {
			frame, err := c.read()
			if err == io.EOF || !yield(frame, err) || err != nil {
				return
			}
		}
	}
}

// Verify reads all frames and returns the error that [Log.Frames] ends with, nil when the
// log is sound as far as its checksums go.
func (l *Log) Verify() error {
	for _, err := range l.Frames(0) {
		if err != nil {
			return err
		}
	}
	return nil
}

// cursor reads one frame after the other. It holds no lock between two of them: frames
// and their checksums stay the same, in whatever file they are.
type cursor struct {
	log      *Log
	next     translog.FrameNo
	previous *Checksum // nil before the first frame
	buffer   []byte
}

// read returns io.EOF at the end of the log.
func (c *cursor) read() (translog.Frame, error) {
	c.log.files.RLock()
	defer c.log.files.RUnlock()
	h := c.log.headerLocked()
	if c.next == 0 {
		c.next = h.first()
	}
	if c.next == h.next() && c.log.file != nil {
		return translog.Frame{}, io.EOF
	}
	if c.buffer == nil {
		c.buffer = make([]byte, h.frameBytes())
	}
	if c.previous == nil {
		frame, sum, err := c.log.readFrame(c.next, c.buffer)
		if err != nil {
			return frame, err
		}
		c.previous, c.next = &sum, c.next+1
		return frame, nil
	}
	frame, sum, err := c.log.readAfter(c.next, *c.previous, c.buffer)
	if err != nil {
		return frame, err
	}
	*c.previous, c.next = sum, c.next+1
	return frame, nil
}

// readFrame reads and verifies a frame, after the stored checksum of the one before. The
// caller holds files. A nil buffer makes a new one.
func (l *Log) readFrame(frameNo translog.FrameNo, buffer []byte) (
	translog.Frame, Checksum, error,
) {
	h, err := l.holds(frameNo)
	if err != nil {
		return translog.Frame{}, 0, err
	}
	previous := h.startChecksum
	if frameNo > h.first() {
		var b [8]byte
		if err := l.readBytes(b[:], h.offset(uint64(frameNo-h.first())-1)+sumOffset); err != nil {
			return translog.Frame{}, 0, err
		}
		previous = Checksum(binary.LittleEndian.Uint64(b[:]))
	}
	if buffer == nil {
		buffer = make([]byte, h.frameBytes())
	}
	return l.readAfter(frameNo, previous, buffer)
}

// readAfter is readFrame when the checksum before is known.
func (l *Log) readAfter(frameNo translog.FrameNo, previous Checksum, buffer []byte) (
	translog.Frame, Checksum, error,
) {
	h, err := l.holds(frameNo)
	if err != nil {
		return translog.Frame{}, 0, err
	}
	if err := l.readBytes(buffer, h.offset(uint64(frameNo-h.first()))); err != nil {
		return translog.Frame{}, 0, err
	}
	return parseFrame(buffer, frameNo, previous)
}

// holds returns the header, and an error when the log does not hold the frame.
func (l *Log) holds(frameNo translog.FrameNo) (header, error) {
	h := l.headerLocked()
	if l.file == nil {
		return h, ErrClosed
	}
	if frameNo < h.first() || frameNo >= h.next() {
		return h, &RangeError{Asked: frameNo, First: h.first(), Next: h.next()}
	}
	return h, nil
}

func (l *Log) readBytes(b []byte, offset int64) error {
	n, err := l.file.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return &TruncatedError{Bytes: offset + int64(n), WantBytes: offset + int64(len(b))}
	}
	return fmt.Errorf("framelog: read: %w", err)
}
