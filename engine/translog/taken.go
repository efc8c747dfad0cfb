package translog

import (
	"errors"
	"fmt"
)

// ErrTaken is returned by a save function when the place that a log continues is taken by
// another log. The error in hand is a [*TakenError], which says by which one.
var ErrTaken = errors.New("translog: place in the chain is taken by another log")

// TakenError says which log is saved at the place where the offered one should have gone.
// Nothing was stored, and the log that holds the place is durable and unchanged. It
// matches [ErrTaken].
//
// The saved log is not always a stranger: it may be an earlier offer of the same history
// whose confirmation was lost. Whoever knows the checksum that its own history had at
// End.FrameNo, and the NodeID that its logs carry, can tell: equal means that the saved log
// is its own, and the chain goes on at End.
type TakenError struct {
	// At is the contested position: the first one after the log that both logs continue.
	At FrameNo
	// First and Last are the positions that the saved log covers. First is 1 for a
	// snapshot.
	First, Last FrameNo
	// End is the saved log's last position, with the database's checksum there.
	End Position
	// NodeID is that of the saved log, 0 when the store does not tell.
	NodeID uint64
}

// Error names the contested position and the log that holds it.
func (e *TakenError) Error() string {
	return fmt.Sprintf("translog: position %v is taken by the log %v-%v, which ends at %v",
		e.At, e.First, e.Last, e.End)
}

// Is reports whether target is [ErrTaken].
func (e *TakenError) Is(target error) bool { return target == ErrTaken }
