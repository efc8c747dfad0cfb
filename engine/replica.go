//go:build cgo

package engine

import (
	"context"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Replicate applies a log to a replica as one transaction, which readers see as a whole or
// not at all and are never blocked by. A log that ends at or before the replica's position
// is taken for one that it has, and changes nothing: whoever may hold another history, as a
// primary that was demoted after its replica was promoted, asks the new primary's Frames
// first, which refuses a position that it never had. A later snapshot replaces everything.
//
// The whole log is verified before anything is touched, and so is the checksum of the
// database that it leads to. Bad logs leave the replica as it was, serving its readers:
// *translog.GapError when the log begins after the next position, *translog.ChecksumError
// when it belongs to another lineage, *ForeignError when to another database,
// *translog.FormatError when it is damaged, does not track checksums, or has pages of
// another size. ErrDiverged means that somebody else wrote to the replica: only a snapshot
// is taken then. ErrRole is returned on a primary, ErrClosed and ErrPoisoned when it is
// too late, SQLite's ErrBusy while another program holds the write lock, and the context's
// error when that ends before the log was published.
//
// On return the log survives the end of the process. A power cut may take back what came
// after the last Sync, as a whole: the position tells then from where to replicate again.
// One Replicate runs at a time. The log is not closed and not kept. A large one is read
// twice; memory is 12 bytes for each of its pages, and 8 for each of the database.
func (db *DB) Replicate(ctx context.Context, log *translog.Log) error {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return err
	}
	defer letGo()
	if !db.replica.Load() {
		return fmt.Errorf("%w: a primary takes no logs; Demote makes it a replica", ErrRole)
	}
	if err := db.checkWAL(); err != nil {
		return db.fail(err)
	}
	if _, _, err := db.observeIndex(); err != nil {
		return err
	}
	needed, err := db.fits(log)
	if err != nil || !needed {
		return err
	}
	r, err := db.readReplication(ctx, log)
	if err != nil {
		return err
	}
	db.noteWriter(log.NodeID(), log.Last())
	if err := db.apply(ctx, r); err != nil {
		return err
	}
	db.adoptHistory(log.NodeID())
	db.truncateIfDue(context.WithoutCancel(ctx))
	if r.images == nil { // too large to be taken back after a power cut
		return db.syncReplica()
	}
	return nil
}

// fits compares what a log says of itself with the replica's position. It is not needed
// when the replica has it already.
func (db *DB) fits(log *translog.Log) (needed bool, err error) {
	at := db.Saved()
	if log.End().Checksum == 0 {
		return false, &translog.FormatError{Field: "post-apply checksum", Got: "none",
			Want: "a log that tracks checksums"}
	}
	if id, own := log.NodeID(), db.history(); !sameHistory(id, own) {
		return false, &ForeignError{Have: own, Got: id}
	}
	diverged := db.isDiverged()
	if diverged && !log.IsSnapshot() {
		return false, ErrDiverged
	}
	if log.Last() <= at.FrameNo && !diverged {
		if _, err := translog.CheckChain(at, log); err != nil {
			return false, err
		}
		return false, log.Verify() // damage could make a log look older
	}
	if size := log.PageSize(); size != db.pageSize && !at.IsZero() && !diverged {
		return false, &translog.FormatError{Field: "page size", Got: size, Want: db.pageSize}
	}
	if log.IsSnapshot() {
		return true, nil
	}
	start := log.Start()
	if start.FrameNo > at.FrameNo {
		return false, &translog.GapError{Have: at, Want: start,
			First: log.First(), Last: log.Last()}
	}
	if start.FrameNo == at.FrameNo && start.Checksum != at.Checksum {
		return false, &translog.ChecksumError{At: at.FrameNo, Got: at.Checksum,
			Want: start.Checksum}
	}
	return true, nil
}

func (db *DB) isDiverged() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.diverged
}

// scanReplica enters the sums of all pages that are in the WAL: the database file may hold
// older ones.
func (db *DB) scanReplica(state sqlite.State) error {
	if state.MaxFrame == 0 {
		return db.sizeSums()
	}
	_, err := db.scanSealed(state, state.MaxFrame)
	return err
}
