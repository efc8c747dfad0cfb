//go:build cgo

package engine

import (
	"context"
	"errors"
	"time"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// generation is one life of the WAL: from a restart to the next, under one salt. Frame k
// of it has the position base+k-after. Frames up to after may be those of a replica, which
// are fewer than the positions that they stand for.
type generation struct {
	base  translog.FrameNo
	after uint32
	salt  [2]uint32
}

// positionOf is the position of a frame behind after.
func (g generation) positionOf(frame uint32) translog.FrameNo {
	return g.base + translog.FrameNo(frame-g.after)
}

// frameOf is the frame of a position, where the frames before after are known to be
// commits of a primary too; false for a position that is not in this life of the WAL.
func (g generation) frameOf(position translog.FrameNo) (frame uint32, ok bool) {
	if position >= g.base {
		return g.after + uint32(position-g.base), true
	}
	back := g.base - position
	if back > translog.FrameNo(g.after) {
		return 0, false
	}
	return g.after - uint32(back), true
}

// point is a committed position, with its place in the WAL.
type point struct {
	generation
	position translog.FrameNo
	frame    uint32    // in the WAL, 0 when nothing was committed to this generation
	checksum [2]uint32 // running checksum of that frame
	pages    uint32    // database size, 0 when frame is 0
}

// news is what an observation brought to light.
type news struct {
	restarted bool // the first commit to a new generation of the WAL
	resetDue  bool // the WAL has passed its limit
}

// observe compares the wal-index header with what is known and moves the committed
// position. The header is read under DB.mu, so that observations cannot overtake each
// other.
func (db *DB) observe(h *sqlite.Handle) (sqlite.State, translog.FrameNo, news, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return sqlite.State{}, db.last.position, news{}, ErrClosed
	}
	state, err := db.readIndexLocked(func() (sqlite.State, error) { return h.Observe(db.index) })
	if err != nil {
		return state, db.last.position, news{}, db.poisonLocked(err)
	}
	what, err := db.advanceLocked(state)
	return state, db.last.position, what, err
}

// observeIndex is observe for who has no connection at hand.
func (db *DB) observeIndex() (point, sqlite.State, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return db.last, sqlite.State{}, ErrClosed
	}
	state, err := db.readIndexLocked(db.index.Read)
	if err != nil {
		return db.last, state, db.poisonLocked(err)
	}
	what, err := db.advanceLocked(state)
	if what.restarted {
		db.restartUnrecorded = true
	}
	return db.last, state, err
}

// indexTries bounds how often a header that is being written is read again.
const indexTries = 100

// readIndexLocked reads the header until it is whole. One that is not is just being
// written, by a thread that lost its processor or by a process that died: a read through
// SQLite waits for the one and repairs what the other left.
func (db *DB) readIndexLocked(read func() (sqlite.State, error)) (sqlite.State, error) {
	state, err := read()
	for try := 0; err != nil && try < indexTries; try++ {
		if err := db.readThroughSQLite(); err != nil {
			return state, err
		}
		state, err = read()
	}
	return state, err
}

func (db *DB) readThroughSQLite() error {
	conn, err := openConnection(db.path)
	if err != nil {
		return err
	}
	err = conn.beginRead()
	if err == nil {
		err = conn.endRead()
	}
	return errors.Join(err, conn.close())
}

// advanceLocked moves the committed position to what the header says.
func (db *DB) advanceLocked(s sqlite.State) (news, error) {
	if db.replica.Load() {
		db.followLocked(s)
		return news{}, nil
	}
	known := &db.last
	if s.Salt == known.salt && s.MaxFrame == known.frame {
		return news{}, nil
	}
	if s.Salt != known.salt {
		// SQLite restarted the WAL, which the guard allows only when all of it was copied
		// to the database file, and that only when all of it was sealed.
		known.generation = generation{base: known.position, salt: s.Salt}
		known.frame = 0
		db.resetFrame = 0
	}
	if s.MaxFrame < known.frame {
		return news{}, db.poisonLocked(errWALShrank)
	}
	if s.MaxFrame == 0 {
		known.checksum = s.Checksum
		return news{}, nil
	}
	what := news{restarted: known.frame == 0}
	known.frame = s.MaxFrame
	known.checksum = s.Checksum
	known.pages = s.PageCount
	known.position = known.positionOf(s.MaxFrame)
	db.committed.Store(uint64(known.position))
	db.wakeStreamsLocked()
	fireAll(db.positionWaiters.take(known.position), nil) // they only send to a channel
	if db.unsavedSince.IsZero() {
		db.unsavedSince = time.Now()
	}
	what.resetDue = db.resetDueLocked() && db.resetting == nil
	if db.restartUnrecorded {
		what.restarted = true
	}
	return what, nil
}

// followLocked takes note of what somebody else did to a replica. A checkpoint that began
// the WAL anew is fine; a commit makes the replica diverge.
func (db *DB) followLocked(s sqlite.State) {
	known := &db.last
	if s.Change != db.published {
		if !db.diverged {
			db.diverged = true
			db.log.Error("replica was written to by somebody else: it needs a snapshot",
				"path", db.path, "position", known.position)
		}
		return
	}
	if s.Salt == known.salt && s.MaxFrame == known.frame {
		return
	}
	known.generation = generation{base: known.position, after: s.MaxFrame, salt: s.Salt}
	known.frame, known.checksum, known.pages = s.MaxFrame, s.Checksum, s.PageCount
	db.resetFrame = 0
}

// neverSaved is a position that no save reaches once the database has failed: the
// target of an ack whose commit could not be placed.
func (db *DB) neverSaved() translog.FrameNo {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.last.position + 1
}

// lastSeen is the committed position without looking at the WAL: what a writer knows when
// it enters the gate.
func (db *DB) lastSeen() translog.FrameNo { return translog.FrameNo(db.committed.Load()) }

// Committed is the position of the last commit that the engine has seen.
func (db *DB) Committed() translog.FrameNo {
	last, _, _ := db.observeIndex()
	return last.position
}

// Position is the last position with the checksum of the whole database there. On a
// replica it is the end of the last log, from which a primary's Frames go on. On a primary
// it is that of the last commit, for which what is committed is sealed; the checksum is 0
// there as long as nothing was saved.
func (db *DB) Position(ctx context.Context) (translog.Position, error) {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return translog.Position{}, err
	}
	defer letGo()
	last, _, err := db.observeIndex()
	if err != nil || db.replica.Load() {
		return db.Saved(), err
	}
	if err := db.seal(ctx, last); err != nil {
		return translog.Position{}, err
	}
	if end := db.sealer.end; db.sealer.begun && end.FrameNo == last.position {
		return end, nil
	}
	return translog.Position{FrameNo: last.position}, nil
}

// Saved is the last saved position.
func (db *DB) Saved() translog.Position {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.saved
}

// resolvedState is nil when acks up to frame are resolved, else why not.
func (db *DB) resolvedState(frame translog.FrameNo) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case frame <= db.resolvedLocked():
		return nil
	case db.failure != nil:
		return db.failure
	}
	return ErrPending
}

// moveSaved sets the saved position, and lets everybody go who waited for it. Who was
// resolved stays resolved.
func (db *DB) moveSaved(to translog.Position, observed time.Time) {
	db.mu.Lock()
	db.saved = to
	db.inherited, db.mustSnapshot = 0, false
	db.pendingAcks.resolve(to.FrameNo)
	if db.last.position <= to.FrameNo {
		db.unsavedSince = time.Time{}
	} else {
		db.unsavedSince = observed
	}
	released := db.ackWaiters.take(to.FrameNo)
	db.mu.Unlock()
	fireAll(released, nil)
}
