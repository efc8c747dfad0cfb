//go:build cgo

package engine

import (
	"math/rand/v2"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// history is the NodeID of the history's logs.
func (db *DB) history() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.historyID
}

// The NodeID of a log has two halves. The upper one is the history's own number, the same in
// all of its logs, which tells one database from another. The lower one is the writer's: each
// promotion and each open of a primary draws another one, so that of two primaries with one
// history neither takes what the other has saved for its own, not even of two images of one
// machine. Neither half is ever zero.
const writerBits = 32

// newHistoryID makes the NodeID of a new history.
func newHistoryID() uint64 { return nextWriter(uint64(rand.Uint32())<<writerBits | 1<<63) }

// nextWriter makes the NodeID of another writer of a history, or of a new history for 0.
func nextWriter(id uint64) uint64 {
	if id == 0 {
		return newHistoryID()
	}
	return historyOf(id)<<writerBits | uint64(rand.Uint32()|1)
}

// historyOf is the history's half. Ids that others have chosen may be small: those are it.
func historyOf(id uint64) uint64 {
	if history := id >> writerBits; history != 0 {
		return history
	}
	return id
}

// sameHistory reports whether two NodeIDs may be of one history: 0 is of any.
func sameHistory(a, b uint64) bool {
	return a == 0 || b == 0 || historyOf(a) == historyOf(b)
}

// adoptHistory makes a replica that has none yet part of a history. The next record, of the next
// log or the close, has it.
func (db *DB) adoptHistory(id uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if id != 0 {
		db.historyID = id
	}
}

// noteWriter notes who wrote a log that a replica is about to take: before the record of the
// intent, so that it is known whenever the log is.
func (db *DB) noteWriter(id uint64, end translog.FrameNo) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if id != 0 {
		db.noteWriterLocked(id, end)
	}
}

// noteWriterLocked remembers that somebody wrote the history up to a position.
func (db *DB) noteWriterLocked(id uint64, upTo translog.FrameNo) {
	last := len(db.writers) - 1
	if last >= 0 && db.writers[last].NodeID == id {
		db.writers[last].UpTo = max(db.writers[last].UpTo, upTo)
		return
	}
	excess := max(0, len(db.writers)+1-writersMax)
	db.writers = append(slices.Clone(db.writers[excess:]), writer{NodeID: id, UpTo: upTo})
}

// knowsWriter reports whether what somebody wrote at a position is part of this history.
func (db *DB) knowsWriter(id uint64, at translog.FrameNo) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.ContainsFunc(db.writers, func(w writer) bool {
		return w.NodeID == id && at <= w.UpTo
	})
}

// becomeWriter draws the NodeID of a primary that opens.
func (db *DB) becomeWriter() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.historyID != 0 {
		db.noteWriterLocked(db.historyID, db.last.position)
	}
	db.historyID = nextWriter(db.historyID)
}
