//go:build cgo

package engine

import (
	"context"
	"errors"
	"time"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// A replica's WAL shrinks only by TRUNCATE: the other modes leave it to the next writer of
// SQLite's to begin it anew, and there is none. https://www.sqlite.org/pragma.html#pragma_wal_checkpoint

// truncateBusyTimeout is how long a TRUNCATE waits for readers that still use the WAL, in
// ms. Readers that come and go leave it a moment; without waiting none would succeed.
const truncateBusyTimeout = "PRAGMA busy_timeout = 200"

// truncateIfDue moves a WAL that has passed its limit into the database file. Readers that
// keep it from that put it off, as they do in SQLite.
func (db *DB) truncateIfDue() {
	db.mu.Lock()
	due := db.last.frame >= db.resetFrame+db.walLimit
	db.mu.Unlock()
	if !due {
		return
	}
	complete, err := db.truncate()
	if err != nil {
		db.log.Warn("WAL not truncated", "path", db.path, "error", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.resetFrame = 0
	if !complete {
		retry := db.last.frame + db.walLimit/resetRetryPart
		db.resetFrame = retry - min(retry, db.walLimit)
	}
}

// truncate moves the WAL of a replica into the database file and empties it. What the
// database file takes is durable in the WAL before, and the state that names it too.
func (db *DB) truncate() (complete bool, err error) {
	copied, err := db.copyWAL()
	if err != nil || !copied {
		return false, err
	}
	if err := db.writer.exec(truncateBusyTimeout); err != nil {
		return false, err
	}
	complete, err = db.writer.checkpoint("TRUNCATE")
	_, _, observeErr := db.observeIndex()
	return complete, errors.Join(err, observeErr)
}

// copyWAL copies the whole WAL to the database file, and notes in the state what that
// looks like then: a later TRUNCATE only removes the WAL.
func (db *DB) copyWAL() (complete bool, err error) {
	if err := db.syncWAL(); err != nil {
		return false, err
	}
	if err := db.writeRecord(true); err != nil {
		return false, err
	}
	complete, err = db.writer.checkpoint("PASSIVE")
	if err != nil || !complete || db.isDiverged() {
		return false, err
	}
	return true, db.writeSettledRecord()
}

// settleReplica is what a close does for a replica: the database is left as one plain
// file, unless a reader or another program needs the WAL.
func (db *DB) settleReplica() error {
	complete, err := db.truncate()
	if err == nil && complete {
		db.writer.handle.CheckpointOnClose()
	}
	return err
}

// resumeReplica finds the position of a replica. The state names two: the one that it had,
// and the one that the log under way at that time would lead to. Which of them counts is
// told by the WAL's last frame; by the database file alone, if it is still what it was; and
// else by the content. A replica that is neither was written to by somebody else, or a
// power cut took back only one of state and WAL: it serves its readers and waits for a
// snapshot.
func (db *DB) resumeReplica(r record, state sqlite.State) error {
	db.record = r
	db.saved = r.Saved
	db.published = state.Change
	places := []anchor{r.Anchor}
	if r.Intent != nil {
		places = append(places, *r.Intent)
	}
	place, found := db.placeByFrame(r, places, state)
	if !found {
		var err error
		if place, found, err = db.placeByContent(places, state); err != nil {
			return err
		}
	}
	db.begin(generation{base: place.Position, after: state.MaxFrame}, state)
	if !found {
		db.diverged = true
		db.log.Error("replica is not what its state says: it needs a snapshot",
			"path", db.path, "position", place.Position)
	}
	db.saved.FrameNo, db.saved.Checksum = place.Position, place.Content
	db.sealer.end = db.saved
	db.unsavedSince = time.Time{}
	if place.Position == r.Anchor.Position {
		db.intent = r.Intent // its frames may lie in the WAL, and be published by a recovery
	}
	return db.scanReplica(state)
}

// placeByFrame finds the place whose frame is the WAL's last, or that the database file
// alone holds.
func (db *DB) placeByFrame(r record, places []anchor, state sqlite.State) (anchor, bool) {
	for _, place := range places {
		if place.Frame > 0 && place.Frame == state.MaxFrame && place.Salt == state.Salt &&
			db.hasFrame(place) {
			return place, true
		}
	}
	if r.Anchor.Position == 0 && r.Intent == nil {
		return r.Anchor, true // nothing was applied yet, and the first log is a snapshot
	}
	for _, place := range places {
		if state.MaxFrame == 0 && place.Position == r.FileHolds && db.isFile(r.File) {
			return place, true
		}
	}
	return r.Anchor, false
}

// placeByContent reads the whole database and compares its checksum.
func (db *DB) placeByContent(places []anchor, state sqlite.State) (anchor, bool, error) {
	sum, err := db.checksumAt(state.MaxFrame, state)
	if err != nil {
		return places[0], false, err
	}
	for _, place := range places {
		if place.Content != 0 && place.Content == sum {
			return place, true, nil
		}
	}
	return places[0], false, nil
}

// resetReplica answers PRAGMA wal_checkpoint on a replica.
func (db *DB) resetReplica(ctx context.Context) (complete bool, err error) {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer db.sealing.Release(1)
	if err := db.usable(); err != nil || !db.replica.Load() {
		return false, err
	}
	return db.truncate()
}
