package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat is returned when a file does not start with a WAL header that is valid.
	// It comes as a *FormatError.
	ErrFormat = errors.New("wal: not a valid WAL")
	// ErrChecksum is returned when a frame carries the right salts and a wrong
	// checksum. It comes as a *ChecksumError.
	ErrChecksum = errors.New("wal: frame checksum does not match")
	// ErrTruncated is returned when the valid frames end before the limit that was
	// set. It comes as a *TruncatedError.
	ErrTruncated = errors.New("wal: frames are missing")
)

// FormatError tells which field of a file header is wrong. It matches ErrFormat.
type FormatError struct {
	Field string
	Got   uint32
}

// Error names the field.
func (e *FormatError) Error() string {
	return fmt.Sprintf("wal: not a valid WAL: %s is %#x", e.Field, e.Got)
}

// Is makes the error match ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// ChecksumError tells which frame is damaged. It matches ErrChecksum.
type ChecksumError struct{ Frame uint32 }

// Error names the frame.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("wal: checksum of frame %d does not match", e.Frame)
}

// Is makes the error match ErrChecksum.
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }

// TruncatedError tells where the valid frames end. It matches ErrTruncated.
type TruncatedError struct {
	Last  uint32 // last valid frame
	Limit uint32 // the frame up to which they should go
}

// Error names both frames.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("wal: frames end at %d, want %d", e.Last, e.Limit)
}

// Is makes the error match ErrTruncated.
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }
