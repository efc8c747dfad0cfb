package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// chunkBytes is about how much a Reader reads ahead, in whole frames.
const chunkBytes = 256 << 10

// Reader reads the frames of a WAL in order and verifies each. It allocates one chunk at
// the first Next, no larger than what the limit leaves to read, and nothing for each
// frame. Not safe for concurrent use; it does not close its source.
type Reader struct {
	source io.ReaderAt
	header Header
	cursor Cursor
	limit  uint32 // last frame to read
	keep   bool   // each chunk gets memory of its own
	chunk  []byte
	ahead  []byte // the part of chunk that follows cursor, in whole frames
}

// NewReader returns a Reader of the frames that follow a cursor, in the file whose header
// is h. The header must come from ParseHeader.
func NewReader(r io.ReaderAt, h Header, after Cursor) *Reader {
	reader := new(Reader)
	reader.Reset(r, h, after)
	return reader
}

// Reset makes the Reader as NewReader would return it, and keeps its memory. Frames that
// it returned before are no longer valid.
func (r *Reader) Reset(source io.ReaderAt, h Header, after Cursor) {
	*r = Reader{source: source, header: h, cursor: after, limit: math.MaxUint32, chunk: r.chunk}
}

// Limit makes a frame the last one: nothing behind it is read, and Next returns io.EOF
// after it, or a *TruncatedError where the frames end before it. A later call may move it
// either way.
func (r *Reader) Limit(frame uint32) {
	r.limit = frame
	// What was read ahead without a limit may be older than what the new one vouches for.
	r.ahead = nil
}

// KeepData makes the data of every frame that is read from now on stay valid for as long
// as it is referenced. Frames that were read ahead together share their memory.
func (r *Reader) KeepData() {
	r.keep = true
	r.chunk, r.ahead = nil, nil
}

// Cursor returns the place after the frame that Next returned last.
func (r *Reader) Cursor() Cursor { return r.cursor }

// Next returns the next frame. Its data is valid until the next call of Next or Reset, or
// longer after KeepData.
//
// Without a limit it returns io.EOF at the first frame that is not there, is cut off by
// the end of the file, or carries other salts than the file header: that is where a WAL
// ends. With one it returns io.EOF after that frame, and a *TruncatedError where the WAL
// ends before. It returns a *ChecksumError when the salts are right and the checksum is
// not, a *FormatError for page number 0, and the source's own error, wrapped, when it
// fails.
//
// An error leaves the cursor where it is, and the next call reads the file again: a WAL
// that has grown since goes on.
func (r *Reader) Next() (Frame, error) {
	if r.cursor.Frame >= r.limit {
		return Frame{}, io.EOF
	}
	if len(r.ahead) == 0 {
		if err := r.fill(); err != nil {
			return Frame{}, err
		}
	}
	size := FrameHeaderSize + r.header.PageSize
	frame, next, err := r.verify(r.ahead[:size:size])
	if err != nil {
		r.ahead = nil
		return Frame{}, err
	}
	r.ahead = r.ahead[size:]
	r.cursor = next
	return frame, nil
}

// fill reads at least one whole frame ahead.
func (r *Reader) fill() error {
	size := FrameHeaderSize + r.header.PageSize
	count := min(uint32(max(1, chunkBytes/size)), r.limit-r.cursor.Frame)
	want := int(count) * size
	if r.keep || cap(r.chunk) < want {
		r.chunk = make([]byte, want)
	}
	next := r.cursor.Frame + 1
	n, err := r.source.ReadAt(r.chunk[:want], FrameOffset(next, r.header.PageSize))
	if whole := n / size; whole > 0 {
		r.ahead = r.chunk[:whole*size]
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("wal: read frame %d: %w", next, err)
	}
	return r.ended()
}

// ended is the error for a WAL that has no frame after the cursor.
func (r *Reader) ended() error {
	if r.limit != math.MaxUint32 {
		return &TruncatedError{Last: r.cursor.Frame, Want: r.limit}
	}
	return io.EOF
}

// verify decodes a frame and returns the cursor after it. SQLite's own order of checks:
// salts, page number, checksum.
func (r *Reader) verify(b []byte) (Frame, Cursor, error) {
	if saltOf(b[frameSalt:]) != r.header.Salt {
		return Frame{}, Cursor{}, r.ended()
	}
	frame := Frame{
		Index:  r.cursor.Frame + 1,
		PageNo: binary.BigEndian.Uint32(b),
		Commit: binary.BigEndian.Uint32(b[frameCommit:]),
		Data:   b[FrameHeaderSize:],
	}
	if frame.PageNo == 0 {
		return Frame{}, Cursor{}, &FormatError{
			Frame: frame.Index, Field: "page number", Want: "1 or more",
		}
	}
	sum := r.cursor.Checksum.Update(r.header.BigEndianChecksum, b[:frameSummedBytes])
	sum = sum.Update(r.header.BigEndianChecksum, frame.Data)
	if stored := checksumOf(b[frameChecksum:]); stored != sum {
		return Frame{}, Cursor{}, &ChecksumError{Frame: frame.Index, Got: stored, Want: sum}
	}
	return frame, Cursor{Frame: frame.Index, Checksum: sum}, nil
}
