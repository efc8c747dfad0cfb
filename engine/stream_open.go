//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// Frames opens a live stream of what is committed after a position: that of a replica, or
// the End of a log. The zero position stands for now, so an empty replica takes a snapshot
// before. Several streams may be open.
//
// The position must be one that this primary had, as the end of a transaction:
// *translog.GapError for one that it never reached, or that lies inside a transaction,
// *translog.ChecksumError when it had another content there, ErrLagged when it is older
// than what the WAL still holds. ErrRole is returned on a replica, ErrClosed, ErrReplaced
// or ErrPoisoned when it is too late.
//
// As long as nothing was saved, the first stream reads the whole database. A later start
// costs time in proportion to the WAL. Memory is 8 bytes a page of the database, and what
// the reader does not take.
func (db *DB) Frames(ctx context.Context, after translog.Position) (*Frames, error) {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return nil, err
	}
	defer letGo()
	if db.replica.Load() {
		return nil, fmt.Errorf("%w: a replica has no live frames of its own", ErrRole)
	}
	to, _, err := db.observeIndex()
	if err != nil {
		return nil, err
	}
	f, err := db.newStream(ctx, to)
	if err != nil {
		return nil, err
	}
	if !after.IsZero() && after != f.end {
		if err := f.rewind(ctx, after); err != nil {
			return nil, err
		}
	}
	f.delivered = f.end.FrameNo
	db.mu.Lock()
	defer db.mu.Unlock()
	f.acknowledged = after.FrameNo // who names a position that was had has it
	db.streams = append(db.streams, f)
	return f, nil
}

// hadContent reports whether the database had this content at this position, as far as the WAL
// can tell. The caller holds sealing.
func (db *DB) hadContent(ctx context.Context, at translog.Position) bool {
	to, _, err := db.observeIndex()
	if err != nil || at.Checksum == 0 {
		return false
	}
	f, err := db.newStream(ctx, to)
	if err != nil {
		return false
	}
	return f.end == at || f.moveBack(ctx, at) == nil
}

// newStream makes a stream that stands at the committed position, or a little later.
func (db *DB) newStream(ctx context.Context, to point) (*Frames, error) {
	f := &Frames{db: db, historyID: db.history(), wake: make(chan struct{}, 1)}
	if err := db.seal(ctx, to); err != nil {
		return nil, err
	}
	s := &db.sealer
	if s.begun {
		f.end, f.salt, f.cursor = s.end, wal.Salt(s.salt), s.cursor
		f.sums.known = slices.Clone(s.sums.known)
		return f, nil
	}
	db.sealsAll.Store(true)
	defer db.sealsAll.Store(false)
	v, err := db.openView(ctx)
	if err != nil {
		return nil, err
	}
	all, total, err := v.sum(ctx, func(translog.PageNo, []byte) error { return nil })
	if err = errors.Join(err, v.close()); err != nil {
		return nil, err
	}
	f.sums, f.salt = all, wal.Salt(v.at.salt)
	f.end = translog.Position{FrameNo: v.at.position, Checksum: total}
	f.cursor = wal.Cursor{Frame: v.at.frame, Checksum: wal.Checksum(v.at.checksum)}
	return f, nil
}

// rewind moves a new stream back to a position, and compares its checksum.
func (f *Frames) rewind(ctx context.Context, after translog.Position) error {
	db := f.db
	db.mu.Lock()
	oldest := max(db.guardedFrom, db.last.base)
	db.mu.Unlock()
	switch {
	case after.Checksum == 0:
		return &translog.FormatError{Field: "position", Got: after, Want: "one with a checksum"}
	case after.FrameNo > f.end.FrameNo:
		return &translog.GapError{Have: f.end, Want: after}
	case after.FrameNo == f.end.FrameNo:
		return &translog.ChecksumError{At: after.FrameNo, Got: f.end.Checksum, Want: after.Checksum}
	case after.FrameNo < oldest:
		return fmt.Errorf("%w: position %d is older than %d", ErrLagged, after.FrameNo, oldest)
	}
	return f.moveBack(ctx, after)
}

// moveBack is rewind for a position behind the stream's. What it finds is right when the
// database file holds nothing newer than the position; else the checksum tells.
func (f *Frames) moveBack(ctx context.Context, after translog.Position) error {
	f.db.mu.Lock()
	last := f.db.last
	f.db.mu.Unlock()
	frame, ok := last.frameOf(after.FrameNo)
	if !ok || last.salt != f.salt || after.FrameNo > f.end.FrameNo {
		return fmt.Errorf("%w: position %d", ErrLagged, after.FrameNo)
	}
	b, err := f.db.lookBack(ctx, f.salt, frame, f.cursor.Frame)
	if err != nil {
		return err
	}
	if !b.isEnd {
		return &translog.GapError{Have: f.end, Want: after}
	}
	total, err := f.takeBack(b)
	if err != nil {
		return err
	}
	if total != after.Checksum {
		return &translog.ChecksumError{At: after.FrameNo, Got: total, Want: after.Checksum}
	}
	f.end, f.cursor = after, b.cursor
	return nil
}

// takeBack gives the stream the sums that the pages had before, and returns the checksum
// of the database there.
func (f *Frames) takeBack(b *earlier) (translog.Checksum, error) {
	now := f.sums.pages()
	total := f.end.Checksum
	f.sums.resize(max(now, b.pages))
	for page := now + 1; page <= b.pages; page++ {
		b.changed[translog.PageNo(page)] = true // cut off since
	}
	for page := range b.changed {
		if page == translog.LockPage(f.db.pageSize) || uint32(page) > f.sums.pages() {
			continue
		}
		var old, sum translog.Checksum
		var err error
		if uint32(page) <= now {
			sum = f.sums.known[page-1] // known, for it has a frame that was read
		}
		if uint32(page) <= b.pages {
			if old, err = f.db.sumThen(page, b); err != nil {
				return 0, err
			}
			f.sums.set(page, old)
		}
		total = total.Replace(sum, old)
	}
	f.sums.resize(b.pages)
	return total, nil
}
