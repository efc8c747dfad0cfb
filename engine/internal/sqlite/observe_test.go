//go:build cgo

package sqlite

import (
	"testing"
	"unsafe"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// header is the beginning of a wal-index in memory of the test, in the machine's byte order: two
// copies of twelve words, then the number of frames that are in the database file.
// https://www.sqlite.org/walformat.html#walidxfmt
type header [25]uint32

// published is a header that a writer has written completely.
func published() *header {
	h := &header{0: 3007000, 2: 7, 4: 40, 5: 12, 6: 0xaaaa, 7: 0xbbbb, 8: 0xcccc, 9: 0xdddd, 24: 30}
	(*[48]byte)(unsafe.Pointer(h))[12] = 1 // isInit
	h.sum()
	copy(h[12:24], h[:12])
	return h
}

// sum enters the checksum of the first copy.
func (h *header) sum() {
	h[10], h[11] = 0, 0
	for i := 0; i < 10; i += 2 {
		h[10] += h[i] + h[11]
		h[11] += h[i+1] + h[10]
	}
}

func (h *header) read() (State, error) { return Index{region: unsafe.Pointer(h)}.Read() }

// TestReadHeader reads a published header, word by word.
func TestReadHeader(t *testing.T) {
	state, err := published().read()
	require.NoError(t, err)
	require.Equal(t, State{Change: 7, MaxFrame: 40, PageCount: 12,
		Checksum: [2]uint32{0xaaaa, 0xbbbb}, Salt: [2]uint32{0xcccc, 0xdddd},
		Backfilled: 30}, state)
}

// TestHeaderBeingWritten stops a writer after each word that it writes: it writes the second copy
// first, then the first one. Nothing but the old header or the new one is ever believed.
func TestHeaderBeingWritten(t *testing.T) {
	before, after := published(), published()
	after[2], after[4], after[6], after[7] = 8, 45, 0x1111, 0x2222
	after.sum()
	copy(after[12:24], after[:12])
	for written := range 25 {
		h := *before
		for i := range written {
			word := (i + 12) % 24
			h[word] = after[word]
		}
		state, err := h.read()
		switch h {
		case *before:
			require.NoError(t, err)
			require.EqualValues(t, 7, state.Change)
		case *after:
			require.NoError(t, err)
			require.EqualValues(t, 8, state.Change)
		default:
			var failure *ResultError
			require.ErrorAs(t, err, &failure, "%d words written", written)
			require.EqualValues(t, sqlite3.ErrBusy, failure.Code)
			require.Zero(t, state)
		}
	}
}

// TestHeaderWithAWrongChecksum damages both copies in the same way, one bit at a time.
func TestHeaderWithAWrongChecksum(t *testing.T) {
	for word := range 12 {
		for bit := range 32 {
			h := published()
			h[word] ^= 1 << bit
			h[word+12] ^= 1 << bit
			_, err := h.read()
			require.Error(t, err, "word %d, bit %d", word, bit)
		}
	}
	_, err := new(header).read()
	require.Error(t, err, "an index that nobody has written")
}
