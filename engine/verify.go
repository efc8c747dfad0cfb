//go:build cgo

package engine

import (
	"context"
	"fmt"

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

// checksumAt reads the whole database as it was after a frame of the WAL, 0 for the database
// file alone.
func (db *DB) checksumAt(frame uint32, state sqlite.State) (translog.Checksum, error) {
	e, err := db.lookBack(context.Background(), state.Salt, frame, frame)
	if err != nil {
		return 0, err
	}
	if !e.isEnd {
		return 0, fmt.Errorf("%w: frame %d does not end a commit", wal.ErrFormat, frame)
	}
	total, lockPage := translog.EmptyChecksum, translog.LockPage(db.pageSize)
	image := make([]byte, db.pageSize)
	for page := translog.PageNo(1); uint32(page) <= e.pages; page++ {
		if page == lockPage {
			continue
		}
		if err := db.pageThen(page, e, image); err != nil {
			return 0, err
		}
		total = total.Replace(0, translog.PageSum(page, image))
	}
	return total, nil
}
