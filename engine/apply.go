//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// A replica applies a log by appending its pages to the WAL as one transaction, past
// SQLite and under its write lock, and publishing them in the wal-index. Readers see a
// commit like any other. https://www.sqlite.org/walformat.html
//
// The order of the steps is what makes a crash harmless:
//
//  1. BEGIN IMMEDIATE; the header must be the one that was published last.
//  2. Frames, all but the last few.
//  3. Entries in the wal-index, which nobody looks at yet.
//  4. The intent in the state file: from where to where, and which frame will be the last.
//  5. The rest of the frames. The last one carries the commit mark: from here on a recovery
//     publishes the log. So every check comes before.
//  6. The wal-index header. Readers see the log.
//  7. COMMIT, which lets the write lock go.
func (db *DB) apply(ctx context.Context, r *replication) error {
	if err := db.preparePageSize(r.pageSize); err != nil {
		return err
	}
	if err := db.writer.beginWrite(ctx, foreignWriterWait); err != nil {
		return err
	}
	next, err := db.writeFrames(ctx, r)
	if err != nil {
		db.dropIntent()
		return errors.Join(err, db.writer.exec("ROLLBACK"))
	}
	publishErr := db.publish(r, next)
	crashpoint.Reach(crashpoint.ApplyPublished)
	if err := db.writer.exec("COMMIT"); err != nil {
		publishErr = errors.Join(publishErr, db.reopenWriter())
	}
	crashpoint.Reach(crashpoint.ApplyCommitted)
	return publishErr
}

// preparePageSize empties the WAL for a snapshot that brings another page size: all frames
// of a WAL have one size. The replica is empty or has diverged, so that nothing in the file
// needs to be noted.
func (db *DB) preparePageSize(pageSize int) error {
	if pageSize == db.pageSize {
		return nil
	}
	complete, err := db.emptyWAL()
	if err == nil && !complete {
		err = busyError()
	}
	return err
}

// walFramesMax bounds the WAL of a replica, whose wal-index has 8 bytes for each frame.
const walFramesMax = 1 << 31

// writeFrames appends the log to the WAL, its commit mark included. After an error there
// is no commit.
func (db *DB) writeFrames(ctx context.Context, r *replication) (sqlite.State, error) {
	_, state, err := db.observeIndex()
	if err != nil {
		return state, err
	}
	if db.isDiverged() && !r.heals {
		return state, ErrDiverged
	}
	if uint64(state.MaxFrame)+uint64(len(r.pages)) > walFramesMax {
		return state, fmt.Errorf("engine: WAL of %d frames cannot take %d more",
			state.MaxFrame, len(r.pages))
	}
	f, err := db.newFrameWriter(state, r.pageSize)
	if err != nil {
		return state, err
	}
	if err := f.writeAll(ctx, r); err != nil {
		return state, err
	}
	crashpoint.Reach(crashpoint.ApplyWritten)
	if err := db.writer.handle.AppendIndex(state.MaxFrame, r.pages); err != nil {
		return state, err
	}
	crashpoint.Reach(crashpoint.ApplyIndexed)
	next := f.next(state, r.commit)
	if err := db.writeIntent(next, r.end); err != nil {
		return state, err
	}
	crashpoint.Reach(crashpoint.ApplyIntended)
	if err := ctx.Err(); err != nil {
		return state, err
	}
	err = f.flush()
	crashpoint.Reach(crashpoint.ApplyMarked)
	return next, err
}

// writeIntent notes which frame will end which position, so that whoever finds the frame
// after a crash knows. It does not fsync: a killed process leaves it to the system, and a
// power cut that takes it makes the replica read its own content (see resumeReplica).
func (db *DB) writeIntent(next sqlite.State, to translog.Position) error {
	db.mu.Lock()
	db.intent = &anchor{Position: to.FrameNo, Content: to.Checksum, Salt: next.Salt,
		Frame: next.MaxFrame, Checksum: next.Checksum}
	db.mu.Unlock()
	return db.writeRecord(false)
}

func (db *DB) dropIntent() {
	db.mu.Lock()
	db.intent = nil
	db.mu.Unlock()
}

// publish makes the log visible and moves the position, at once for everybody who looks at
// either.
func (db *DB) publish(r *replication, next sqlite.State) error {
	end := r.end
	db.enterSums(r)
	db.mu.Lock()
	change, err := db.writer.handle.Publish(next)
	if err != nil {
		defer db.mu.Unlock()
		return db.poisonLocked(err) // the commit is in the WAL, and readers do not see it
	}
	if db.pageSize != next.PageSize {
		db.pageSize = next.PageSize // of an empty replica, of which nobody reads pages
	}
	db.published, db.diverged, db.intent = change, false, nil
	db.last = point{
		generation: generation{base: end.FrameNo, after: next.MaxFrame, salt: next.Salt},
		position:   end.FrameNo, frame: next.MaxFrame, checksum: next.Checksum,
		pages: next.PageCount,
	}
	db.saved = end
	db.committed.Store(uint64(end.FrameNo))
	fireAll(db.positionWaiters.take(end.FrameNo), nil) // they only send to a channel
	db.mu.Unlock()
	db.sealer.end = end
	return nil
}

// enterSums takes over the sums of a log's pages.
func (db *DB) enterSums(r *replication) {
	known := &db.sealer.sums
	if r.snapshot {
		*known = sums{}
	}
	known.resize(max(known.pages(), r.commit))
	for i, page := range r.pages {
		known.set(translog.PageNo(page), r.sums[i])
	}
	known.resize(r.commit)
}

// reopenWriter replaces the writer after a COMMIT that failed: its page cache is stale.
func (db *DB) reopenWriter() error {
	_ = db.writer.close()
	writer, err := openConnection(db.path)
	if err != nil {
		return db.fail(fmt.Errorf("%w: reopen the writer: %w", ErrPoisoned, err))
	}
	db.writer = writer
	return nil
}
