package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

var errCrash = errors.New("crash")

// watch puts itself between a store and the file system. Each call is written to the trace; from
// the limit-th on every call fails without effect, as for a process that died there. A negative
// limit never fails.
type watch struct {
	trace []string
	limit int
}

func (w *watch) fails(call string, paths ...string) error {
	for _, path := range paths {
		short := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		if name, _, found := strings.Cut(short, "-"); found && strings.HasPrefix(short, "tmp/") {
			short = name + "-*"
		}
		call += " " + short
	}
	if w.limit >= 0 && len(w.trace) >= w.limit {
		return errCrash
	}
	w.trace = append(w.trace, call)
	return nil
}

func (w *watch) calls() calls {
	system := systemCalls()
	return calls{
		mkdir: func(path string) error {
			return first(w.fails("mkdir", path), func() error { return system.mkdir(path) })
		},
		write: func(file *os.File, content io.WriterTo) (written int64, err error) {
			if err := w.fails("write", file.Name()); err != nil {
				_, _ = file.WriteString("torn")
				return 4, err
			}
			return system.write(file, content)
		},
		syncFile: func(file *os.File) error {
			return first(w.fails("sync", file.Name()), func() error { return file.Sync() })
		},
		rename: func(from, to string) error {
			err := w.fails("rename", from, to)
			return first(err, func() error { return system.rename(from, to) })
		},
		link: func(from, to string) error {
			return first(w.fails("link", from, to), func() error { return system.link(from, to) })
		},
		syncFolder: func(path string) error {
			return first(w.fails("syncdir", path), func() error { return system.syncFolder(path) })
		},
		remove: func(path string) error {
			return first(w.fails("remove", path), func() error { return system.remove(path) })
		},
	}
}

func first(err error, call func() error) error {
	if err != nil {
		return err
	}
	return call()
}

// Goal: a missing sync or a changed order shows up in review.
// Method: the file system calls of the first Save and of a later one, word for word.
func TestSaveMakesTheseCallsInThisOrder(t *testing.T) {
	store, h := open(t, filepath.Join(t.TempDir(), "store")), newHistory(t)
	watching := &watch{limit: -1}
	store.calls = watching.calls()
	require.NoError(t, store.Save(t.Context(), h.log(3)))
	parent := filepath.Base(filepath.Dir(filepath.Dir(store.root))) + "/" +
		filepath.Base(filepath.Dir(store.root))
	top := filepath.Base(filepath.Dir(store.root)) + "/store"
	var want []string
	for _, folder := range []string{"chain", "0", "tmp"} {
		want = append(want, "mkdir "+top, "syncdir "+parent, "mkdir store/ltx", "syncdir "+top,
			"mkdir ltx/"+folder, "syncdir store/ltx")
	}
	want = append(want,
		"write tmp/0000000000000001-*",
		"sync tmp/0000000000000001-*",
		"link tmp/0000000000000001-* chain/0000000000000001",
		"syncdir ltx/chain",
		"link chain/0000000000000001 0/0000000000000001-0000000000000003.ltx",
		"mkdir "+top, "syncdir "+parent, "mkdir store/ltx", "syncdir "+top,
		"mkdir ltx/9", "syncdir store/ltx",
		"link chain/0000000000000001 9/0000000000000001-0000000000000003.ltx",
		"remove tmp/0000000000000001-*",
	)
	require.Equal(t, want, watching.trace)

	watching.trace = nil
	require.NoError(t, store.Save(t.Context(), h.log(2)))
	require.Equal(t, []string{
		"write tmp/0000000000000004-*",
		"sync tmp/0000000000000004-*",
		"link tmp/0000000000000004-* chain/0000000000000004",
		"syncdir ltx/chain",
		"link chain/0000000000000004 0/0000000000000004-0000000000000005.ltx",
		"remove tmp/0000000000000004-*",
	}, watching.trace)
}

// Goal: a crash at any call loses nothing that was confirmed, and is repaired by the next open.
// Method: let a process die at its k-th call, for every k, while it saves a snapshot, a log and a
// second snapshot; open the store again; save what was not confirmed again; compare.
func TestCrashAtEveryCallIsRepaired(t *testing.T) {
	h := newHistory(t)
	logs := []*translog.Log{h.log(3), h.log(4)}
	before := h.end
	h.jump(100)
	logs = append(logs, h.snapshot(before))
	complete := filepath.Join(t.TempDir(), "store")
	for _, log := range logs {
		require.NoError(t, open(t, complete).Save(t.Context(), log))
	}

	for limit := 0; ; limit++ {
		root := filepath.Join(t.TempDir(), "store")
		dying := open(t, root)
		watching := &watch{limit: limit}
		dying.calls = watching.calls()
		confirmed := 0
		for _, log := range logs {
			if dying.Save(t.Context(), log) != nil {
				break
			}
			confirmed++
		}
		if confirmed == len(logs) && len(watching.trace) < limit {
			t.Logf("%d calls", len(watching.trace))
			return
		}
		again := open(t, root)
		saved := records(t, again, 0)
		require.GreaterOrEqual(t, len(saved), confirmed, "died at call %d", limit)
		requireNamed(t, again, saved)
		for _, log := range logs[confirmed:] {
			require.NoError(t, again.Save(t.Context(), log), "died at call %d", limit)
		}
		require.Equal(t, names(t, complete), names(t, root), "died at call %d", limit)
		requireRestored(t, again, h)
	}
}

// requireNamed checks that the folders hold the names of the saved logs and nothing else.
func requireNamed(t *testing.T, store *Directory, saved []Record) {
	t.Helper()
	var want []string
	for _, record := range saved {
		name := fmt.Sprintf("%016x-%016x.ltx", uint64(record.First), uint64(record.Last))
		want = append(want, "0/"+name, "chain/"+keyName(record.key()))
		if record.IsSnapshot() {
			want = append(want, "9/"+name)
		}
	}
	folder := filepath.Join(store.root, "ltx")
	if _, err := os.Stat(folder); err != nil {
		require.Empty(t, want)
		return
	}
	require.ElementsMatch(t, want, names(t, folder))
}

// Goal: an error in the middle of a Save leaves nothing behind, and the next Save succeeds.
// Method: end the context, or fail, at each step before the record exists.
func TestFailedSaveLeavesNothing(t *testing.T) {
	for name, interfere := range map[string]func(*calls, context.CancelFunc){
		"context ends before writing": func(c *calls, cancel context.CancelFunc) {
			write := c.write
			c.write = func(file *os.File, content io.WriterTo) (int64, error) {
				cancel()
				return write(file, content)
			}
		},
		"context ends after writing": func(c *calls, cancel context.CancelFunc) {
			c.syncFile = func(*os.File) error { cancel(); return nil }
		},
		"write fails": func(c *calls, _ context.CancelFunc) {
			c.write = func(*os.File, io.WriterTo) (int64, error) { return 7, syscall.ENOSPC }
		},
		"write is short": func(c *calls, _ context.CancelFunc) {
			c.write = func(*os.File, io.WriterTo) (int64, error) { return 7, nil }
		},
		"sync fails": func(c *calls, _ context.CancelFunc) {
			c.syncFile = func(*os.File) error { return syscall.EIO }
		},
		"link fails": func(c *calls, _ context.CancelFunc) {
			c.link = func(from, to string) error {
				return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EMLINK}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			store, h := open(t, root), newHistory(t)
			log := h.log(2)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			interfere(&store.calls, cancel)
			err := store.Save(ctx, log)
			require.Error(t, err)
			if strings.HasPrefix(name, "context") {
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Empty(t, names(t, root))
			store.calls = systemCalls()
			require.NoError(t, store.Save(t.Context(), log))
			requireRestored(t, store, h)
		})
	}
}

const fullDiskRoot = "MYLIBSQL_TEST_FULL_DISK"

// Goal: a disk that takes no more bytes fails a Save with the system's error, leaves nothing, and
// the log can be saved later.
// Method: a child process may write no file longer than 1 KiB; the parent looks at what it left.
func TestFullDiskLeavesNothing(t *testing.T) {
	if root := os.Getenv(fullDiskRoot); root != "" {
		signal.Ignore(syscall.SIGXFSZ)
		h := newHistory(t)
		for range 4 {
			h.change()
		}
		log := h.log(1)
		limit := syscall.Rlimit{Cur: 1024, Max: 1024}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
		require.ErrorIs(t, open(t, root).Save(t.Context(), log), syscall.EFBIG)
		return
	}
	root := filepath.Join(t.TempDir(), "store")
	child := exec.Command(os.Args[0], "-test.run=^TestFullDiskLeavesNothing$")
	child.Env = append(os.Environ(), fullDiskRoot+"="+root)
	output, err := child.CombinedOutput()
	require.NoError(t, err, string(output))
	require.DirExists(t, filepath.Join(root, "ltx", "tmp"))
	require.Empty(t, names(t, root))
}
