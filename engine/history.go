//go:build cgo

package engine

import "math/rand/v2"

// history is the NodeID of the history's logs.
func (db *DB) history() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.historyID
}

// newHistoryID makes the NodeID of a new history's logs.
func newHistoryID() uint64 { return rand.Uint64()>>1 + 1 }

// adoptHistory makes a replica that has none yet part of a history. The next record, of the
// next log or the close, has it.
func (db *DB) adoptHistory(id uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if id != 0 {
		db.historyID = id
	}
}
