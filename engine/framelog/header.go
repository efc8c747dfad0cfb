package framelog

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Parts of the format, in bytes except formatVersion.
const (
	magic            = "MYLIBSQL"
	formatVersion    = 2
	headerBytes      = 48
	frameHeaderBytes = 24
	countOffset      = 24 // in the header
	sumOffset        = 8  // in a frame, of its checksum
)

// Page sizes that SQLite knows, in bytes; a page size is a power of two.
const (
	pageSizeMin     = 512
	pageSizeMax     = 65536
	pageSizeDefault = 4096
)

// Version is the library version in a file's header. It informs people; nothing is
// decided by it. The Rust crate writes 0 and then its major, minor and patch number.
type Version [4]uint16

// LibraryVersion is what this library writes: a 1 where the Rust crate has 0, and then
// the version of the crate whose format it is.
var LibraryVersion = Version{1, 0, 1, 0}

// String returns the four numbers with dots between them.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d.%d", v[0], v[1], v[2], v[3]) }

// header is the file's header. Its numbers are those of the file, which count frames from
// 0.
type header struct {
	startChecksum Checksum
	start         uint64
	count         uint64
	pageSize      int
	version       Version
}

func (h header) frameBytes() int64 { return frameHeaderBytes + int64(h.pageSize) }

// offset is where the frame of an index, counted from 0 in this file, begins.
func (h header) offset(index uint64) int64 { return headerBytes + int64(index)*h.frameBytes() }

func (h header) encode() []byte {
	b := make([]byte, 0, headerBytes)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.startChecksum))
	b = binary.LittleEndian.AppendUint64(b, h.start)
	b = binary.LittleEndian.AppendUint64(b, h.count)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.pageSize))
	for _, number := range h.version {
		b = binary.LittleEndian.AppendUint16(b, number)
	}
	return b
}

// parseHeader reads headerBytes bytes.
func parseHeader(b []byte) (header, error) {
	if string(b[:8]) != magic {
		return header{}, &FormatError{Field: "magic", Got: fmt.Sprintf("%q", b[:8]), Want: magic}
	}
	if version := binary.LittleEndian.Uint32(b[32:]); version != formatVersion {
		return header{}, &FormatError{Field: "format version", Got: version, Want: formatVersion}
	}
	h := header{
		startChecksum: Checksum(binary.LittleEndian.Uint64(b[8:])),
		start:         binary.LittleEndian.Uint64(b[16:]),
		count:         binary.LittleEndian.Uint64(b[countOffset:]),
		pageSize:      int(int32(binary.LittleEndian.Uint32(b[36:]))),
	}
	for i := range h.version {
		h.version[i] = binary.LittleEndian.Uint16(b[40+2*i:])
	}
	return h, h.validate()
}

// validate holds for every header that is written or read.
func (h header) validate() error {
	if size := h.pageSize; size < pageSizeMin || size > pageSizeMax || size&(size-1) != 0 {
		return &FormatError{Field: "page size", Got: size, Want: "a power of two from 512 to 65536"}
	}
	most := uint64(math.MaxInt64-headerBytes) / uint64(h.frameBytes())
	if h.count > most {
		return &FormatError{Field: "frame count", Got: h.count, Want: fmt.Sprint("at most ", most)}
	}
	// The next frame must have a FrameNo too, which is one more than the file's number.
	if h.start > math.MaxUint64-1-h.count {
		return &FormatError{Field: "first frame", Got: h.start,
			Want: fmt.Sprint("at most ", math.MaxUint64-1-h.count)}
	}
	return nil
}

// first and next are the FrameNo of the first frame and of the one after the last.
func (h header) first() translog.FrameNo { return translog.FrameNo(h.start + 1) }
func (h header) next() translog.FrameNo  { return translog.FrameNo(h.start + h.count + 1) }
