package framelog

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/bits"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Checksum is the running checksum of a log's frames: the CRC-64/GO-ISO of a frame's
// page, with the checksum of the frame before as initial value. It is another thing than
// the checksum of the whole database, [translog.Checksum].
type Checksum uint64

// String returns the checksum as 16 hexadecimal digits.
func (c Checksum) String() string { return fmt.Sprintf("%016x", uint64(c)) }

var isoTable = crc64.MakeTable(crc64.ISO)

// after returns the checksum of a frame with this page that follows c. The CRC works on
// reflected bits, and the Rust crate reflects an initial value first; crc64.Update
// inverts it before use.
func (c Checksum) after(page []byte) Checksum {
	return Checksum(crc64.Update(^bits.Reverse64(uint64(c)), isoTable, page))
}

// appendFrame encodes a frame that carries the given checksum.
func appendFrame(b []byte, frame translog.Frame, sum Checksum) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(frame.FrameNo)-1)
	b = binary.LittleEndian.AppendUint64(b, uint64(sum))
	b = binary.LittleEndian.AppendUint32(b, uint32(frame.PageNo))
	b = binary.LittleEndian.AppendUint32(b, frame.Commit)
	return append(b, frame.Data...)
}

// parseFrame decodes a whole frame and checks all that can be checked: that it is the one
// asked for, and that its page continues the chain. Data is part of b.
func parseFrame(b []byte, want translog.FrameNo, previous Checksum) (
	translog.Frame, Checksum, error,
) {
	frame := translog.Frame{
		FrameNo: want,
		PageNo:  translog.PageNo(binary.LittleEndian.Uint32(b[16:])),
		Commit:  binary.LittleEndian.Uint32(b[20:]),
		Data:    b[frameHeaderBytes:],
	}
	if number := binary.LittleEndian.Uint64(b); number != uint64(want)-1 {
		return translog.Frame{}, 0, &FormatError{FrameNo: want, Field: "frame number", Got: number,
			Want: uint64(want) - 1}
	}
	sum := Checksum(binary.LittleEndian.Uint64(b[sumOffset:]))
	// The Rust crate begins anew with 0 at each of its checkpoints, also within a file
	// that it collected from live frames.
	if is := previous.after(frame.Data); is != sum && Checksum(0).after(frame.Data) != sum {
		return translog.Frame{}, 0, &ChecksumError{FrameNo: want, Got: is, Want: sum}
	}
	if err := checkPageNo(frame); err != nil {
		return translog.Frame{}, 0, err
	}
	return frame, sum, nil
}

// checkPageNo refuses the numbers that no frame of SQLite has.
func checkPageNo(frame translog.Frame) error {
	if frame.PageNo == 0 || frame.PageNo == translog.LockPage(len(frame.Data)) {
		return &FormatError{FrameNo: frame.FrameNo, Field: "page number", Got: frame.PageNo,
			Want: "neither 0 nor the lock page"}
	}
	return nil
}
