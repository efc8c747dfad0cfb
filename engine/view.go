//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// view is the whole database at one position, held by a read transaction: pages come from
// the WAL where it has them and from the database file else. Writers go on.
type view struct {
	db     *DB
	conn   *connection
	at     point
	pages  uint32
	frames []uint64 // page and frame of the newest images in the WAL, by page
	next   int      // into frames
}

// viewTries bounds how often a view is taken anew because a commit came between.
const viewTries = 1000

// openView takes a view of the newest commit, without the write gate: the header is read,
// a transaction begun, the header read again. Equal means that it is that position.
func (db *DB) openView(ctx context.Context) (*view, error) {
	if db.isClosed() {
		return nil, ErrClosed
	}
	conn, err := openConnection(db.path)
	if err != nil {
		return nil, err
	}
	v := &view{db: db, conn: conn}
	for try := 0; ; try++ {
		if err = ctx.Err(); err != nil {
			break
		}
		if try == viewTries {
			err = busyError()
			break
		}
		var stable bool
		if stable, err = v.take(); stable || err != nil {
			break
		}
	}
	if err == nil {
		err = v.measure()
	}
	if err == nil {
		err = v.findFrames(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, conn.close())
	}
	return v, nil
}

// take begins the transaction, unless a commit came between: then it is not stable.
func (v *view) take() (stable bool, err error) {
	before, first, err := v.db.observeIndex()
	if err != nil {
		return false, err
	}
	if err := v.conn.beginRead(); err != nil {
		return false, err
	}
	_, second, err := v.db.observeIndex()
	if err != nil {
		return false, err
	}
	if first.Change == second.Change && first.Salt == second.Salt &&
		first.MaxFrame == second.MaxFrame {
		v.at = before
		v.pages = second.PageCount
		return true, nil
	}
	return false, v.conn.endRead()
}

// measure asks SQLite for the size of a database whose WAL is empty.
func (v *view) measure() error {
	if v.at.frame > 0 && v.pages > 0 {
		return nil
	}
	pages, err := v.conn.integer("PRAGMA page_count")
	v.pages = uint32(pages)
	return err
}

// findFrames lists which pages the WAL has. When SQLite restarts the WAL meanwhile, all
// of the view is in the database file, and stays there while the transaction is open.
func (v *view) findFrames(ctx context.Context) error {
	if v.at.frame == 0 {
		return nil
	}
	keys, err := v.scan(ctx)
	restarted, indexErr := v.restarted()
	if restarted || indexErr != nil {
		return indexErr
	}
	if err != nil {
		return err
	}
	v.frames = translog.NewestFrames(keys, v.pages)
	return nil
}

func (v *view) scan(ctx context.Context) ([]uint64, error) {
	header, err := v.db.walHeader(v.at.salt)
	if err != nil {
		return nil, err
	}
	keys := make([]uint64, 0, v.at.frame)
	reader := wal.NewReader(v.db.walFile, header, wal.Cursor{Checksum: header.Checksum})
	reader.Limit(v.at.frame)
	for {
		frame, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("engine: read WAL: %w", err)
		}
		keys = append(keys, uint64(frame.PageNo)<<32|uint64(frame.Index))
	}
}

func (v *view) restarted() (bool, error) {
	now, _, err := v.db.observeIndex()
	return now.salt != v.at.salt, err
}

// viewChunkBytes is how much is read from the database file at a time.
const viewChunkBytes = 1 << 20

// each calls visit for every page in order, without the lock page. The data is valid
// until the next call.
func (v *view) each(ctx context.Context, visit func(translog.PageNo, []byte) error) error {
	size := v.db.pageSize
	chunk := make([]byte, max(viewChunkBytes, size))
	perChunk := uint32(len(chunk) / size)
	lockPage := translog.LockPage(size)
	for first := uint32(1); first <= v.pages; first += perChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		count := min(perChunk, v.pages-first+1)
		if err := v.readChunk(first, count, chunk[:int(count)*size]); err != nil {
			return err
		}
		for i := range count {
			page := translog.PageNo(first + i)
			if page == lockPage {
				continue
			}
			if err := visit(page, chunk[int(i)*size:int(i+1)*size]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sum is each, and returns the sums of all pages and the checksum of the whole database.
func (v *view) sum(ctx context.Context, visit func(translog.PageNo, []byte) error) (
	all sums, total translog.Checksum, err error,
) {
	all.resize(v.pages)
	total = translog.EmptyChecksum
	err = v.each(ctx, func(page translog.PageNo, data []byte) error {
		sum := translog.PageSum(page, data)
		all.set(page, sum)
		total = total.Replace(0, sum)
		return visit(page, data)
	})
	return all, total, err
}

// readChunk reads count pages from first on, as they are in the view.
func (v *view) readChunk(first, count uint32, chunk []byte) error {
	size := v.db.pageSize
	if err := v.conn.handle.ReadFile(chunk, int64(first-1)*int64(size)); err != nil {
		return err
	}
	start := v.next
	readErr := v.overlay(first, count, chunk)
	if v.next == start && readErr == nil {
		return nil
	}
	restarted, err := v.restarted()
	if err != nil || !restarted {
		return errors.Join(readErr, err)
	}
	v.frames, v.next = nil, 0
	return v.conn.handle.ReadFile(chunk, int64(first-1)*int64(size))
}

// overlay replaces the pages of a chunk that the WAL has newer.
func (v *view) overlay(first, count uint32, chunk []byte) error {
	size := v.db.pageSize
	for ; v.next < len(v.frames); v.next++ {
		page, frame := uint32(v.frames[v.next]>>32), uint32(v.frames[v.next])
		if page >= first+count {
			break
		}
		offset := int(page-first) * size
		err := wal.ReadFrameData(v.db.walFile, frame, size, chunk[offset:offset+size])
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *view) close() error {
	return errors.Join(v.conn.endRead(), v.conn.close())
}

// spec describes a snapshot of the view. follows is the last saved position, which it
// continues in the chain of logs.
func (v *view) spec(follows translog.Position) translog.Spec {
	return translog.Spec{
		First: 1, Last: v.at.position, Follows: follows, PageSize: v.db.pageSize,
		Commit: v.pages, Timestamp: time.Now(), NodeID: v.db.history(),
	}
}
