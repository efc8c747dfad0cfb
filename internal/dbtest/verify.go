//go:build cgo

package dbtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // for integrity_check, past everything of ours
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// jumpMin is less than what a position jumps by when a history starts over, and more than
// a test commits.
const jumpMin translog.FrameNo = 1 << 31

// patience is how long a connection may take to close that database/sql closes by itself.
const patience = 10 * time.Second

func (f *file) verify(t testing.TB) {
	t.Helper()
	unsound := f.exempt(t, func(l *Life) string { return l.Unsound })
	unrestored := f.exempt(t, func(l *Life) string { return l.Unrestored })
	leavesWAL := f.exempt(t, func(l *Life) string { return l.LeavesWAL })
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		wasOpen := slices.ContainsFunc(f.lives, func(l *Life) bool { return l.IsOpen != nil })
		require.False(t, wasOpen && !unsound, "%s is gone", f.path)
		return
	}
	requireClosed(t, f.path)
	if !unsound {
		f.settle(t, leavesWAL)
		RequireSound(t, f.path)
	}
	if !unrestored {
		f.verifyRestore(t)
	}
}

// exempt reports whether a life has a reason, and shows it.
func (f *file) exempt(t testing.TB, reason func(*Life) string) bool {
	t.Helper()
	for _, life := range f.lives {
		if text := reason(life); text != "" {
			t.Logf("%s is not verified: %s", filepath.Base(f.path), text)
			return true
		}
	}
	return false
}

// settle takes a WAL into the file, where one may be left.
func (f *file) settle(t testing.TB, mayBeLeft bool) {
	t.Helper()
	if _, err := os.Stat(f.path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.True(t, mayBeLeft, "a WAL is left beside %s", f.path)
	again, err := f.reopen()
	require.NoError(t, err, "opened again")
	f.closeAgain(t, again)
}

// verifyRestore compares the file with a restore of every place that it was saved to.
func (f *file) verifyRestore(t testing.TB) {
	t.Helper()
	places := f.places(t)
	if len(places) == 0 {
		f.requireNothingSaved(t)
		return
	}
	var end translog.Position
	isSame := true
	for _, place := range places {
		var same bool
		end, same = compare(t, place, f.path)
		isSame = isSame && same
	}
	if isSame {
		return
	}
	require.False(t, f.isSaved, "everything was saved, and a restore of it is not %s", f.path)
	f.saveRest(t, end, places)
	RequireSound(t, f.path)
	for _, place := range places {
		_, same := compare(t, place, f.path)
		require.True(t, same, "a restore of %v, with what was unsaved, is not %s", place, f.path)
	}
}

// places are what was kept of the file: all logs of its lives, and every store.
func (f *file) places(t testing.TB) (places []place) {
	t.Helper()
	var logs logsPlace
	var roots []string
	for _, life := range f.lives {
		logs = append(logs, life.logs()...)
		for _, store := range life.stores {
			if !slices.Contains(roots, store.Root()) {
				roots = append(roots, store.Root())
				places = append(places, &storePlace{store})
			}
		}
	}
	if len(logs) > 0 {
		places = append(places, &logs)
	}
	return places
}

// saveRest opens the file again, saves what it has beyond end into copies of the places,
// and closes it. It must go on from end, and not start its history over.
func (f *file) saveRest(t testing.TB, end translog.Position, places []place) {
	t.Helper()
	again, err := f.reopen()
	require.NoError(t, err, "opened again")
	for i := range places {
		places[i] = places[i].copy(t)
	}
	const differ = "%s is not what was saved of it: "
	if !again.IsPrimary || again.Saved != end.FrameNo || again.Committed <= again.Saved {
		f.closeAgain(t, again)
		require.Failf(t, "restore", differ+"its restore is at %v; opened again (primary %t) it is "+
			"at %v, saved up to %v", f.path, end, again.IsPrimary, again.Committed, again.Saved)
	}
	saved, err := again.Checkpoint(context.Background(),
		func(ctx context.Context, log *translog.Log) error {
			for _, place := range places {
				if err := place.add(ctx, log); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, errors.Join(err, again.Close()), "save of the rest")
	require.Less(t, saved-end.FrameNo, jumpMin, differ+"its history has started over", f.path)
}

func (f *file) reopen() (*Reopened, error) {
	for _, life := range f.lives {
		if life.Reopen != nil {
			return life.Reopen(f.path)
		}
	}
	return nil, fmt.Errorf("dbtest: no life of %s can be opened again", f.path)
}

// closeAgain closes a database that was opened again, and may leave commits unsaved.
func (f *file) closeAgain(t testing.TB, again *Reopened) {
	t.Helper()
	err := again.Close()
	for _, life := range f.lives {
		if life.ErrUnsaved != nil && errors.Is(err, life.ErrUnsaved) {
			return
		}
	}
	require.NoError(t, err)
}

// requireNothingSaved asks a primary of which nothing was kept that it counts nothing as
// saved: a test that saves must keep what it saves, or say why not.
func (f *file) requireNothingSaved(t testing.TB) {
	t.Helper()
	if !slices.ContainsFunc(f.lives, func(l *Life) bool { return l.Reopen != nil }) {
		return
	}
	again, err := f.reopen()
	require.NoError(t, err, "opened again")
	f.closeAgain(t, again)
	if again.IsPrimary {
		require.Zero(t, again.Saved, "%s was saved, and nothing of it was kept", f.path)
	}
}

// RequireSound runs integrity_check on a file that the process does not have open. What a
// WAL beside it holds is not looked at.
func RequireSound(t testing.TB, path string) {
	t.Helper()
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "immutable=1"}
	db, err := sql.Open("sqlite3", name.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var answer string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&answer))
	require.Equal(t, "ok", answer, "integrity_check of %s", path)
}

// RequireSame compares two closed files byte by byte.
func RequireSame(t testing.TB, want, got string) {
	t.Helper()
	require.True(t, isSame(t, want, got), "%s and %s differ", want, got)
}

func isSame(t testing.TB, want, got string) bool {
	t.Helper()
	a, err := os.ReadFile(want)
	require.NoError(t, err)
	b, err := os.ReadFile(got)
	require.NoError(t, err)
	return bytes.Equal(a, b)
}

// requireClosed waits until the process has neither the file nor its WAL open, where the
// system tells.
func requireClosed(t testing.TB, path string) {
	t.Helper()
	require.Eventually(t, func() bool { return !isOpen(path) }, patience, time.Millisecond,
		"%s is still open", path)
}

func isOpen(path string) bool {
	const descriptors = "/proc/self/fd"
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		name, err := os.Readlink(filepath.Join(descriptors, entry.Name()))
		if err == nil && slices.Contains([]string{path, path + "-wal", path + "-shm"}, name) {
			return true
		}
	}
	return false
}
