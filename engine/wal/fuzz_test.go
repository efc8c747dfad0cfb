package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// naiveFrames counts the valid frames of a file the slow way: whole frames, right salts, a page
// number, a checksum that continues.
func naiveFrames(file []byte, header wal.Header) int {
	sum, count := header.Checksum, 0
	salts := file[16:24]
	size := wal.FrameHeaderSize + header.PageSize
	for rest := file[wal.HeaderSize:]; len(rest) >= size; rest = rest[size:] {
		sum = naiveChecksum(sum, header.BigEndianChecksum, rest[:8])
		sum = naiveChecksum(sum, header.BigEndianChecksum, rest[24:size])
		stored := wal.Checksum{
			binary.BigEndian.Uint32(rest[16:]), binary.BigEndian.Uint32(rest[20:]),
		}
		zero := bytes.Equal(rest[:4], make([]byte, 4))
		if !bytes.Equal(rest[8:16], salts) || zero || sum != stored {
			break
		}
		count++
	}
	return count
}

// repair makes a file out of any bytes: a valid header when there is none, and so many frames with
// right salts and checksums, so that a fuzzer gets past them.
func repair(t *testing.T, raw []byte, count uint8) []byte {
	header, err := wal.ParseHeader(raw)
	if err != nil {
		header = wal.Header{BigEndianChecksum: count%2 == 1, PageSize: 512, Salt: testSalt}
		raw = append(header.Append(nil), raw[min(len(raw), wal.HeaderSize):]...)
		header, err = wal.ParseHeader(raw)
		require.NoError(t, err)
	}
	raw = bytes.Clone(raw)
	cursor := wal.Cursor{Checksum: header.Checksum}
	size := wal.FrameHeaderSize + header.PageSize
	for at := wal.HeaderSize; count > 0 && len(raw)-at >= size; at += size {
		f := raw[at : at+size]
		var encoded []byte
		pageNo, commit := uint32(f[3]), uint32(f[7])
		encoded, cursor = wal.AppendFrame(
			nil, header, cursor, pageNo, commit, f[wal.FrameHeaderSize:])
		copy(f, encoded)
		count--
	}
	return raw
}

// Goal: no file makes the reader panic, loop, or return a frame that is not valid. Method: the
// naive count beside it, with a limit and without; what was read must encode to the bytes of the
// file. Minimizing an input takes the engine up to a minute: -fuzzminimizetime=20x shortens it.
func FuzzReader(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, bigEndian := range []bool{false, true} {
		header := wal.Header{BigEndianChecksum: bigEndian, PageSize: 512, Salt: testSalt}
		file := header.Append(nil)
		header, err := wal.ParseHeader(file)
		require.NoError(f, err)
		cursor := wal.Cursor{Checksum: header.Checksum}
		for _, frame := range testFrames(random, 512, false, true, true) {
			file, cursor = wal.AppendFrame(
				file, header, cursor, frame.pageNo, frame.commit, frame.data)
		}
		f.Add(file, uint8(0), uint32(2))
		f.Add(file[:len(file)-1], uint8(0), uint32(math.MaxUint32))
		f.Add(file[20:], uint8(2), uint32(3))
		f.Add(file[:wal.HeaderSize], uint8(0), uint32(1))
	}
	f.Add([]byte(nil), uint8(0), uint32(0))
	f.Fuzz(func(t *testing.T, raw []byte, repaired uint8, limit uint32) {
		if header, err := wal.ParseHeader(raw); err == nil {
			require.Equal(t, raw[:wal.HeaderSize], header.Append(nil))
		} else {
			require.ErrorIs(t, err, wal.ErrFormat)
		}
		file := repair(t, raw, repaired)
		header, err := wal.ParseHeader(file)
		require.NoError(t, err)
		valid := naiveFrames(file, header)
		start := wal.Cursor{Checksum: header.Checksum}
		reader := wal.NewReader(bytes.NewReader(file), header, start)
		reader.Limit(limit)
		frames, err := readAll(t, reader)
		require.Len(t, frames, int(min(uint32(valid), limit)))
		requireDocumented(t, err)
		if limit <= uint32(valid) {
			require.Equal(t, io.EOF, err)
		}
		encoded, cursor := header.Append(nil), start
		for _, f := range frames {
			encoded, cursor = wal.AppendFrame(encoded, header, cursor, f.pageNo, f.commit, f.data)
		}
		require.True(t, bytes.HasPrefix(file, encoded))
		require.Equal(t, cursor, reader.Cursor())
	})
}

func requireDocumented(t *testing.T, err error) {
	t.Helper()
	if err == io.EOF {
		return
	}
	for _, known := range []error{wal.ErrTruncated, wal.ErrChecksum, wal.ErrFormat} {
		if errors.Is(err, known) {
			return
		}
	}
	require.NoError(t, err)
}
