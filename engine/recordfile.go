//go:build cgo

package engine

import (
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// writeRecord writes what is known now to the state file, durably when sync is set: the
// positions in it must be durable already then. Safe for concurrent use.
func (db *DB) writeRecord(sync bool) error {
	db.recording.Lock()
	defer db.recording.Unlock()
	return db.writeRecordLocked(db.nextRecord(), sync)
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
		Offered:  append([]translog.Position(nil), db.offered...),
		Anchor:   db.last.anchor(),
		Snapshot: db.mustSnapshot, Inherited: db.inherited, Acknowledged: db.acknowledged,
		HistoryID: db.historyID, Intent: db.intent,
	}
	if db.saved.FrameNo == db.last.position {
		next.Anchor.Content = db.saved.Checksum
	}
	next.File, next.FileHolds = db.record.File, db.record.FileHolds
	db.restartUnrecorded = false
	return next
}

// anchor ties the point's position to its frame.
func (p point) anchor() anchor {
	return anchor{Position: p.position, Salt: p.salt, Frame: p.frame, Checksum: p.checksum}
}

func (db *DB) writeRecordLocked(next record, sync bool) error {
	if db.isClosed() {
		return ErrClosed // the lock is gone, and with it the right to write
	}
	next.Generation = db.record.Generation + 1
	if next.Role == RoleReplica {
		durable := db.durable
		if sync {
			durable = next.Anchor
		}
		next.Durable = &durable
	}
	if err := db.sidecar.writeState(next, sync); err != nil {
		return err
	}
	db.record = next
	if sync {
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
	if err := db.writeRecord(false); err != nil {
		db.mu.Lock()
		db.restartUnrecorded = true
		db.mu.Unlock()
		db.log.Warn("state not written", "path", db.path, "error", err)
	}
}

// writeSettledRecord notes that the database file alone holds the position now. The
// caller keeps writers out.
func (db *DB) writeSettledRecord() error {
	info, err := os.Stat(db.path)
	if err != nil {
		return err
	}
	db.recording.Lock()
	defer db.recording.Unlock()
	next := db.nextRecord()
	next.File, next.FileHolds = statOf(info), next.Anchor.Position
	return db.writeRecordLocked(next, false)
}
