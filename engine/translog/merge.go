package translog

import (
	"cmp"
	"container/heap"
	"fmt"
	"io"
	"slices"
)

// mergeWidth is how many logs are read at the same time. More are merged in groups first.
// Each one takes a page, a buffer of mergeBufferBytes and some 10 KiB of the decoder.
const (
	mergeWidth       = 128
	mergeBufferBytes = 16 << 10
)

// Merge makes one log of several that follow each other: the newest image of each page
// that the last one still has. Applied to a database it leads to the same bytes as the
// logs one by one. It carries the positions First of the first log and Last of the last
// one, the time and the NodeID of the last one, and the Follows of the first one. When a
// snapshot is among them the result is a snapshot.
//
// The logs must continue each other by the rules of [CheckChain], starting from the first
// one's Start. All of them are verified while they are read; a merged snapshot whose
// pages do not have the checksum of the last log is a [*ChecksumError].
//
// The result is held in memory or in a temporary file without a name in dir ("" is
// [os.TempDir]), as by a [Builder]; memory does not grow with the number of logs. A
// single log is cloned and not read. The logs stay open; the caller closes the result.
// Merging nothing is a [*FormatError].
func Merge(dir string, logs ...*Log) (*Log, error) {
	if len(logs) == 0 {
		return nil, &FormatError{Field: "merge", Got: "no logs", Want: "at least one"}
	}
	used, _, err := chain(logs[0].Start(), logs)
	if err != nil {
		return nil, err
	}
	follows := logs[0].Follows()
	if len(used) == 1 {
		clone, err := used[0].Clone()
		if err != nil {
			return nil, err
		}
		return clone.WithFollows(follows), nil
	}
	merged, err := mergeInGroups(dir, used)
	if err != nil {
		return nil, err
	}
	return merged.WithFollows(follows), nil
}

// mergeInGroups merges at most mergeWidth logs at a time, and then what came of them.
// That is the same as merging all at once, for what a group leads to is what its logs
// lead to. The first log, which may be a snapshot much larger than all others, is read in
// the last round only.
func mergeInGroups(dir string, logs []*Log) (*Log, error) {
	if len(logs) <= mergeWidth {
		return mergeOnce(dir, logs)
	}
	groups := logs[:1:1]
	defer func() {
		for _, group := range groups[1:] {
			_ = group.Close()
		}
	}()
	for group := range slices.Chunk(logs[1:], mergeWidth) {
		merged, err := mergeOnce(dir, group)
		if err != nil {
			return nil, err
		}
		groups = append(groups, merged)
	}
	return mergeInGroups(dir, groups)
}

// mergeSpec describes the merged log.
func mergeSpec(logs []*Log) Spec {
	first, last := logs[0], logs[len(logs)-1]
	spec := Spec{
		First: first.First(), Last: last.Last(), PageSize: last.PageSize(), Commit: last.Commit(),
		Timestamp: last.Timestamp(), PreApply: first.before,
	}
	// The newest that is known: a database that is made of the log goes on from there.
	for _, log := range logs {
		spec.NodeID = cmp.Or(log.NodeID(), spec.NodeID)
	}
	// A checksum is tracked when both ends of the log are known, whatever lies between.
	spec.unchecked = last.after == 0 || !first.IsSnapshot() && first.before == 0
	if spec.unchecked {
		spec.PreApply = 0
	}
	return spec
}

func mergeOnce(dir string, logs []*Log) (*Log, error) {
	if len(logs) == 1 {
		return logs[0].Clone()
	}
	spec := mergeSpec(logs)
	builder, err := NewBuilder(spec, BuildOptions{Dir: dir})
	if err != nil {
		return nil, err
	}
	m := &merger{
		builder: builder, sum: EmptyChecksum, snapshot: spec.First == 1, commit: spec.Commit,
		lockPage: LockPage(spec.PageSize), zeros: make([]byte, spec.PageSize),
	}
	defer m.close()
	if err := m.open(logs); err != nil {
		return nil, err
	}
	if err := m.run(); err != nil {
		return nil, err
	}
	after := logs[len(logs)-1].End()
	if spec.unchecked {
		after.Checksum = 0
	} else if m.snapshot && m.sum != after.Checksum {
		return nil, &ChecksumError{At: after.FrameNo, Got: m.sum, Want: after.Checksum}
	}
	return builder.Finish(after.Checksum)
}

// merger reads several logs side by side and writes each page once.
//
// A page of a log is gone when a later log made the database smaller than it, even if
// that grew again after. SQLite then writes the page anew; if it should not, the page is
// zeros, as in a file that was truncated and extended.
type merger struct {
	builder  *Builder
	inputs   []*mergeInput // in the order of the logs
	heap     mergeHeap     // those that have a page in hand
	floor    uint32        // pages above it were cut off on the way
	commit   uint32        // pages at the end
	lockPage PageNo
	written  PageNo // last page of the result
	zeros    []byte
	snapshot bool
	sum      Checksum // of a snapshot's pages
}

type mergeInput struct {
	decoder *decoder
	age     int    // index among the inputs
	cut     uint32 // smallest size that a later log gives the database, in pages
	page    Page   // in hand
}

// open opens all logs, and works out what each one's pages have to survive.
func (m *merger) open(logs []*Log) error {
	for age, log := range logs {
		decoder, err := log.decode(mergeBufferBytes)
		if err != nil {
			return fmt.Errorf("translog: merge %v: %w", log, err)
		}
		m.inputs = append(m.inputs, &mergeInput{decoder: decoder, age: age})
	}
	m.floor = m.commit
	for _, input := range slices.Backward(m.inputs) {
		input.cut = m.floor
		m.floor = min(m.floor, input.decoder.facts.commit)
	}
	for _, input := range m.inputs {
		if err := m.advance(input); err != nil {
			return err
		}
	}
	return nil
}

// advance puts an input's next page into the heap; at its verified end the input is left
// out.
func (m *merger) advance(input *mergeInput) error {
	page, err := input.decoder.next()
	if err == io.EOF {
		input.decoder.close()
		return nil
	}
	if err != nil {
		return fmt.Errorf("translog: merge log %v-%v: %w",
			input.decoder.facts.first, input.decoder.facts.last, err)
	}
	input.page = page
	heap.Push(&m.heap, input)
	return nil
}

// run writes all pages. For each number the heap gives the newest image first.
func (m *merger) run() error {
	var done PageNo
	for len(m.heap) > 0 {
		input := heap.Pop(&m.heap).(*mergeInput)
		if page := input.page; page.No != done && uint32(page.No) <= input.cut {
			if err := m.fill(page.No - 1); err != nil {
				return err
			}
			if err := m.write(page); err != nil {
				return err
			}
			done = page.No
		}
		if err := m.advance(input); err != nil {
			return err
		}
	}
	return m.fill(PageNo(m.commit))
}

// fill writes zeros for the pages up to the given one that were cut off and came back
// without an image.
func (m *merger) fill(upTo PageNo) error {
	for no := max(m.written, PageNo(m.floor)) + 1; no <= upTo && no != 0; no++ {
		if no == m.lockPage {
			continue
		}
		if err := m.write(Page{No: no, Data: m.zeros}); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) write(page Page) error {
	if m.snapshot {
		m.sum = m.sum.Replace(0, PageSum(page.No, page.Data))
	}
	m.written = page.No
	return m.builder.WritePage(page.No, page.Data)
}

func (m *merger) close() {
	for _, input := range m.inputs {
		input.decoder.close()
	}
	m.builder.Abort()
}

// mergeHeap orders inputs by the page in hand, and for one page by age, newest first.
type mergeHeap []*mergeInput

func (h mergeHeap) Len() int { return len(h) }

func (h mergeHeap) Less(i, j int) bool {
	if h[i].page.No != h[j].page.No {
		return h[i].page.No < h[j].page.No
	}
	return h[i].age > h[j].age
}

func (h mergeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *mergeHeap) Push(input any) { *h = append(*h, input.(*mergeInput)) }

func (h *mergeHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
