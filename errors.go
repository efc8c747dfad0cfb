//go:build cgo

package mylibsql

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql/dsn"
	"github.com/mylibsql/mylibsql/engine"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// The errors that a caller can test for with errors.Is. They are the very values of the
// packages that return them.
var (
	// ErrInUse is returned when another process has the database open. It comes as an
	// *InUseError.
	ErrInUse = engine.ErrInUse
	// ErrRole is returned when the role asked for contradicts the one the database has, and
	// for what only the other role can do: Promote and Demote change it.
	ErrRole = engine.ErrRole
	// ErrState is returned when the state file beside the database is damaged or lost.
	ErrState = engine.ErrState
	// ErrBehind is returned when the database holds less than what was saved from it or
	// acknowledged by its live streams.
	ErrBehind = engine.ErrBehind
	// ErrHardLink is returned when the database file has more than one hard link.
	ErrHardLink = engine.ErrHardLink
	// ErrSettings is returned when two pools ask for different settings of one file.
	ErrSettings = engine.ErrSettings
	// ErrVersion is returned when the linked SQLite is older than 3.51.3.
	ErrVersion = engine.ErrVersion

	// ErrClosed is returned when the database is closed; for an ack, before its write was
	// saved.
	ErrClosed = engine.ErrClosed
	// ErrReplaced is returned when the file or its WAL was replaced while it was open.
	ErrReplaced = engine.ErrReplaced
	// ErrPoisoned is returned after a failure that only a reopen can heal.
	ErrPoisoned = engine.ErrPoisoned
	// ErrFenced is returned when another primary has continued the saved history.
	ErrFenced = engine.ErrFenced
	// ErrReadOnly is returned for a write in a read-only transaction or on a replica. It
	// also matches sqlite3.Error by errors.As.
	ErrReadOnly = engine.ErrReadOnly
	// ErrRefused is returned for a statement that would break the capture of commits. It
	// comes as a *RefusedError and also matches sqlite3.Error.
	ErrRefused = engine.ErrRefused
	// ErrTransactionEnded is returned in a transaction that SQLite has rolled back by
	// itself.
	ErrTransactionEnded = engine.ErrTransactionEnded

	// ErrPending is returned by Ack.Err while the write is neither saved nor acknowledged.
	ErrPending = engine.ErrPending
	// ErrUncommitted is returned by an ack whose transaction or RETURNING rows are open.
	ErrUncommitted = engine.ErrUncommitted
	// ErrAckUnused is returned by an ack under whose context no statement ever ran.
	ErrAckUnused = engine.ErrAckUnused
	// ErrUnsaved is returned by Close when commits are not saved, where something was
	// saved before, and by Demote.
	ErrUnsaved = engine.ErrUnsaved
	// ErrEmpty is returned when a snapshot is asked of an empty database.
	ErrEmpty = engine.ErrEmpty
	// ErrNested is returned by a Checkpoint inside its own save function.
	ErrNested = engine.ErrNested
	// ErrSavePanic is returned when a save function panicked. It comes as a
	// *SavePanicError.
	ErrSavePanic = engine.ErrSavePanic

	// ErrDiverged is returned by Replicate and Promote when somebody else has written to
	// the replica.
	ErrDiverged = engine.ErrDiverged
	// ErrForeign is returned by Replicate for a log of another database. It comes as a
	// *ForeignError, and matches ErrChecksum too.
	ErrForeign = engine.ErrForeign
	// ErrStale is returned when a read under WithMinFrame needs a position that was not
	// reached before its context ended. It comes as a *StaleError.
	ErrStale = engine.ErrStale
	// ErrLagged is returned by a live stream whose next frames have left the WAL.
	ErrLagged = engine.ErrLagged
	// ErrUndelivered is returned when a position is acknowledged that the stream has not
	// delivered.
	ErrUndelivered = engine.ErrUndelivered

	// ErrFormat is returned for a log or snapshot that is damaged or not one at all.
	ErrFormat = translog.ErrFormat
	// ErrChecksum is returned when a log belongs to another history.
	ErrChecksum = translog.ErrChecksum
	// ErrGap is returned when logs do not continue each other, and by Frames for a position
	// that this primary never had.
	ErrGap = translog.ErrGap
	// ErrTaken is returned by a save function when another log stands in the log's place.
	ErrTaken = translog.ErrTaken
	// ErrParam is returned for a DSN parameter that is unknown, contradictory or out of
	// range. It comes as a *ParamError.
	ErrParam = dsn.ErrParam

	// ErrNoEngine is returned by From for a pool of another driver or behind a wrapper
	// that hides this one, and by the methods of a plain reader's connection (mode=ro).
	ErrNoEngine = errors.New("mylibsql: no engine behind this pool")
)

// The typed errors that carry values, to be used with errors.As.
type (
	// InUseError tells which process has the database open.
	InUseError = engine.InUseError
	// BehindError tells how far the database is behind.
	BehindError = engine.BehindError
	// RefusedError tells which statement was refused and why.
	RefusedError = engine.RefusedError
	// SavePanicError carries what a save function panicked with.
	SavePanicError = engine.SavePanicError
	// ForeignError tells the histories that do not match.
	ForeignError = engine.ForeignError
	// StaleError tells how far the database is that a read waited for.
	StaleError = engine.StaleError
	// GapError tells the position in hand and the one that a log continues.
	GapError = translog.GapError
	// ChecksumError tells the checksum in hand and the one that a log demands.
	ChecksumError = translog.ChecksumError
	// FormatError tells what is wrong with a log.
	FormatError = translog.FormatError
	// TakenError tells which log stands in the place of the offered one.
	TakenError = translog.TakenError
	// ParamError names a DSN parameter and what it takes.
	ParamError = dsn.ParamError
)

// hideBadConn keeps driver.ErrBadConn, which a save function may return from another
// database, from database/sql, which would run the call again.
func hideBadConn(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("mylibsql: %s", err.Error())
	}
	return err
}
