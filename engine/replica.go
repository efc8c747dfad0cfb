//go:build cgo

package engine

import (
	"context"
	"fmt"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Replicate applies a log to a replica as one transaction, which readers see as a whole or
// not at all and are never blocked by. A log that ends at or before the replica's position
// is taken for one that it has, and changes nothing: whoever may hold another history, as a
// primary that was demoted after its replica was promoted, asks the new primary's Frames
// first, which refuses a position that it never had. A later snapshot replaces everything.
//
// The whole log is verified before anything is touched, and so is the checksum of the
// database that it leads to. Bad logs leave the replica as it was, serving its readers:
// *translog.GapError when the log begins after the next position, *translog.ChecksumError
// when it belongs to another lineage, *ForeignError when to another database,
// *translog.FormatError when it is damaged, does not track checksums, or has pages of
// another size. ErrDiverged means that somebody else wrote to the replica: only a snapshot
// is taken then. ErrRole is returned on a primary, ErrClosed and ErrPoisoned when it is
// too late, SQLite's ErrBusy while another program holds the write lock, and the context's
// error when that ends before the log was published.
//
// On return the log survives the end of the process. A power cut may take back what came
// after the last Sync, as a whole: the position tells then from where to replicate again.
// One Replicate runs at a time. The log is not closed and not kept. A large one is read
// twice; memory is 12 bytes for each of its pages, and 8 for each of the database.
func (db *DB) Replicate(ctx context.Context, log *translog.Log) error {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer db.sealing.Release(1)
	if err := db.usable(); err != nil {
		return err
	}
	if !db.replica.Load() {
		return fmt.Errorf("%w: a primary takes no logs; Demote makes it a replica", ErrRole)
	}
	if err := db.checkWAL(); err != nil {
		return db.fail(err)
	}
	if _, _, err := db.observeIndex(); err != nil {
		return err
	}
	needed, err := db.fits(log)
	if err != nil || !needed {
		return err
	}
	r, err := db.readReplication(ctx, log)
	if err != nil {
		return err
	}
	if err := db.apply(ctx, r); err != nil {
		return err
	}
	db.adoptHistory(log.NodeID())
	db.truncateIfDue()
	if r.images == nil { // too large to be taken back after a power cut
		return db.syncReplica()
	}
	return nil
}

// adoptHistory makes a replica that has none yet part of a history. The next record, of the
// next log or the close, has it.
func (db *DB) adoptHistory(id uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if id != 0 {
		db.historyID = id
	}
}

// Sync makes durable what is committed, or on a replica applied: it survives a power cut,
// after which a replica is at this position or a later one. It is what an AckReplicated
// that promises as much has to wait for. It costs an fsync, two on a replica. It returns
// ErrClosed or ErrPoisoned.
func (db *DB) Sync(ctx context.Context) error {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer db.sealing.Release(1)
	if err := db.usable(); err != nil {
		return err
	}
	if !db.replica.Load() {
		return db.syncWAL()
	}
	return db.syncReplica()
}

func (db *DB) syncReplica() error {
	if err := db.syncWAL(); err != nil {
		return err
	}
	return db.writeRecord(true)
}

// Position is the last position with the checksum of the whole database there. On a
// replica it is the end of the last log, from which a primary's Frames go on. On a primary
// it is that of the last commit, for which what is committed is sealed; the checksum is 0
// there as long as nothing was saved.
func (db *DB) Position(ctx context.Context) (translog.Position, error) {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return translog.Position{}, err
	}
	defer db.sealing.Release(1)
	if err := db.usable(); err != nil {
		return translog.Position{}, err
	}
	last, _, err := db.observeIndex()
	if err != nil || db.replica.Load() {
		return db.Saved(), err
	}
	if err := db.seal(ctx, last); err != nil {
		return translog.Position{}, err
	}
	if end := db.sealer.end; db.sealer.begun && end.FrameNo == last.position {
		return end, nil
	}
	return translog.Position{FrameNo: last.position}, nil
}

// fits compares what a log says of itself with the replica's position. It is not needed
// when the replica has it already.
func (db *DB) fits(log *translog.Log) (needed bool, err error) {
	at := db.Saved()
	if log.End().Checksum == 0 {
		return false, &translog.FormatError{Field: "post-apply checksum", Got: "none",
			Want: "a log that tracks checksums"}
	}
	if id, own := log.NodeID(), db.history(); id != 0 && own != 0 && id != own {
		return false, &ForeignError{Have: own, Got: id}
	}
	diverged := db.isDiverged()
	if diverged && !log.IsSnapshot() {
		return false, ErrDiverged
	}
	if log.Last() <= at.FrameNo && !diverged {
		_, err := translog.CheckChain(at, log)
		return false, err
	}
	if size := log.PageSize(); size != db.pageSize && !at.IsZero() {
		return false, &translog.FormatError{Field: "page size", Got: size, Want: db.pageSize}
	}
	if log.IsSnapshot() {
		return true, nil
	}
	start := log.Start()
	if start.FrameNo > at.FrameNo {
		return false, &translog.GapError{Have: at, Want: start,
			First: log.First(), Last: log.Last()}
	}
	if start.FrameNo == at.FrameNo && start.Checksum != at.Checksum {
		return false, &translog.ChecksumError{At: at.FrameNo, Got: at.Checksum,
			Want: start.Checksum}
	}
	return true, nil
}

func (db *DB) isDiverged() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.diverged
}

// followLocked takes note of what somebody else did to a replica. A checkpoint that began
// the WAL anew is fine; a commit makes the replica diverge.
func (db *DB) followLocked(s sqlite.State) {
	known := &db.last
	if s.Change != db.published {
		if !db.diverged {
			db.diverged = true
			db.log.Error("replica was written to by somebody else: it needs a snapshot",
				"path", db.path, "position", known.position)
		}
		return
	}
	if s.Salt == known.salt && s.MaxFrame == known.frame {
		return
	}
	known.generation = generation{base: known.position, after: s.MaxFrame, salt: s.Salt}
	known.frame, known.checksum, known.pages = s.MaxFrame, s.Checksum, s.PageCount
	db.resetFrame = 0
}

// replication is what brings a replica to another position: some pages, verified.
type replication struct {
	end      translog.Position
	pageSize int
	commit   uint32              // size of the database at the end, in pages
	snapshot bool                // it has every page
	pages    []uint32            // in ascending order
	sums     []translog.Checksum // of pages
	images   []byte              // of pages; nil when they are too large to keep
	log      *translog.Log       // where the pages come from then
}

// readReplication reads a log to its verified end, and works out the checksum of the
// database that it leads to.
func (db *DB) readReplication(ctx context.Context, log *translog.Log) (*replication, error) {
	r := &replication{
		end: log.End(), pageSize: log.PageSize(), commit: log.Commit(),
		snapshot: log.IsSnapshot(), log: log,
	}
	keep := true
	images := db.sealer.images[:0]
	for page, err := range log.Pages() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		r.pages = append(r.pages, uint32(page.No))
		r.sums = append(r.sums, translog.PageSum(page.No, page.Data))
		if keep = keep && len(images)+len(page.Data) <= sealImageBytes; keep {
			images = append(images, page.Data...)
		}
	}
	if len(r.pages) == 0 {
		return nil, &translog.FormatError{Field: "log", Got: "no pages", Want: "at least one"}
	}
	if keep {
		r.images = images
	}
	if cap(images) <= sealKeepBytes {
		db.sealer.images = images
	}
	if r.snapshot {
		return r, nil // its checksum is that of its own pages, which were all read
	}
	if err := db.checkReplicaGrowth(r); err != nil {
		return nil, err
	}
	return r, db.checkReplicaSum(ctx, r)
}

// checkReplicaGrowth refuses a log without some page that the database grows by.
func (db *DB) checkReplicaGrowth(r *replication) error {
	before, after := db.sealer.sums.pages(), r.commit
	if after <= before {
		return nil
	}
	missing := after - before
	for i := len(r.pages) - 1; i >= 0 && r.pages[i] > before; i-- {
		missing--
	}
	lockPage := uint32(translog.LockPage(db.pageSize))
	if lockPage > before && lockPage <= after {
		missing--
	}
	if missing > 0 {
		return &translog.FormatError{Field: "log", Got: fmt.Sprint(missing, " pages missing"),
			Want: "all pages that the database grows by"}
	}
	return nil
}

// checkReplicaSum compares the checksum that the database gets with the one that the log
// demands.
func (db *DB) checkReplicaSum(ctx context.Context, r *replication) error {
	at, want := db.Saved(), r.end
	total := at.Checksum
	if at.IsZero() {
		total = translog.EmptyChecksum
	}
	for i, page := range r.pages {
		before, err := db.sumBefore(translog.PageNo(page))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		total = total.Replace(before, r.sums[i])
	}
	removed, err := db.sumOfCutPages(r.commit)
	if err != nil {
		return err
	}
	if total = total.Replace(removed, 0); total != want.Checksum {
		return &translog.ChecksumError{At: want.FrameNo, Got: total, Want: want.Checksum}
	}
	return nil
}

// scanReplica enters the sums of all pages that are in the WAL: the database file may hold
// older ones.
func (db *DB) scanReplica(state sqlite.State) error {
	if state.MaxFrame == 0 {
		return db.sizeSums()
	}
	_, err := db.scanSealed(state, state.MaxFrame)
	return err
}
