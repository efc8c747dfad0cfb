//go:build cgo

package engine

import (
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Stats is what an operator wants to know of an open database.
type Stats struct {
	Role         Role
	Committed    translog.FrameNo // position of the last commit; of the last log on a replica
	Acknowledged translog.FrameNo // position up to which acks are resolved
	Saved        translog.FrameNo // position up to which logs are saved
	PendingAcks  int              // acks that are not resolved; above 64 a close estimate
	WALFrames    int              // frames in the WAL
	PageSize     int              // bytes
	UnsavedAge   time.Duration    // age of the oldest unsaved commit, 0 when all is saved
	UnsavedBytes int64            // pages of the unsaved commits as the WAL holds them
	Streams      int              // open live streams
	Diverged     bool             // a replica to which somebody else wrote: see ErrDiverged
}

// Stats reads the wal-index and a few counters. It is zero when the database is closed.
// Safe for concurrent use.
func (db *DB) Stats() Stats {
	_, _, _ = db.observeIndex()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return Stats{}
	}
	s := Stats{
		Role:         db.Role(),
		Committed:    db.last.position,
		Acknowledged: db.resolvedLocked(),
		Saved:        db.saved.FrameNo,
		PendingAcks:  db.pendingAcks.total(),
		Streams:      len(db.streams),
		Diverged:     db.diverged,
		WALFrames:    int(db.last.frame),
		PageSize:     db.pageSize,
	}
	if !db.unsavedSince.IsZero() {
		s.UnsavedAge = time.Since(db.unsavedSince)
	}
	if unsaved := db.last.position - min(db.saved.FrameNo, db.last.position); unsaved > 0 {
		frames := min(unsaved, historyJump) // a history that started over is a snapshot
		s.UnsavedBytes = int64(frames) * int64(db.pageSize)
	}
	return s
}
