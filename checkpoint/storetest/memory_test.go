package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// objects is an imitation of object storage: names, bytes, and a PUT that fails when the name
// exists (If-None-Match: *).
type objects struct {
	mutex  sync.Mutex
	byName map[string][]byte
	logs   map[*byte]*translog.Log // what was read of contents before, to save time
}

// read makes a log of an object's content, which is not to be closed.
func (o *objects) read(content []byte) (*translog.Log, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(content) > 0 && o.logs[&content[0]] != nil {
		return o.logs[&content[0]], nil
	}
	log, err := translog.ReadLog(bytes.NewReader(content), "")
	if err != nil {
		return nil, err
	}
	o.logs[&content[0]] = log
	return log, nil
}

func (o *objects) get(name string) ([]byte, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	content, found := o.byName[name]
	if !found {
		return nil, fmt.Errorf("get %s: %w", name, fs.ErrNotExist)
	}
	return content, nil
}

func (o *objects) create(name string, content []byte) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if _, found := o.byName[name]; found {
		return fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	o.byName[name] = content
	return nil
}

func (o *objects) list() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return slices.Sorted(maps.Keys(o.byName))
}

func (o *objects) set(name string, content []byte) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.byName[name] = content
}

func (o *objects) remove(name string) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.byName, name)
}

// memory is a handle on a store in object storage, as short as one can be. Flaw says in which way
// it is broken on purpose; see flaws.
type memory struct {
	objects *objects
	flaw    string
	cached  []checkpoint.Record
	kept    map[translog.FrameNo]*translog.Log
	keeping sync.Mutex
}

var _ checkpoint.Store = (*memory)(nil)

func nameOf(key translog.FrameNo) string { return fmt.Sprintf("%016x", uint64(key)) }

// name is the object of the record that follows a position.
func (m *memory) name(follows translog.Position) string {
	key := follows.FrameNo + 1
	if m.flaw == "keeps positions in 32 bits" {
		key = translog.FrameNo(uint32(key))
	}
	return nameOf(key)
}

func (m *memory) Save(ctx context.Context, log *translog.Log) error {
	if m.flaw == "ignores ended contexts" {
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.check(ctx, log); err != nil {
		return err
	}
	var content bytes.Buffer
	if _, err := log.WriteTo(&content); err != nil && m.flaw != "keeps torn logs" {
		return err
	}
	if m.flaw == "has room for small logs only" {
		content.Truncate(min(content.Len(), 512<<10))
	}
	name := m.name(log.Follows())
	switch m.flaw {
	case "overwrites":
		m.objects.set(name, content.Bytes())
		return nil
	case "looks before it writes":
		if _, err := m.objects.get(name); err != nil {
			time.Sleep(time.Millisecond) // What a network takes between question and request.
			m.objects.set(name, content.Bytes())
			return nil
		}
	case "closes the log":
		defer func() { _ = log.Close() }()
	case "keeps the log":
		m.keeping.Lock()
		defer m.keeping.Unlock()
		m.kept[log.Follows().FrameNo+1] = log
	}
	if err := m.refusePruned(log); err != nil {
		return err
	}
	if m.flaw == "looks at the floor too early" {
		m.dawdle(log.Follows().FrameNo + 1)
	}
	err := m.objects.create(name, content.Bytes())
	switch {
	case errors.Is(err, fs.ErrExist):
		return m.settle(name, log)
	case err == nil && m.flaw != "looks at the floor too early":
		return m.refusePruned(log)
	}
	return err
}

// check refuses a log that does not continue the end of a record.
func (m *memory) check(ctx context.Context, log *translog.Log) error {
	follows := log.Follows()
	misfit := log.Last() <= follows.FrameNo ||
		!log.IsSnapshot() && (log.First() != follows.FrameNo+1 || log.Start() != follows)
	if misfit && m.flaw != "takes what fits nowhere" {
		return &translog.FormatError{Field: "follows", Got: follows}
	}
	if m.flaw == "saves behind a gap" {
		return nil
	}
	var end translog.Position
	var node uint64
	for record, err := range m.Records(ctx, 0) {
		if ctx.Err() != nil {
			return err
		}
		if errors.Is(err, checkpoint.ErrPruned) {
			return m.check(ctx, log)
		}
		// Damage is reported where it matters: as a gap, or when the place is looked at.
		if err != nil || record.Follows.FrameNo >= follows.FrameNo {
			break
		}
		if record.End.FrameNo > follows.FrameNo ||
			record.End.FrameNo == follows.FrameNo && record.End != follows {
			if m.flaw == "compares positions only" && record.End.FrameNo == follows.FrameNo {
				return nil
			}
			return &translog.TakenError{At: record.Follows.FrameNo + 1, First: record.First,
				Last: record.Last, End: record.End}
		}
		end, node = record.End, record.NodeID
	}
	if end == follows {
		return nil
	}
	gap := &translog.GapError{
		Have: end, Want: follows, First: log.First(), Last: log.Last(), NodeID: node,
	}
	if m.flaw == "swaps have and want" {
		gap.Have, gap.Want = gap.Want, gap.Have
	}
	return gap
}

// settle compares the log with the one that holds its place.
func (m *memory) settle(name string, log *translog.Log) error {
	content, err := m.objects.get(name)
	if err != nil {
		return err
	}
	if m.flaw == "trusts a damaged record" {
		return nil
	}
	existing, err := m.objects.read(content)
	if err != nil {
		return err
	}
	taken := &translog.TakenError{
		At:    log.Follows().FrameNo + 1,
		First: existing.First(), Last: existing.Last(), End: existing.End(),
		NodeID: existing.NodeID(),
	}
	same := existing.End() == log.End() && existing.First() == log.First()
	switch {
	case m.flaw == "compares bytes":
		same = bytes.Equal(content, bytesOf(log))
	case m.flaw == "refuses the repeated save":
		same = false
	case m.flaw == "names the loser":
		taken.First, taken.Last, taken.End = log.First(), log.Last(), log.End()
	}
	if same {
		return nil
	}
	return taken
}

func bytesOf(log *translog.Log) []byte {
	var content bytes.Buffer
	_, _ = log.WriteTo(&content)
	return content.Bytes()
}

func (m *memory) Records(
	ctx context.Context, after translog.FrameNo,
) iter.Seq2[checkpoint.Record, error] {
	if m.flaw == "ignores ended contexts" {
		ctx = context.WithoutCancel(ctx)
	}
	return func(yield func(checkpoint.Record, error) bool) {
		if m.flaw == "lists from memory" {
			defer m.keeping.Unlock()
			m.keeping.Lock()
			if m.cached == nil {
				m.cached, _ = m.list(ctx)
			}
			for _, record := range m.cached {
				if record.Last > after && !yield(record, nil) {
					return
				}
			}
			return
		}
		records, err := m.list(ctx)
		for _, record := range records {
			behind := record.Last > after
			if m.flaw == "begins behind the record" {
				behind = record.Follows.FrameNo >= after
			}
			if behind && !yield(record, nil) {
				return
			}
		}
		if err != nil {
			yield(checkpoint.Record{}, err)
		}
	}
}

// list walks along the chain. It looks names up instead of reading the listing in order, except
// to tell the chain's end from a gap.
func (m *memory) list(ctx context.Context) ([]checkpoint.Record, error) {
	var records []checkpoint.Record
	var end translog.Position
	begin := m.objects.floor()
	for {
		if err := ctx.Err(); err != nil {
			return records, err
		}
		name := m.nameOf(begin, end)
		content, err := m.objects.get(name)
		if errors.Is(err, fs.ErrNotExist) {
			if m.objects.floor() != begin {
				return records, checkpoint.ErrPruned
			}
			names := m.objects.list()
			if len(names) > 0 && names[len(names)-1] > name && m.flaw != "overlooks gaps" {
				// Saved since, or missing: only the second stays so.
				if _, err := m.objects.get(name); err == nil {
					continue
				}
				return records, &translog.GapError{Have: end}
			}
			return records, nil
		}
		if err != nil {
			return records, err
		}
		log, err := m.objects.read(content)
		if err != nil && m.flaw == "overlooks damage" {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		if _, err := translog.CheckChain(end, log); err != nil && m.flaw != "overlooks forks" {
			return records, err
		}
		if log.Last() <= end.FrameNo {
			return records, &translog.FormatError{Field: "end of the record", Got: log.Last()}
		}
		records = append(records, checkpoint.Record{
			Follows: end, First: log.First(), Last: log.Last(), End: log.End(),
			Size: log.Size(), Timestamp: log.Timestamp(), NodeID: log.NodeID(),
		})
		if m.flaw == "invents a time" && log.Timestamp().IsZero() {
			records[len(records)-1].Timestamp = records[0].Timestamp.AddDate(1969, 0, 0)
		}
		end = log.End()
	}
}

func (m *memory) Open(ctx context.Context, record checkpoint.Record) (*translog.Log, error) {
	if err := ctx.Err(); err != nil && m.flaw != "ignores ended contexts" {
		return nil, err
	}
	m.keeping.Lock()
	defer m.keeping.Unlock()
	if log := m.kept[record.Follows.FrameNo+1]; log != nil {
		return log.WithFollows(record.Follows), nil
	}
	begin := m.objects.floor()
	if record.Follows.FrameNo+1 < begin && record.Last+1 != begin && m.flaw != "forgets the floor" {
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrPruned, fs.ErrNotExist)
	}
	content, err := m.objects.get(m.nameOf(begin, record.Follows))
	if err != nil && m.flaw == "has its own error for what is gone" {
		return nil, errors.New("404")
	}
	if err != nil && record.Follows.FrameNo+1 < m.objects.floor() {
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrPruned, err)
	}
	if err != nil {
		return nil, err
	}
	log, err := m.objects.read(content)
	if err == nil {
		log, err = log.Clone()
	}
	if err != nil || m.flaw == "forgets what a snapshot follows" {
		return log, err
	}
	return log.WithFollows(record.Follows), nil
}

// memoryBackend is a backend for stores with that flaw, none when it is empty.
func memoryBackend(flaw string) func(t *testing.T) storetest.Backend {
	return func(*testing.T) storetest.Backend {
		shared := &objects{
			byName: make(map[string][]byte), logs: make(map[*byte]*translog.Log),
		}
		return storetest.Backend{
			Open: func(*testing.T) checkpoint.Store {
				kept := make(map[translog.FrameNo]*translog.Log)
				return &memory{objects: shared, flaw: flaw, kept: kept}
			},
			Remove: func(_ *testing.T, record checkpoint.Record) {
				shared.remove(nameOf(record.Follows.FrameNo + 1))
			},
			Replace: func(_ *testing.T, record checkpoint.Record, content []byte) {
				shared.set(nameOf(record.Follows.FrameNo+1), content)
			},
		}
	}
}
