//go:build cgo

package engine

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// TestReplicateEndsWithItsContext ends the context of a Replicate at each moment at which it is
// looked at: the replica has the log or is as it was, and takes the log when it is asked again.
func TestReplicateEndsWithItsContext(t *testing.T) {
	h := makeInput(t)
	f := feed(t, h)
	ended := 0
	for _, log := range h.logs[inputAt+1:] {
		for k := 0; ; k++ {
			err := f.Replicate(&endingContext{Context: t.Context(), left: k}, log)
			if err == nil {
				break
			}
			ended++
			require.ErrorIs(t, err, context.Canceled, "k = %d", k)
			f.requireUnmoved(t)
		}
		require.Equal(t, log.End(), f.at(t))
		f.have, f.rows = log.End(), f.read(t, inputQuery)
	}
	require.Greater(t, ended, 10)
	require.NoError(t, f.close())
	requireSameBytes(t, h.path, f.path)
	requireIntegrity(t, f.path)
}

// hookContext calls a function when it is asked for the n-th time.
type hookContext struct {
	context.Context
	n    int
	hook func()
}

func (c *hookContext) Err() error {
	if c.n--; c.n == 0 {
		c.hook()
	}
	return nil
}

// TestLogThatChangesBetweenTwoReadings damages the file of a log that is too large to be kept,
// after it was verified and while it is read again into the WAL, of which megabytes are written by
// then: nobody sees them, and the sound log replaces them.
func TestLogThatChangesBetweenTwoReadings(t *testing.T) {
	if testing.Short() {
		t.Skip("reads some hundred megabytes, and nothing at once")
	}
	primary := openNew(t, Options{PageSize: 65536, WALLimitFrames: 1 << 20})
	primary.fill(t, 10)
	primary.checkpoint(t)
	primary.grow(t, sealImageBytes/65536+40)
	primary.checkpoint(t)
	primary.touch(t, 5)
	primary.checkpoint(t)
	path := filepath.Join(t.TempDir(), "replica.db")
	o := openReplicaAt(t, path, Options{PageSize: 65536})
	o.replicate(t, primary.logs[0])
	rows := o.read(t, "SELECT count(*), sum(id) FROM t")

	name := filepath.Join(t.TempDir(), "large.ltx")
	require.NoError(t, primary.logs[1].WriteFile(name, 0o600))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	size := primary.logs[1].Size()
	pages := 0
	for range primary.logs[1].Pages() {
		pages++
	}
	for what, damage := range map[string]func() error{
		"a bit of the last page": func() error { return flipAt(file, size-40000) },
		"a bit of the trailer":   func() error { return flipAt(file, size-12) },
		"the length":             func() error { return file.Truncate(size - 100000) },
	} {
		_, err := file.WriteAt(whole, 0)
		require.NoError(t, err)
		log, err := translog.OpenLog(name)
		require.NoError(t, err)
		damaged := false
		ctx := &hookContext{Context: t.Context(), n: 2*pages + pages/2, hook: func() {
			damaged = true
			require.NoError(t, damage())
		}}
		err = o.Replicate(ctx, log)
		require.NoError(t, log.Close())
		require.True(t, damaged, what)
		require.ErrorIs(t, err, translog.ErrFormat, what)
		wal, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		require.Greater(t, wal.Size(), int64(pages/3*65536), "frames were written")
		require.Equal(t, primary.logs[0].End(), o.at(t))
		require.Equal(t, rows, o.read(t, "SELECT count(*), sum(id) FROM t"))
	}
	require.NoError(t, file.Close())
	o.replicate(t, primary.logs[1:]...)
	require.NoError(t, primary.close())
	require.NoError(t, o.close())
	requireSameBytes(t, primary.path, path)
	requireIntegrity(t, path)
}

func flipAt(file *os.File, offset int64) error {
	var b [1]byte
	if _, err := file.ReadAt(b[:], offset); err != nil {
		return err
	}
	b[0] ^= 4
	_, err := file.WriteAt(b[:], offset)
	return err
}

// TestReplicateFromManyGoroutines lets some goroutines replicate the same logs at once, beside
// others that read and ask for the position: each log is applied once, and nobody sees a step back.
func TestReplicateFromManyGoroutines(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	s := makeShelf(t, 1024, 60, rand.New(rand.NewPCG(seed, 1)))
	path := filepath.Join(t.TempDir(), "replica.db")
	o := openReplicaAt(t, path, Options{PageSize: 1024, WALLimitFrames: 100})
	o.replicate(t, s.logs[0])
	var appliers, readers sync.WaitGroup
	for range 3 {
		appliers.Go(func() {
			for _, log := range s.logs {
				if err := o.Replicate(context.Background(), log); err != nil {
					t.Error(log, err)
				}
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		o.Hold()
		session, err := o.Connect(ConnectOptions{DSN: "file:" + path})
		require.NoError(t, err)
		readers.Go(func() {
			defer func() { _ = session.Close() }()
			readUntil(t, o, session, done)
		})
	}
	appliers.Wait()
	close(done)
	readers.Wait()
	require.Equal(t, s.end(), o.at(t))
	require.NoError(t, o.close())
	s.requireContent(t, path, s.end())
	requireSameBytes(t, s.path, path)
}

func readUntil(t *testing.T, o *opened, session *Session, done <-chan struct{}) {
	var last translog.FrameNo
	lastCount := ""
	for {
		select {
		case <-done:
			return
		default:
		}
		at, err := o.Position(context.Background())
		committed, stats := o.Committed(), o.Stats()
		if err != nil || at.FrameNo < last || committed < at.FrameNo ||
			stats.Committed < committed || stats.Diverged {
			t.Errorf("position %v after %v, committed %v, %+v: %v", at, last, committed, stats, err)
			return
		}
		last = at.FrameNo
		count, err := firstRow(session.SQLite().Query("SELECT printf('%09d', n) FROM c", nil))
		if err != nil || count < lastCount {
			t.Errorf("count %s after %s: %v", count, lastCount, err)
			return
		}
		lastCount = count
	}
}
