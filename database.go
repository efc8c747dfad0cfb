//go:build cgo

package mylibsql

import (
	"context"
	"database/sql"
	"fmt"
	"io"

	"github.com/mylibsql/mylibsql/engine"
)

// Database is a handle on the engine behind a pool. It takes no connection of the pool,
// so its methods work while every connection is busy and while the caller holds an open
// transaction. Safe for concurrent use.
type Database struct {
	connector *Connector // opens the engine; nil in a Conn
	engine    *engine.DB // of a Conn
}

// From returns a handle on the engine behind a pool of this driver, opening the database
// if no connection has yet. It takes no connection. The handle is good until the pool is
// closed, after which its methods return ErrClosed.
//
// It returns ErrNoEngine for a pool of another driver, and for one whose driver is
// wrapped: keep the Connector that was wrapped then, it has the same methods.
func From(ctx context.Context, db *sql.DB) (*Database, error) {
	d, ok := db.Driver().(*Driver)
	if !ok || d.connector == nil {
		return nil, fmt.Errorf("%w: its driver is %T; use the methods of the Connector",
			ErrNoEngine, db.Driver())
	}
	if _, err := d.connector.db(ctx); err != nil {
		return nil, err
	}
	return d.connector.Database, nil
}

// db returns the engine.
func (d *Database) db(ctx context.Context) (*engine.DB, error) {
	switch {
	case d.engine != nil:
		return d.engine, nil
	case d.connector == nil || d.connector.config.ReadOnly:
		return nil, fmt.Errorf("%w: it was opened with mode=ro", ErrNoEngine)
	}
	db, _, err := d.connector.open(ctx, false)
	return db, hideBadConn(err)
}

// Checkpoint hands everything that is committed and not saved to save as one [Log], and
// returns the last saved position. It calls save at most once, and not at all when there
// is nothing to save; writers go on meanwhile. save must not return nil before the log is
// durable where it puts it: its nil resolves the acks of the writes in the log. The log
// is valid until save returns; Log.Clone keeps it longer.
//
// An error of save is returned. Nothing is lost then: the next Checkpoint offers the same
// pages again, together with what came since, as a log that continues the same position
// (Log.Follows). One Checkpoint runs at a time, another one waits until ctx ends.
//
// It returns a *SavePanicError when save panics, ErrNested inside its own save, and
// ErrClosed, ErrFenced, ErrReplaced or ErrPoisoned when nothing can be saved any more.
func (d *Database) Checkpoint(
	ctx context.Context, save func(ctx context.Context, log *Log) error,
) (FrameNo, error) {
	db, err := d.db(ctx)
	if err != nil {
		return 0, err
	}
	saved, err := db.Checkpoint(ctx, save)
	return saved, hideBadConn(err)
}

// WaitSaved returns nil once everything up to a position is saved, or acknowledged through
// a live stream. It returns the error of ctx when that ends first, and ErrClosed,
// ErrFenced, ErrReplaced or ErrPoisoned when it will never be known.
func (d *Database) WaitSaved(ctx context.Context, position FrameNo) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return db.WaitSaved(ctx, position)
}

// WriteSnapshot writes the whole database as it is at one committed position, an LTX file
// that [ReadSnapshot] reads, and returns that position. It does not stop writers, and it
// does not count as saving: acks do not move. It returns ErrEmpty when nothing was ever
// committed, ErrDiverged on a replica that somebody else wrote to, and ErrClosed. After an
// error w has received an incomplete file.
func (d *Database) WriteSnapshot(ctx context.Context, w io.Writer) (FrameNo, error) {
	db, err := d.db(ctx)
	if err != nil {
		return 0, err
	}
	position, err := db.WriteSnapshot(ctx, w)
	return position, hideBadConn(err)
}

// Replicate applies a log, or the log of a live [Batch], to a replica. Readers are never
// blocked by it, and see all of it or nothing. A log that ends at or before the replica's
// position changes nothing; a snapshot replaces everything.
//
// Log and result are verified before anything is touched: a bad log leaves the replica as
// it was, serving its readers, with an error that matches ErrGap, ErrChecksum, ErrForeign
// or ErrFormat and tells both sides. ErrDiverged means that somebody else wrote to the
// replica, which takes only a snapshot then. It returns ErrRole on a primary, SQLite's
// ErrBusy while another program holds the write lock, and ErrClosed or ErrPoisoned when it
// is too late. The log is not closed. See [engine.DB.Replicate] for more.
func (d *Database) Replicate(ctx context.Context, log *Log) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return hideBadConn(db.Replicate(ctx, log))
}

// Sync makes durable what is committed here, or on a replica applied, so that a power cut
// does not take it back: call it before an AckReplicated that is to promise as much. It
// costs an fsync, two on a replica. It returns ErrClosed or ErrPoisoned.
func (d *Database) Sync(ctx context.Context) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return hideBadConn(db.Sync(ctx))
}

// Position is the position of the last commit, or of the last log on a replica, with the
// checksum of the whole database there: what Frames of the primary goes on from. On a
// primary the checksum is 0 as long as nothing was saved.
func (d *Database) Position(ctx context.Context) (Position, error) {
	db, err := d.db(ctx)
	if err != nil {
		return Position{}, err
	}
	position, err := db.Position(ctx)
	return position, hideBadConn(err)
}

// Frames opens a live stream of the transactions that are committed after a position, that
// of a replica or the End of a log; the zero position stands for now (an empty replica
// takes a snapshot before). Several may be open, each with acknowledgements of its own. The
// caller closes it.
//
// It returns ErrGap for a position that this primary never had, ErrChecksum when it had
// another content there, ErrLagged when it is older than what the WAL holds: take the logs
// from there first. ErrRole on a replica. See [engine.DB.Frames] for more.
func (d *Database) Frames(ctx context.Context, after Position) (*Frames, error) {
	db, err := d.db(ctx)
	if err != nil {
		return nil, err
	}
	frames, err := db.Frames(ctx, after)
	return frames, hideBadConn(err)
}

// Promote makes a replica the primary, in place and durably: every open pool takes writes
// from now on, and positions continue. On a primary it does nothing. See
// [engine.DB.Promote] for the errors and what they leave.
func (d *Database) Promote(ctx context.Context) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return hideBadConn(db.Promote(ctx))
}

// Demote makes a primary a replica, in place and durably: every open pool refuses writes
// with ErrReadOnly from now on. It waits for the write in progress and for a Checkpoint,
// and fails with ErrUnsaved while a commit is not saved. On a replica it does nothing. See
// [engine.DB.Demote] for the errors and what they leave.
func (d *Database) Demote(ctx context.Context) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return hideBadConn(db.Demote(ctx))
}

// CheckpointAndDemote is Demote for a primary that is being written to: a Checkpoint, then,
// while writers wait, another one of what came meanwhile, and the change of the role.
// Whoever waited gets ErrReadOnly. save runs at most twice and must not write to this
// database; an error of it leaves a primary.
func (d *Database) CheckpointAndDemote(
	ctx context.Context, save func(ctx context.Context, log *Log) error,
) error {
	db, err := d.db(ctx)
	if err != nil {
		return err
	}
	return hideBadConn(db.CheckpointAndDemote(ctx, save))
}

// Stats tells positions, pending acks and what is unsaved. It is zero when the database
// is closed.
func (d *Database) Stats() Stats {
	db, err := d.db(context.Background())
	if err != nil {
		return Stats{}
	}
	return db.Stats()
}
