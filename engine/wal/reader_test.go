package wal_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// Goal: what AppendFrame wrote is what Next returns, from any cursor on. Method: both byte orders
// and several page sizes, more frames than one chunk holds, a start after each of some frames.
func TestNextReturnsTheFramesAfterTheCursor(t *testing.T) {
	random := newRandom(t)
	for _, pageSize := range []int{512, 4096, 65536} {
		for _, bigEndian := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,bigEndian=%t", pageSize, bigEndian), func(t *testing.T) {
				commits := make([]bool, 2*(256<<10)/pageSize+3)
				for i := range commits {
					commits[i] = random.IntN(3) == 0
				}
				frames := testFrames(random, pageSize, commits...)
				header := wal.Header{
					BigEndianChecksum: bigEndian, PageSize: pageSize, Salt: testSalt,
				}
				file, header, cursors := buildWAL(t, header, frames)
				source := &spyFile{data: file, eof: io.EOF}
				for _, start := range []int{0, 1, len(frames) / 2, len(frames) - 1, len(frames)} {
					reader := wal.NewReader(source, header, cursors[start])
					require.Equal(t, cursors[start], reader.Cursor())
					got, err := readAll(t, reader)
					require.Equal(t, io.EOF, err)
					require.Len(t, got, len(frames)-start)
					for i := range got {
						require.Equal(t, frames[start+i], got[i], "frame %d", start+i+1)
					}
					require.Equal(t, cursors[len(frames)], reader.Cursor())
				}
			})
		}
	}
}

// Goal: a limit is a promise in both directions: nothing behind it is read, nothing before it is
// silently absent. Method: every limit on a file of eight frames, reads observed.
func TestLimitIsTheLastFrame(t *testing.T) {
	frames := testFrames(newRandom(t), 512, make([]bool, 8)...)
	file, header, cursors := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	for start := range len(frames) + 1 {
		for limit := range len(frames) + 3 {
			source := &spyFile{data: file, eof: io.EOF}
			reader := wal.NewReader(source, header, cursors[start])
			reader.Limit(uint32(limit))
			got, err := readAll(t, reader)
			require.LessOrEqual(t, source.end, wal.FrameOffset(uint32(limit)+1, 512))
			switch {
			case limit <= start:
				require.Equal(t, io.EOF, err)
				require.Empty(t, got)
				require.Zero(t, source.reads, "nothing to read")
			case limit <= len(frames):
				require.Equal(t, io.EOF, err)
				require.Equal(t, frames[start:limit], got)
				require.Equal(t, cursors[limit], reader.Cursor())
				require.Equal(t, 1, source.reads)
			default:
				requireTruncated(t, err, uint32(len(frames)), uint32(limit))
				require.Equal(t, cursors[len(frames)], reader.Cursor())
			}
			_, again := reader.Next()
			require.Equal(t, err, again, "an error stays while the file does")
		}
	}
}

// Goal: limits near the end of the number range neither panic nor ask for a negative size.
func TestLargestLimits(t *testing.T) {
	frames := testFrames(newRandom(t), 512, true)
	file, header, _ := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	source := &spyFile{data: file, eof: io.EOF}
	for _, limit := range []uint32{math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 1} {
		reader := wal.NewReader(source, header, wal.Cursor{Checksum: header.Checksum})
		reader.Limit(limit)
		got, err := readAll(t, reader)
		require.Equal(t, frames, got)
		requireTruncated(t, err, 1, limit)
	}
	for _, frame := range []uint32{math.MaxUint32 - 1, math.MaxUint32} {
		reader := wal.NewReader(source, header, wal.Cursor{Frame: frame})
		_, err := reader.Next()
		require.Equal(t, io.EOF, err)
	}
}

// Goal: a limit that is moved sets what is read from then on, and nothing that was read ahead
// before it is returned. Method: read one frame without a limit, replace the rest of the file, set
// a limit.
func TestLimitMovesEitherWay(t *testing.T) {
	random := newRandom(t)
	frames := testFrames(random, 512, make([]bool, 4)...)
	file, header, cursors := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	source := &spyFile{data: file, eof: io.EOF}
	reader := wal.NewReader(source, header, cursors[0])
	_, err := reader.Next()
	require.NoError(t, err)

	second := testFrames(random, 512, true)[0]
	source.data, _ = wal.AppendFrame(
		file[:wal.FrameOffset(2, 512):wal.FrameOffset(2, 512)], header, cursors[1],
		second.pageNo, second.commit, second.data)
	reader.Limit(2)
	got, err := readAll(t, reader)
	require.Equal(t, io.EOF, err)
	require.Equal(t, []testFrame{second}, got, "the frame that the file holds now")

	reader.Limit(1)
	_, err = reader.Next()
	require.Equal(t, io.EOF, err)
	reader.Limit(3)
	_, err = reader.Next()
	requireTruncated(t, err, 2, 3)
}

// Goal: an end is not for ever: a WAL that grows is followed with one Reader. Method: one frame
// appended at a time, over nothing, over a part of it, over frames of an earlier life, over a
// torn frame with the right salts.
func TestNextGoesOnWhenTheFileGrows(t *testing.T) {
	random := newRandom(t)
	frames := testFrames(random, 512, true, true, true, true)
	file, header, cursors := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	old, _, _ := buildWAL(t, wal.Header{PageSize: 512, Salt: wal.Salt{7, 8}},
		testFrames(random, 512, true, true, true, true))
	part := func(end, length int64) []byte { return file[end:min(end+length, int64(len(file)))] }
	tails := map[string]func(end int64) []byte{
		"nothing":         func(int64) []byte { return nil },
		"half a header":   func(end int64) []byte { return part(end, 12) },
		"half a frame":    func(end int64) []byte { return part(end, 300) },
		"an earlier life": func(end int64) []byte { return old[end:] },
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			source := &spyFile{eof: io.EOF}
			reader := wal.NewReader(source, header, cursors[0])
			for i := range frames {
				end := wal.FrameOffset(uint32(i+1), 512)
				source.data = append(append([]byte(nil), file[:end]...), tail(end)...)
				_, err := reader.Next()
				require.Equal(t, io.EOF, err)
				require.Equal(t, cursors[i], reader.Cursor())
				source.data = append(append([]byte(nil), file[:end+536]...), tail(end+536)...)
				f, err := reader.Next()
				require.NoError(t, err)
				require.Equal(t, frames[i].data, f.Data)
			}
		})
	}
	t.Run("a torn frame", func(t *testing.T) {
		source := &spyFile{data: append([]byte(nil), file...), eof: io.EOF}
		source.data[wal.FrameOffset(2, 512)+400] ^= 1
		reader := wal.NewReader(source, header, cursors[0])
		_, err := readAll(t, reader)
		require.ErrorIs(t, err, wal.ErrChecksum)
		source.data = file
		got, err := readAll(t, reader)
		require.Equal(t, io.EOF, err)
		require.Equal(t, frames[1:], got)
	})
}

// Goal: an error of the disk is told as such, never as the end, and costs no frame. Method: a
// source that fails half way through a read, then works; one that ends early and eagerly.
func TestNextPassesOnTheErrorOfTheSource(t *testing.T) {
	frames := testFrames(newRandom(t), 512, make([]bool, 5)...)
	file, header, cursors := buildWAL(t, wal.Header{PageSize: 512, Salt: testSalt}, frames)
	broken := errors.New("broken disk")
	for _, limit := range []uint32{1, 5, 9, math.MaxUint32} {
		source := &spyFile{data: file, eof: io.EOF, eager: true, failing: broken}
		reader := wal.NewReader(source, header, cursors[0])
		reader.Limit(limit)
		before, err := readAll(t, reader)
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, wal.ErrTruncated)
		require.NotErrorIs(t, err, io.EOF)
		require.EqualError(t, err, fmt.Sprintf("wal: read frame %d: broken disk", len(before)+1))
		require.Equal(t, cursors[len(before)], reader.Cursor())
		source.failing = nil
		after, err := readAll(t, reader)
		require.Error(t, err)
		require.NotErrorIs(t, err, broken)
		require.Equal(t, frames[:min(limit, 5)], append(before, after...))
	}
	wrapped := fmt.Errorf("end of segment: %w", io.EOF)
	reader := wal.NewReader(&spyFile{data: file, eof: wrapped}, header, cursors[0])
	got, err := readAll(t, reader)
	require.Equal(t, io.EOF, err, "the bare io.EOF, as callers compare it")
	require.Equal(t, frames, got)
}

// Goal: Reset leaves nothing of the last use but memory. Method: one Reader over files of several
// page sizes, abandoned half way, behind a limit and after an error.
func TestResetStartsAfresh(t *testing.T) {
	random := newRandom(t)
	var reader *wal.Reader
	for i, pageSize := range []int{512, 65536, 4096, 1024} {
		frames := testFrames(random, pageSize, make([]bool, 12)...)
		header := wal.Header{BigEndianChecksum: i%2 == 1, PageSize: pageSize, Salt: testSalt}
		file, header, cursors := buildWAL(t, header, frames)
		source := &spyFile{data: file, eof: io.EOF}
		if reader == nil {
			reader = wal.NewReader(source, header, cursors[3])
		}
		for _, limit := range []uint32{5, 6, 20} {
			reader.Reset(source, header, cursors[3])
			got, err := readAll(t, reader)
			require.Equal(t, io.EOF, err, "the limit of the last use is gone")
			require.Equal(t, frames[3:], got)
			reader.Reset(source, header, cursors[3])
			reader.Limit(limit)
			_, err = reader.Next()
			require.NoError(t, err)
		}
	}
}

// Goal: reading allocates one chunk, however many frames there are, and none after Reset; frames
// come in large reads. Method: allocations and reads counted over four chunks.
func TestNextAllocatesNothingPerFrame(t *testing.T) {
	const pageSize = 4096
	frames := testFrames(newRandom(t), pageSize, make([]bool, 250)...)
	file, header, cursors := buildWAL(t, wal.Header{PageSize: pageSize, Salt: testSalt}, frames)
	source := &spyFile{data: file, eof: io.EOF}
	reader := wal.NewReader(source, header, cursors[0])
	source.reads = 0
	runs := 0
	allocations := testing.AllocsPerRun(10, func() {
		runs++
		reader.Reset(source, header, cursors[0])
		for range frames {
			if _, err := reader.Next(); err != nil {
				panic(err)
			}
		}
	})
	require.Zero(t, allocations)
	require.LessOrEqual(t, source.reads, runs*(len(file)/(256<<10)+1))
}
