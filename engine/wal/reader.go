package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// readAheadBytes is how much of the file is read at a time, rounded to whole frames.
const readAheadBytes = 256 << 10

// Reader reads the frames after a cursor and checks the salts and the running checksum of
// each. It allocates one buffer, and nothing per frame. It is not safe for concurrent use.
type Reader struct {
	file   io.ReaderAt
	header Header
	cursor Cursor
	limit  uint32 // last frame to read, 0 for none
	buffer []byte
	ahead  []byte // part of buffer that was read and not returned yet
}

// NewReader returns a Reader of the frames after a cursor.
func NewReader(file io.ReaderAt, header Header, after Cursor) *Reader {
	return &Reader{file: file, header: header, cursor: after}
}

// Limit makes the reader end with io.EOF after a frame. When the valid frames end before it, the
// error is a *TruncatedError. It also bounds the buffer.
func (r *Reader) Limit(last uint32) { r.limit = last }

// Cursor is the place after the last frame that Next returned.
func (r *Reader) Cursor() Cursor { return r.cursor }

// Next returns the next frame. Without a limit, io.EOF stands for the first frame that is
// absent, short, or of an earlier life of the file. It returns a *ChecksumError for a
// frame that carries the right salts and a wrong checksum.
func (r *Reader) Next() (Frame, error) {
	if r.limit != 0 && r.cursor.Frame >= r.limit {
		return Frame{}, io.EOF
	}
	size := FrameHeaderSize + r.header.PageSize
	if len(r.ahead) < size {
		if err := r.fill(size); err != nil {
			return Frame{}, err
		}
		if len(r.ahead) < size {
			return Frame{}, r.end()
		}
	}
	raw, data := r.ahead[:FrameHeaderSize], r.ahead[FrameHeaderSize:size]
	f := Frame{
		Index:  r.cursor.Frame + 1,
		PageNo: binary.BigEndian.Uint32(raw),
		Commit: binary.BigEndian.Uint32(raw[4:]),
		Data:   data,
	}
	if readSalt(raw[8:]) != r.header.Salt || f.PageNo == 0 {
		return Frame{}, r.end()
	}
	order := r.header.BigEndianChecksum
	sum := r.cursor.Checksum.Update(order, raw[:8]).Update(order, data)
	if sum != readChecksum(raw[16:]) {
		return Frame{}, &ChecksumError{f.Index}
	}
	r.cursor = Cursor{Frame: f.Index, Checksum: sum}
	r.ahead = r.ahead[size:]
	return f, nil
}

func (r *Reader) end() error {
	if r.limit != 0 {
		return &TruncatedError{Last: r.cursor.Frame, Limit: r.limit}
	}
	return io.EOF
}

// fill reads whole frames from the cursor on. What it read short comes again at the next call.
func (r *Reader) fill(frameSize int) error {
	frames := max(1, readAheadBytes/frameSize)
	if r.limit != 0 {
		frames = min(frames, int(r.limit-r.cursor.Frame))
	}
	if want := frames * frameSize; cap(r.buffer) < want {
		r.buffer = make([]byte, want)
	}
	r.buffer = r.buffer[:frames*frameSize]
	n, err := r.file.ReadAt(r.buffer, FrameOffset(r.cursor.Frame+1, r.header.PageSize))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("wal: read: %w", err)
	}
	r.ahead = r.buffer[:n-n%frameSize]
	return nil
}
