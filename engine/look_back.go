//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// earlier is what the WAL tells of the database as it was after one of its frames.
type earlier struct {
	isEnd   bool                       // a transaction ends there
	cursor  wal.Cursor                 // after it
	pages   uint32                     // size of the database
	images  map[translog.PageNo]uint32 // newest frame of each page up to it
	changed map[translog.PageNo]bool   // pages that have frames after it
}

// lookBack reads the WAL up to a last frame and tells what was there after an earlier one;
// frame 0 stands for the database file alone.
func (db *DB) lookBack(ctx context.Context, salt wal.Salt, frame, last uint32) (*earlier, error) {
	e := &earlier{isEnd: frame == 0,
		images: map[translog.PageNo]uint32{}, changed: map[translog.PageNo]bool{}}
	if frame == 0 {
		size, err := db.guard.handle.FileSize()
		if err != nil {
			return nil, err
		}
		e.pages = uint32(size / int64(db.pageSize))
	}
	if last == 0 {
		return e, nil // an empty WAL may have no header
	}
	header, err := db.walHeader(salt)
	if err != nil {
		return nil, err
	}
	e.cursor = wal.Cursor{Checksum: header.Checksum}
	reader := wal.NewReader(db.walFile, header, e.cursor)
	reader.Limit(last)
	for {
		read, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return e, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("engine: read WAL: %w", err)
		}
		if read.Index > frame {
			e.changed[translog.PageNo(read.PageNo)] = true
			continue
		}
		e.images[translog.PageNo(read.PageNo)] = read.Index
		if read.Index == frame {
			e.isEnd, e.pages, e.cursor = read.Commit != 0, read.Commit, reader.Cursor()
		}
	}
}

// pageThen reads a page as it was: from the WAL, or from the database file.
func (db *DB) pageThen(page translog.PageNo, e *earlier, into []byte) error {
	if frame := e.images[page]; frame > 0 {
		return wal.ReadFrameData(db.walFile, frame, db.pageSize, into)
	}
	return db.readPage(page, into)
}

// sumThen is the sum of a page as it was.
func (db *DB) sumThen(page translog.PageNo, e *earlier) (translog.Checksum, error) {
	image := make([]byte, db.pageSize)
	err := db.pageThen(page, e, image)
	return translog.PageSum(page, image), err
}
