//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// streamFillBytes is about how much of the WAL is read into the queue at once.
const streamFillBytes = 256 << 10

// fill reads transactions from the WAL into the queue, some at a time, and carries the
// checksum of the database through them. It ends the stream when that is not possible. The
// caller holds Frames.mu, which keeps the frames in the WAL: no reset takes place before
// they were handed over.
func (f *Frames) fill() {
	to, _, err := f.db.observeIndex()
	if err == nil {
		err = f.db.usable()
	}
	if err == nil && to.position > f.end.FrameNo {
		err = f.read(to)
	}
	if err != nil {
		f.failWith(err)
	}
}

// read reads up to a committed position, or about streamFillBytes.
func (f *Frames) read(to point) error {
	header, err := f.db.walHeader(to.salt)
	if err != nil {
		return err
	}
	if f.salt != to.salt || f.cursor.Frame == 0 {
		if frame, ok := to.frameOf(f.end.FrameNo); !ok || frame != 0 {
			return fmt.Errorf("%w: at %d", ErrLagged, f.end.FrameNo)
		}
		f.salt, f.cursor = to.salt, wal.Cursor{Checksum: header.Checksum}
	}
	reader := wal.NewReader(f.db.walFile, header, f.cursor)
	reader.Limit(to.frame)
	reader.KeepData()
	for bytes := int64(0); bytes < streamFillBytes; {
		batch, err := f.readBatch(reader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.queue = append(f.queue, batch)
		f.bytes += batch.Bytes()
		bytes += batch.Bytes()
	}
	return nil
}

// readBatch reads one transaction and moves the stream's end behind it.
func (f *Frames) readBatch(reader *wal.Reader) (*translog.Batch, error) {
	batch := &translog.Batch{
		Start: f.end, PageSize: f.db.pageSize, Timestamp: time.Now(), NodeID: f.historyID,
	}
	at := f.end.FrameNo
	for {
		frame, err := reader.Next()
		if err != nil {
			return nil, err
		}
		at++
		batch.Frames = append(batch.Frames, translog.Frame{
			FrameNo: at, PageNo: translog.PageNo(frame.PageNo), Commit: frame.Commit,
			Data: frame.Data,
		})
		if frame.Commit != 0 {
			break
		}
	}
	total, err := f.advance(batch)
	if err != nil {
		return nil, err
	}
	f.end = translog.Position{FrameNo: at, Checksum: total}
	f.cursor = reader.Cursor()
	batch.End = f.end
	return batch, nil
}

// advance moves the sums behind a transaction and returns the checksum of the database
// there.
func (f *Frames) advance(batch *translog.Batch) (translog.Checksum, error) {
	total, commit := f.end.Checksum, batch.Commit()
	before := f.sums.pages()
	f.sums.resize(max(before, commit))
	for _, frame := range batch.Frames {
		if uint32(frame.PageNo) > commit {
			continue // written, and cut off by the same transaction
		}
		old, err := f.sumBefore(frame.PageNo, before)
		if err != nil {
			return 0, err
		}
		sum := translog.PageSum(frame.PageNo, frame.Data)
		total = total.Replace(old, sum)
		f.sums.set(frame.PageNo, sum)
	}
	lockPage := translog.LockPage(f.db.pageSize)
	for page := uint64(before) + 1; page <= uint64(commit); page++ {
		if f.sums.known[page-1] == 0 && translog.PageNo(page) != lockPage {
			return 0, fmt.Errorf("%w: %w", ErrLagged, errHole)
		}
	}
	for page := uint64(commit) + 1; page <= uint64(before); page++ {
		old, err := f.sumBefore(translog.PageNo(page), before)
		if err != nil {
			return 0, err
		}
		total = total.Replace(old, 0)
	}
	f.sums.resize(commit)
	return total, nil
}

// sumBefore is the sum that a page has in the stream's sums: 0 for one that was not there
// before the transaction, and is entered by it for the first time.
func (f *Frames) sumBefore(page translog.PageNo, before uint32) (translog.Checksum, error) {
	if page == translog.LockPage(f.db.pageSize) || uint32(page) > before {
		return f.sums.known[page-1], nil
	}
	return f.sums.at(page, func(page translog.PageNo) ([]byte, error) {
		if len(f.page) != f.db.pageSize {
			f.page = make([]byte, f.db.pageSize)
		}
		return f.page, f.db.readPage(page, f.page)
	})
}
