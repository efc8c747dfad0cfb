//go:build cgo

package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// historyJump is added to the position when a history starts over, so that no number ever
// stands for two contents.
const historyJump translog.FrameNo = 1 << 32

// adopt takes over a database without a state file. What it holds already counts as one
// frame, so that it has a position to be saved at.
func (db *DB) adopt(s sqlite.State, empty bool) {
	var base translog.FrameNo
	if !empty {
		base = 1
	}
	db.published = s.Change
	db.begin(generation{base: base}, s)
}

// begin sets the position of a database whose WAL has a known position at one frame.
func (db *DB) begin(g generation, s sqlite.State) {
	g.salt = s.Salt
	db.last = point{
		generation: g,
		position:   g.positionOf(s.MaxFrame),
		frame:      s.MaxFrame,
		checksum:   s.Checksum,
		pages:      s.PageCount,
	}
	db.committed.Store(uint64(db.last.position))
	if db.last.position > db.saved.FrameNo {
		db.unsavedSince = time.Now()
	}
}

// resume goes on where the state file says that the database was, if it still is that
// database.
func (db *DB) resume(r record, s sqlite.State) error {
	place, ok := db.locate(r, s)
	db.record = r
	db.saved = r.Saved
	db.acknowledged = r.Acknowledged
	db.inherited = r.Inherited
	db.mustSnapshot = r.Snapshot
	db.offered = r.Offered
	if !ok {
		if have, known := db.remains(r, s); known && have < r.vouchedFor() {
			return &BehindError{Have: have, Want: r.vouchedFor()}
		}
		at, err := db.knownContent(r, s)
		switch {
		case err != nil:
			return err
		case at != 0 && at < r.vouchedFor():
			return &BehindError{Have: at, Want: r.vouchedFor()}
		case at == 0 || at != r.Anchor.Position:
			return db.jump(s)
		}
		place = generation{base: at, after: s.MaxFrame} // the file was copied, or moved
	}
	db.begin(place, s)
	if db.last.position < r.vouchedFor() {
		return &BehindError{Have: db.last.position, Want: r.vouchedFor()}
	}
	if r.Saved.IsZero() {
		return db.dropOutbox()
	}
	return db.resumeHistory(s)
}

// knownContent is the newest position at which the database had the content that it has now, as
// far as the state remembers: a copy of the file, of now or of then, was put in its place. It
// reads the whole database, and is 0 when there is no such position.
func (db *DB) knownContent(r record, s sqlite.State) (translog.FrameNo, error) {
	if len(r.Earlier) == 0 {
		return 0, nil
	}
	sum, err := db.checksumAt(s.MaxFrame, s)
	if err != nil {
		return 0, err
	}
	for _, earlier := range slices.Backward(r.Earlier) {
		if earlier.Checksum == sum {
			return earlier.FrameNo, nil
		}
	}
	return 0, nil
}

// jump starts a history over at a position that was never used.
func (db *DB) jump(s sqlite.State) error {
	db.jumpedFrom = max(db.record.Anchor.Position, db.record.vouchedFor())
	base := db.jumpedFrom + historyJump
	db.begin(generation{base: base}, s)
	db.log.Warn("database was changed while it was closed: "+
		"its history starts over with a snapshot", "path", db.path, "position", base)
	return db.dropOutbox()
}

// locate finds a frame of the WAL whose position is known. The record counts when the
// WAL holds the very frame that it names, or when there is another WAL or none and the
// database file is still what it was.
func (db *DB) locate(r record, s sqlite.State) (place generation, ok bool) {
	a := r.Anchor
	if a.Frame > 0 && s.Salt == a.Salt && s.MaxFrame >= a.Frame {
		return generation{base: a.Position, after: a.Frame}, db.hasFrame(a)
	}
	if r.FileHolds != a.Position || a.Frame > 0 && s.Salt == a.Salt && s.MaxFrame > 0 {
		return generation{}, false
	}
	return generation{base: a.Position}, db.isFile(r.File)
}

// remains tells what is left of the history when the record does not count: the WAL that
// it names ends before its frame, or the WAL is gone and the file is what it was after
// the last reset.
func (db *DB) remains(r record, s sqlite.State) (have translog.FrameNo, known bool) {
	a := r.Anchor
	if a.Frame > 0 && s.Salt == a.Salt && s.MaxFrame > 0 {
		missing := translog.FrameNo(a.Frame) - translog.FrameNo(min(s.MaxFrame, a.Frame))
		return a.Position - min(missing, a.Position), missing > 0
	}
	return r.FileHolds, db.isFile(r.File)
}

// isFile reports whether nobody has written to the database file since it looked like
// that.
func (db *DB) isFile(then *fileStat) bool {
	now := statOf(db.fileInfo)
	return then != nil && now != nil && *now == *then
}

// hasFrame reports whether the WAL file holds the anchor's frame.
func (db *DB) hasFrame(a anchor) bool {
	salt, cursor, err := wal.ReadFrameCursor(db.walFile, a.Frame, db.pageSize)
	return err == nil && salt == wal.Salt(a.Salt) && cursor.Checksum == wal.Checksum(a.Checksum)
}

// dropOutbox removes every log from the outbox, for none continues the highest position.
func (db *DB) dropOutbox() error {
	_, err := db.sidecar.readOutbox(translog.Position{FrameNo: ^translog.FrameNo(0)})
	return err
}

// resumeHistory continues the saved history: with the logs of the outbox, then with the
// frames of the WAL that no log holds.
func (db *DB) resumeHistory(state sqlite.State) error {
	pending, err := db.sidecar.readOutbox(db.saved)
	if err != nil {
		return err
	}
	end := db.saved
	if n := len(pending); n > 0 {
		end = pending[n-1].log.End()
	}
	s := &db.sealer
	s.pending, s.end, s.salt = pending, end, state.Salt
	sealedFrame, inWAL := db.last.frameOf(end.FrameNo)
	if !inWAL || end.FrameNo > db.last.position || db.mustSnapshot {
		db.log.Debug("unsaved commits are not in the WAL any more: the next log is a snapshot",
			"path", db.path, "sealed", end, "position", db.last.position)
		db.startOver()
		return nil
	}
	if file := db.record.File; file != nil && !db.isFile(file) {
		// A checkpoint that did not come to its end, or another file beside the same WAL.
		if same, err := db.isSealed(end, sealedFrame, state); err != nil || !same {
			db.startOver()
			return errors.Join(err, db.jump(state))
		}
	}
	if sealedFrame == 0 && db.last.frame == 0 {
		s.begun = true
		return db.sizeSums()
	}
	s.cursor, err = db.scanSealed(state, sealedFrame)
	if err != nil {
		return err
	}
	s.begun = sealedFrame == db.last.frame
	s.tail = !s.begun
	return nil
}

// sizeSums makes room for the sum of each page of the database, none of which is known.
func (db *DB) sizeSums() error {
	pages, err := db.guard.integer("PRAGMA page_count")
	if err != nil {
		return err
	}
	db.sealer.sums.resize(uint32(pages))
	return nil
}

// scanSealed enters the sums of the newest sealed image of each page in the WAL: the
// database file may hold an older one. It returns the cursor after the last sealed frame.
func (db *DB) scanSealed(state sqlite.State, last uint32) (wal.Cursor, error) {
	header, err := db.walHeader(state.Salt)
	if err != nil {
		return wal.Cursor{}, err
	}
	start := wal.Cursor{Checksum: header.Checksum}
	if err := db.sizeSums(); err != nil || last == 0 {
		return start, err
	}
	frames, err := db.collect(context.Background(), header, start, last)
	if err != nil {
		return start, err
	}
	buffer := make([]byte, db.pageSize)
	for _, key := range frames.keys {
		page, frame := translog.PageNo(key>>32), uint32(key)
		image, err := db.imageOf(frames, frame, buffer)
		if err != nil {
			return start, err
		}
		if uint32(page) <= db.sealer.sums.pages() {
			db.sealer.sums.set(page, translog.PageSum(page, image))
		}
	}
	db.sealer.trim()
	return frames.end, nil
}

// sealTail seals the commits that were in the WAL when the database was opened. A foreign
// checkpoint may have copied them to the database file already, so the old sums of their
// pages are not known: the new sum of the whole database is computed instead.
func (db *DB) sealTail(ctx context.Context) error {
	db.sealsAll.Store(true)
	defer db.sealsAll.Store(false)
	s := &db.sealer
	v, err := db.openView(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = v.close() }()
	if v.at.salt != s.salt {
		db.startOver()
		return nil
	}
	all, total, err := v.sum(ctx, func(translog.PageNo, []byte) error { return nil })
	if err != nil {
		return err
	}
	header, err := db.walHeader(s.salt)
	if err != nil {
		return err
	}
	frames, err := db.collect(ctx, header, s.cursor, v.at.frame)
	if err != nil {
		return err
	}
	log, err := db.encodeTail(frames, v.at.position, total)
	if err != nil {
		return err
	}
	s.pending = append(s.pending, pendingLog{log: log})
	s.begun, s.tail = true, false
	s.end, s.cursor, s.sums = log.End(), frames.end, all
	return nil
}

func (db *DB) encodeTail(f stretch, last translog.FrameNo, total translog.Checksum) (
	*translog.Log, error,
) {
	builder, err := translog.NewBuilder(db.nextSpec(last, f.commit), db.buildOptions())
	if err != nil {
		return nil, err
	}
	image := make([]byte, db.pageSize)
	for _, key := range f.keys {
		err := wal.ReadFrameData(db.walFile, uint32(key), db.pageSize, image)
		if err == nil {
			err = builder.WritePage(translog.PageNo(key>>32), image)
		}
		if err != nil {
			builder.Abort()
			return nil, err
		}
	}
	return builder.Finish(total)
}
