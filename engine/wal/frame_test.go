package wal_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// Goal: offsets follow the format and do not overflow 32 bits. Method: values by hand.
func TestFrameOffset(t *testing.T) {
	require.EqualValues(t, 32, wal.FrameOffset(1, 4096))
	require.EqualValues(t, 32+4120, wal.FrameOffset(2, 4096))
	require.EqualValues(t, 32+99*536, wal.FrameOffset(100, 512))
	require.EqualValues(t, 32+int64(65559)*65560, wal.FrameOffset(65560, 65536))
	require.EqualValues(t, 32+int64(math.MaxUint32-1)*65560, wal.FrameOffset(math.MaxUint32, 65536))
}

// Goal: a frame's fields and its running checksum stand where the format says. Method: two frames
// appended, every field read by hand, checksums by the naive algorithm.
func TestAppendFrameWritesTheDocumentedForm(t *testing.T) {
	for _, bigEndian := range []bool{false, true} {
		header := wal.Header{BigEndianChecksum: bigEndian, PageSize: 512, Salt: testSalt}
		frames := testFrames(newRandom(t), 512, false, true)
		frames[0].pageNo, frames[1].pageNo, frames[1].commit = 0x01020304, 7, 0x0a0b0c0d
		file, header, cursors := buildWAL(t, header, frames)
		require.Len(t, file, 32+2*536)
		require.Equal(t, []byte{1, 2, 3, 4, 0, 0, 0, 0}, file[32:40])
		second := file[wal.FrameOffset(2, 512):]
		require.Equal(t, []byte{0, 0, 0, 7, 0x0a, 0x0b, 0x0c, 0x0d}, second[:8])
		sum := header.Checksum
		for i, f := range frames {
			raw := file[wal.FrameOffset(uint32(i+1), 512):]
			require.Equal(t, file[16:24], raw[8:16], "salts are those of the header")
			sum = naiveChecksum(naiveChecksum(sum, bigEndian, raw[:8]), bigEndian, f.data)
			require.Equal(t, sum[0], binary.BigEndian.Uint32(raw[16:]))
			require.Equal(t, sum[1], binary.BigEndian.Uint32(raw[20:]))
			require.Equal(t, f.data, raw[24:536])
			require.Equal(t, wal.Cursor{Frame: uint32(i + 1), Checksum: sum}, cursors[i+1])
		}
	}
}

// Goal: ReadFrameData reads just the page image, the last one too, and says what failed.
// Method: files that report their end late, early, or fail; buffers of a wrong length.
func TestReadFrameData(t *testing.T) {
	frames := testFrames(newRandom(t), 512, false, false, true)
	file, _, _ := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	for _, eager := range []bool{false, true} {
		source := &spyFile{data: file, eof: io.EOF, eager: eager}
		into := make([]byte, 512)
		for i, f := range frames {
			require.NoError(t, wal.ReadFrameData(source, uint32(i+1), 512, into))
			require.Equal(t, f.data, into)
		}
		requireTruncated(t, wal.ReadFrameData(source, 4, 512, into), 3, 4)
		source.data = file[:len(file)-1]
		requireTruncated(t, wal.ReadFrameData(source, 3, 512, into), 2, 3)
		source.reads = 0
		require.Error(t, wal.ReadFrameData(source, 0, 512, into), "frames count from 1")
		require.Error(t, wal.ReadFrameData(source, 1, 512, into[:511]))
		require.Error(t, wal.ReadFrameData(source, 1, 512, make([]byte, 513)))
		require.Zero(t, source.reads, "what cannot work is refused before a read")
	}
	broken := errors.New("broken disk")
	err := wal.ReadFrameData(&spyFile{data: file, failing: broken}, 2, 512, make([]byte, 512))
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "wal: read frame 2: broken disk")
}

func requireTruncated(t *testing.T, err error, last, want uint32) {
	t.Helper()
	require.ErrorIs(t, err, wal.ErrTruncated)
	var truncated *wal.TruncatedError
	require.ErrorAs(t, err, &truncated)
	require.Equal(t, wal.TruncatedError{Last: last, Want: want}, *truncated)
	require.Contains(t, err.Error(), "wal: ")
}
