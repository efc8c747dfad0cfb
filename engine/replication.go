//go:build cgo

package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// replication is what brings a replica to another position: some pages, verified.
type replication struct {
	end      translog.Position
	pageSize int
	commit   uint32              // size of the database at the end, in pages
	snapshot bool                // it has every page
	heals    bool                // it makes a replica that has diverged what it says
	pages    []uint32            // in ascending order
	sums     []translog.Checksum // of pages
	images   []byte              // of pages; nil when they are too large to keep
	log      *translog.Log       // where the pages come from then
}

// replicationKeepBytes is what a replica keeps of page images between two logs, so that a
// stream of logs of ordinary size makes no garbage.
const replicationKeepBytes = 4 << 20

// readReplication reads a log to its verified end, and works out the checksum of the
// database that it leads to.
func (db *DB) readReplication(ctx context.Context, log *translog.Log) (*replication, error) {
	r := &replication{
		end: log.End(), pageSize: log.PageSize(), commit: log.Commit(),
		snapshot: log.IsSnapshot(), heals: log.IsSnapshot(), log: log,
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
	if cap(images) <= replicationKeepBytes {
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

// each calls visit for every page with its index in r.pages: from memory, or from the log,
// whose second reading must give what the first one gave.
func (r *replication) each(ctx context.Context, visit func(i int, image []byte) error) error {
	if r.images != nil {
		for i := range r.pages {
			if err := visit(i, r.images[i*r.pageSize:(i+1)*r.pageSize]); err != nil {
				return err
			}
		}
		return nil
	}
	i := 0
	for page, err := range r.log.Pages() {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if i == len(r.pages) || uint32(page.No) != r.pages[i] ||
			translog.PageSum(page.No, page.Data) != r.sums[i] {
			return &translog.FormatError{Field: "log", Got: "another content than before"}
		}
		if err := visit(i, page.Data); err != nil {
			return err
		}
		i++
	}
	if i < len(r.pages) {
		return &translog.FormatError{Field: "log", Got: "fewer pages than before"}
	}
	return nil
}

// checkReplicaGrowth refuses a log without some page that the database grows by.
func (db *DB) checkReplicaGrowth(r *replication) error {
	descending := func(yield func(uint32) bool) {
		for _, page := range slices.Backward(r.pages) {
			if !yield(page) {
				return
			}
		}
	}
	if missing := db.missingGrowth(r.commit, descending); missing > 0 {
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
