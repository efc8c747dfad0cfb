package translog

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat is returned when something is not a log, or a damaged one. The error in
	// hand is a [*FormatError].
	ErrFormat = errors.New("translog: not a valid log")

	// ErrChecksum is returned when a database's checksum is not what a log says it must
	// be: the log belongs to another history. The error in hand is a [*ChecksumError].
	ErrChecksum = errors.New("translog: checksum of the database differs")

	// ErrGap is returned when a log does not continue the position in hand. The error in
	// hand is a [*GapError].
	ErrGap = errors.New("translog: log does not continue the position")

	// ErrClosed is returned when a closed log is read, and when an encoder or builder is
	// used after its end.
	ErrClosed = errors.New("translog: closed")
)

// FormatError says what is wrong with the bytes of a log, or with what was to be made a
// log. It matches [ErrFormat], and what its Err matches.
type FormatError struct {
	// Field names the part that is wrong, such as "header" or "page number".
	Field string
	// Got and Want are what was found and what was expected; nil when a value says
	// nothing.
	Got, Want any
	// Err is the cause, nil when the values say it all.
	Err error
}

// Error names the field, both values where there are any, and the cause.
func (e *FormatError) Error() string {
	text := "translog: invalid " + e.Field
	if e.Got != nil {
		text += fmt.Sprintf(": got %v", e.Got)
	}
	if e.Want != nil {
		text += fmt.Sprintf(", want %v", e.Want)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports whether target is [ErrFormat].
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// ChecksumError says that the database has another checksum than a log says. It matches
// [ErrChecksum].
type ChecksumError struct {
	// At is the position at which the checksums were compared.
	At FrameNo
	// Got is the checksum in hand, Want the one that the log demands.
	Got, Want Checksum
}

// Error names the position and both checksums.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("translog: checksum of the database at position %v is %v, want %v",
		e.At, e.Got, e.Want)
}

// Is reports whether target is [ErrChecksum].
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }

// GapError says that a log does not continue the position in hand: something is missing
// between them, or the log begins before the position and ends after it. It matches
// [ErrGap].
type GapError struct {
	// Have is the position in hand.
	Have Position
	// Want is the position that the log continues.
	Want Position
	// First and Last are the positions that the log covers, zero when there is no such
	// log.
	First, Last FrameNo
	// NodeID is that of the log that ends at Have, 0 when it is not known.
	NodeID uint64
}

// Error names both positions, and the log.
func (e *GapError) Error() string {
	text := fmt.Sprintf("translog: have position %v, want %v", e.Have, e.Want)
	if e.Last != 0 {
		text += fmt.Sprintf(" for the log %v-%v", e.First, e.Last)
	}
	return text
}

// Is reports whether target is [ErrGap].
func (e *GapError) Is(target error) bool { return target == ErrGap }
