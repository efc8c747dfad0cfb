package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// Save makes log the next record, as [Store] says. It writes the log once and syncs one
// file and one folder.
//
// When the context ends, the disk is full or anything else fails before the record
// exists, nothing is left behind. When the record exists but a further name could not be
// given to it, Save fails although the log is part of the chain, and the repeated Save
// adds the names; [ErrClash] says that a foreign file is in the way.
//
// A log without checksums, whose end is smaller than its key, or that does not begin
// where it says that it continues, is refused with a [*translog.FormatError] or
// [*translog.GapError].
func (d *Directory) Save(ctx context.Context, log *translog.Log) error {
	key := log.Follows().FrameNo + 1
	if err := errors.Join(ctx.Err(), fitsPlace(log)); err != nil {
		return fmt.Errorf("checkpoint: save log: %w", err)
	}
	for {
		begin, err := d.readFloor()
		if err != nil {
			return err
		}
		err = d.saveAbove(ctx, begin, key, log)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Something is missing. If the floor rose it was pruned: try again above it.
		if now, floorErr := d.readFloor(); floorErr != nil || now == begin {
			d.forgetFolders()
			return errors.Join(err, floorErr)
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.tail = tail{key: key, end: log.End()}
	return nil
}

// saveAbove is Save in a chain that begins at a floor.
func (d *Directory) saveAbove(
	ctx context.Context, begin floor, key translog.FrameNo, log *translog.Log,
) error {
	if floor(key) < begin {
		return d.takenByBase(begin)
	}
	if err := d.checkPredecessor(begin, key, log); err != nil {
		return err
	}
	if _, err := os.Lstat(d.recordPath(key)); err == nil {
		return d.settle(key, log) // Spares writing a log that cannot become the record.
	}
	for _, name := range []string{chainFolder, logFolder, temporaryFolder} {
		if err := d.ensureFolder(name); err != nil {
			return err
		}
	}
	temporary, err := d.createTemporary(key)
	if err != nil {
		return err
	}
	defer d.discard(temporary)
	return d.publish(ctx, key, log, temporary)
}

// publish turns a new file into the record. The order of its steps is the whole promise
// of Save.
func (d *Directory) publish(
	ctx context.Context, key translog.FrameNo, log *translog.Log, temporary *os.File,
) error {
	record := d.recordPath(key)

	// The content goes to a file that nobody looks for, so a torn one is never met.
	if err := d.write(ctx, temporary, log); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.StoreSynced)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("checkpoint: save log: %w", err)
	}
	// The decision: exactly one creator of this name succeeds. A rename would replace the
	// loser's or the winner's file in silence.
	err := d.calls.link(temporary.Name(), record)
	if errors.Is(err, fs.ErrExist) {
		return d.settle(key, log)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: create record: %w", err)
	}
	crashpoint.Reach(crashpoint.StoreLinked)
	// The record's name must survive a power cut: from here on the log is saved.
	if err := d.syncChain(); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.StoreChained)
	// Unless the place was free because its record had been pruned. A floor that is raised
	// after this look finds the record as part of the chain.
	begin, err := d.readFloor()
	if err != nil {
		return err
	}
	if floor(key) < begin {
		_ = d.calls.remove(record) // it counts for nobody, and the next Prune removes it, too
		return d.takenByBase(begin)
	}
	// Only after that: Litestream must not restore a log that the chain may lose again.
	if err := d.completeNames(record, log); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.StoreNamed)
	return nil
}

// write fills a new file with a log and syncs it.
func (d *Directory) write(ctx context.Context, file *os.File, log *translog.Log) error {
	written, err := d.calls.write(file, cancellable{ctx, log})
	if err != nil {
		return fmt.Errorf("checkpoint: write log: %w", err)
	}
	if written != log.Size() {
		return fmt.Errorf("checkpoint: write log: %w", io.ErrShortWrite)
	}
	// Before the sync, so that the time is durable with the content; all names share it.
	if err := os.Chtimes(file.Name(), log.Timestamp(), log.Timestamp()); err != nil {
		return fmt.Errorf("checkpoint: set time of log: %w", err)
	}
	crashpoint.Reach(crashpoint.StoreWritten)
	// Before the link: a record must never be there without its content. After a failed
	// sync the kernel may have dropped the pages, so the file is thrown away and never
	// synced again.
	if err := d.calls.syncFile(file); err != nil {
		return fmt.Errorf("checkpoint: sync log: %w", err)
	}
	return nil
}

// takenByBase says that a place was pruned: the history went on from there long ago.
func (d *Directory) takenByBase(begin floor) error {
	base, err := d.openRecord(begin, 1)
	if err != nil {
		return err
	}
	defer func() { _ = base.Close() }()
	if err := base.Verify(); err != nil {
		return fmt.Errorf("checkpoint: record %s: %w", d.pathOf(begin, 1), err)
	}
	return d.taken(d.pathOf(begin, 1), 1, base)
}

// settle decides what an existing record means for the log that wanted its place.
func (d *Directory) settle(key translog.FrameNo, log *translog.Log) error {
	existing, err := d.openRecord(0, key)
	if err != nil {
		return err
	}
	defer func() { _ = existing.Close() }()
	// Damage must not pass for a stranger's log, nor for our own.
	if err := existing.Verify(); err != nil {
		return fmt.Errorf("checkpoint: record %s: %w", d.recordPath(key), err)
	}
	// Its creator may have died before this step, and both answers rely on the record.
	if err := d.syncChain(); err != nil {
		return err
	}
	same, err := samePages(existing, log)
	if err != nil {
		return fmt.Errorf("checkpoint: save log: %w", err)
	}
	if !same {
		return d.taken(d.recordPath(key), key, existing)
	}
	return d.completeNames(d.recordPath(key), existing)
}

func (d *Directory) taken(path string, key translog.FrameNo, existing *translog.Log) error {
	return fmt.Errorf("checkpoint: record %s: %w", path, &translog.TakenError{
		At: key, First: existing.First(), Last: existing.Last(), End: existing.End(),
		NodeID: existing.NodeID(),
	})
}

// fitsPlace checks the log against the place that it names itself.
func fitsPlace(log *translog.Log) error {
	follows := log.Follows()
	if log.End().Checksum == 0 {
		return &translog.FormatError{
			Field: "post-apply checksum", Got: "none", Want: "a checksum, which tells forks apart",
		}
	}
	if log.Last() <= follows.FrameNo {
		return &translog.FormatError{
			Field: "last position", Got: log.Last(), Want: "one after " + follows.String(),
		}
	}
	if log.IsSnapshot() {
		return nil
	}
	if log.First() != follows.FrameNo+1 {
		return gap(follows, log.Start(), log)
	}
	_, err := translog.CheckChain(follows, log)
	return err
}

// checkPredecessor makes sure that the record exists which the log continues: a record
// behind a gap could never be restored, so it must not be confirmed. The check can be
// made ahead of the creation, because a record never changes.
func (d *Directory) checkPredecessor(
	begin floor, key translog.FrameNo, log *translog.Log,
) error {
	if key == 1 {
		return nil
	}
	at, before, err := d.openPredecessor(&begin, log.Follows().FrameNo)
	if err != nil {
		return err
	}
	if before == nil {
		return fmt.Errorf("checkpoint: save log: %w",
			gap(translog.Position{}, log.Follows(), log))
	}
	defer func() { _ = before.Close() }()
	return d.continues(d.pathOf(begin, at), at, before, log)
}

// openPredecessor opens the record that contains a position, or the last one before it: nil
// when there is none. The one that was saved last is tried without a listing.
// A listing brings its own floor.
func (d *Directory) openPredecessor(begin *floor, position translog.FrameNo) (
	key translog.FrameNo, log *translog.Log, err error,
) {
	d.mutex.Lock()
	known := d.tail
	d.mutex.Unlock()
	if known.end.FrameNo == position {
		before, err := d.openRecord(*begin, known.key)
		if err == nil && before.Last() == position {
			return known.key, before, nil
		}
		if err == nil {
			_ = before.Close()
		}
	}
	var keys []translog.FrameNo
	if *begin, keys, err = d.keys(); err != nil {
		return 0, nil, err
	}
	index := lastKeyUpTo(keys, position)
	if index < 0 {
		return 0, nil, nil
	}
	log, err = d.openRecord(*begin, keys[index])
	return keys[index], log, err
}

// continues decides whether a log continues the record before it, which is under a key.
func (d *Directory) continues(
	path string, key translog.FrameNo, before, log *translog.Log,
) error {
	follows := log.Follows()
	switch {
	case before.Last() < follows.FrameNo:
		wrong := gap(before.End(), follows, log)
		wrong.NodeID = before.NodeID()
		return fmt.Errorf("checkpoint: save log: %w", wrong)
	case before.End() != follows:
		// Another history passed through this position. Damage must not pass for one, and
		// who is told so relies on the record.
		if err := before.Verify(); err != nil {
			return fmt.Errorf("checkpoint: record before %s: %w", log.Name(), err)
		}
		if err := d.syncChain(); err != nil {
			return err
		}
		return d.taken(path, key, before)
	case before.PageSize() != log.PageSize() && !log.IsSnapshot():
		return fmt.Errorf("checkpoint: save log: %w", &translog.FormatError{
			Field: "page size", Got: log.PageSize(), Want: before.PageSize(),
		})
	}
	return nil
}

// cancellable writes a log and stops between two writes when the context has ended.
type cancellable struct {
	ctx context.Context
	log *translog.Log
}

// WriteTo implements [io.WriterTo].
func (c cancellable) WriteTo(w io.Writer) (int64, error) {
	return c.log.WriteTo(writerFunc(func(content []byte) (int, error) {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		return w.Write(content)
	}))
}

type writerFunc func([]byte) (int, error)

// Write implements [io.Writer].
func (f writerFunc) Write(content []byte) (int, error) { return f(content) }
