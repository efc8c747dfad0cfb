package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

const floorPrefix = "!floor-" // sorts before every key

// floor is the key of the first record that was not pruned.
func (o *objects) floor() (highest translog.FrameNo) {
	for _, name := range o.list() {
		if text, found := strings.CutPrefix(name, floorPrefix); found {
			var key uint64
			_, _ = fmt.Sscanf(text, "%x", &key)
			highest = max(highest, translog.FrameNo(key))
		}
	}
	return highest
}

// nameOf is the object of the record that follows a position, in a chain that begins at a floor:
// the floor's own object is the snapshot that stands for what was pruned.
func (m *memory) nameOf(begin translog.FrameNo, follows translog.Position) string {
	if begin > 0 && follows.IsZero() {
		return floorPrefix + nameOf(begin)
	}
	return m.name(follows)
}

// refusePruned refuses a log whose place was pruned.
func (m *memory) refusePruned(log *translog.Log) error {
	begin := m.objects.floor()
	if log.Follows().FrameNo+1 >= begin || m.flaw == "forgets the floor" {
		return nil
	}
	content, err := m.objects.get(floorPrefix + nameOf(begin))
	if err != nil {
		return err
	}
	base, err := m.objects.read(content)
	if err != nil {
		return err
	}
	return &translog.TakenError{
		At: 1, First: 1, Last: base.Last(), End: base.End(), NodeID: base.NodeID(),
	}
}

func (m *memory) Prune(ctx context.Context, upTo translog.FrameNo) error {
	records, err := m.list(ctx)
	if err != nil {
		return err
	}
	count := 0
	for count < len(records) && (records[count].Last <= upTo ||
		m.flaw == "prunes one record too many") {
		count++
	}
	if count < 2 {
		return nil
	}
	begin := m.objects.floor()
	var logs []*translog.Log
	for _, record := range records[:count] {
		content, err := m.objects.get(m.nameOf(begin, record.Follows))
		if err != nil {
			return err
		}
		log, err := m.objects.read(content)
		if err != nil {
			return err
		}
		if log.IsSnapshot() {
			logs = logs[:0]
		}
		logs = append(logs, log)
	}
	merged, err := translog.Merge("", logs...)
	if err != nil {
		return err
	}
	defer func() { _ = merged.Close() }()
	var content bytes.Buffer
	if _, err := merged.WriteTo(&content); err != nil {
		return err
	}
	if m.flaw != "prunes without a snapshot" {
		m.objects.set(floorPrefix+nameOf(merged.Last()+1), content.Bytes())
	}
	for _, record := range records[:count] {
		m.objects.remove(m.nameOf(begin, record.Follows))
	}
	return nil
}

// dawdle is what a slow network takes between a look and a request: until a prune has passed a
// place, or it is clear that there is none.
func (m *memory) dawdle(key translog.FrameNo) {
	const looks, pause = 50, time.Millisecond
	for range looks {
		if m.objects.floor() > key {
			return
		}
		time.Sleep(pause)
	}
}
