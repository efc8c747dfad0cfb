package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// Prune makes one snapshot of the records that end at or before a position, as [Store] says,
// and removes them. It reads and writes as much as a Restore does. Several processes may
// prune one store, one after the other; a file system without locks is an error.
//
// After an error, or a crash, the chain is what it was or what was asked for, and what was
// not removed yet goes with the next Prune or OpenDirectory.
func (d *Directory) Prune(ctx context.Context, upTo translog.FrameNo) error {
	unlock, err := d.lockPrune(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever saved
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.removePruned(ctx); err != nil {
		return err
	}
	records, err := recordsUpTo(ctx, d, upTo)
	if err != nil || len(records) < 2 {
		return err // the chain begins with one snapshot already
	}
	if err := d.makeBase(ctx, records); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.PruneBased)
	// From here on the records below do not count, whoever may see them.
	if err := d.raiseFloor(floor(records[len(records)-1].Last + 1)); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.PruneRaised)
	return d.removePruned(ctx)
}

// recordsUpTo lists the records that end at or before a position.
func recordsUpTo(ctx context.Context, store Store, upTo translog.FrameNo) ([]Record, error) {
	var records []Record
	for record, err := range store.Records(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if record.Last > upTo {
			break
		}
		records = append(records, record)
	}
	return records, nil
}

// makeBase writes the snapshot that stands for some records, and makes it durable.
func (d *Directory) makeBase(ctx context.Context, records []Record) error {
	for _, name := range []string{snapshotFolder, temporaryFolder} {
		if err := d.ensureFolder(name); err != nil {
			return err
		}
	}
	log, err := d.mergeRecords(ctx, records)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	temporary, err := d.createTemporary(1)
	if err != nil {
		return err
	}
	defer d.discard(temporary)
	if err := d.write(ctx, temporary, log); err != nil {
		return err
	}
	base := filepath.Join(d.folder(chainFolder), floor(log.Last()+1).base())
	// One that an earlier Prune left has no floor yet, so nobody reads it.
	if err := d.calls.remove(base); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: prune: %w", err)
	}
	if err := d.calls.link(temporary.Name(), base); err != nil {
		return fmt.Errorf("checkpoint: prune: %w", err)
	}
	if err := d.syncChain(); err != nil {
		return err
	}
	return d.completeNames(base, log)
}

// mergeRecords makes one snapshot, the first of a chain, of consecutive records.
func (d *Directory) mergeRecords(ctx context.Context, records []Record) (*translog.Log, error) {
	stack := &logStack{folder: d.folder(temporaryFolder)}
	defer stack.close()
	newest := 0 // snapshot: what is before it does not matter
	for index, record := range records {
		if record.IsSnapshot() {
			newest = index
		}
	}
	for _, record := range records[newest:] {
		log, err := d.Open(ctx, record)
		if err != nil {
			return nil, err
		}
		if err := stack.push(log); err != nil {
			return nil, err
		}
	}
	merged, err := translog.Merge(d.folder(temporaryFolder), stack.logs()...)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: prune: %w", err)
	}
	if !merged.IsSnapshot() {
		wrong := gap(translog.Position{}, records[newest].Follows, merged)
		return nil, errors.Join(fmt.Errorf("checkpoint: prune: %w", wrong), merged.Close())
	}
	return merged.WithFollows(translog.Position{}), nil
}

// removePruned removes what is below the floor, oldest first: so what is left is always
// whole from some record on, for who reads it by its names alone. The caller has the prune
// lock.
func (d *Directory) removePruned(ctx context.Context) error {
	names, err := listNames(d.folder(chainFolder))
	if err != nil {
		return err
	}
	begin, err := d.readFloor()
	if err != nil {
		return err
	}
	var pruned []string
	for _, key := range sortedKeys(names) {
		if floor(key) < begin {
			pruned = append(pruned, keyName(key))
		}
	}
	// A base of an earlier floor, or of a Prune that did not get to raise it. With neither a
	// floor nor a first record it may be all that is left: it stays.
	whole := begin > 0 || slices.Contains(names, keyName(1))
	for _, name := range names {
		if isBase(name) && whole && (begin == 0 || name != begin.base()) {
			pruned = append(pruned, name)
		}
	}
	if len(pruned) == 0 {
		return nil
	}
	// Whoever raised the floor may have died before its own sync: nothing goes before that.
	if err := d.syncChain(); err != nil {
		return err
	}
	for _, name := range pruned {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("checkpoint: prune: %w", err)
		}
		err := d.removeRecord(filepath.Join(d.folder(chainFolder), name), begin)
		if err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.PruneRemoved)
	}
	return nil
}

// removeRecord removes a record, its other names first: by the record alone they are found.
// Names that the base has, too, are kept.
func (d *Directory) removeRecord(path string, begin floor) error {
	log, err := translog.OpenLog(path)
	switch {
	case err == nil:
		names := d.publicNames(log)
		_ = log.Close()
		if log.IsSnapshot() && floor(log.Last()+1) == begin {
			names = nil
		}
		for _, name := range names {
			same, err := sameLog(path, name)
			if err != nil || !same {
				continue // gone already, or not the record's
			}
			if err := d.removeName(name); err != nil {
				return err
			}
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, translog.ErrFormat):
		return fmt.Errorf("checkpoint: prune: %w", err)
	}
	return d.removeName(path)
}

func (d *Directory) removeName(path string) error {
	if err := d.calls.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: prune: %w", err)
	}
	return nil
}

// resumePrune removes what a crash left below the floor, unless somebody prunes right now.
func (d *Directory) resumePrune() error {
	unlock, err := d.tryLockPrune()
	if err != nil {
		return nil // nothing saved, a prune at work, or no locks here: no harm is done
	}
	defer unlock()
	return d.removePruned(context.Background())
}
