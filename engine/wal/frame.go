package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// FrameHeaderSize is the length of a frame's header in bytes; the page image follows it.
const FrameHeaderSize = 24

// The parts of a frame's header, by their offset in bytes. The frame's checksum goes over
// the first frameSummedBytes of its header, then over the page image.
const (
	frameCommit      = 4
	frameSalt        = 8
	frameChecksum    = 16
	frameSummedBytes = 8
)

// Frame is one page image in a WAL.
type Frame struct {
	Index  uint32 // position in the file, from 1
	PageNo uint32 // page of the database, from 1
	Commit uint32 // database size in pages when this frame ends a transaction, else 0
	Data   []byte // the page image; valid until the next call of the Reader
}

// Cursor is a place between two frames. A Cursor that stands before the first frame has
// Frame 0 and the checksum of the file header.
type Cursor struct {
	Frame    uint32   // the frame before the cursor
	Checksum Checksum // the running checksum up to and with that frame
}

// FrameOffset returns where the header of a frame begins, in bytes from the start of the
// file. Frames count from 1; the page size is in bytes.
func FrameOffset(frame uint32, pageSize int) int64 {
	return HeaderSize + (int64(frame)-1)*int64(FrameHeaderSize+pageSize)
}

// ReadFrameData reads the page image of a frame into dst, whose length must be the page
// size, and checks nothing: the caller knows the frame from a Reader, or from the
// wal-index. One read at an offset, so safe for concurrent use if r is. It returns a
// *TruncatedError when the file is too short; dst then holds part of the image.
func ReadFrameData(r io.ReaderAt, frame uint32, pageSize int, dst []byte) error {
	if len(dst) != pageSize || frame == 0 {
		return fmt.Errorf("wal: read frame %d of %d bytes into %d bytes", frame, pageSize, len(dst))
	}
	n, err := r.ReadAt(dst, FrameOffset(frame, pageSize)+FrameHeaderSize)
	switch {
	case n == len(dst):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return &TruncatedError{Last: frame - 1, Want: frame}
	default:
		return fmt.Errorf("wal: read frame %d: %w", frame, err)
	}
}

// ReadFrameCursor reads from a frame's header the salt and the cursor after the frame, as
// they are stored there, and verifies nothing. Safe for concurrent use if r is. It returns
// a *TruncatedError when the file is too short.
func ReadFrameCursor(r io.ReaderAt, frame uint32, pageSize int) (Salt, Cursor, error) {
	if frame == 0 {
		return Salt{}, Cursor{}, errors.New("wal: read frame 0: frames count from 1")
	}
	var b [FrameHeaderSize]byte
	n, err := r.ReadAt(b[:], FrameOffset(frame, pageSize))
	switch {
	case n == len(b):
		return saltOf(b[frameSalt:]), Cursor{frame, checksumOf(b[frameChecksum:])}, nil
	case err == nil || errors.Is(err, io.EOF):
		return Salt{}, Cursor{}, &TruncatedError{Last: frame - 1, Want: frame}
	}
	return Salt{}, Cursor{}, fmt.Errorf("wal: read frame %d: %w", frame, err)
}

// AppendFrame appends one encoded frame to b and returns it with the cursor after the
// frame. The frame continues c, belongs to the file whose header is h, and holds page
// pageNo; commit is the database size in pages when it ends a transaction, else 0. The
// length of data must be h.PageSize: a reader takes any other for damage.
func AppendFrame(b []byte, h Header, c Cursor, pageNo, commit uint32, data []byte) (
	[]byte, Cursor,
) {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, pageNo)
	b = binary.BigEndian.AppendUint32(b, commit)
	sum := c.Checksum.Update(h.BigEndianChecksum, b[start:])
	sum = sum.Update(h.BigEndianChecksum, data)
	b = h.Salt.append(b)
	b = sum.append(b)
	return append(b, data...), Cursor{Frame: c.Frame + 1, Checksum: sum}
}
