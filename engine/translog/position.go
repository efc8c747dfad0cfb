package translog

import (
	"fmt"
	"strconv"
	"strings"
)

// FrameNo is a position in the history of one database, counted in frames from 1; 0 means
// "nothing yet". It grows with every commit and never restarts. It may jump: compare
// positions, never subtract them. In LTX files it is the transaction id.
type FrameNo uint64

// String returns the position as a decimal number.
func (n FrameNo) String() string { return strconv.FormatUint(uint64(n), 10) }

// IsZero reports whether n stands for "nothing yet".
func (n FrameNo) IsZero() bool { return n == 0 }

// Position is a place in the history of a database together with the checksum of the
// whole database there. The zero value is the place before anything was written.
type Position struct {
	// FrameNo is the position itself.
	FrameNo FrameNo
	// Checksum is the checksum of all pages at FrameNo, zero when it is not known.
	Checksum Checksum
}

// String returns the form that [ParsePosition] reads, as in "42/9a3f000000000000".
func (p Position) String() string { return p.FrameNo.String() + "/" + p.Checksum.String() }

// IsZero reports whether p is the place before anything was written.
func (p Position) IsZero() bool { return p == Position{} }

// ParsePosition reads what [Position.String] writes, and nothing else. The error is a
// [*FormatError].
func ParsePosition(text string) (Position, error) {
	malformed := &FormatError{Field: "position", Got: text, Want: "number/16 hex digits"}
	number, sum, found := strings.Cut(text, "/")
	if !found || len(sum) != 16 {
		return Position{}, malformed
	}
	frameNo, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Position{}, malformed
	}
	checksum, err := strconv.ParseUint(sum, 16, 64)
	if err != nil {
		return Position{}, malformed
	}
	position := Position{FrameNo: FrameNo(frameNo), Checksum: Checksum(checksum)}
	if position.String() != text {
		return Position{}, malformed // Signs, leading zeros and capitals are not ours.
	}
	return position, nil
}

// logName is the form of a log's file name: first and last position.
const logName = "%016x-%016x.ltx"

// ParseName reads the file name of a log, which is [Log.Name]: two positions of 16
// lower-case hexadecimal digits each, the first one neither zero nor after the last. The
// error is a [*FormatError].
func ParseName(name string) (first, last FrameNo, err error) {
	malformed := &FormatError{Field: "name", Got: name, Want: fmt.Sprintf(logName, 1, 2)}
	if len(name) != 2*16+len("-.ltx") {
		return 0, 0, malformed
	}
	low, err := strconv.ParseUint(name[:16], 16, 64)
	if err != nil {
		return 0, 0, malformed
	}
	high, err := strconv.ParseUint(name[17:33], 16, 64)
	if err != nil {
		return 0, 0, malformed
	}
	if low == 0 || low > high || fmt.Sprintf(logName, low, high) != name {
		return 0, 0, malformed
	}
	return FrameNo(low), FrameNo(high), nil
}
