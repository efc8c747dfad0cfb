package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// keys lists the chain's keys in ascending order, and the floor that they begin at: then
// key 1 is that of the base. Files with other names are none of ours.
func (d *Directory) keys() (begin floor, keys []translog.FrameNo, err error) {
	// The floor is read behind the listing: records of the listing that it leaves out may be
	// gone, those that it leaves in were there.
	names, err := listNames(d.folder(chainFolder))
	if err != nil {
		return 0, nil, err
	}
	if begin, err = d.readFloor(); err != nil {
		return 0, nil, err
	}
	if begin > 0 {
		keys = append(keys, 1)
	}
	for _, key := range sortedKeys(names) {
		if floor(key) >= begin {
			keys = append(keys, key)
		}
	}
	return begin, keys, nil
}

// sortedKeys are the keys among names.
func sortedKeys(names []string) []translog.FrameNo {
	keys := make([]translog.FrameNo, 0, len(names))
	for _, name := range names {
		if key, ok := parseKey(name); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// durableKeys lists the chain's keys, of which none goes with a power cut: the folder is
// synced behind the listing, for the creator of a record may have died before its own sync.
func (d *Directory) durableKeys() (begin floor, keys []translog.FrameNo, err error) {
	begin, keys, err = d.keys()
	if err != nil {
		return 0, nil, err
	}
	return begin, keys, d.syncChain()
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

// openRecord opens the log under a key of a chain that begins at a floor, and checks that it
// can stand there.
func (d *Directory) openRecord(begin floor, key translog.FrameNo) (*translog.Log, error) {
	path := d.pathOf(begin, key)
	log, err := translog.OpenLog(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: record %s: %w", path, err)
	}
	misfit := log.Last() < key || !log.IsSnapshot() && log.First() != key
	if begin > 0 && key == 1 {
		misfit = misfit || floor(log.Last()+1) != begin
	}
	if misfit {
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
	begin     floor
	listed    []translog.FrameNo // keys not yet passed
	end       translog.Position  // of the record before
	first     bool               // no record was read yet
}

func (d *Directory) newWalk(after translog.FrameNo) (*walk, error) {
	begin, keys, err := d.durableKeys()
	if err != nil {
		return nil, err
	}
	w := &walk{directory: d, begin: begin, listed: keys, first: true}
	// The greatest position has none after it: after+1 would be 0.
	index := max(0, lastKeyUpTo(keys, max(after, after+1)))
	if index == 0 {
		return w, nil
	}
	// Start one record early, which gives the first one its predecessor's checksum. The base
	// is where every chain with a floor starts.
	if w.listed = keys[index-1:]; index == 1 {
		return w, nil
	}
	w.end.FrameNo = w.listed[0] - 1
	return w, nil
}

// next reads one record. It reports false behind the chain's end.
func (w *walk) next() (Record, bool, error) {
	key := w.end.FrameNo + 1
	if key == 0 {
		return Record{}, false, nil // behind the greatest position there is nothing
	}
	log, err := w.directory.openRecord(w.begin, key)
	if err == nil && len(w.listed) == 0 { // saved since the listing, and its sync
		if syncErr := w.directory.syncChain(); syncErr != nil {
			return Record{}, false, errors.Join(syncErr, log.Close())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		// The list was made before, and records are only added at the end: a later key on
		// it proves that this one was there.
		if len(w.listed) > 0 {
			return Record{}, false, w.missing(w.listed[len(w.listed)-1])
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
			w.directory.pathOf(w.begin, key), err)
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
		Size: log.Size(), Timestamp: log.Timestamp(), NodeID: log.NodeID(),
	}, nil
}

// missing names the record that should come next, when a later one is there.
func (w *walk) missing(later translog.FrameNo) error {
	key := w.end.FrameNo + 1
	if pruned, err := w.directory.isPruned(w.begin, key); pruned || err != nil {
		return cmp.Or(err, ErrPruned)
	}
	return fmt.Errorf("checkpoint: record %s is missing: %w", w.directory.pathOf(w.begin, key),
		gap(w.end, translog.Position{FrameNo: later - 1}, nil))
}

// isPruned reports whether a record was pruned since the floor was read.
func (d *Directory) isPruned(begin floor, key translog.FrameNo) (bool, error) {
	now, err := d.readFloor()
	return now > begin && floor(key) < now, err
}

// gap says that a chain ends at have and that log, or a record not looked at, continues
// want.
func gap(have, want translog.Position, log *translog.Log) *translog.GapError {
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
	begin, err := d.readFloor()
	if err != nil {
		return nil, err
	}
	// The base has key 1: of the others those below the floor are gone, or about to be.
	isBase := record.key() == 1 && floor(record.Last+1) == begin
	if floor(record.key()) < begin && !isBase {
		return nil, fmt.Errorf("%w: %w", ErrPruned, fs.ErrNotExist)
	}
	path := d.pathOf(begin, record.key())
	log, err := d.openRecord(begin, record.key())
	if errors.Is(err, fs.ErrNotExist) {
		if pruned, floorErr := d.isPruned(begin, record.key()); pruned || floorErr != nil {
			return nil, fmt.Errorf("%w: %w", cmp.Or(floorErr, ErrPruned), err)
		}
	}
	if err != nil {
		return nil, err
	}
	if log.First() != record.First || log.End() != record.End {
		wrong := &translog.FormatError{
			Field: "log of the record", Got: log.End(), Want: record.End,
		}
		return nil, errors.Join(
			fmt.Errorf("checkpoint: record %s: %w", path, wrong), log.Close())
	}
	return log.WithFollows(record.Follows), nil
}
