//go:build cgo

package engine

import (
	"os"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// recordOpen makes durable where an open has found the database. The WAL goes first: the
// process before may have been killed before its fsync.
func (db *DB) recordOpen(found bool) error {
	if err := db.syncWAL(); err != nil {
		return err
	}
	var err error
	if db.replica.Load() && !found {
		err = db.writeSettledRecord() // an empty replica, of which the file alone is all
	} else {
		err = db.writeRecord(true)
	}
	if err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.OpenRecorded)
	return db.sidecar.makeOutbox()
}

// writeRecord writes what is known now to the state file, durably when sync is set. On a
// primary it names the last frame that was fsynced, if there is one in this WAL: a record
// that a power cut leaves must not name frames that it took. Safe for concurrent use.
func (db *DB) writeRecord(sync bool) error {
	db.recording.Lock()
	defer db.recording.Unlock()
	next := db.nextRecord()
	db.mu.Lock()
	if db.synced.frame > 0 && db.synced.salt == db.last.salt && !db.replica.Load() {
		db.placeAnchorLocked(&next, db.synced)
	}
	db.mu.Unlock()
	return db.writeRecordLocked(next, sync)
}

// placeAnchorLocked ties a record to a point.
func (db *DB) placeAnchorLocked(r *record, at point) {
	r.Anchor = at.anchor()
	if db.saved.FrameNo == at.position {
		r.Anchor.Content = db.saved.Checksum
	}
}

// nextRecord is the record of this moment. What it says of the database file is what the
// last reset left.
func (db *DB) nextRecord() record {
	db.mu.Lock()
	defer db.mu.Unlock()
	next := record{
		Role:     db.Role(),
		PageSize: db.pageSize,
		Saved:    db.saved,
		Offered:  slices.Clone(db.offered), Writers: slices.Clone(db.writers),
		Snapshot: db.mustSnapshot, Inherited: db.inherited, Acknowledged: db.acknowledged,
		HistoryID: db.historyID, Intent: db.intent, Diverged: db.diverged,
	}
	db.placeAnchorLocked(&next, db.last)
	if db.goingBackTo != nil {
		next.Anchor = *db.goingBackTo // nothing else is known to be there
	}
	next.File, next.FileHolds = db.record.File, db.record.FileHolds
	next.FileContent, next.Earlier = db.record.FileContent, db.record.Earlier
	db.restartUnrecorded = false
	return next
}

// anchor ties the point's position to its frame.
func (p point) anchor() anchor {
	return anchor{Position: p.position, Salt: p.salt, Frame: p.frame, Checksum: p.checksum}
}

// writeRecordLocked writes a record. The caller holds DB.recording, not DB.mu.
func (db *DB) writeRecordLocked(next record, sync bool) error {
	if db.isClosed() {
		return ErrClosed // the lock is gone, and with it the right to write
	}
	next.Generation = db.record.Generation + 1
	if next.Role == RoleReplica {
		durable := db.durable
		if sync && !next.Diverged {
			durable = next.Anchor
		}
		next.Durable = &durable
	}
	if err := db.sidecar.writeState(next, sync); err != nil {
		return db.failedSync(err)
	}
	db.record = next
	if sync && !next.Diverged {
		db.durable = next.Anchor
	}
	return nil
}

// isAnchored reports whether the state names a frame of the present WAL durably.
func (db *DB) isAnchored() bool {
	db.recording.Lock()
	defer db.recording.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.durable.Frame > 0 && db.durable.Salt == db.last.salt
}

// recordRestart ties the position to the new WAL at the first commit after a restart, so
// that a killed process finds its place again. It does not fsync: a power cut that loses
// it loses the new frames too, or leaves the file as the record before describes it.
func (db *DB) recordRestart() {
	err := db.writeRecord(false)
	crashpoint.Reach(crashpoint.CommitRestart)
	if err != nil {
		db.mu.Lock()
		db.restartUnrecorded = true
		db.mu.Unlock()
		db.log.Warn("state not written", "path", db.path, "error", err)
	}
}

// writeSettledRecord notes, durably, that the database file alone holds the position now:
// the WAL that it was in may be begun anew from here on. The caller has sealing, and keeps
// writers out.
func (db *DB) writeSettledRecord() error {
	info, err := os.Stat(db.path)
	if err != nil {
		return err
	}
	db.recording.Lock()
	defer db.recording.Unlock()
	next := db.nextRecord()
	next.File, next.FileHolds = statOf(info), next.Anchor.Position
	next.FileContent = next.Anchor.Content
	held := translog.Position{FrameNo: next.FileHolds, Checksum: next.FileContent}
	if db.sealer.begun && db.sealer.end.FrameNo == next.FileHolds {
		held = db.sealer.end
	}
	if held.Checksum != 0 && !slices.Contains(next.Earlier, held) {
		excess := max(0, len(next.Earlier)+1-earlierMax)
		next.Earlier = append(slices.Clone(next.Earlier[excess:]), held)
	}
	return db.writeRecordLocked(next, true)
}
