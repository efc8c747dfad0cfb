//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// sealer reads commits out of the WAL into logs. It belongs to whoever holds DB.sealing.
type sealer struct {
	// begun is false while no log has to be continued: nothing was ever saved, or the
	// history starts over. Nothing is sealed then, and the next log is a snapshot.
	begun   bool
	tail    bool              // the WAL holds commits from before the open: see sealTail
	end     translog.Position // last sealed position
	salt    [2]uint32         // of the WAL that cursor points into
	cursor  wal.Cursor        // last sealed frame
	sums    sums              // of the pages at end
	pending []pendingLog      // sealed and not saved, oldest first
	// offering is the end of the log that is on its way through save, 0 for none.
	offering translog.FrameNo
	keys     []uint64 // reused: page number and frame of what is being sealed
	images   []byte   // reused: the pages of one seal, as long as it is small
	page     []byte   // reused: a page of the database file
	frames   []byte   // reused: encoded frames that a replica writes at once
}

// pendingLog is a sealed log that is not saved. outbox is its file there, empty while it
// is only in memory or in an unlinked file.
type pendingLog struct {
	log    *translog.Log
	outbox string
}

const (
	// sealImageBytes bounds the page images that one seal keeps while it sorts them. A
	// larger one reads the newest image of each page a second time.
	sealImageBytes = 24 << 20
	// sealKeepBytes is what the sealer keeps between two seals.
	sealKeepBytes = 1 << 20
)

// errHole is the reason to start over: SQLite grew the file by a page that it did not
// write, so what the page holds is not known from the WAL.
var errHole = errors.New("engine: file grew by a page that is not in the WAL")

// seal reads everything between the last sealed position and to into one more pending
// log. When that cannot be done in a way that is surely right, the history starts over
// with a snapshot, and a warning says why.
func (db *DB) seal(ctx context.Context, to point) error {
	s := &db.sealer
	if !s.begun && !s.tail || to.position <= s.end.FrameNo {
		return nil
	}
	if err := db.checkWAL(); err != nil {
		return db.fail(err)
	}
	var err error
	if s.tail {
		err = db.sealTail(ctx)
	}
	if err == nil && s.begun && to.position > s.end.FrameNo {
		err = db.sealFrames(ctx, to)
	}
	if errors.Is(err, errHole) || errors.Is(err, wal.ErrChecksum) || errors.Is(err, wal.ErrFormat) {
		db.log.Warn("history starts over with a snapshot", "path", db.path, "reason", err)
		db.startOver()
		return nil
	}
	return err
}

// startOver drops what is pending: the next log is a snapshot that continues the last
// saved position.
func (db *DB) startOver() {
	s := &db.sealer
	db.dropPending(^translog.FrameNo(0))
	s.begun, s.tail = false, false
	s.sums = sums{}
	s.images, s.keys = nil, nil
}

// checkWAL returns ErrReplaced when the WAL that SQLite writes is not the file that the
// engine reads.
func (db *DB) checkWAL() error {
	opened, err := db.walFile.Stat()
	if err != nil {
		return fmt.Errorf("engine: WAL: %w", err)
	}
	named, err := os.Stat(db.path + "-wal")
	if err != nil || !os.SameFile(opened, named) {
		return fmt.Errorf("%w: %s-wal", ErrReplaced, db.path)
	}
	return nil
}

// sealFrames seals the frames after the last sealed one up to a committed position.
func (db *DB) sealFrames(ctx context.Context, to point) error {
	s := &db.sealer
	header, err := db.walHeader(to.salt)
	if err != nil {
		return err
	}
	cursor := s.cursor
	if s.salt != to.salt || cursor.Frame == 0 {
		// From the first frame on, whose checksum continues that of the file's header.
		// The wal-index has the one of the WAL before until the first commit.
		if frame, ok := to.frameOf(s.end.FrameNo); !ok || frame != 0 {
			return fmt.Errorf("%w: WAL restarted, sealed up to %d", errHole, s.end.FrameNo)
		}
		cursor = wal.Cursor{Checksum: header.Checksum}
	}
	frames, err := db.collect(ctx, header, cursor, to.frame)
	if err != nil {
		return err
	}
	if frames.end.Checksum != wal.Checksum(to.checksum) {
		return fmt.Errorf("%w: frame %d differs from the wal-index", wal.ErrChecksum, to.frame)
	}
	log, err := db.encode(ctx, to.position, frames)
	if err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.SealEncoded)
	s.pending = append(s.pending, pendingLog{log: log})
	s.end, s.salt, s.cursor = log.End(), to.salt, frames.end
	s.sums.resize(frames.commit)
	s.trim()
	return nil
}

// trim lets go of the memory of a large seal.
func (s *sealer) trim() {
	if cap(s.images) > sealKeepBytes {
		s.images, s.keys = nil, nil
	}
}

// walHeader reads the header of the WAL file, which must carry the given salt.
func (db *DB) walHeader(salt [2]uint32) (wal.Header, error) {
	var buffer [wal.HeaderSize]byte
	if _, err := db.walFile.ReadAt(buffer[:], 0); err != nil {
		return wal.Header{}, fmt.Errorf("engine: read WAL: %w", err)
	}
	header, err := wal.ParseHeader(buffer[:])
	if err != nil {
		return header, fmt.Errorf("engine: read WAL: %w", err)
	}
	if header.Salt != wal.Salt(salt) {
		return header, fmt.Errorf("%w: WAL file and wal-index have different salts", wal.ErrFormat)
	}
	return header, nil
}

// stretch is what some consecutive frames of the WAL hold: the newest frame of each page,
// in the order of the pages. It shares the sealer's memory until the next collect.
type stretch struct {
	keys   []uint64 // page number in the upper half, frame in the lower
	first  uint32   // first frame of the stretch
	images []byte   // of all frames from first on; nil when the stretch is too long
	commit uint32   // database size in pages at the end
	end    wal.Cursor
}

// collect reads frames once, checks them, and sorts them by page.
func (db *DB) collect(ctx context.Context, header wal.Header, after wal.Cursor, last uint32) (
	stretch, error,
) {
	s := &db.sealer
	count := int(last - after.Frame)
	keep := count*db.pageSize <= sealImageBytes
	s.keys, s.images = s.keys[:0], s.images[:0]
	if keep {
		s.images = slices.Grow(s.images, count*db.pageSize)
	}
	s.keys = slices.Grow(s.keys, count)
	result := stretch{first: after.Frame + 1}
	reader := wal.NewReader(db.walFile, header, after)
	reader.Limit(last)
	for {
		frame, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return result, fmt.Errorf("engine: seal: %w", err)
		}
		s.keys = append(s.keys, uint64(frame.PageNo)<<32|uint64(frame.Index))
		if keep {
			s.images = append(s.images, frame.Data...)
		}
		result.commit = frame.Commit
	}
	result.end = reader.Cursor()
	if result.end.Frame != last || result.commit == 0 {
		return result, fmt.Errorf("%w: frame %d does not end a commit", wal.ErrFormat, last)
	}
	result.keys = translog.NewestFrames(s.keys, result.commit)
	if keep {
		result.images = s.images
	}
	return result, nil
}

// encode makes a log of collected frames and carries the checksum of the whole database
// from the sealed position to the new one.
func (db *DB) encode(ctx context.Context, last translog.FrameNo, f stretch) (
	*translog.Log, error,
) {
	s := &db.sealer
	if err := db.checkGrowth(f); err != nil {
		return nil, err
	}
	builder, err := translog.NewBuilder(db.nextSpec(last, f.commit), db.buildOptions())
	if err != nil {
		return nil, err
	}
	total, fresh, err := db.encodePages(ctx, builder, f)
	if err != nil {
		builder.Abort()
		return nil, err
	}
	log, err := builder.Finish(total)
	if err != nil {
		return nil, err
	}
	s.sums.resize(max(s.sums.pages(), f.commit))
	for i, key := range f.keys {
		s.sums.set(translog.PageNo(key>>32), fresh[i])
	}
	return log, nil
}

// nextSpec describes the log from the sealed position to last.
func (db *DB) nextSpec(last translog.FrameNo, commit uint32) translog.Spec {
	end := db.sealer.end
	return translog.Spec{
		First: end.FrameNo + 1, Last: last, Follows: end, PageSize: db.pageSize,
		Commit: commit, Timestamp: time.Now(), PreApply: end.Checksum, NodeID: db.history(),
	}
}

// buildOptions keep large logs in the sidecar, on the database's own file system.
func (db *DB) buildOptions() translog.BuildOptions {
	return translog.BuildOptions{Dir: db.sidecar.folder}
}

// imageOf is the image of a frame of a stretch: kept, or read into a buffer.
func (db *DB) imageOf(f stretch, frame uint32, buffer []byte) ([]byte, error) {
	if f.images == nil {
		return buffer, wal.ReadFrameData(db.walFile, frame, db.pageSize, buffer)
	}
	start := int(frame-f.first) * db.pageSize
	return f.images[start : start+db.pageSize], nil
}

// encodePages writes the pages, and returns the checksum of the whole database after them
// with the sum of each. Pages that the database shrank by leave its checksum.
func (db *DB) encodePages(ctx context.Context, builder *translog.Builder, f stretch) (
	total translog.Checksum, fresh []translog.Checksum, err error,
) {
	total = db.sealer.end.Checksum
	fresh = make([]translog.Checksum, 0, len(f.keys))
	buffer := make([]byte, db.pageSize)
	for _, key := range f.keys {
		page, frame := translog.PageNo(key>>32), uint32(key)
		data, err := db.imageOf(f, frame, buffer)
		if err != nil {
			return 0, nil, err
		}
		before, err := db.sumBefore(page)
		if err != nil {
			return 0, nil, err
		}
		after := translog.PageSum(page, data)
		total = total.Replace(before, after)
		fresh = append(fresh, after)
		if err := builder.WritePage(page, data); err != nil {
			return 0, nil, err
		}
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
	}
	removed, err := db.sumOfCutPages(f.commit)
	return total.Replace(removed, 0), fresh, err
}

// sumBefore is the sum that a page has at the sealed position, 0 past its size.
func (db *DB) sumBefore(page translog.PageNo) (translog.Checksum, error) {
	s := &db.sealer
	return s.sums.at(page, func(page translog.PageNo) ([]byte, error) {
		if len(s.page) != db.pageSize {
			s.page = make([]byte, db.pageSize)
		}
		return s.page, db.readPage(page, s.page)
	})
}

// sumOfCutPages is the sum of all pages at the sealed position that a smaller size leaves
// out.
func (db *DB) sumOfCutPages(commit uint32) (removed translog.Checksum, err error) {
	lockPage := translog.LockPage(db.pageSize)
	for page := uint64(commit) + 1; page <= uint64(db.sealer.sums.pages()); page++ {
		if translog.PageNo(page) == lockPage {
			continue
		}
		before, err := db.sumBefore(translog.PageNo(page))
		if err != nil {
			return 0, err
		}
		removed ^= before
	}
	return removed, nil
}

// checkGrowth returns errHole when a page past the old size is not in the log.
func (db *DB) checkGrowth(f stretch) error {
	descending := func(yield func(uint32) bool) {
		for _, key := range slices.Backward(f.keys) {
			if !yield(uint32(key >> 32)) {
				return
			}
		}
	}
	if db.missingGrowth(f.commit, descending) > 0 {
		return errHole
	}
	return nil
}

// missingGrowth is how many of the pages that the database grows by are not among the
// written ones, which come from the last to the first. The lock page is never written.
func (db *DB) missingGrowth(after uint32, written iter.Seq[uint32]) int {
	before := db.sealer.sums.pages()
	if after <= before {
		return 0
	}
	missing := int(after - before)
	for page := range written {
		if page <= before {
			break
		}
		missing--
	}
	if lockPage := uint32(translog.LockPage(db.pageSize)); lockPage > before && lockPage <= after {
		missing--
	}
	return missing
}

// readPage reads a page from the database file alone.
func (db *DB) readPage(page translog.PageNo, into []byte) error {
	return db.guard.handle.ReadFile(into, int64(page-1)*int64(db.pageSize))
}
