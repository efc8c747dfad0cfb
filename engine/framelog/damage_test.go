package framelog

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// readAll opens a file and reads everything, and returns the frames and the first error.
func readAll(path string) (frames int, err error) {
	l, err := Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, err := range l.Frames(0) {
		if err != nil {
			return frames, err
		}
		frames++
	}
	return frames, nil
}

// Goal: every kind of damage has its own error.
// Method: a table of corruptions of one file of six frames, read to the end.
func TestDamageIsNamed(t *testing.T) {
	const frameBytes = frameHeaderBytes + 512
	put64 := func(offset int, value uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b[offset:], value)
			return b
		}
	}
	put32 := func(offset int, value uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[offset:], value)
			return b
		}
	}
	third := headerBytes + 2*frameBytes
	for _, row := range []struct {
		name       string
		corrupt    func([]byte) []byte
		wantFrames int
		wantErr    error
	}{
		{"sound", func(b []byte) []byte { return b }, 6, nil},
		{"leftover", func(b []byte) []byte { return append(b, b[third:]...) }, 6, nil},
		{"count too small", put64(countOffset, 5), 5, nil},
		{"count too large", put64(countOffset, 7), 0, ErrTruncated},
		{"count of all bits", put64(countOffset, 1<<64-1), 0, translog.ErrFormat},
		{"count that overflows", put64(countOffset, 1<<63/frameBytes+1), 0, translog.ErrFormat},
		{"start that overflows", put64(16, 1<<64-7), 0, translog.ErrFormat},
		{"other start", put64(16, 1), 0, translog.ErrFormat},
		{"other start checksum", put64(8, 1), 6, nil}, // The chain starts from 0 all the same.
		{"magic", put32(0, 0), 0, translog.ErrFormat},
		{"version 1", put32(32, 1), 0, translog.ErrFormat},
		{"page size 0", put32(36, 0), 0, translog.ErrFormat},
		{"page size -4096", put32(36, 1<<32-4096), 0, translog.ErrFormat},
		{"page size 131072", put32(36, 131072), 0, translog.ErrFormat},
		{"page size 1024", put32(36, 1024), 0, ErrTruncated},
		{"empty file", func([]byte) []byte { return nil }, 0, ErrTruncated},
		{"frame number", put64(third, 9), 2, translog.ErrFormat},
		{"frame checksum", put64(third+8, 9), 2, ErrChecksum},
		{"page 0", put32(third+16, 0), 2, translog.ErrFormat},
		{"lock page", put32(third+16, uint32(translog.LockPage(512))), 2, translog.ErrFormat},
		{"frames swapped", func(b []byte) []byte {
			copy(b[third:], b[third+frameBytes:third+2*frameBytes])
			return b
		}, 2, translog.ErrFormat},
		{"page", put32(third+100, 0), 2, ErrChecksum},
	} {
		path, _ := threeCommits(t, 512)
		corrupted := fileOf(t, row.corrupt(readFile(t, path)))
		frames, err := readAll(corrupted)
		require.ErrorIs(t, err, row.wantErr, row.name)
		require.Equal(t, row.wantFrames, frames, row.name)
		if row.wantErr != nil {
			require.ErrorIs(t, err, translog.ErrFormat, row.name)
			require.Regexp(t, "^framelog: ", err.Error())
		}
	}
}

// Goal: a file cut at any length is refused.
// Method: every length of a file of six frames, for reading and for appending, which must not
// change it.
func TestTruncationAtEveryLengthIsRefused(t *testing.T) {
	path, _ := threeCommits(t, 512)
	whole := readFile(t, path)
	cut := fileOf(t, whole)
	for length := len(whole) - 1; length >= 0; length-- {
		require.NoError(t, os.Truncate(cut, int64(length)))
		_, err := Open(cut)
		var truncated *TruncatedError
		require.ErrorAs(t, err, &truncated)
		require.EqualValues(t, length, truncated.Bytes)
		_, err = OpenAppend(cut)
		require.ErrorIs(t, err, ErrTruncated)
		info, err := os.Stat(cut)
		require.NoError(t, err)
		require.EqualValues(t, length, info.Size())
	}
}

// mayFlip tells which bits the format cannot protect: the library version, the start checksum of a
// chain that starts from 0, a count that becomes smaller, and of a frame its page number and size.
func mayFlip(whole []byte, offset int, bit byte) bool {
	switch {
	case offset >= 8 && offset < 16, offset >= 40 && offset < headerBytes:
		return true
	case offset < headerBytes:
		return offset >= countOffset && offset < 32 && whole[offset]&bit != 0
	}
	inFrame := (offset - headerBytes) % (frameHeaderBytes + 512)
	return inFrame >= 16 && inFrame < frameHeaderBytes
}

// Goal: a flipped bit at any offset that the format protects is found, and none does other harm.
// Method: every bit of a file is flipped in turn, the file opened and read.
func TestEveryFlippedBitIsFound(t *testing.T) {
	path, _ := threeCommits(t, 512)
	whole := readFile(t, path)
	flipped, err := os.OpenFile(fileOf(t, whole), os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, flipped.Close()) }()
	for offset := range whole {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			_, err := flipped.WriteAt([]byte{whole[offset] ^ bit}, int64(offset))
			require.NoError(t, err)
			_, err = readAll(flipped.Name())
			if err != nil || !mayFlip(whole, offset, bit) {
				require.ErrorIs(t, err, translog.ErrFormat, "byte %d bit %d", offset, bit)
			}
		}
		_, err := flipped.WriteAt(whole[offset:offset+1], int64(offset))
		require.NoError(t, err)
	}
}

// Goal: a flipped bit in the database size of a commit is found when the log is converted.
// Method: each bit of each frame's size is flipped. One flip makes a commit where there was none,
// of the size that the database has anyway: that is the only one that passes, for it changes
// nothing that is converted.
func TestFlippedSizeIsFoundByConvert(t *testing.T) {
	path, frames := threeCommits(t, 512)
	whole := readFile(t, path)
	sound, err := openLog(t, path).Convert(Base{}, 0, ConvertOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, sound.Close()) }()
	for i, frame := range frames {
		for bit := range 32 {
			b := append([]byte(nil), whole...)
			size := frame.Commit ^ 1<<bit
			binary.LittleEndian.PutUint32(b[headerBytes+i*(frameHeaderBytes+512)+20:], size)
			log, err := openLog(t, fileOf(t, b)).Convert(Base{}, 6, ConvertOptions{})
			if err == nil {
				require.Equal(t, sound.End(), log.End())
				require.NoError(t, log.Close())
				continue
			}
			if size != 0 {
				require.ErrorIs(t, err, translog.ErrFormat)
			}
		}
	}
}

// Goal: what a crash leaves of a batch that was not synced is dropped, whatever its length.
// Method: a batch is appended and not synced; the file is cut at every length past the counted
// frames, and also filled with zeros, then opened, appended to and read again.
func TestUnsyncedBatchIsDroppedAfterCrash(t *testing.T) {
	path, frames := threeCommits(t, 512)
	synced := len(readFile(t, path))
	l := openAppend(t, path)
	w := newWriter(t, 512)
	w.next, w.pages = 7, 2
	batch := w.commit(2, 1, 2)
	require.NoError(t, l.Append(batch))
	crashed := readFile(t, path)
	require.Greater(t, len(crashed), synced)
	for length := synced; length <= len(crashed); length += 1 + length%7 {
		left := append([]byte(nil), crashed[:length]...)
		if length%2 == 0 {
			clear(left[synced+(length-synced)/2:])
		}
		after := openAppend(t, fileOf(t, left))
		require.EqualValues(t, length-synced, after.LeftoverBytes())
		require.Equal(t, frames, framesOf(t, after))
		require.NoError(t, after.Append(batch[1:1]))
		require.NoError(t, after.Append(batch))
		require.NoError(t, after.Close())
		require.Equal(t, append(frames, batch...), framesOf(t, openLog(t, after.path)))
	}
}

// Goal: nothing is appended to a log whose last frame is damaged.
// Method: one flipped bit in the last page.
func TestDamagedEndIsNotAppendedTo(t *testing.T) {
	path, _ := threeCommits(t, 512)
	b := readFile(t, path)
	b[len(b)-1] ^= 1
	_, err := OpenAppend(fileOf(t, b))
	var wrong *ChecksumError
	require.ErrorAs(t, err, &wrong)
	require.EqualValues(t, 6, wrong.FrameNo)
}

// Goal: a file that is cut while it is open is an error, not a panic.
// Method: cut between opening and reading.
func TestFileCutBehindOurBack(t *testing.T) {
	path, _ := threeCommits(t, 512)
	l := openLog(t, path)
	require.NoError(t, os.Truncate(path, headerBytes+600))
	require.ErrorIs(t, l.Verify(), ErrTruncated)
	_, err := l.WriteTo(io.Discard)
	require.ErrorIs(t, err, ErrTruncated)
}

// Goal: a file that the Rust crate collected across its checkpoints is sound: the chain of
// checksums starts again from 0 within it.
// Method: the frames of a chain from 0 are put behind those of another one.
func TestChainMayStartAgain(t *testing.T) {
	path, frames := threeCommits(t, 512)
	b := readFile(t, path)[:headerBytes]
	var sum Checksum
	for _, frame := range frames {
		if frame.FrameNo == 4 {
			sum = 0
		}
		sum = sum.after(frame.Data)
		b = appendFrame(b, frame, sum)
	}
	require.Equal(t, frames, framesOf(t, openLog(t, fileOf(t, b))))
}
