//go:build cgo

package engine

import (
	"errors"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Errors of opening a database.
var (
	// ErrInUse is returned when another process has the database open as primary or
	// replica. It comes as an *InUseError.
	ErrInUse = errors.New("engine: database is in use by another process")
	// ErrRole is returned when the role asked for contradicts the role that the database
	// has, and by what only the other role can do: Promote and Demote change it.
	ErrRole = errors.New("engine: wrong role")
	// ErrState is returned when the state file in the sidecar folder is damaged, or was
	// lost: the outbox is there and the state is not.
	ErrState = errors.New("engine: damaged state file")
	// ErrBehind is returned when the database holds less than what was saved from it or
	// acknowledged by its live streams: an older copy stands in its place. It comes as a
	// *BehindError.
	ErrBehind = errors.New("engine: database is behind what was saved")
	// ErrHardLink is returned when the file has more than one hard link: SQLite would
	// keep a WAL for each name.
	ErrHardLink = errors.New("engine: database file has more than one hard link")
	// ErrSettings is returned when a pool asks for other settings than the pool that has
	// the same file open.
	ErrSettings = errors.New("engine: database is open with other settings")
	// ErrVersion is returned when the SQLite library that is linked is older than 3.51.3,
	// whose WAL reset bug loses commits: https://www.sqlite.org/wal.html#walresetbug
	ErrVersion = errors.New("engine: SQLite 3.51.3 or newer is needed")
)

// Errors of an open database.
var (
	// ErrClosed is returned when the database is closed. For an ack it means that the
	// write is committed in the file but was not saved before the close.
	ErrClosed = errors.New("engine: database is closed")
	// ErrReplaced is returned when another file stands at the database's path, or its WAL
	// was deleted, while it is open. Nothing can be saved any more.
	ErrReplaced = errors.New("engine: database file or WAL was replaced while open")
	// ErrPoisoned is returned when the engine met a failure after which it cannot vouch
	// for what is on disk. Close the database and open it again.
	ErrPoisoned = errors.New("engine: database must be reopened")
	// ErrFenced is returned when another primary has continued the saved history: what
	// this one wrote since can never be saved.
	ErrFenced = errors.New("engine: another primary has continued the history")
	// ErrReadOnly is returned for a write in a read-only transaction or on a replica. It
	// also matches sqlite3.Error with code SQLITE_READONLY.
	ErrReadOnly = errors.New("engine: write refused")
	// ErrRefused is returned for a statement that would break the capture of commits. It
	// comes as a *RefusedError and also matches sqlite3.Error.
	ErrRefused = errors.New("engine: statement refused")
	// ErrTransactionEnded is returned for a statement in a transaction that SQLite has
	// already rolled back by itself, such as after OR ROLLBACK or a full disk. Only
	// Rollback is left.
	ErrTransactionEnded = errors.New("engine: transaction was rolled back by SQLite")
)

// Errors of acks and checkpoints.
var (
	// ErrPending is returned by Ack.Err while the write is committed and neither saved nor
	// acknowledged.
	ErrPending = errors.New("engine: not saved yet")
	// ErrUncommitted is returned by an ack while a transaction or RETURNING rows that
	// carry it are open.
	ErrUncommitted = errors.New("engine: the transaction that carries this ack is open")
	// ErrAckUnused is returned by an ack under whose context no statement ever ran.
	ErrAckUnused = errors.New("engine: no statement ran under the ack's context")
	// ErrUnsaved is returned by Close when commits are not saved, where something was
	// saved before: they are kept and offered after the next open. Demote returns it too,
	// and changes nothing then.
	ErrUnsaved = errors.New("engine: unsaved commits")
	// ErrEmpty is returned when a snapshot is asked of a database to which nothing was
	// ever committed.
	ErrEmpty = errors.New("engine: database is empty")
	// ErrNested is returned by a Checkpoint that is called from within the save function
	// of another one of the same database.
	ErrNested = errors.New("engine: Checkpoint called from its own save function")
	// ErrSavePanic is returned when a save function panicked. It comes as a
	// *SavePanicError.
	ErrSavePanic = errors.New("engine: save function panicked")
)

// Errors of replicas and live streams.
var (
	// ErrDiverged is returned by Replicate and Promote when somebody else has written to
	// the replica: it is not what its position says. A snapshot makes it a replica again.
	ErrDiverged = errors.New("engine: replica was written to by somebody else")
	// ErrForeign is returned by Replicate for a log or snapshot of another database. It
	// comes as a *ForeignError.
	ErrForeign = errors.New("engine: log belongs to another database")
	// ErrStale is returned when a read needs a position that the database has not reached
	// before its context ended. It comes as a *StaleError.
	ErrStale = errors.New("engine: position is not reached yet")
	// ErrLagged is returned by a live stream that cannot go on from its position any more:
	// the frames after it have left the WAL. Take the logs from there, then open another
	// stream.
	ErrLagged = errors.New("engine: frames have left the WAL")
	// ErrUndelivered is returned by Frames.AckReplicated for a position that the stream
	// has not delivered.
	ErrUndelivered = errors.New("engine: position was not delivered by this stream")
)

// ForeignError tells the histories that do not match, by the NodeID of their logs. It
// matches ErrForeign, and translog.ErrChecksum as every log of another lineage does.
type ForeignError struct {
	Have, Got uint64
}

// Error names both.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("engine: log belongs to the database %016x, the replica to %016x",
		e.Got, e.Have)
}

// Is makes the error match ErrForeign and translog.ErrChecksum.
func (e *ForeignError) Is(target error) bool {
	return target == ErrForeign || target == translog.ErrChecksum
}

// StaleError tells how far a database is that a read waited for. It matches ErrStale, and
// the context's error that it wraps.
type StaleError struct {
	Have, Want translog.FrameNo
	Err        error // of the context; nil inside a transaction that began too early
}

// Error names both positions.
func (e *StaleError) Error() string {
	text := fmt.Sprintf("engine: database is at %d, read wants %d", e.Have, e.Want)
	if e.Err != nil {
		return text + ": " + e.Err.Error()
	}
	return text + ": the transaction began before it"
}

// Is makes the error match ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// Unwrap gives the context's error.
func (e *StaleError) Unwrap() error { return e.Err }

// InUseError tells which process has the database open. It matches ErrInUse.
type InUseError struct {
	Path string
	PID  int // 0 when the lock file does not tell
}

// Error names the file and the process.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("engine: %s is in use by another process", e.Path)
	}
	return fmt.Sprintf("engine: %s is in use by process %d", e.Path, e.PID)
}

// Is makes the error match ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// BehindError tells how far the database is behind. It matches ErrBehind.
type BehindError struct {
	Have translog.FrameNo // where the database ends
	Want translog.FrameNo // what was saved or acknowledged
}

// Error names both positions.
func (e *BehindError) Error() string {
	return fmt.Sprintf("engine: database ends at %d, but %d was saved or acknowledged: "+
		"restore it from the store or from a replica", e.Have, e.Want)
}

// Is makes the error match ErrBehind.
func (e *BehindError) Is(target error) bool { return target == ErrBehind }

// SavePanicError carries the value a save function panicked with. It matches
// ErrSavePanic.
type SavePanicError struct {
	Value any
	Stack []byte
}

// Error shows the value.
func (e *SavePanicError) Error() string {
	return fmt.Sprintf("engine: save function panicked: %v", e.Value)
}

// Is makes the error match ErrSavePanic.
func (e *SavePanicError) Is(target error) bool { return target == ErrSavePanic }

// RefusedError says which statement was refused and why. It matches ErrRefused, and
// sqlite3.Error by errors.As.
type RefusedError struct {
	What   string
	Reason string
	SQLite sqlite3.Error
}

// Error names the statement and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("engine: %s refused: %s", e.What, e.Reason)
}

// Is makes the error match ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Unwrap gives the error that SQLite itself has for it.
func (e *RefusedError) Unwrap() error { return e.SQLite }

// readOnlyError matches ErrReadOnly and sqlite3.Error.
type readOnlyError struct{ reason string }

func (e *readOnlyError) Error() string        { return "engine: write refused: " + e.reason }
func (e *readOnlyError) Is(target error) bool { return target == ErrReadOnly }
func (e *readOnlyError) Unwrap() error {
	return sqlite3.Error{
		Code:         sqlite3.ErrReadonly,
		ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrReadonly),
	}
}

// busyError is what the write gate answers when the busy timeout is over: the value that
// go-sqlite3 returns for SQLITE_BUSY.
func busyError() error {
	return sqlite3.Error{
		Code:         sqlite3.ErrBusy,
		ExtendedCode: sqlite3.ErrNoExtended(sqlite3.ErrBusy),
	}
}
