package wal_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

var testSalt = wal.Salt{0x01020304, 0xa1b2c3d4}

// A testFrame is what one frame of a test WAL holds.
type testFrame struct {
	pageNo, commit uint32
	data           []byte
}

// testFrames returns frames of random pages; each that commits[i] names ends a commit of i+1 pages.
func testFrames(random *rand.Rand, pageSize int, commits ...bool) []testFrame {
	frames := make([]testFrame, len(commits))
	for i, commit := range commits {
		frames[i] = testFrame{pageNo: uint32(i + 1), data: make([]byte, pageSize)}
		for j := range frames[i].data {
			frames[i].data[j] = byte(random.Uint32())
		}
		if commit {
			frames[i].commit = uint32(i + 1)
		}
	}
	return frames
}

// buildWAL encodes a whole WAL, and returns the cursors after its header and after each frame.
func buildWAL(t testing.TB, header wal.Header, frames []testFrame) (
	[]byte, wal.Header, []wal.Cursor,
) {
	t.Helper()
	file := header.Append(nil)
	header, err := wal.ParseHeader(file)
	require.NoError(t, err)
	cursors := []wal.Cursor{{Checksum: header.Checksum}}
	for i, f := range frames {
		var next wal.Cursor
		file, next = wal.AppendFrame(file, header, cursors[i], f.pageNo, f.commit, f.data)
		cursors = append(cursors, next)
	}
	return file, header, cursors
}

// readAll reads until an error, and returns that error and the frames with copied pages.
func readAll(t testing.TB, reader *wal.Reader) ([]testFrame, error) {
	t.Helper()
	first := reader.Cursor().Frame
	frames := []testFrame{}
	for {
		f, err := reader.Next()
		if err != nil {
			require.Zero(t, f, "a frame came together with an error")
			return frames, err
		}
		require.Equal(t, first+uint32(len(frames))+1, f.Index)
		require.Equal(t, f.Index, reader.Cursor().Frame)
		frames = append(frames, testFrame{f.PageNo, f.Commit, append([]byte(nil), f.Data...)})
	}
}

// naiveChecksum is the algorithm as the format page writes it, word by word.
func naiveChecksum(sum wal.Checksum, bigEndian bool, data []byte) wal.Checksum {
	words := make([]uint32, 0, len(data)/4)
	for i := 0; i < len(data); i += 4 {
		b0, b1, b2, b3 := uint32(data[i]), uint32(data[i+1]), uint32(data[i+2]), uint32(data[i+3])
		if !bigEndian {
			b0, b1, b2, b3 = b3, b2, b1, b0
		}
		words = append(words, b0<<24|b1<<16|b2<<8|b3)
	}
	for i := 0; i < len(words); i += 2 {
		sum[0] += words[i] + sum[1]
		sum[1] += words[i+1] + sum[0]
	}
	return sum
}

// newRandom returns a random source whose seed a failed test prints.
func newRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A spyFile is a file in memory that notes what is read and fails on demand.
type spyFile struct {
	data    []byte
	reads   int
	end     int64 // end of the furthest read that was asked for
	failing error // what every read returns, after half of the bytes
	eager   bool  // report the end of the file together with its last bytes
	eof     error
}

func (s *spyFile) ReadAt(p []byte, offset int64) (int, error) {
	s.reads++
	s.end = max(s.end, offset+int64(len(p)))
	if offset < 0 {
		return 0, errors.New("negative offset")
	}
	if s.failing != nil {
		return copy(p[:len(p)/2], s.data[min(offset, int64(len(s.data))):]), s.failing
	}
	if offset >= int64(len(s.data)) {
		return 0, s.eof
	}
	n := copy(p, s.data[offset:])
	if n < len(p) || s.eager && offset+int64(n) == int64(len(s.data)) {
		return n, s.eof
	}
	return n, nil
}
