//go:build cgo

package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// resumeReplica finds the position of a replica. The state names those that it can be at:
// the one that it had, the one that the log under way at that time would lead to, and the
// one that was synced last. Which of them counts is told by the WAL's last frame; by the
// database file alone, if it is still what it was; and else by the content.
//
// A power cut can leave more or less of the WAL than the state says. Then the replica goes
// back to where it was last synced, of which everything is there. What is not that either
// was written to by somebody else: it serves its readers and waits for a snapshot.
func (db *DB) resumeReplica(r record, state sqlite.State) error {
	db.record = r
	db.published = state.Change
	places := []anchor{r.Anchor}
	for _, place := range []*anchor{r.Intent, r.Durable} {
		if place != nil {
			places = append(places, *place)
		}
	}
	place, found := db.placeByFrame(r, places, state)
	if !found {
		var err error
		if place, found, err = db.placeByContent(places, state); err != nil {
			return err
		}
	}
	db.standAt(place, state)
	if found && place.Position == r.Anchor.Position {
		db.intent = r.Intent // its frames may lie in the WAL, and be published by a recovery
	}
	if err := db.scanReplica(state); err != nil || found {
		return err
	}
	if r.Durable != nil {
		back, err := db.goBackTo(*r.Durable, state)
		if back || err != nil {
			return err
		}
	}
	db.diverged = true
	db.log.Error("replica is not what its state says: it needs a snapshot",
		"path", db.path, "position", place.Position)
	return nil
}

// standAt sets the position of a replica whose WAL ends there.
func (db *DB) standAt(place anchor, state sqlite.State) {
	db.begin(generation{base: place.Position, after: state.MaxFrame}, state)
	db.saved = translog.Position{FrameNo: place.Position, Checksum: place.Content}
	db.sealer.end = db.saved
	db.unsavedSince = time.Time{}
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

// goBackTo makes a replica what it was at a place that the WAL, or the database file alone,
// still holds: the pages that changed since get their old content, by another transaction.
// It reports false when the content there is not that of the place.
func (db *DB) goBackTo(place anchor, state sqlite.State) (bool, error) {
	if place.Content == 0 || state.MaxFrame == 0 {
		return false, nil
	}
	var frame uint32 // the file alone, when the place was in an earlier WAL
	if place.Frame > 0 && place.Salt == state.Salt {
		frame = place.Frame
	}
	if frame >= state.MaxFrame || frame > 0 && !db.hasFrame(place) {
		return false, nil
	}
	sum, err := db.checksumAt(frame, state)
	if err != nil || sum != place.Content {
		return false, err
	}
	ctx := context.Background()
	e, err := db.lookBack(ctx, wal.Salt(state.Salt), frame, state.MaxFrame)
	if err != nil {
		return false, err
	}
	r, err := db.readEarlier(place, e)
	if err != nil {
		return false, err
	}
	if err := db.apply(ctx, r); err != nil {
		return false, err
	}
	db.log.Warn("replica goes back to where it was last synced", "path", db.path,
		"position", place.Position)
	return true, nil
}

// readEarlier collects what the changed pages were. Page 1 is always among them, for a
// transaction needs a page.
func (db *DB) readEarlier(place anchor, e *earlier) (*replication, error) {
	r := &replication{
		end:      translog.Position{FrameNo: place.Position, Checksum: place.Content},
		pageSize: db.pageSize, commit: e.pages,
	}
	e.changed[1] = true
	for _, page := range slices.Sorted(maps.Keys(e.changed)) {
		if uint32(page) > e.pages {
			break
		}
		start := len(r.images)
		r.images = append(r.images, make([]byte, db.pageSize)...)
		if err := db.pageThen(page, e, r.images[start:]); err != nil {
			return nil, err
		}
		r.pages = append(r.pages, uint32(page))
		r.sums = append(r.sums, translog.PageSum(page, r.images[start:]))
	}
	return r, nil
}
