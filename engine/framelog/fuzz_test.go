package framelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// FuzzOpen's goal: no bytes make a log panic, take memory for frames that are not there, or give
// anything but sound frames or a typed error. Method: whatever opens is read, copied, converted,
// and opened for appending, which must leave the same frames; then once more with numbers and
// checksums made right, which chance does not do.
func FuzzOpen(f *testing.F) {
	path, _ := seededWriter(1, 512).threeCommits(f)
	whole := readFile(f, path)
	f.Add(whole)
	f.Add(whole[:headerBytes])
	f.Add(whole[:len(whole)-1])
	f.Add(append(whole[:len(whole):len(whole)], "leftover"...))
	f.Add([]byte(magic))
	path = filepath.Join(f.TempDir(), "fuzz.log")
	f.Fuzz(func(t *testing.T, data []byte) {
		judge(t, path, data)
		if data = repaired(data); data != nil {
			judge(t, path, data)
		}
	})
}

// repaired gives the frames that are there the right count, numbers and checksums.
func repaired(data []byte) []byte {
	if len(data) < headerBytes {
		return nil
	}
	data = bytes.Clone(data)
	clear(data[countOffset : countOffset+8])
	h, err := parseHeader(data[:headerBytes])
	if err != nil {
		return nil
	}
	h.count = uint64((len(data) - headerBytes) / int(h.frameBytes()))
	if h.validate() != nil {
		return nil
	}
	copy(data, h.encode())
	sum := h.startChecksum
	for i := range h.count {
		frame := data[h.offset(i):h.offset(i+1)]
		sum = sum.after(frame[frameHeaderBytes:])
		binary.LittleEndian.PutUint64(frame, h.start+i)
		binary.LittleEndian.PutUint64(frame[8:], uint64(sum))
	}
	return data
}

// typed reports whether an error is one that the package promises for bytes from outside.
func typed(err error) bool {
	return errors.Is(err, translog.ErrFormat) || errors.Is(err, translog.ErrGap) ||
		errors.Is(err, ErrTransaction) || errors.Is(err, ErrEmpty)
}

func judge(t *testing.T, path string, data []byte) {
	require.NoError(t, os.WriteFile(path, data, 0o600))
	l, err := Open(path)
	if err != nil {
		require.ErrorIs(t, err, translog.ErrFormat)
		return
	}
	defer func() { require.NoError(t, l.Close()) }()
	at := translog.Position{FrameNo: l.First() - 1, Checksum: translog.EmptyChecksum | 1}
	for _, base := range []Base{{}, {Position: at, PageSize: l.PageSize(), Pages: 2,
		PageSum: func(translog.PageNo) (translog.Checksum, error) {
			return translog.EmptyChecksum | 2, nil
		}}} {
		log, err := l.Convert(base, 0, ConvertOptions{})
		if err == nil {
			require.NoError(t, errors.Join(log.Verify(), log.Close()))
			continue
		}
		require.True(t, typed(err), "%v", err)
	}
	if err := l.Verify(); err != nil {
		require.ErrorIs(t, err, translog.ErrFormat)
		return
	}
	frames := framesOf(t, l)
	var copied bytes.Buffer
	_, err = l.WriteTo(&copied)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(data, copied.Bytes()))
	appending, err := OpenAppend(path)
	require.NoError(t, err)
	require.Equal(t, frames, framesOf(t, appending))
	require.NoError(t, appending.Close())
	require.Equal(t, copied.Bytes(), readFile(t, path))
}
