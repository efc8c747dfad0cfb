//go:build cgo

package engine

import (
	"fmt"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// AckReplicated tells that everything up to a position is safe with the reader of this
// stream. Once as many open streams have said so as Options.ReplicaAcks asks for (one,
// unless told otherwise), the frames are fsynced here too, the position goes to the state
// file, and acks up to it resolve, without a checkpoint. The commits stay unsaved: the next
// Checkpoint offers them.
//
// A stream that was opened after a position counts for it, too: its reader has that. One
// that was opened for what comes next has nothing yet. Once it is closed it counts no more
// for later positions. What was acknowledged stays so.
//
// It returns ErrUndelivered for a position beyond what the stream has delivered, and
// ErrClosed, ErrPoisoned or ErrFenced when nothing can be acknowledged any more. An error of
// the state file comes after the acks have resolved: they stay so, and a restart may not
// know of it. The state is not fsynced: a power cut may make it forget the position, not the
// frames. A position at or before an earlier one changes nothing.
func (f *Frames) AckReplicated(position translog.FrameNo) error {
	f.mu.Lock()
	delivered := f.delivered
	f.mu.Unlock()
	if position > delivered {
		return fmt.Errorf("%w: %d, it delivered up to %d", ErrUndelivered, position, delivered)
	}
	db := f.db
	db.mu.Lock()
	f.acknowledged = max(f.acknowledged, position)
	agreed, failure := db.agreedLocked(), db.failure
	db.mu.Unlock()
	if failure != nil || agreed == 0 {
		return failure
	}
	return db.acknowledge(agreed)
}

// agreedLocked is the position that enough streams have acknowledged, 0 when there is
// nothing new.
func (db *DB) agreedLocked() translog.FrameNo {
	positions := make([]translog.FrameNo, 0, len(db.streams))
	for _, stream := range db.streams {
		positions = append(positions, stream.acknowledged)
	}
	need := db.options.ReplicaAcks
	if len(positions) < need {
		return 0
	}
	slices.Sort(positions)
	if agreed := positions[len(positions)-need]; agreed > db.resolvedLocked() {
		return agreed
	}
	return 0
}

// acknowledge resolves what a position covers. The frames are fsynced before: an ack must
// not outlive them here, or a restart would look as if it had lost them.
func (db *DB) acknowledge(position translog.FrameNo) error {
	if err := db.syncWAL(); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.AckSynced)
	db.mu.Lock()
	if db.failure != nil {
		defer db.mu.Unlock()
		return db.failure
	}
	db.acknowledged = max(db.acknowledged, position)
	db.pendingAcks.resolve(position)
	released := db.ackWaiters.take(position)
	db.mu.Unlock()
	err := db.writeRecord(false)
	crashpoint.Reach(crashpoint.AckRecorded)
	fireAll(released, nil)
	return err
}
