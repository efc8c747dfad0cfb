package translog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// damaged is the files that the damage tests start from: a log and a snapshot.
func damaged(t *testing.T) map[string]*Log {
	h := newHistory(t, 21, 512)
	snapshot := h.start(4).Log
	return map[string]*Log{"snapshot": snapshot, "log": h.change(5, 2, false)}
}

// requireTyped checks that damage is reported as such.
func requireTyped(t *testing.T, err error, what string) {
	t.Helper()
	require.ErrorIs(t, err, ErrFormat, what)
	var formatError *FormatError
	require.ErrorAs(t, err, &formatError, what)
	require.NotEmpty(t, formatError.Field)
}

// Goal: a truncated file is a FormatError, whatever its length, and never a panic.
// Method: cut at every length, and append a byte; read as a stream and as a file.
func TestEveryTruncationIsFound(t *testing.T) {
	for name, log := range damaged(t) {
		data := encoded(t, log)
		dir := t.TempDir()
		path := filepath.Join(dir, "cut.ltx")
		for length := range len(data) {
			what := fmt.Sprintf("%s cut to %d of %d bytes", name, length, len(data))
			_, err := ReadLog(bytes.NewReader(data[:length]), dir)
			requireTyped(t, err, what)
			require.NoError(t, os.WriteFile(path, data[:length], 0o600))
			requireTyped(t, openAndVerify(path), what)
		}
		_, err := ReadLog(bytes.NewReader(append(data[:len(data):len(data)], 0)), t.TempDir())
		requireTyped(t, err, name+" with a byte too many")
	}
}

func openAndVerify(path string) error {
	log, err := OpenLog(path)
	if err != nil {
		return err
	}
	return errors.Join(log.Verify(), log.Close())
}

// Goal: a flipped bit is either found, or changes nothing: LTX's checksum covers the pages before
// compression, and one page can be compressed in several ways.
// Method: flip each bit of each byte; what still reads must have the same pages and header.
func TestEveryFlippedBitIsFoundOrHarmless(t *testing.T) {
	for name, log := range damaged(t) {
		data, pages, dir := encoded(t, log), pagesOf(t, log), t.TempDir()
		var harmless int
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				read, err := ReadLog(bytes.NewReader(data), dir)
				data[i] ^= 1 << bit
				if err != nil {
					requireTyped(t, err, fmt.Sprintf("%s, bit %d of byte %d", name, bit, i))
					continue
				}
				harmless++
				require.Equal(t, pages, pagesOf(t, read))
				require.Equal(t, log.facts, read.facts)
				require.NoError(t, read.Close())
			}
		}
		t.Logf("%s: %d of %d flips change nothing", name, harmless, 8*len(data))
	}
}

// Goal: pages that no database of the recorded size can have are refused, even when all checksums
// hold. Method: forge such files.
func TestImpossiblePagesAreRefused(t *testing.T) {
	log := ltx.Header{MinTXID: 2, MaxTXID: 3, Commit: 9, PreApplyChecksum: ltx.ChecksumFlag | 5}
	snapshot := ltx.Header{MinTXID: 1, MaxTXID: 3, Commit: 3}
	huge := log
	huge.Commit = 1<<32 - 1
	sum := EmptyChecksum
	for no := range PageNo(3) {
		sum = sum.Replace(0, PageSum(no+1, make([]byte, 512)))
	}
	whole := ltx.Checksum(sum)
	lacking := ltx.Checksum(sum.Replace(PageSum(2, make([]byte, 512)), 0))
	some := ltx.ChecksumFlag | 1
	for _, c := range []struct {
		name   string
		header ltx.Header
		pages  []PageNo
		after  ltx.Checksum
		sound  bool
	}{
		{"sound log", log, []PageNo{1, 5, 9}, some, true},
		{"sound empty log", log, nil, some, true},
		{"sound snapshot", snapshot, []PageNo{1, 2, 3}, whole, true},
		{"huge but sound", huge, []PageNo{1<<32 - 1}, some, true},
		{"beyond the end", log, []PageNo{1, 10}, some, false},
		{"out of order", log, []PageNo{5, 1}, some, false},
		{"twice", log, []PageNo{5, 5}, some, false},
		{"lock page", huge, []PageNo{LockPage(512)}, some, false},
		{"checksum without its flag", log, []PageNo{1}, 1, false},
		{"no checksum", log, []PageNo{1}, 0, false},
		{"snapshot with a hole", snapshot, []PageNo{1, 3}, lacking, false},
		{"snapshot with another checksum", snapshot, []PageNo{1, 2, 3}, some, false},
	} {
		data := forged(t, c.header, c.pages, c.after, zeroBlock(t))
		read, err := ReadLog(bytes.NewReader(data), t.TempDir())
		path := filepath.Join(t.TempDir(), "forged.ltx")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		verified := openAndVerify(path)
		if c.sound {
			require.NoError(t, err, c.name)
			require.NoError(t, read.Close())
			require.NoError(t, verified, c.name)
			continue
		}
		requireTyped(t, err, c.name)
		requireTyped(t, verified, c.name)
	}
}

// Goal: what a file claims costs no memory. Method: measure allocations for a log that claims four
// billion pages and for one that claims a compressed page of 4 GiB.
func TestClaimsCostNoMemory(t *testing.T) {
	claim := ltx.Header{MinTXID: 1, MaxTXID: 3, Commit: 1<<32 - 1}
	manyPages := forged(t, claim, []PageNo{1}, ltx.ChecksumFlag|1, zeroBlock(t))
	hugePage := bytes.Clone(manyPages)
	binary.BigEndian.PutUint32(hugePage[ltx.HeaderSize+ltx.PageHeaderSize:], 1<<32-1)
	for name, data := range map[string][]byte{"pages": manyPages, "page": hugePage} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadLog(io.MultiReader(bytes.NewReader(data), zeros{}), t.TempDir())
		runtime.ReadMemStats(&after)
		requireTyped(t, err, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Goal: a failing disk or network is not called a damaged log.
// Method: a reader that fails on the way.
func TestReadErrorsAreNotDamage(t *testing.T) {
	h := newHistory(t, 22, 512)
	data := encoded(t, h.start(4).Log)
	for _, length := range []int{0, 50, 100, 104, 108, 300, len(data) - 8, len(data)} {
		broken := io.MultiReader(bytes.NewReader(data[:length]), iotest.ErrReader(errDiskFull))
		_, err := ReadLog(broken, t.TempDir())
		require.ErrorIs(t, err, errDiskFull)
		require.NotErrorIs(t, err, ErrFormat)
	}
	log, err := ReadLog(iotest.OneByteReader(bytes.NewReader(data)), t.TempDir())
	require.NoError(t, err)
	require.NoError(t, log.Close())
}

// Goal: what is not a log at all is told apart. Method: a folder, a missing file, text.
func TestOtherFilesAreNoLogs(t *testing.T) {
	_, err := OpenLog(t.TempDir())
	requireTyped(t, err, "folder")
	_, err = OpenLog(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	text := bytes.Repeat([]byte("SQLite format 3\x00"), 100)
	_, err = ReadLog(bytes.NewReader(text), "")
	requireTyped(t, err, "text")
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	_, err = OpenLog(path)
	requireTyped(t, err, "text")

	h := newHistory(t, 23, 512)
	h.start(2)
	log := h.change(2, 1, false)
	_, err = OpenSnapshot(writeLog(t, log))
	requireTyped(t, err, "not a snapshot")
	_, err = ReadSnapshot(log.Reader(), "")
	requireTyped(t, err, "not a snapshot")
	_, err = AsSnapshot(log)
	requireTyped(t, err, "not a snapshot")
}

// Goal: logs with pages in the form of older versions of ltx, as older stores still hold them,
// are read and verified. Method: forge one; then damage its page.
func TestPagesInTheOlderFormAreRead(t *testing.T) {
	header := ltx.Header{MinTXID: 2, MaxTXID: 3, Commit: 9, PreApplyChecksum: ltx.ChecksumFlag | 5}
	data := forged(t, header, []PageNo{1, 5, 9}, ltx.ChecksumFlag|1, nil)
	log, err := ReadLog(bytes.NewReader(data), t.TempDir())
	require.NoError(t, err)
	defer log.Close()
	zero := make([]byte, 512)
	require.Equal(t, []Page{{1, zero}, {5, zero}, {9, zero}}, pagesOf(t, log))
	for i := ltx.HeaderSize; i < len(data); i += 7 {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0x40
		_, err := ReadLog(bytes.NewReader(damaged), t.TempDir())
		requireTyped(t, err, fmt.Sprint("byte ", i))
		_, err = ReadLog(bytes.NewReader(data[:i]), t.TempDir())
		requireTyped(t, err, fmt.Sprint("cut at ", i))
	}
}
