package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat is returned when bytes are not a WAL of SQLite. It comes as a
	// *FormatError.
	ErrFormat = errors.New("wal: not a valid WAL")
	// ErrChecksum is returned when a frame carries the salts of the file header and yet
	// its checksum is wrong: a torn write or damage. It comes as a *ChecksumError.
	ErrChecksum = errors.New("wal: wrong checksum")
	// ErrTruncated is returned when the frames end before the frame that was asked for.
	// It comes as a *TruncatedError.
	ErrTruncated = errors.New("wal: frames are missing")
)

// FormatError says which field is wrong. It matches ErrFormat.
type FormatError struct {
	Frame uint32 // 0: the file header
	Field string
	Got   uint64
	Want  string
}

// Error names the field, what it holds and what it should hold.
func (e *FormatError) Error() string {
	if e.Frame > 0 {
		return fmt.Sprintf("wal: frame %d: %s is %d, want %s", e.Frame, e.Field, e.Got, e.Want)
	}
	return fmt.Sprintf("wal: header: %s is %d, want %s", e.Field, e.Got, e.Want)
}

// Is makes the error match ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// ChecksumError says which frame has a wrong checksum. It matches ErrChecksum.
type ChecksumError struct {
	Frame     uint32
	Got, Want Checksum // stored in the frame; computed from the bytes up to it
}

// Error names the frame and both checksums.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("wal: frame %d: checksum %08x-%08x does not match the computed %08x-%08x",
		e.Frame, e.Got[0], e.Got[1], e.Want[0], e.Want[1])
}

// Is makes the error match ErrChecksum.
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }

// TruncatedError says where the frames end. It matches ErrTruncated.
type TruncatedError struct {
	Last uint32 // last good frame, 0 for none
	Want uint32 // the frame that was asked for
}

// Error names both frames.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("wal: frames end after %d, want up to %d", e.Last, e.Want)
}

// Is makes the error match ErrTruncated.
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }
