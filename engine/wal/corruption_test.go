package wal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// A corruption is one way in which a WAL of six frames was spoilt, and what is left of it.
type corruption struct {
	name       string
	corrupt    func(file []byte, at func(frame uint32) int) []byte
	wantFrames int
	wantErr    error // io.EOF: the WAL just ends there
}

// flip returns a corruption of one bit, so many bytes into a frame.
func flip(frame uint32, offset int) func([]byte, func(uint32) int) []byte {
	return func(file []byte, at func(uint32) int) []byte {
		file[at(frame)+offset] ^= 0x40
		return file
	}
}

// cut returns a corruption that leaves a file which ends so many bytes into a frame.
func cut(frame uint32, offset int) func([]byte, func(uint32) int) []byte {
	return func(file []byte, at func(uint32) int) []byte { return file[:at(frame)+offset] }
}

// add returns a corruption that appends bytes.
func add(tail []byte) func([]byte, func(uint32) int) []byte {
	return func(file []byte, _ func(uint32) int) []byte { return append(file, tail...) }
}

var corruptions = []corruption{
	{"none", add(nil), 6, io.EOF},
	{"no frames", cut(1, 0), 0, io.EOF},
	{"one byte of the first frame", cut(1, 1), 0, io.EOF},
	{"a frame header without its page", cut(4, 24), 3, io.EOF},
	{"last byte missing", cut(7, -1), 5, io.EOF},
	{"cut between frames", cut(5, 0), 4, io.EOF},
	{"page number", flip(3, 0), 2, wal.ErrChecksum},
	{"commit mark", flip(3, 7), 2, wal.ErrChecksum},
	{"first salt", flip(3, 8), 2, io.EOF},
	{"second salt", flip(3, 15), 2, io.EOF},
	{"first checksum", flip(3, 16), 2, wal.ErrChecksum},
	{"second checksum", flip(3, 23), 2, wal.ErrChecksum},
	{"first byte of the page", flip(3, 24), 2, wal.ErrChecksum},
	{"last byte of the page", flip(4, -1), 2, wal.ErrChecksum},
	{"first frame", flip(1, 100), 0, wal.ErrChecksum},
	{"last frame", flip(6, 100), 5, wal.ErrChecksum},
	{"zeros behind", add(make([]byte, 200000)), 6, io.EOF},
	{"noise behind", add(bytes.Repeat([]byte("noise"), 40000)), 6, io.EOF},
	{"a few bytes behind", add([]byte("tail")), 6, io.EOF},
	{"frame zeroed", func(file []byte, at func(uint32) int) []byte {
		clear(file[at(4):at(5)])
		return file
	}, 3, io.EOF},
	{"page zeroed", func(file []byte, at func(uint32) int) []byte {
		clear(file[at(4)+24 : at(5)])
		return file
	}, 3, wal.ErrChecksum},
	{"page number zeroed", func(file []byte, at func(uint32) int) []byte {
		clear(file[at(4) : at(4)+4])
		return file
	}, 3, wal.ErrFormat},
	{"frame removed", func(file []byte, at func(uint32) int) []byte {
		return append(file[:at(2)], file[at(3):]...)
	}, 1, wal.ErrChecksum},
	{"frame repeated", func(file []byte, at func(uint32) int) []byte {
		return append(file[:at(3):at(3)], file[at(2):]...)
	}, 2, wal.ErrChecksum},
	{"frames exchanged", func(file []byte, at func(uint32) int) []byte {
		second := bytes.Clone(file[at(2):at(3)])
		copy(file[at(2):], file[at(3):at(4)])
		copy(file[at(3):], second)
		return file
	}, 1, wal.ErrChecksum},
	{"shifted by a byte", func(file []byte, at func(uint32) int) []byte {
		return append(file[:at(2)], file[at(2)+1:]...)
	}, 1, io.EOF},
}

// Goal: whatever became of the file, the frames before the damage are returned, none after it, and
// the error says which kind it is. Method: the table, for each page size and byte order, without a
// limit and with limits at, before and behind the damage.
func TestCorruption(t *testing.T) {
	random := newRandom(t)
	for _, pageSize := range []int{512, 4096, 65536} {
		for _, bigEndian := range []bool{false, true} {
			frames := testFrames(random, pageSize, false, true, false, false, true, true)
			header := wal.Header{BigEndianChecksum: bigEndian, PageSize: pageSize, Salt: testSalt}
			file, header, cursors := buildWAL(t, header, frames)
			at := func(frame uint32) int { return int(wal.FrameOffset(frame, pageSize)) }
			for _, test := range corruptions {
				name := fmt.Sprintf("%s,%d,bigEndian=%t", test.name, pageSize, bigEndian)
				t.Run(name, func(t *testing.T) {
					damaged := test.corrupt(bytes.Clone(file), at)
					source := bytes.NewReader(damaged)
					stored := storedChecksum(damaged, at(uint32(test.wantFrames)+1))
					for _, limit := range []uint32{math.MaxUint32, 1, 3, 6, 7} {
						reader := wal.NewReader(source, header, cursors[0])
						reader.Limit(limit)
						got, err := readAll(t, reader)
						want := int(min(uint32(test.wantFrames), limit))
						require.Equal(t, frames[:want], got)
						require.Equal(t, cursors[want], reader.Cursor())
						requireEnd(t, err, test, limit, stored)
					}
				})
			}
		}
	}
}

// storedChecksum is what the frame at an offset holds as its checksum, none for a short file.
func storedChecksum(file []byte, at int) wal.Checksum {
	if len(file) < at+wal.FrameHeaderSize {
		return wal.Checksum{}
	}
	words := file[at+16:]
	return wal.Checksum{binary.BigEndian.Uint32(words), binary.BigEndian.Uint32(words[4:])}
}

// requireEnd checks the error after the last good frame of a corrupted file.
// stored is the checksum that the frame after those holds.
func requireEnd(
	t *testing.T, err error, test corruption, limit uint32, stored wal.Checksum,
) {
	t.Helper()
	last := uint32(test.wantFrames)
	switch {
	case limit <= last:
		require.Equal(t, io.EOF, err, "the damage is behind the limit")
	case test.wantErr == wal.ErrChecksum:
		require.ErrorIs(t, err, wal.ErrChecksum)
		var checksum *wal.ChecksumError
		require.ErrorAs(t, err, &checksum)
		require.Equal(t, last+1, checksum.Frame)
		require.Equal(t, stored, checksum.Got, "what the file holds")
		require.NotEqual(t, checksum.Got, checksum.Want)
		require.Contains(t, err.Error(), fmt.Sprintf("wal: frame %d: ", last+1))
	case test.wantErr == wal.ErrFormat:
		require.ErrorIs(t, err, wal.ErrFormat)
		var format *wal.FormatError
		require.ErrorAs(t, err, &format)
		require.Equal(t, last+1, format.Frame)
		require.Contains(t, err.Error(), fmt.Sprintf("wal: frame %d: page number", last+1))
	case limit == math.MaxUint32:
		require.Equal(t, io.EOF, err)
	default:
		requireTruncated(t, err, last, limit)
	}
}
