//go:build cgo

package dbtest

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Save is a function that a checkpoint hands its log to.
type Save = func(context.Context, *translog.Log) error

// A Life is one opening of a database by a test. What it does not need may be nil.
type Life struct {
	// Close closes the database. It is called at cleanup, and does nothing when the test has
	// closed it before.
	Close func() error
	// ErrUnsaved is the error by which Close says that commits are left unsaved, which is
	// no failure.
	ErrUnsaved error
	// IsOpen reports whether the test has left the database open. Then what Close returns
	// tells whether everything was saved.
	IsOpen func() bool
	// Logs are those that this life has saved, in order, continuing those of the lives
	// before it; nil for those that Save has kept.
	Logs func() []*translog.Log
	// Reopen opens the database again, after its last life.
	Reopen func(path string) (*Reopened, error)

	// Unsound says why the file need not be sound at the end, "" if it must be.
	Unsound string
	// Unrestored says why a restore need not be the file, "" if it must be.
	Unrestored string
	// LeavesWAL says why a WAL may lie beside the closed file, "" if it must not. It is taken
	// into the file by opening that once more.
	LeavesWAL string

	stores []*checkpoint.Directory

	mu   sync.Mutex
	kept []*translog.Log
}

// Save is a save function that keeps the log for a restore.
func (l *Life) Save(_ context.Context, log *translog.Log) error {
	clone, err := log.Clone()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, clone)
	return nil
}

func (l *Life) logs() []*translog.Log {
	if l.Logs != nil {
		return l.Logs()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept
}

// Keep says that the database is saved to a store, which must restore to it in the end. It
// may be said again.
func (l *Life) Keep(store *checkpoint.Directory) { l.stores = append(l.stores, store) }

// Reopened is a database that was opened again.
type Reopened struct {
	// IsPrimary tells a primary from a replica.
	IsPrimary bool
	// Saved and Committed are the positions that the database opened with.
	Saved, Committed translog.FrameNo
	// Checkpoint saves what is not saved, and returns the last saved position.
	Checkpoint func(context.Context, Save) (translog.FrameNo, error)
	// Close closes it.
	Close func() error
}

// file is a database file with all its lives.
type file struct {
	path  string
	lives []*Life // in the order of their opening
	ended int
	// isSaved is true when the last life that ended here said that nothing was left unsaved.
	isSaved bool
}

// watched holds the files of the tests that run, by path.
var watched = struct {
	sync.Mutex
	files map[string]*file
}{files: map[string]*file{}}

// Watch begins a life of the file at path, which ends at cleanup. With the last one the
// file is looked at. One that is not there is in order where no life knows IsOpen: a pool
// may never have opened it.
func Watch(t testing.TB, path string, life *Life) *Life {
	t.Helper()
	f := begin(t, path, life)
	t.Cleanup(func() {
		t.Helper()
		defer stopped()
		t := soft{t}
		if f.end(t, life) && !t.Failed() {
			f.verify(t)
		}
	})
	return life
}

// soft fails a test without runtime.Goexit, which would hide a panic of the test behind what
// its cleanup finds.
type soft struct{ testing.TB }

type stop struct{}

// FailNow ends what the cleanup does, up to stopped.
func (s soft) FailNow() {
	s.Fail()
	panic(stop{})
}

func stopped() {
	if reason := recover(); reason != nil && reason != (stop{}) {
		panic(reason)
	}
}

func begin(t testing.TB, path string, life *Life) *file {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	watched.Lock()
	defer watched.Unlock()
	f := watched.files[path]
	if f == nil {
		f = &file{path: path}
		watched.files[path] = f
	}
	f.lives = append(f.lives, life)
	return f
}

// end closes a life, and reports whether it was the last one.
func (f *file) end(t testing.TB, life *Life) (last bool) {
	t.Helper()
	watched.Lock()
	f.ended++
	last = f.ended == len(f.lives)
	if last {
		delete(watched.files, f.path)
	}
	watched.Unlock()
	if life.Close == nil {
		return last
	}
	wasOpen := life.IsOpen != nil && life.IsOpen()
	switch err := life.Close(); {
	case err == nil && wasOpen:
		f.isSaved = true
	case life.ErrUnsaved != nil && errors.Is(err, life.ErrUnsaved):
		f.isSaved = false
	case !t.Failed():
		require.NoError(t, err, "close of %s", f.path)
	}
	return last
}
