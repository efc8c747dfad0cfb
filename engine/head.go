//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Head is what the chain of a store holds at one position, and where it ends.
type Head struct {
	// At is what the chain has at the position asked for, zero when no record ends there.
	At translog.Position
	// End is where the chain ends, zero when it is empty. NodeID is that of the last record.
	End    translog.Position
	NodeID uint64
}

// compareHead asks the chain, if there is one to ask, whether this database may still write
// to it: at the open of a primary, and before a promotion. What it does not find out a save
// does: creation of a record is exclusive.
//
// It returns ErrBehind when the chain ends after what the database has, ErrFenced when it
// went on from elsewhere, and an error of asking. Otherwise it returns the head, nil when
// there is none to ask for.
func (db *DB) compareHead(ctx context.Context) (*Head, error) {
	if db.options.ReadHead == nil {
		return nil, nil
	}
	// No Checkpoint meanwhile: its log would be the head before anybody knows that it is ours.
	if err := db.checkpointing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer db.checkpointing.Release(1)
	head, err := db.options.ReadHead(ctx, db.Saved().FrameNo)
	if err != nil {
		return nil, fmt.Errorf("engine: read the head of the store: %w", err)
	}
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return nil, err
	}
	defer letGo()
	last, _, err := db.observeIndex()
	if err != nil {
		return nil, err
	}
	return &head, db.checkMayContinue(ctx, head, last)
}

// checkMayContinue returns ErrBehind or ErrFenced when this database must not write after a
// head. The caller holds sealing.
func (db *DB) checkMayContinue(ctx context.Context, head Head, last point) error {
	saved, have := db.Saved(), last.position
	if db.jumpedFrom > 0 && have == db.jumpedFrom+historyJump {
		have = db.jumpedFrom // the jump is no progress
	}
	end := head.End
	switch {
	case end.FrameNo > have:
		return &BehindError{Have: have, Want: end.FrameNo}
	case head.At.FrameNo == saved.FrameNo && !head.At.IsZero() && head.At != saved:
		end = head.At // another content
	case end.IsZero(), end == saved:
		return nil
	}
	replica := db.replica.Load()
	took := replica || db.inherited != 0 // the logs of others
	known := head.NodeID == 0 || db.knowsWriter(head.NodeID, end.FrameNo)
	switch {
	case end.FrameNo == saved.FrameNo:
	case end.FrameNo < saved.FrameNo && !took:
		return nil // the store has lost its end, and the next save will say so
	case took && end.FrameNo <= max(saved.FrameNo, db.inherited) &&
		(known || db.hadContent(ctx, end)):
		return nil // it may have taken more than the store has, but not other
	case db.isOurs(ctx, end, head.NodeID):
		return nil // an answer that was lost: the next Checkpoint finds it
	}
	failure := fmt.Errorf("%w: the store goes on to %v, which is not part of the history here "+
		"up to %v", ErrFenced, end, saved)
	if replica {
		return failure
	}
	return db.fail(failure)
}

// compareHeadAtOpen is compareHead for a primary, before it takes a write. A store that does
// not answer is only a warning: it must not keep a database closed.
func (db *DB) compareHeadAtOpen(ctx context.Context) error {
	if db.replica.Load() {
		return nil // it takes what comes next; Promote asks
	}
	head, err := db.compareHead(ctx)
	if err == nil && head != nil {
		// It was promoted without asking, and what the store lacks is unsaved after all.
		inherits := db.inherited != 0 && db.inherited == db.Saved().FrameNo
		if inherits && head.End.FrameNo < db.inherited {
			db.saved, db.mustSnapshot = head.End, true // the open records it
			db.startOver()
		}
	}
	if err == nil || errors.Is(err, ErrBehind) || errors.Is(err, ErrFenced) {
		return err
	}
	db.log.Warn("the head of the store is not known: another primary would be noticed "+
		"by the next save", "path", db.path, "error", err)
	return ctx.Err()
}
