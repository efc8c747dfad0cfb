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
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// resumeReplica finds the position of a replica. The state names those that it can be at:
// the one that it had, the one that the log under way at that time would lead to, and the
// one that was synced last. Which of them counts is told by the WAL's last frame, or by the
// database file alone, as long as that is what was noted; and else by the content.
//
// Somebody else may have written since, and a power cut can leave more or less of the WAL
// than the state says. Then the replica goes back to the latest of those places that is
// still there; the synced one survives every power cut. Where none is, it serves its readers
// and waits for a snapshot.
func (db *DB) resumeReplica(r record, state sqlite.State) error {
	db.record = r
	db.published = state.Change
	if r.Durable != nil {
		db.durable = *r.Durable
	}
	places := r.places()
	place, found := db.placeByFrame(r, places, state)
	if !found {
		var err error
		if place, found, err = db.placeByContent(places, state); err != nil {
			return err
		}
	}
	if !found {
		// Before the first log nothing is expected of the content: a snapshot replaces it.
		place, found = r.Anchor, r.Anchor.Position == 0 && !r.Diverged
	}
	db.standAt(place, state)
	db.diverged = !found
	if found && place.Position == r.Anchor.Position {
		db.intent = r.Intent // its frames may lie in the WAL, and be published by a recovery
	}
	if err := db.scanReplica(state); err != nil || found {
		return err
	}
	for _, earlier := range []*anchor{r.Intent, &r.Anchor, r.Durable} {
		back, err := db.goBackTo(earlier, state)
		if back || err != nil {
			return err
		}
	}
	db.log.Error("replica is not what its state says: it needs a snapshot",
		"path", db.path, "position", place.Position)
	return nil
}

// places are those at which a replica with this record can be. One that had diverged is not
// at its anchor, but may have taken a snapshot since.
func (r record) places() (places []anchor) {
	if !r.Diverged {
		places = append(places, r.Anchor)
	}
	for _, place := range []*anchor{r.Intent, r.Durable} {
		if place != nil {
			places = append(places, *place)
		}
	}
	return places
}

// standAt sets the position of a replica whose WAL ends there.
func (db *DB) standAt(place anchor, state sqlite.State) {
	db.begin(generation{base: place.Position, after: state.MaxFrame}, state)
	db.saved = translog.Position{FrameNo: place.Position, Checksum: place.Content}
	db.sealer.end = db.saved
	db.unsavedSince = time.Time{}
}

// placeByFrame finds the place whose frame is the WAL's last, or that the database file
// alone holds. A file that is not what was noted proves nothing: a checkpoint did not come
// to its end, or another file was put beside the same WAL.
func (db *DB) placeByFrame(r record, places []anchor, state sqlite.State) (anchor, bool) {
	for _, place := range places {
		switch {
		case r.File != nil && !db.isFile(r.File):
		case place.Frame > 0 && place.Frame == state.MaxFrame && place.Salt == state.Salt &&
			db.hasFrame(place):
			return place, true
		case state.MaxFrame == 0 && r.File != nil && place.Position == r.FileHolds &&
			place.Content == r.FileContent:
			return place, true
		}
	}
	return anchor{}, false
}

// placeByContent reads the whole database and compares its checksum.
func (db *DB) placeByContent(places []anchor, state sqlite.State) (anchor, bool, error) {
	sum, err := db.checksumAt(state.MaxFrame, state)
	if err != nil {
		return anchor{}, false, err
	}
	for _, place := range places {
		if place.Content != 0 && place.Content == sum {
			return place, true, nil
		}
	}
	return anchor{}, false, nil
}

// goBackTo makes a replica what it was at a place that the WAL, or the database file alone,
// still holds: the pages that changed since get their old content, by another transaction.
// It reports false when the content there is not that of the place.
func (db *DB) goBackTo(place *anchor, state sqlite.State) (bool, error) {
	if place == nil || place.Content == 0 || state.MaxFrame == 0 {
		return false, nil
	}
	var frame uint32 // the file alone, when the place was in an earlier WAL
	if place.Frame > 0 && place.Salt == state.Salt {
		frame = place.Frame
	}
	if frame >= state.MaxFrame || frame > 0 && !db.hasFrame(*place) {
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
	r, err := db.readEarlier(*place, e)
	if err != nil {
		return false, err
	}
	crashpoint.Reach(crashpoint.BackFound)
	db.goingBackTo = place // should this be interrupted, the next open finds it again
	err = db.apply(ctx, r)
	crashpoint.Reach(crashpoint.BackApplied)
	db.goingBackTo = nil
	if err != nil {
		return false, err
	}
	db.log.Warn("replica goes back to an earlier position", "path", db.path,
		"position", place.Position)
	_, state, err = db.observeIndex()
	if err == nil {
		err = db.scanReplica(state) // pages that were cut off are back, with images in the WAL
	}
	return true, err
}

// readEarlier collects what the changed pages were. Page 1 is always among them, for a
// transaction needs a page.
func (db *DB) readEarlier(place anchor, e *earlier) (*replication, error) {
	r := &replication{
		end:      translog.Position{FrameNo: place.Position, Checksum: place.Content},
		pageSize: db.pageSize, commit: e.pages, heals: true,
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
