package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// keys lists the chain's keys in ascending order. Files with other names are none of
// ours.
func (d *Directory) keys() ([]translog.FrameNo, error) {
	names, err := listNames(d.folder(chainFolder))
	if err != nil {
		return nil, err
	}
	keys := make([]translog.FrameNo, 0, len(names))
	for _, name := range names {
		if key, ok := parseKey(name); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// durableKeys lists the chain's keys, of which none goes with a power cut: the folder is
// synced behind the listing, for the creator of a record may have died before its own sync.
func (d *Directory) durableKeys() ([]translog.FrameNo, error) {
	keys, err := d.keys()
	if err != nil {
		return nil, err
	}
	return keys, d.syncChain()
}

// lastKeyUpTo finds the record that contains a position or, when the chain ends before
// it, the last one. The index is -1 when there is none.
func lastKeyUpTo(keys []translog.FrameNo, position translog.FrameNo) int {
	index, found := slices.BinarySearch(keys, position)
	if found {
		return index
	}
	return index - 1
}

// openRecord opens the log under a key and checks that it can stand there.
func (d *Directory) openRecord(key translog.FrameNo) (*translog.Log, error) {
	path := d.recordPath(key)
	log, err := translog.OpenLog(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: record %s: %w", path, err)
	}
	if log.Last() < key || !log.IsSnapshot() && log.First() != key {
		wrong := &translog.FormatError{
			Field: "range of the record", Got: log.Name(), Want: "a log from " + keyName(key),
		}
		return nil, errors.Join(fmt.Errorf("checkpoint: record %s: %w", path, wrong), log.Close())
	}
	return log, nil
}

// Records lists the chain as [Store] says. The listing begins with what is saved when the
// iteration begins; it may include records that are saved during it.
func (d *Directory) Records(
	ctx context.Context, after translog.FrameNo,
) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		walk, err := d.newWalk(after)
		for err == nil {
			if err = ctx.Err(); err != nil {
				break
			}
			var record Record
			var more bool
			if record, more, err = walk.next(); err != nil || !more {
				break
			}
			if record.Last > after && !yield(record, nil) {
				return
			}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// walk goes from record to record. It opens the next one by its key instead of trusting
// the listing, for a listing made while others save can miss a record and show a later
// one.
type walk struct {
	directory *Directory
	listed    []translog.FrameNo // keys not yet passed
	end       translog.Position  // of the record before
	first     bool               // no record was read yet
}

func (d *Directory) newWalk(after translog.FrameNo) (*walk, error) {
	keys, err := d.durableKeys()
	if err != nil {
		return nil, err
	}
	w := &walk{directory: d, listed: keys, first: true}
	// The greatest position has none after it: after+1 would be 0.
	index := max(0, lastKeyUpTo(keys, max(after, after+1)))
	if index == 0 {
		return w, nil
	}
	// Start one record early, which gives the first one its predecessor's checksum.
	w.listed = keys[index-1:]
	w.end.FrameNo = w.listed[0] - 1
	return w, nil
}

// next reads one record. It reports false behind the chain's end.
func (w *walk) next() (Record, bool, error) {
	key := w.end.FrameNo + 1
	if key == 0 {
		return Record{}, false, nil // behind the greatest position there is nothing
	}
	log, err := w.directory.openRecord(key)
	if err == nil && len(w.listed) == 0 { // saved since the listing, and its sync
		if syncErr := w.directory.syncChain(); syncErr != nil {
			return Record{}, false, errors.Join(syncErr, log.Close())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		// The list was made before, and records are only added at the end: a later key on
		// it proves that this one was there.
		if len(w.listed) > 0 {
			return Record{}, false, w.directory.missing(w.end, w.listed[len(w.listed)-1])
		}
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	defer func() { _ = log.Close() }()
	record, err := w.recordOf(log)
	if err != nil {
		return Record{}, false, fmt.Errorf("checkpoint: record %s: %w",
			w.directory.recordPath(key), err)
	}
	w.end, w.first = record.End, false
	return record, true, nil
}

// recordOf checks that log continues the record before, and that no other record begins
// inside it.
func (w *walk) recordOf(log *translog.Log) (Record, error) {
	key := w.end.FrameNo + 1
	if !w.first || key == 1 {
		if _, err := translog.CheckChain(w.end, log); err != nil {
			return Record{}, err
		}
	}
	for len(w.listed) > 0 && w.listed[0] <= log.Last() {
		if w.listed[0] > key {
			return Record{}, &translog.FormatError{
				Field: "end of the record", Got: log.Name(),
				Want: "a log that ends before the record " + keyName(w.listed[0]),
			}
		}
		w.listed = w.listed[1:]
	}
	return Record{
		Follows: w.end, First: log.First(), Last: log.Last(), End: log.End(),
		Size: log.Size(), Timestamp: log.Timestamp(),
	}, nil
}

// missing names the record that should follow end, when a later one is there.
func (d *Directory) missing(end translog.Position, later translog.FrameNo) error {
	return fmt.Errorf("checkpoint: record %s is missing: %w", d.recordPath(end.FrameNo+1),
		gap(end, translog.Position{FrameNo: later - 1}, nil))
}

// gap says that a chain ends at have and that log, or a record not looked at, continues
// want.
func gap(have, want translog.Position, log *translog.Log) error {
	wrong := &translog.GapError{Have: have, Want: want}
	if log != nil {
		wrong.First, wrong.Last = log.First(), log.Last()
	}
	return wrong
}

// Open opens the log of a record. A file that is not the listed log any more is a
// [*translog.FormatError].
func (d *Directory) Open(ctx context.Context, record Record) (*translog.Log, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log, err := d.openRecord(record.key())
	if err != nil {
		return nil, err
	}
	if log.First() != record.First || log.End() != record.End {
		wrong := &translog.FormatError{
			Field: "log of the record", Got: log.End(), Want: record.End,
		}
		return nil, errors.Join(
			fmt.Errorf("checkpoint: record %s: %w", d.recordPath(record.key()), wrong), log.Close())
	}
	return log.WithFollows(record.Follows), nil
}
