package wal

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame is one page image in a WAL.
type Frame struct {
	Index  uint32 // place in the file, from 1
	PageNo uint32
	Commit uint32 // database size in pages when the frame ends a commit, else 0
	Data   []byte // the page; valid until the next call
}

// Cursor is the place after a frame: where the next one is read or written.
// Frame 0 is the start of the file, with the checksum of its header.
type Cursor struct {
	Frame    uint32
	Checksum Checksum
}

// FrameOffset is where a frame's header starts in the file, in bytes.
func FrameOffset(frame uint32, pageSize int) int64 {
	return HeaderSize + int64(frame-1)*int64(FrameHeaderSize+pageSize)
}

// ReadFrameData reads the page image of a frame that was checked before.
func ReadFrameData(r io.ReaderAt, frame uint32, pageSize int, into []byte) error {
	_, err := r.ReadAt(into[:pageSize], FrameOffset(frame, pageSize)+FrameHeaderSize)
	if err != nil {
		return fmt.Errorf("wal: read frame %d: %w", frame, err)
	}
	return nil
}

// AppendFrame appends a frame in its file form to b and returns the cursor after it.
func AppendFrame(b []byte, h Header, after Cursor, pageNo, commit uint32, data []byte) (
	[]byte, Cursor,
) {
	var raw [FrameHeaderSize]byte
	binary.BigEndian.PutUint32(raw[0:], pageNo)
	binary.BigEndian.PutUint32(raw[4:], commit)
	h.Salt.put(raw[8:])
	sum := after.Checksum.Update(h.BigEndianChecksum, raw[:8]).Update(h.BigEndianChecksum, data)
	putChecksum(raw[16:], sum)
	b = append(append(b, raw[:]...), data...)
	return b, Cursor{Frame: after.Frame + 1, Checksum: sum}
}
