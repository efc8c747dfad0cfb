package translog

import (
	"bytes"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// bothKinds is a log in memory and one in a file.
func bothKinds(t *testing.T) map[string]*Log {
	kinds := map[string]*Log{}
	for name, memoryBytes := range map[string]int{"memory": 0, "file": 300} {
		h := newHistory(t, 51, 512)
		h.options.MemoryBytes = memoryBytes
		kinds[name] = h.start(20).Log
	}
	return kinds
}

// Goal: a clone lives on, a closed handle is closed, and descriptions outlive both.
// Method: close the original under a reader, then the clone.
func TestClonesOutliveTheirOriginal(t *testing.T) {
	for name, original := range bothKinds(t) {
		t.Run(name, func(t *testing.T) {
			data := encoded(t, original)
			first, err := original.Clone()
			require.NoError(t, err)
			second, err := first.Clone()
			require.NoError(t, err)
			reader := first.Reader()
			require.NoError(t, first.Close())
			require.NoError(t, first.Close(), "again is nothing")
			require.NoError(t, original.Close())

			_, err = reader.Read(make([]byte, 10))
			require.ErrorIs(t, err, ErrClosed)
			_, err = first.WriteTo(io.Discard)
			require.ErrorIs(t, err, ErrClosed)
			_, err = first.Clone()
			require.ErrorIs(t, err, ErrClosed)
			require.ErrorIs(t, first.Verify(), ErrClosed)
			require.ErrorIs(t, first.WriteFile(t.TempDir()+"/x", 0o644), ErrClosed)
			require.Equal(t, int64(len(data)), first.Size())
			require.Equal(t, second.End(), first.End())

			require.Equal(t, data, encoded(t, second))
			require.NoError(t, second.Verify())
			require.NoError(t, second.Close())
			require.ErrorIs(t, second.Verify(), ErrClosed)
		})
	}
}

// Goal: one log can be read by many at once, while handles on it come and go.
// Method: goroutines that clone, verify, copy and close, for the race detector.
func TestLogsAreSafeForConcurrentUse(t *testing.T) {
	for name, log := range bothKinds(t) {
		t.Run(name, func(t *testing.T) {
			want := encoded(t, log)
			errs := make([]error, 8)
			var group sync.WaitGroup
			for i := range errs {
				group.Go(func() { errs[i] = useLog(log, want) })
			}
			group.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
		})
	}
}

func useLog(log *Log, want []byte) error {
	for range 10 {
		clone, err := log.Clone()
		if err != nil {
			return err
		}
		if err := clone.Verify(); err != nil {
			return err
		}
		read, err := io.ReadAll(log.Reader())
		if err != nil {
			return err
		}
		if !bytes.Equal(want, read) {
			return io.ErrUnexpectedEOF
		}
		if err := clone.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Goal: an iteration that is left early lets go of the file.
// Method: count descriptors around builds, reads, broken-off iterations and failures.
func TestNoDescriptorIsLeftOpen(t *testing.T) {
	const descriptors = "/proc/self/fd"
	if _, err := os.Stat(descriptors); err != nil {
		t.Skip("no ", descriptors, " here")
	}
	h := newHistory(t, 52, 512)
	h.options.MemoryBytes = 200
	snapshot := h.start(20)
	logs := h.wander(5, false)
	damaged := encoded(t, logs[2])
	damaged[len(damaged)-1] ^= 1
	path, dir := writeBytes(t, damaged), t.TempDir()
	before := len(namesIn(t, descriptors))
	for range logs[0].Pages() {
		break
	}
	broken, err := OpenLog(path)
	require.NoError(t, err)
	_, err = snapshot.Append(logs[0], logs[1], broken, logs[3])
	require.ErrorIs(t, err, ErrFormat)
	_, err = snapshot.Restore(dir+"/a.db", logs[0], logs[1], broken)
	require.ErrorIs(t, err, ErrFormat)
	_, err = ReadLog(bytes.NewReader(damaged), dir)
	require.ErrorIs(t, err, ErrFormat)
	require.NoError(t, broken.Close())
	clone, err := snapshot.Clone()
	require.NoError(t, err)
	for page, err := range clone.Pages() {
		require.NoError(t, err, "a handle that is closed under an iteration lasts until its end")
		if page.No == 1 {
			require.NoError(t, clone.Close())
		}
	}
	require.Len(t, namesIn(t, descriptors), before)
	require.Empty(t, namesIn(t, dir))
}
