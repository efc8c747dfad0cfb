//go:build cgo

package engine

import (
	"context"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// isSealed reports whether the whole database, read page by page, has the checksum that
// was sealed at a position: one that ends at the given frame of the WAL, 0 for before its
// first. A checkpoint that copied later frames to the database file makes it say no,
// which is safe.
func (db *DB) isSealed(at translog.Position, frame uint32, state sqlite.State) (bool, error) {
	sum, err := db.checksumAt(frame, state)
	return sum == at.Checksum, err
}

// checksumAt reads the whole database as it is after a frame of the WAL, 0 for the
// database file alone.
func (db *DB) checksumAt(frame uint32, state sqlite.State) (translog.Checksum, error) {
	var frames stretch
	if frame > 0 {
		header, err := db.walHeader(state.Salt)
		if err != nil {
			return 0, err
		}
		start := wal.Cursor{Checksum: header.Checksum}
		frames, err = db.collect(context.Background(), header, start, frame)
		if err != nil {
			return 0, err
		}
	} else {
		size, err := db.guard.handle.FileSize()
		if err != nil {
			return 0, err
		}
		frames.commit = uint32(size / int64(db.pageSize))
	}
	total, lockPage := translog.EmptyChecksum, translog.LockPage(db.pageSize)
	image := make([]byte, db.pageSize)
	for page := translog.PageNo(1); uint32(page) <= frames.commit; page++ {
		if page == lockPage {
			continue
		}
		var err error
		if len(frames.keys) > 0 && translog.PageNo(frames.keys[0]>>32) == page {
			err = wal.ReadFrameData(db.walFile, uint32(frames.keys[0]), db.pageSize, image)
			frames.keys = frames.keys[1:]
		} else {
			err = db.readPage(page, image)
		}
		if err != nil {
			return 0, err
		}
		total = total.Replace(0, translog.PageSum(page, image))
	}
	return total, nil
}
