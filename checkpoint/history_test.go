package checkpoint

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// history is a database that lives in memory and is changed at random. It fabricates the logs that
// an engine would hand to a store.
type history struct {
	t        testing.TB
	random   *rand.Rand
	pageSize int
	pages    [][]byte
	end      translog.Position // of the newest log
	node     uint64
}

// logTime is the time of the first log; each position adds a millisecond, so times differ by log.
var logTime = time.Date(2024, 2, 29, 12, 30, 45, 678_000_000, time.UTC)

func timeOf(position translog.FrameNo) time.Time {
	return logTime.Add(time.Duration(position) * time.Millisecond)
}

func newHistory(t testing.TB) *history {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &history{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), pageSize: 4096,
		end: translog.Position{Checksum: translog.EmptyChecksum},
	}
}

// fork is an independent history that has the same past.
func (h *history) fork() *history {
	other := *h
	other.node++
	other.random = rand.New(rand.NewPCG(h.random.Uint64(), h.random.Uint64()))
	other.pages = append([][]byte(nil), h.pages...)
	return &other
}

// bytes is the content of the database file.
func (h *history) bytes() []byte {
	var all []byte
	for _, page := range h.pages {
		all = append(all, page...)
	}
	return all
}

func (h *history) checksum() translog.Checksum {
	sum := translog.EmptyChecksum
	for index, page := range h.pages {
		sum = sum.Replace(0, translog.PageSum(translog.PageNo(index+1), page))
	}
	return sum
}

// change replaces a few pages and adds or drops one, and returns the numbers of those that a log
// must hold.
func (h *history) change() map[translog.PageNo]bool {
	changed := make(map[translog.PageNo]bool)
	set := func(index int) {
		page := make([]byte, h.pageSize)
		for position := 0; position < len(page); position += 8 {
			page[position] = byte(h.random.Uint32())
		}
		h.pages[index] = page
		changed[translog.PageNo(index+1)] = true
	}
	if len(h.pages) > 3 && h.random.IntN(4) == 0 {
		h.pages = h.pages[:len(h.pages)-1]
	} else {
		h.pages = append(h.pages[:len(h.pages):len(h.pages)], nil)
		set(len(h.pages) - 1)
	}
	for range 3 {
		set(h.random.IntN(len(h.pages)))
	}
	return changed
}

// log makes the changes of that many positions, and a log of them that continues the newest one.
// The first one is a snapshot.
func (h *history) log(positions int) *translog.Log {
	h.t.Helper()
	before := h.end
	changed := h.change()
	h.end = translog.Position{
		FrameNo: before.FrameNo + translog.FrameNo(positions), Checksum: h.checksum(),
	}
	if before.FrameNo == 0 {
		return h.snapshot(translog.Position{})
	}
	return h.build(translog.Spec{
		First: before.FrameNo + 1, Last: h.end.FrameNo, Follows: before, PreApply: before.Checksum,
	}, changed)
}

// snapshot is one of the database as it is, to be saved after the given position.
func (h *history) snapshot(follows translog.Position) *translog.Log {
	h.t.Helper()
	all := make(map[translog.PageNo]bool)
	for index := range h.pages {
		all[translog.PageNo(index+1)] = true
	}
	return h.build(translog.Spec{First: 1, Last: h.end.FrameNo, Follows: follows}, all)
}

// jump moves the position without a log, as a history that starts over does.
func (h *history) jump(positions translog.FrameNo) {
	h.change()
	h.end = translog.Position{FrameNo: h.end.FrameNo + positions, Checksum: h.checksum()}
}

func (h *history) build(spec translog.Spec, pages map[translog.PageNo]bool) *translog.Log {
	h.t.Helper()
	spec.PageSize, spec.Commit = h.pageSize, uint32(len(h.pages))
	spec.Timestamp, spec.NodeID = timeOf(spec.Last), h.node
	builder, err := translog.NewBuilder(spec, translog.BuildOptions{Dir: h.t.TempDir()})
	require.NoError(h.t, err)
	for index, page := range h.pages {
		if no := translog.PageNo(index + 1); pages[no] {
			require.NoError(h.t, builder.WritePage(no, page))
		}
	}
	log, err := builder.Finish(h.end.Checksum)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = log.Close() })
	return log
}

// open opens a store that the test may use.
func open(t testing.TB, root string) *Directory {
	t.Helper()
	directory, err := OpenDirectory(root)
	require.NoError(t, err)
	return directory
}

// save saves that many logs of about five positions each, and returns them.
func (h *history) save(store Store, count int) []*translog.Log {
	h.t.Helper()
	var logs []*translog.Log
	for range count {
		log := h.log(1 + h.random.IntN(9))
		require.NoError(h.t, store.Save(context.Background(), log))
		logs = append(logs, log)
	}
	return logs
}

// records lists a store that must be sound.
func records(t *testing.T, store Store, after translog.FrameNo) []Record {
	t.Helper()
	var all []Record
	for record, err := range store.Records(context.Background(), after) {
		require.NoError(t, err)
		all = append(all, record)
	}
	return all
}

// recordsError lists a store that must not be sound.
func recordsError(t *testing.T, store Store) ([]Record, error) {
	t.Helper()
	var all []Record
	for record, err := range store.Records(context.Background(), 0) {
		if err != nil {
			require.Zero(t, record)
			return all, err
		}
		all = append(all, record)
	}
	require.Fail(t, "the listing found no fault")
	return nil, nil
}

// names lists the files below a folder, by their path from there.
func names(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			relative, _ := filepath.Rel(root, path)
			all = append(all, relative)
		}
		return err
	})
	require.NoError(t, err)
	return all
}

// requireRestored compares what a store restores with a database's bytes.
func requireRestored(t *testing.T, store Store, h *history) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	position, err := Restore(context.Background(), store, path)
	require.NoError(t, err)
	require.Equal(t, h.end, position)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, h.bytes(), content)
	require.Equal(t, []string{"restored.db"}, names(t, filepath.Dir(path)))
}
