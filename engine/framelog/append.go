package framelog

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// Sizes of the buffer between frames and the file, in bytes: how much is written at once,
// and how much is kept between two batches.
const (
	writeBytesMax   = 4 << 20
	bufferBytesKept = 256 << 10
)

// Append adds a batch of frames, which must continue the log without a gap and end with a
// commit. They can be read at once, and are durable after the next [Log.Sync]; until then
// a crash may drop them, never a part of a batch alone. A batch is one write, one for
// each 4 MiB when it is larger.
//
// A batch that does not continue the log is a [*translog.GapError], one that ends inside
// a transaction [ErrTransaction], a frame that does not fit the log a [*FormatError].
// After any error the log is as it was, and the batch may be tried again. The frames are
// not kept.
func (l *Log) Append(frames []translog.Frame) error {
	l.files.RLock()
	defer l.files.RUnlock()
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if len(frames) == 0 {
		return nil
	}
	if err := l.accept(frames); err != nil {
		return err
	}
	sum, err := l.write(frames)
	if err != nil {
		return err
	}
	l.checksum, l.dirty = sum, true
	l.count.Add(uint64(len(frames)))
	return nil
}

// accept checks a batch before anything is written.
func (l *Log) accept(frames []translog.Frame) error {
	h := l.headerLocked()
	if next := h.next(); frames[0].FrameNo != next {
		return &translog.GapError{
			Have:  translog.Position{FrameNo: next - 1},
			Want:  translog.Position{FrameNo: frames[0].FrameNo - 1},
			First: frames[0].FrameNo, Last: frames[len(frames)-1].FrameNo,
		}
	}
	for i, frame := range frames {
		if want := h.next() + translog.FrameNo(i); frame.FrameNo != want {
			return &FormatError{FrameNo: frame.FrameNo, Field: "frame number", Got: frame.FrameNo,
				Want: want}
		}
		if len(frame.Data) != h.pageSize {
			return &FormatError{FrameNo: frame.FrameNo, Field: "page length", Got: len(frame.Data),
				Want: h.pageSize}
		}
		if err := checkPageNo(frame); err != nil {
			return err
		}
	}
	if last := frames[len(frames)-1]; last.Commit == 0 {
		return fmt.Errorf("%w: frame %v is no commit", ErrTransaction, last.FrameNo)
	}
	h.count += uint64(len(frames))
	return h.validate()
}

// write writes a batch past the last frame, and returns the checksum of its last one.
func (l *Log) write(frames []translog.Frame) (Checksum, error) {
	h := l.headerLocked()
	sum, offset := l.checksum, h.offset(h.count)
	perWrite := max(1, writeBytesMax/int(h.frameBytes()))
	for some := range slices.Chunk(frames, perWrite) {
		l.buffer = slices.Grow(l.buffer[:0], len(some)*int(h.frameBytes()))
		for _, frame := range some {
			sum = sum.after(frame.Data)
			l.buffer = appendFrame(l.buffer, frame, sum)
		}
		if _, err := l.file.WriteAt(l.buffer, offset); err != nil {
			return 0, fmt.Errorf("framelog: append: %w", err)
		}
		offset += int64(len(l.buffer))
	}
	if cap(l.buffer) > bufferBytesKept {
		l.buffer = nil
	}
	return sum, nil
}

// Sync makes every frame durable that was appended before: it syncs the frames, writes
// their count into the header, and syncs that. Only then do others who open the file see
// them. When nothing was appended since the last Sync it does nothing.
//
// After an error it is not known what the file holds: every later change of this Log
// fails with the same error. Open the file again to go on from what is there.
func (l *Log) Sync() error {
	l.files.RLock()
	defer l.files.RUnlock()
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.writable(); err != nil || !l.dirty {
		return err
	}
	return l.publish()
}

// publish is Sync with the locks held.
func (l *Log) publish() error {
	if err := disk.SyncFile(l.file); err != nil {
		return l.fail("sync", err)
	}
	if count := l.count.Load(); count != l.published {
		b := binary.LittleEndian.AppendUint64(nil, count)
		if _, err := l.file.WriteAt(b, countOffset); err != nil {
			return l.fail("write frame count", err)
		}
		if err := disk.SyncFile(l.file); err != nil {
			return l.fail("sync", err)
		}
		l.published = count
	}
	l.dirty = false
	return nil
}

func (l *Log) fail(doing string, err error) error {
	l.failure = fmt.Errorf("framelog: %s: %w", doing, err)
	return l.failure
}
