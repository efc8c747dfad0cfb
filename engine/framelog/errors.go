package framelog

import (
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/translog"
)

var (
	// ErrChecksum is returned when a frame's page does not have the frame's checksum. The
	// error in hand is a [*ChecksumError].
	ErrChecksum = errors.New("framelog: wrong checksum")

	// ErrTruncated is returned when a file is shorter than its header says. The error in
	// hand is a [*TruncatedError].
	ErrTruncated = errors.New("framelog: file is truncated")

	// ErrRange is returned when a frame is asked for that the log does not hold. The
	// error in hand is a [*RangeError].
	ErrRange = errors.New("framelog: frame is not in the log")

	// ErrTransaction is returned when frames would be cut or joined in the middle of a
	// transaction.
	ErrTransaction = errors.New("framelog: frames end inside a transaction")

	// ErrEmpty is returned when there is nothing to convert or to import.
	ErrEmpty = errors.New("framelog: nothing there")

	// ErrUnclean is returned when a snapshot to import has a journal or a write-ahead log
	// beside it: the file alone is not the database.
	ErrUnclean = errors.New("framelog: database has a journal beside it")

	// ErrReadOnly is returned when a log that was opened with [Open] is to be changed.
	ErrReadOnly = errors.New("framelog: log is open for reading")

	// ErrClosed is returned when a closed log is used.
	ErrClosed = errors.New("framelog: closed")
)

// FormatError says what is wrong with the bytes of a log, or with what was to be put into
// one. It matches [translog.ErrFormat], and so does everything else that means damage
// here.
type FormatError struct {
	// FrameNo is the frame, 0 when the error is in the header or not in a log.
	FrameNo translog.FrameNo
	// Field names the part that is wrong, such as "page size".
	Field string
	// Got and Want are what was found and what was expected; nil when a value says
	// nothing.
	Got, Want any
}

// Error names the frame, the field and both values where there are any.
func (e *FormatError) Error() string {
	text := "framelog: "
	if e.FrameNo != 0 {
		text += fmt.Sprintf("frame %v: ", e.FrameNo)
	}
	text += "invalid " + e.Field
	if e.Got != nil {
		text += fmt.Sprintf(": got %v", e.Got)
	}
	if e.Want != nil {
		text += fmt.Sprintf(", want %v", e.Want)
	}
	return text
}

// Is reports whether target is [translog.ErrFormat].
func (e *FormatError) Is(target error) bool { return target == translog.ErrFormat }

// ChecksumError says which frame's page is not what was written. It matches [ErrChecksum]
// and [translog.ErrFormat].
type ChecksumError struct {
	// FrameNo is the frame.
	FrameNo translog.FrameNo
	// Got is the checksum of the page after the frame before, Want the one that the frame
	// carries.
	Got, Want Checksum
}

// Error names the frame and both checksums.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("framelog: frame %v: checksum is %v, want %v", e.FrameNo, e.Got, e.Want)
}

// Is reports whether target is [ErrChecksum] or [translog.ErrFormat].
func (e *ChecksumError) Is(target error) bool {
	return target == ErrChecksum || target == translog.ErrFormat
}

// TruncatedError says how much of a file is missing. It matches [ErrTruncated] and
// [translog.ErrFormat].
type TruncatedError struct {
	// Bytes is the length that the file has, WantBytes the least that it must have.
	Bytes, WantBytes int64
}

// Error names both lengths.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("framelog: file has %d bytes, want %d", e.Bytes, e.WantBytes)
}

// Is reports whether target is [ErrTruncated] or [translog.ErrFormat].
func (e *TruncatedError) Is(target error) bool {
	return target == ErrTruncated || target == translog.ErrFormat
}

// RangeError says which frames the log holds. It matches [ErrRange].
type RangeError struct {
	// Asked is the frame that was asked for.
	Asked translog.FrameNo
	// First is the first frame of the log, Next the one after its last; equal when it is
	// empty.
	First, Next translog.FrameNo
}

// Error names the frame and what the log holds.
func (e *RangeError) Error() string {
	if e.First == e.Next {
		return fmt.Sprintf("framelog: no frame %v: log is empty at %v", e.Asked, e.Next)
	}
	return fmt.Sprintf("framelog: no frame %v: log holds %v to %v", e.Asked, e.First, e.Next-1)
}

// Is reports whether target is [ErrRange].
func (e *RangeError) Is(target error) bool { return target == ErrRange }
