//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// Save stores a log where the application wants it. It must not return nil until the log
// is durable there. The log is valid until it returns: Clone keeps it longer.
type Save func(ctx context.Context, log *translog.Log) error

// Checkpoint hands everything that is committed and not saved to save, as one log, and
// returns the last saved position. save is called at most once, and not at all when there
// is nothing to save; writers go on meanwhile. Its nil resolves the acks up to the log's
// end.
//
// An error of save is returned as it is. Nothing is lost then: the next Checkpoint offers
// the same pages, merged with what came since, as a log that continues the same position.
// A panic of save comes as a *SavePanicError. One Checkpoint runs at a time; another one
// waits until ctx ends.
//
// When save returns a *translog.TakenError for a log that was offered before, whose
// answer was lost, that log counts as saved: the position returned may then be less than
// what is committed, and the next Checkpoint offers the rest.
//
// It takes neither a connection of a pool nor the write gate, so it works inside a
// transaction. It returns ErrNested inside its own save, and ErrClosed, ErrFenced,
// ErrReplaced or ErrPoisoned when nothing can be saved any more.
func (db *DB) Checkpoint(ctx context.Context, save Save) (translog.FrameNo, error) {
	if ctx.Value(savingKey{}) == db {
		return db.Saved().FrameNo, ErrNested
	}
	if err := db.checkpointing.Acquire(ctx, 1); err != nil {
		return db.Saved().FrameNo, err
	}
	defer db.checkpointing.Release(1)
	offered, err := db.saveOnce(ctx, save)
	if offered {
		db.resetIfDue(ctx)
	}
	return db.Saved().FrameNo, err
}

// saveOnce is Checkpoint for who holds checkpointing already.
func (db *DB) saveOnce(ctx context.Context, save Save) (offered bool, err error) {
	offer, err := db.prepareOffer(ctx)
	if err != nil || offer == nil {
		return false, err
	}
	err = callSave(context.WithValue(ctx, savingKey{}, db), save, offer.log)
	crashpoint.Reach(crashpoint.OfferAnswered)
	return true, db.settleOffer(ctx, offer, err)
}

// savingKey marks the context of a save function with its database.
type savingKey struct{}

// offer is a log on its way through save.
type offer struct {
	log      *translog.Log
	end      translog.Position
	observed time.Time // when its end was the committed position
}

// prepareOffer seals up to the committed position and merges what is pending. It returns
// nil when all is saved.
func (db *DB) prepareOffer(ctx context.Context) (*offer, error) {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer db.sealing.Release(1)
	if !db.sealer.begun {
		if err := db.letResetGoFirst(ctx); err != nil {
			return nil, err
		}
	}
	if err := db.usable(); err != nil {
		return nil, err
	}
	if db.replica.Load() {
		return nil, fmt.Errorf("%w: a replica makes no logs; Promote makes it the primary", ErrRole)
	}
	to, _, err := db.observeIndex()
	if err != nil {
		return nil, err
	}
	observed := time.Now()
	if to.position == db.Saved().FrameNo {
		return nil, nil
	}
	limit, full := db.offerLimit()
	if !full {
		if err := db.sealForOffer(ctx, to); err != nil {
			return nil, err
		}
	}
	crashpoint.Reach(crashpoint.OfferSynced)
	log, err := db.mergePending(limit)
	if err != nil || log == nil {
		return nil, err
	}
	if err := db.noteOffer(offeredLog{log.End(), log.NodeID()}); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	crashpoint.Reach(crashpoint.OfferNoted)
	db.sealer.offering = log.Last()
	return &offer{log: log, end: log.End(), observed: observed}, nil
}

// sealForOffer seals up to a position, or begins the history with a snapshot.
func (db *DB) sealForOffer(ctx context.Context, to point) error {
	if err := db.seal(ctx, to); err != nil {
		return err
	}
	if !db.sealer.begun {
		if err := db.beginHistory(ctx); err != nil {
			return err
		}
	}
	// A snapshot may have sealed more than was committed above: the fsync covers it.
	return db.syncWAL()
}

// offerLimit is the last position to offer: any, or, when too many offers have an
// unknown outcome already, that of the last one, which is then offered again.
func (db *DB) offerLimit() (limit translog.FrameNo, full bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if n := len(db.offered); n >= offeredMax {
		last := db.offered[n-1].FrameNo
		for _, p := range db.sealer.pending {
			if p.log.Last() == last {
				return last, true
			}
		}
	}
	return ^translog.FrameNo(0), false
}

// mergePending makes one log of what is pending up to a position; nil when nothing is.
func (db *DB) mergePending(limit translog.FrameNo) (*translog.Log, error) {
	logs := make([]*translog.Log, 0, len(db.sealer.pending))
	for _, p := range db.sealer.pending {
		if p.log.Last() <= limit {
			logs = append(logs, p.log)
		}
	}
	if len(logs) == 0 {
		return nil, nil
	}
	return translog.Merge(db.sidecar.folder, logs...)
}

// callSave turns a panic into an error, so that the locks of the engine are let go.
func callSave(ctx context.Context, save Save, log *translog.Log) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &SavePanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return save(ctx, log)
}

// settleOffer draws the consequences of save's answer.
func (db *DB) settleOffer(ctx context.Context, o *offer, answer error) error {
	closeErr := o.log.Close()
	// The answer counts, whether or not the caller still waits for it.
	if err := db.sealing.Acquire(context.WithoutCancel(ctx), 1); err != nil {
		return errors.Join(answer, err)
	}
	defer db.sealing.Release(1)
	if db.isClosed() {
		return errors.Join(ErrClosed, answer, closeErr)
	}
	db.sealer.offering = 0
	var taken *translog.TakenError
	if errors.As(answer, &taken) {
		return errors.Join(db.settleTaken(ctx, o, taken, answer), closeErr)
	}
	if answer == nil {
		db.confirm(o.end, o.observed)
		return closeErr
	}
	var gap *translog.GapError
	switch _, full := db.offerLimit(); {
	case errors.As(answer, &gap) && db.continuesPromotion(o, gap):
		known := gap.Have.IsZero() || gap.NodeID == 0 ||
			db.isInherited(context.WithoutCancel(ctx), gap.Have, gap.NodeID)
		if !known {
			return errors.Join(db.fail(fmt.Errorf("%w: %w", ErrFenced, answer)), closeErr)
		}
		db.continueFrom(gap.Have)
	case !full && !db.everSaved():
		db.startOver() // the first log is a snapshot, made anew rather than merged
	}
	return errors.Join(answer, closeErr)
}

func (db *DB) everSaved() bool { return !db.Saved().IsZero() }

// confirm moves the saved position and forgets the logs up to it.
func (db *DB) confirm(end translog.Position, observed time.Time) {
	db.moveSaved(end, observed)
	crashpoint.Reach(crashpoint.OfferMoved)
	db.dropPending(end.FrameNo)
	crashpoint.Reach(crashpoint.OfferForgot)
	db.mu.Lock()
	db.offered = nil
	db.mu.Unlock()
	// Behind the acks, so that they do not wait for this fsync: a power cut that comes
	// before it finds the log in the store (settleTaken).
	if err := db.writeRecord(true); err != nil {
		db.log.Warn("state not written", "path", db.path, "error", err)
	}
	crashpoint.Reach(crashpoint.OfferRecorded)
}

// settleTaken handles a place in the history that is taken. When the log there is one
// that was offered from here, its save had succeeded and only the answer was lost: it
// counts, and the next Checkpoint continues from its end. A log that this database took as a
// replica, and that reached the store late, is continued by a snapshot. Any other log was
// written by another primary.
func (db *DB) settleTaken(
	ctx context.Context, o *offer, taken *translog.TakenError, answer error,
) error {
	if !db.isOurs(context.WithoutCancel(ctx), taken.End, taken.NodeID) {
		if db.isInherited(context.WithoutCancel(ctx), taken.End, taken.NodeID) {
			db.continueFrom(taken.End)
			return nil
		}
		return db.fail(fmt.Errorf("%w: %w", ErrFenced, answer))
	}
	db.confirm(taken.End, o.observed)
	if first := db.firstPending(); taken.End != o.end && first != nil &&
		first.Follows() != taken.End {
		db.startOver() // a merged log cannot be split: a snapshot continues from here
	}
	return nil
}

// isOurs reports whether a saved log is part of this database's own history: it was offered
// from here, under the NodeID that it has, or written by an earlier life, which ended after
// it. So it is when the state does not know of the offer, for a power cut took that back, and
// the database had the very content of the log's end there. The end alone tells nothing: two
// histories can have a checksum in common. The caller holds sealing.
func (db *DB) isOurs(ctx context.Context, end translog.Position, node uint64) bool {
	db.mu.Lock()
	offered := slices.ContainsFunc(db.offered, func(o offeredLog) bool {
		return o.Position == end && (node == 0 || o.NodeID == node)
	})
	mayBe := node == 0 || node == db.historyID
	db.mu.Unlock()
	return offered || db.knowsWriter(node, end.FrameNo) || mayBe && db.hadContent(ctx, end)
}

// continuesPromotion reports whether an offer is the first one after a promotion, and the
// store ends before it: it continues what this database took as a replica.
func (db *DB) continuesPromotion(o *offer, gap *translog.GapError) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	follows := o.log.Follows()
	return db.inherited != 0 && follows.FrameNo == db.inherited && gap.Want == follows &&
		gap.Have.FrameNo < db.inherited
}

// isInherited reports whether a saved log is part of what this database took as a replica: its
// writer tells, or else the content. A primary that was opened again saves under another
// NodeID what it had streamed before. The caller holds sealing.
func (db *DB) isInherited(ctx context.Context, end translog.Position, node uint64) bool {
	db.mu.Lock()
	inherited := db.inherited
	db.mu.Unlock()
	return end.FrameNo <= inherited &&
		(db.knowsWriter(node, end.FrameNo) || db.hadContent(ctx, end))
}

// continueFrom makes the next log a snapshot that continues the store's end, which is
// before what this database took as a replica.
func (db *DB) continueFrom(end translog.Position) {
	db.mu.Lock()
	db.saved, db.mustSnapshot = end, true
	db.mu.Unlock()
	db.startOver()
	if err := db.writeRecord(false); err != nil {
		db.log.Warn("state not written", "path", db.path, "error", err)
	}
}

func (db *DB) isClosed() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.closed
}

// noteOffer remembers a log whose save is about to be tried: should the answer be lost,
// the store tells by the log's end that it was ours. A killed process finds it in the state;
// after a power cut the WAL, which was fsynced, tells what the content was. For that the
// state must name a frame of this WAL, so the first offer after a restart is fsynced.
func (db *DB) noteOffer(o offeredLog) error {
	db.mu.Lock()
	before := db.offered
	if !slices.Contains(before, o) {
		// Far past the bound, which takes histories that start over again and again for
		// other reasons, the oldest is forgotten: the record has its limits.
		excess := max(0, len(before)+1-offeredRememberedMax)
		db.offered = append(slices.Clone(before[excess:]), o)
	}
	db.mu.Unlock()
	err := db.writeRecord(!db.isAnchored())
	if err != nil {
		db.mu.Lock()
		db.offered = before
		db.mu.Unlock()
	}
	return err
}

// offeredMax bounds the offers that are remembered while their outcome is unknown.
const offeredMax = 64

// offeredRememberedMax bounds them when the history starts over meanwhile, again and again.
const offeredRememberedMax = 200
