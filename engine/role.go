//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/wal"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// Role is what the database is at this moment. Safe for concurrent use.
func (db *DB) Role() Role {
	if db.replica.Load() {
		return RoleReplica
	}
	return RolePrimary
}

// checkRole returns an error that matches ErrRole when a pool asks for another role than
// the database has. An empty role asks for nothing.
func (db *DB) checkRole(asked Role) error {
	switch has := db.Role(); {
	case asked == "" || asked == has:
		return nil
	case has == RoleReplica:
		return fmt.Errorf("%w: the database is a replica; Promote makes it the primary", ErrRole)
	}
	return fmt.Errorf("%w: the database is a primary; Demote makes it a replica", ErrRole)
}

// takeRole sets the role at open: that of the state file, or for a new file the one asked
// for. Only an empty file can begin as a replica, for of any other one it is not known
// which position it holds.
func (db *DB) takeRole(recorded Role, found, empty bool) error {
	asked := db.options.Role
	if found {
		db.replica.Store(recorded == RoleReplica)
		return db.checkRole(asked)
	}
	if asked == RoleReplica && !empty {
		return fmt.Errorf("%w: an existing database begins as a primary; "+
			"a replica begins as a new file, or with OpenReplica", ErrRole)
	}
	db.replica.Store(asked == RoleReplica)
	return nil
}

// Promote makes a replica the primary, in place: writes are taken from now on, on every
// open pool, and positions continue from the last log that was applied. The role is
// durable before it takes effect. A Replicate that is under way is waited for. On a
// primary it does nothing.
//
// What the replica holds counts as saved. If the store that later logs are saved to turns
// out to end before it, the next log is a snapshot that continues the store's end.
//
// With Options.ReadHead the store is asked first: ErrBehind when it has more than the
// replica, which should take those logs, ErrFenced when the replica holds another history.
// If it has less, what it lacks is unsaved: the next Checkpoint offers a snapshot.
//
// It returns ErrDiverged when somebody else wrote to the replica, SQLite's ErrBusy when
// another program holds the write lock, and ErrClosed or ErrPoisoned. After an error the
// database is a replica, except that an error of writing the state leaves the role of the
// next open unknown: call it again.
func (db *DB) Promote(ctx context.Context) error {
	var head *Head
	if db.replica.Load() {
		var err error
		if head, err = db.compareHead(ctx); err != nil {
			return err
		}
	}
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return err
	}
	defer letGo()
	if !db.replica.Load() {
		return nil
	}
	release, err := db.excludeForeign(ctx)
	if err != nil {
		return err
	}
	defer release()
	last, state, err := db.observeIndex()
	if err != nil {
		return err
	}
	if db.isDiverged() {
		return ErrDiverged
	}
	if err := db.syncWAL(); err != nil {
		return err
	}
	if err := db.guard.beginRead(); err != nil {
		return err
	}
	if err := db.switchRole(RolePrimary, last, state, head); err != nil {
		return errors.Join(err, db.guard.endRead())
	}
	crashpoint.Reach(crashpoint.RoleSwitched)
	return nil
}

// Demote makes a primary a replica, in place: every open pool refuses writes from now on,
// and logs are taken by Replicate. The write transaction that is under way is waited for,
// and so is a Checkpoint, until ctx ends; live streams end with io.EOF after the last
// frame. The role is durable before it takes effect. On a replica it does nothing. Inside
// an open write transaction of the caller it would wait for itself.
//
// It returns ErrUnsaved while a commit is not saved: it would be lost when the next log
// comes from elsewhere. SQLite's ErrBusy when another program holds the write lock, and
// ErrClosed, ErrFenced, ErrReplaced or ErrPoisoned. After an error the database is a
// primary, except that an error of writing the state leaves the role of the next open
// unknown: call it again.
//
// User code that holds a raw connection meanwhile is not kept from writing through it, and
// would make the replica diverge. A database that holds commits which the new primary lacks
// is no replica of it, saved or not: the new primary's Frames refuses its position. Make a
// new replica then.
func (db *DB) Demote(ctx context.Context) error {
	return db.withoutWriters(ctx, func() error { return db.demote(ctx) })
}

// CheckpointAndDemote is Demote for a primary that is being written to: a Checkpoint, then,
// while writers wait, another one of what came meanwhile, and the change of the role. Who
// waited is refused. save runs at most twice; the second time it holds up the writers, and
// must not write to this database. An error of save, or of Demote, leaves a primary.
func (db *DB) CheckpointAndDemote(ctx context.Context, save Save) error {
	if _, err := db.Checkpoint(ctx, save); err != nil {
		return err
	}
	return db.withoutWriters(ctx, func() error {
		if _, err := db.saveOnce(ctx, save); err != nil {
			return err
		}
		return db.demote(ctx)
	})
}

// withoutWriters runs a change while nobody writes and no Checkpoint runs.
func (db *DB) withoutWriters(ctx context.Context, change func() error) error {
	if ctx.Value(savingKey{}) == db {
		return ErrNested
	}
	// A Checkpoint under way is waited for before writers have to wait, too.
	if err := db.checkpointing.Acquire(ctx, 1); err != nil {
		return err
	}
	db.checkpointing.Release(1)
	if err := db.gate.acquire(ctx); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.checkpointing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer db.checkpointing.Release(1)
	return change()
}

// demote is Demote for who keeps writers and Checkpoints out.
func (db *DB) demote(ctx context.Context) error {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return err
	}
	defer letGo()
	if db.replica.Load() {
		return nil
	}
	release, err := db.excludeForeign(ctx)
	if err != nil {
		return err
	}
	defer release()
	last, state, err := db.observeIndex()
	if err != nil {
		return err
	}
	if saved := db.Saved().FrameNo; last.position > saved {
		return fmt.Errorf("%w: %d is saved, %d is committed", ErrUnsaved, saved, last.position)
	}
	if err := db.syncWAL(); err != nil {
		return err
	}
	if !db.sealer.begun {
		if err := db.scanReplica(state); err != nil {
			return err
		}
	}
	if err := db.switchRole(RoleReplica, last, state, nil); err != nil {
		return err
	}
	db.endStreams(io.EOF)
	return db.guard.endRead()
}

// excludeForeign takes SQLite's write lock, so that nobody commits past the gate either.
func (db *DB) excludeForeign(ctx context.Context) (release func(), err error) {
	if err := db.writer.beginWrite(ctx, foreignWriterWait); err != nil {
		return nil, err
	}
	return func() { _ = db.writer.exec("ROLLBACK") }, nil
}

// foreignWriterWait is how long a change of role, or a Replicate, waits for the write lock
// of another program.
const foreignWriterWait = 5 * time.Second

// switchRole makes the other role durable and then true, at a position at which all is
// sealed and saved. A head of the store that is known to be before it is where the next log,
// a snapshot, continues. The caller holds sealing and SQLite's write lock, and to become a
// replica the gate.
func (db *DB) switchRole(to Role, at point, state sqlite.State, head *Head) error {
	crashpoint.Reach(crashpoint.RoleSynced)
	if to == RoleReplica {
		db.noteWriter(db.history(), at.position) // itself, until now
	}
	db.recording.Lock()
	defer db.recording.Unlock()
	next := db.nextRecord()
	next.Role, next.Intent = to, nil
	next.Inherited, next.Acknowledged = 0, 0 // all of it is saved
	if to == RolePrimary {
		next.Inherited = next.Saved.FrameNo
		next.HistoryID = nextWriter(next.HistoryID)
		if head != nil && head.End.FrameNo < next.Saved.FrameNo {
			next.Saved, next.Snapshot = head.End, true
			next.Acknowledged = next.Inherited // others rely on it
		}
	} else if at.position == 0 {
		next.HistoryID = 0 // it has no history yet, and takes any
	}
	if err := db.writeRecordLocked(next, true); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.RoleRecorded)
	s := &db.sealer
	s.begun, s.tail = !next.Saved.IsZero() && !next.Snapshot, false
	s.end, s.salt = next.Saved, at.salt
	s.cursor = wal.Cursor{Frame: at.frame, Checksum: at.checksum}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.last.generation = generation{base: at.position, after: at.frame, salt: at.salt}
	db.inherited, db.historyID, db.intent = next.Inherited, next.HistoryID, nil
	db.saved, db.mustSnapshot = next.Saved, next.Snapshot
	db.acknowledged = next.Acknowledged
	if db.saved.FrameNo < at.position {
		db.unsavedSince = time.Now()
	}
	db.guardedFrom, db.resetFrame = at.position, at.frame
	db.published, db.diverged = state.Change, false
	db.replica.Store(to == RoleReplica)
	return nil
}
