package translog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// history is a database as a slice of pages, which makes logs of its changes. It is the model that
// encoded logs are compared with.
type history struct {
	t        testing.TB
	random   *rand.Rand
	pageSize int
	pages    [][]byte
	at       Position
	options  BuildOptions
}

func newHistory(t testing.TB, seed uint64, pageSize int) *history {
	t.Helper()
	t.Logf("seed %d, page size %d", seed, pageSize)
	return &history{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), pageSize: pageSize,
		options: BuildOptions{Dir: t.TempDir()},
	}
}

// randomPage is half compressible, as pages are.
func (h *history) randomPage() []byte {
	page := make([]byte, h.pageSize)
	for i := range page[:h.pageSize/2] {
		page[i] = byte(h.random.Uint32())
	}
	return page
}

func (h *history) bytes() []byte { return bytes.Join(h.pages, nil) }

// sum is the checksum of all pages, worked out anew.
func (h *history) sum() Checksum {
	sum := EmptyChecksum
	for i, page := range h.pages {
		sum = sum.Replace(0, PageSum(PageNo(i+1), page))
	}
	return sum
}

// snapshot encodes all pages at the present position.
func (h *history) snapshot(follows Position) *Snapshot {
	h.t.Helper()
	if h.at.FrameNo == 0 {
		h.at.FrameNo = 1
	}
	h.at.Checksum = h.sum()
	images := map[PageNo][]byte{}
	for i, page := range h.pages {
		images[PageNo(i+1)] = page
	}
	spec := Spec{First: 1, Last: h.at.FrameNo, Follows: follows}
	snapshot, err := AsSnapshot(h.build(spec, images))
	require.NoError(h.t, err)
	return snapshot
}

// start fills a new database and returns its snapshot.
func (h *history) start(pages int) *Snapshot {
	h.t.Helper()
	for range pages {
		h.pages = append(h.pages, h.randomPage())
	}
	return h.snapshot(Position{})
}

// change gives the database the size commit and changes some pages. Pages beyond the old size are
// among them, except that withHoles leaves some out, which are zeros then.
func (h *history) change(commit, changes int, withHoles bool) *Log {
	h.t.Helper()
	images := map[PageNo][]byte{}
	old := min(len(h.pages), commit)
	h.pages = h.pages[:old:old]
	for no := old + 1; no <= commit; no++ {
		h.pages = append(h.pages, make([]byte, h.pageSize))
		if !withHoles || h.random.IntN(2) == 0 {
			images[PageNo(no)] = h.randomPage()
		}
	}
	for range changes {
		images[PageNo(1+h.random.IntN(commit))] = h.randomPage()
	}
	for no, data := range images {
		h.pages[no-1] = data
	}
	spec := Spec{First: h.at.FrameNo + 1, PreApply: h.at.Checksum}
	h.at.FrameNo += FrameNo(max(len(images), 1) + h.random.IntN(3)) // Positions may jump.
	h.at.Checksum = h.sum()
	spec.Last = h.at.FrameNo
	return h.build(spec, images)
}

// wander makes logs of random sizes.
func (h *history) wander(logs int, withHoles bool) []*Log {
	h.t.Helper()
	made := make([]*Log, 0, logs)
	for range logs {
		commit := max(1, len(h.pages)+h.random.IntN(9)-4)
		made = append(made, h.change(commit, h.random.IntN(6), withHoles))
	}
	return made
}

func (h *history) build(spec Spec, images map[PageNo][]byte) *Log {
	h.t.Helper()
	spec.PageSize, spec.Commit = h.pageSize, uint32(len(h.pages))
	spec.Timestamp = time.UnixMilli(1_700_000_000_000 + int64(h.at.FrameNo))
	spec.NodeID = 7
	builder, err := NewBuilder(spec, h.options)
	require.NoError(h.t, err)
	defer builder.Abort()
	for no := PageNo(1); no <= PageNo(len(h.pages)); no++ {
		if data := images[no]; data != nil {
			require.NoError(h.t, builder.WritePage(no, data))
		}
	}
	log, err := builder.Finish(h.at.Checksum)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, log.Close()) })
	return log
}

// encoded returns the log's file.
func encoded(t testing.TB, log *Log) []byte {
	t.Helper()
	var buffer bytes.Buffer
	n, err := log.WriteTo(&buffer)
	require.NoError(t, err)
	require.Equal(t, log.Size(), n)
	require.Equal(t, log.Size(), int64(buffer.Len()))
	return buffer.Bytes()
}

// pagesOf copies all pages of a log.
func pagesOf(t testing.TB, log *Log) []Page {
	t.Helper()
	var pages []Page
	for page, err := range log.Pages() {
		require.NoError(t, err)
		pages = append(pages, Page{No: page.No, Data: bytes.Clone(page.Data)})
	}
	return pages
}

// restored restores into a new file, checks the position, and returns the bytes.
func restored(t testing.TB, want Position, snapshot *Snapshot, logs ...*Log) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	position, err := snapshot.Restore(path, logs...)
	require.NoError(t, err)
	require.Equal(t, want, position)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, []string{"restored.db"}, namesIn(t, filepath.Dir(path)))
	return data
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// writeLog writes a log to a new file.
func writeLog(t testing.TB, log *Log) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), log.Name())
	require.NoError(t, log.WriteFile(path, 0o644))
	return path
}

var pageSizes = []int{512, 4096, 65536}

func eachPageSize(t *testing.T, test func(t *testing.T, pageSize int)) {
	for _, pageSize := range pageSizes {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) { test(t, pageSize) })
	}
}
