package framelog

import (
	"fmt"
	"io"
)

// copyBufferBytes is how much WriteTo reads at once.
const copyBufferBytes = 256 << 10

// WriteTo writes the log as a file to w: header and frames of this moment, synced or not,
// and nothing that lies past them. It returns the bytes written. Each call writes the
// whole log, and the same bytes again while nothing is appended or truncated. The frames
// are copied unverified; what is damaged is so in the copy.
//
// Appends go on meanwhile; TruncateHead and Close wait, so w must not use this Log. After
// an error w may have got a part.
func (l *Log) WriteTo(w io.Writer) (int64, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	if l.file == nil {
		return 0, ErrClosed
	}
	written, err := copyLog(w, l, l.headerLocked(), 0)
	if err != nil {
		return written, fmt.Errorf("framelog: copy: %w", err)
	}
	return written, nil
}

// copyLog writes a header and as many frames as it says, of the log's from an index on.
func copyLog(w io.Writer, l *Log, h header, index uint64) (int64, error) {
	n, err := w.Write(h.encode())
	if err != nil {
		return int64(n), err
	}
	size := h.offset(h.count) - headerBytes
	// A plain writer and reader, so that the copy is made with this buffer.
	frames := struct{ io.Reader }{io.NewSectionReader(l.file, h.offset(index), size)}
	copied, err := io.CopyBuffer(struct{ io.Writer }{w}, frames, make([]byte, copyBufferBytes))
	if err == nil && copied != size {
		err = &TruncatedError{Bytes: h.offset(index) + copied, WantBytes: h.offset(index) + size}
	}
	return int64(n) + copied, err
}
