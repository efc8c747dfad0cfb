//go:build linux && cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql"
)

// The tests of full disks run on a real one. Each runs itself again, in a child process with a
// mount namespace of its own: there the child mounts a file system of a few MB, which nobody
// else sees and which is gone with it. Where that is not permitted the test is skipped.
//
// A ballast file takes all of the disk but a given number of KB, so a loop over that number
// makes the disk fill up at every write of the scenario in turn.
const (
	fullDiskEnv = "MYLIBSQL_TEST_FULL_DISK" // the folder to mount in

	smallDiskMB    = 8
	largeDiskMB    = 24  // for what does not fit on the small one
	smallDiskFiles = 400 // inodes
	roomyDiskMB    = 512
	diskBlockKB    = 4 // what a tmpfs hands out at once
)

// smallDisk is a file system that can be filled. Everything else that a scenario needs, its
// temporary folders included, lies on another one, which stays roomy.
type smallDisk struct {
	root, roomy string
	struck      struck
}

// onSmallDisk runs a scenario in a child process that has a small disk. The scenario tells which
// places the full disk must have struck at: a pattern that hits less than it is meant to is
// a fault of the test.
func onSmallDisk(t *testing.T, places []string, scenario func(*testing.T, *smallDisk)) {
	t.Helper()
	onDisk(t, smallDiskMB, places, scenario)
}

func onDisk(t *testing.T, sizeMB int, places []string, scenario func(*testing.T, *smallDisk)) {
	t.Helper()
	folder := os.Getenv(fullDiskEnv)
	if folder == "" {
		runInNamespace(t)
		return
	}
	disk := mountSmallDisk(t, folder, sizeMB)
	scenario(t, disk)
	t.Log("full disk:", disk.struck.String())
	if t.Failed() || testing.Short() {
		return // fewer steps need not strike everywhere
	}
	for _, place := range places {
		require.NotZero(t, disk.struck.times(place), "the full disk never struck at %q", place)
	}
}

// runInNamespace runs the test again in a new mount namespace: by the rights of the superuser, or
// where those are missing by those that a new user namespace gives.
func runInNamespace(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	var refusals []error
	for _, flags := range []uintptr{unix.CLONE_NEWNS, unix.CLONE_NEWNS | unix.CLONE_NEWUSER} {
		arguments := []string{"-test.run=^" + t.Name() + "$", "-test.v",
			fmt.Sprintf("-test.short=%v", testing.Short())}
		command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
		command.Env = append(os.Environ(), fullDiskEnv+"="+folder)
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&unix.CLONE_NEWUSER != 0 {
			// As its superuser: any other user would lose the right to mount with the execve.
			asRoot := func(id int) []syscall.SysProcIDMap {
				return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
			}
			command.SysProcAttr.UidMappings = asRoot(os.Getuid())
			command.SysProcAttr.GidMappings = asRoot(os.Getgid())
		}
		output, err := command.CombinedOutput()
		skipped := bytes.Contains(output, []byte("--- SKIP: "+t.Name()))
		switch exit := (*exec.ExitError)(nil); {
		case errors.As(err, &exit), err == nil && !skipped:
			require.NoError(t, err, string(output))
			for line := range strings.Lines(string(output)) {
				if strings.Contains(line, "full disk:") {
					t.Log(strings.TrimSpace(line))
				}
			}
			return
		case err == nil:
			err = errors.New(strings.TrimSpace(string(output)))
		}
		refusals = append(refusals, err)
	}
	t.Skip("a file system cannot be mounted here:", errors.Join(refusals...))
}

// mountSmallDisk mounts both disks below a folder. Whatever is logged is searched for places
// that the full disk struck at, for what happens in the background returns no error.
func mountSmallDisk(t *testing.T, folder string, sizeMB int) *smallDisk {
	t.Helper()
	disk := &smallDisk{root: filepath.Join(folder, "small"), roomy: filepath.Join(folder, "roomy")}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skip("make the mounts private:", err)
	}
	files := smallDiskFiles
	if sizeMB > smallDiskMB {
		files = 0 // as many as there is room for
	}
	for path, options := range map[string]string{
		disk.root:  fmt.Sprintf("size=%dm,nr_inodes=%d", sizeMB, files),
		disk.roomy: fmt.Sprintf("size=%dm", roomyDiskMB),
	} {
		require.NoError(t, os.Mkdir(path, 0o700))
		if err := unix.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
			_ = os.Remove(path)
			t.Skip("mount a tmpfs:", err)
		}
	}
	t.Setenv("TMPDIR", disk.roomy)
	slog.SetDefault(slog.New(&disk.struck))
	return disk
}

func (d *smallDisk) ballast() string { return filepath.Join(d.root, "ballast") }

// fill leaves exactly that many KB free, until makeRoom. What a reset in the background takes or
// gives back meanwhile makes another try necessary.
func (d *smallDisk) fill(t *testing.T, freeKB int) {
	t.Helper()
	var err error
	for range 100 {
		d.makeRoom(t)
		take := d.freeBlocks(t) - freeKB/diskBlockKB
		require.Positive(t, take, "the scenario needs a larger disk")
		var file *os.File
		file, err = os.Create(d.ballast())
		require.NoError(t, err)
		err = unix.Fallocate(int(file.Fd()), 0, 0, int64(take)*diskBlockKB<<10)
		require.NoError(t, file.Close())
		if err == nil && d.freeBlocks(t) == freeKB/diskBlockKB {
			return
		}
	}
	require.NoError(t, err)
	require.Equal(t, freeKB/diskBlockKB, d.freeBlocks(t))
}

// makeRoom takes the ballast away.
func (d *smallDisk) makeRoom(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast()); !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	require.NoError(t, os.RemoveAll(d.ballast()+"s"))
}

// fillFiles leaves room for exactly that many new files, and no less for their content.
func (d *smallDisk) fillFiles(t *testing.T, free int) {
	t.Helper()
	d.makeRoom(t)
	require.NoError(t, os.Mkdir(d.ballast()+"s", 0o700))
	for n := d.stat(t).Ffree; n > uint64(free); n-- {
		name := filepath.Join(d.ballast()+"s", fmt.Sprint(n))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.Equal(t, uint64(free), d.stat(t).Ffree)
}

func (d *smallDisk) freeBlocks(t *testing.T) int {
	t.Helper()
	s := d.stat(t)
	require.Equal(t, int64(diskBlockKB<<10), s.Bsize)
	return int(s.Bfree)
}

func (d *smallDisk) stat(t *testing.T) (s unix.Statfs_t) {
	t.Helper()
	require.NoError(t, unix.Statfs(d.root, &s))
	return s
}

// folder makes a folder on the small disk, which goes with the test and gives its room back.
func (d *smallDisk) folder(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp(d.root, "test-*")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(path)) })
	return path
}

// each runs a scenario once for each amount of free space up to a limit.
func (d *smallDisk) each(t *testing.T, limitKB, stepKB int, scenario func(*testing.T, int)) {
	t.Helper()
	if testing.Short() {
		stepKB *= 6
	}
	for freeKB := 0; freeKB <= limitKB; freeKB += stepKB {
		if !t.Run(fmt.Sprint(freeKB, "KB"), func(t *testing.T) { scenario(t, freeKB) }) {
			t.FailNow() // the others would fail too, and hide why
		}
	}
}

// requireNoSpace wants nothing wrong but the full disk: an error that says so, and an engine
// that goes on. It takes note of the place.
func (d *smallDisk) requireNoSpace(t *testing.T, err error) {
	t.Helper()
	require.True(t, saysNoSpace(err), "%v", err)
	require.NotErrorIs(t, err, mylibsql.ErrPoisoned)
	d.struck.note(err.Error())
}

// saysNoSpace tells the errors of a full disk: the system's, or SQLite's own. A wal-index that
// cannot grow is an I/O error there. A file that cannot be created cannot be opened: SQLite
// tries to read it after that, and the system's error is the one of this second try.
func saysNoSpace(err error) bool {
	if errors.Is(err, syscall.ENOSPC) {
		return true
	}
	var failure sqlite3.Error
	if errors.As(err, &failure) {
		return failure.Code == sqlite3.ErrFull || failure.Code == sqlite3.ErrCantOpen ||
			failure.SystemErrno == syscall.ENOSPC
	}
	return false
}

// struck counts the places that a full disk struck at, by what the errors call them. It is a
// slog.Handler as well.
type struck struct {
	mu     sync.Mutex
	counts map[string]int
}

// Parts of error messages tell the places. Only a test of the test wants to know them.
var struckPlaces = []string{
	placeSQLite, placeIndex, placeOpen, placeOutbox, placeState, placeLock, placeSpool,
	placeStore, placeStoreName, placeSecond, placeApply, placeAppend, placeMap, placeRestore,
	refusedToOpen, openedFull,
}

const (
	placeSQLite    = "database or disk is full"
	placeIndex     = "disk I/O error: no space"
	placeOpen      = "unable to open database file"
	placeOutbox    = "engine: outbox"
	placeState     = "engine: state"
	placeLock      = "engine: lock"
	placeSpool     = "temporary file: write"
	placeStore     = "checkpoint: write log"
	placeStoreName = "checkpoint: create"
	placeSecond    = "checkpoint: add second name"
	placeApply     = "engine: write WAL"
	placeAppend    = "append to wal-index"
	placeMap       = "map wal-index"
	placeRestore   = "translog: restore"
	placeElse      = "elsewhere"

	refusedToOpen = "engine: refused to open"
	openedFull    = "engine: opened all the same"
)

func (s *struck) note(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[string]int)
	}
	known := false
	for _, place := range struckPlaces {
		if strings.Contains(message, place) {
			s.counts[place]++
			known = true
		}
	}
	if !known {
		s.counts[placeElse+": "+message]++
	}
}

func (s *struck) times(place string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[place]
}

func (s *struck) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []string
	for _, place := range slices.Sorted(maps.Keys(s.counts)) {
		parts = append(parts, fmt.Sprintf("%d times %q", s.counts[place], place))
	}
	return strings.Join(parts, ", ")
}

// Enabled is of slog.Handler, as are the other three.
func (s *struck) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelInfo }

func (s *struck) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && saysNoSpace(err) {
			s.note(err.Error())
			return true
		} else if ok {
			fmt.Println("logged:", r.Message, err)
		}
		return true
	})
	return nil
}

func (s *struck) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *struck) WithGroup(string) slog.Handler      { return s }

// fullDiskSeedEnv gives the seed of a run that failed, to the process on the small disk as well.
const fullDiskSeedEnv = "MYLIBSQL_TEST_FULL_DISK_SEED"

// fullDiskSeed is the seed of the run, a new one unless one is given.
func fullDiskSeed(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv(fullDiskSeedEnv), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d runs the same again", fullDiskSeedEnv, seed)
	return seed
}
