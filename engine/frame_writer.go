//go:build cgo

package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// frameWriter appends frames to the WAL file. What it holds back last ends with the commit
// mark.
type frameWriter struct {
	db     *DB
	header wal.Header
	cursor wal.Cursor
	buffer []byte // frames that are not written yet
	offset int64  // where they go
}

// frameWriteBytes is how much is written at once.
const frameWriteBytes = 1 << 20

// newFrameWriter continues the WAL after its last frame. An empty one gets a header first,
// fsynced, so that no later frame can follow an old one.
func (db *DB) newFrameWriter(state sqlite.State, pageSize int) (*frameWriter, error) {
	header := wal.Header{
		BigEndianChecksum: state.BigEndianChecksum, PageSize: pageSize, Salt: state.Salt,
	}
	f := &frameWriter{
		db: db, header: header, offset: wal.FrameOffset(state.MaxFrame+1, pageSize),
		buffer: db.sealer.frames[:0],
	}
	if state.MaxFrame > 0 {
		f.cursor = wal.Cursor{Frame: state.MaxFrame, Checksum: state.Checksum}
		return f, nil
	}
	f.header.BigEndianChecksum = binary.NativeEndian.Uint16([]byte{0, 1}) == 1
	if f.header.Salt == (wal.Salt{}) {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		f.header.Salt = wal.Salt{
			binary.NativeEndian.Uint32(random[:4]), binary.NativeEndian.Uint32(random[4:]),
		}
	}
	encoded := f.header.Append(nil)
	if _, err := db.walFile.WriteAt(encoded, 0); err != nil {
		return nil, fmt.Errorf("engine: write WAL: %w", err)
	}
	if err := db.syncWAL(); err != nil {
		return nil, err
	}
	var err error
	f.header, err = wal.ParseHeader(encoded)
	f.cursor.Checksum = f.header.Checksum
	return f, err
}

// writeAll writes every page of a log but the last few, which it keeps until flush.
func (f *frameWriter) writeAll(ctx context.Context, r *replication) error {
	return r.each(ctx, func(i int, image []byte) error { return f.add(r, i, image) })
}

func (f *frameWriter) add(r *replication, i int, image []byte) error {
	if len(f.buffer)+len(image) > frameWriteBytes {
		if err := f.flush(); err != nil {
			return err
		}
	}
	var commit uint32
	if i == len(r.pages)-1 {
		commit = r.commit
	}
	f.buffer, f.cursor = wal.AppendFrame(f.buffer, f.header, f.cursor, r.pages[i], commit, image)
	f.db.sealer.frames = f.buffer
	return nil
}

func (f *frameWriter) flush() error {
	if _, err := f.db.walFile.WriteAt(f.buffer, f.offset); err != nil {
		return fmt.Errorf("engine: write WAL: %w", err)
	}
	f.offset += int64(len(f.buffer))
	f.buffer = f.buffer[:0]
	return nil
}

// next is the state of the wal-index once the frames are published.
func (f *frameWriter) next(now sqlite.State, commit uint32) sqlite.State {
	now.PageSize, now.PageCount = f.header.PageSize, commit
	now.MaxFrame, now.Checksum = f.cursor.Frame, f.cursor.Checksum
	now.Salt, now.BigEndianChecksum = f.header.Salt, f.header.BigEndianChecksum
	return now
}
