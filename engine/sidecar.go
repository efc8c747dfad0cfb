//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql/internal/disk"
)

// sidecarSuffix is what the folder's name adds to the database's.
const sidecarSuffix = "-mylibsql"

// sidecar is the folder <file>-mylibsql beside the database: the lock, the state and the
// outbox. It takes the database file's permissions, never wider.
type sidecar struct {
	folder string
	mode   fs.FileMode // of files
	lock   *os.File    // holds the flock while the database is open
	state  *os.File    // guarded by DB.recording; nil before the first write
	// durableSlot is the slot of the state file whose record was fsynced last.
	durableSlot int
}

// openSidecar creates the folder if it is missing, and tells so by fresh.
func openSidecar(path string, databaseMode fs.FileMode) (s sidecar, fresh bool, err error) {
	s = sidecar{folder: path + sidecarSuffix, mode: databaseMode.Perm() &^ 0o111}
	err = os.Mkdir(s.folder, s.folderMode())
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return s, false, fmt.Errorf("engine: sidecar: %w", err)
	}
	return s, err == nil, nil
}

// makeOutbox creates the outbox once the state file is there: an outbox without a state
// tells that the state was lost.
func (s *sidecar) makeOutbox() error {
	if s.hasOutbox() {
		return nil
	}
	if err := disk.SyncFolder(s.folder); err != nil {
		return fmt.Errorf("engine: sidecar: %w", err)
	}
	if err := os.Mkdir(s.outbox(), s.folderMode()); err != nil {
		return fmt.Errorf("engine: sidecar: %w", err)
	}
	return nil
}

func (s *sidecar) hasOutbox() bool {
	_, err := os.Stat(s.outbox())
	return err == nil
}

// folderMode lets whoever may read a file of the folder enter it.
func (s *sidecar) folderMode() fs.FileMode { return s.mode | s.mode&0o444>>2 }

func (s *sidecar) outbox() string    { return filepath.Join(s.folder, "outbox") }
func (s *sidecar) statePath() string { return filepath.Join(s.folder, "state") }

// How often the lock is tried, and for how long at the least: a child of a process that has
// just closed the database holds its lock between fork and exec.
const (
	lockRetryInterval = 20 * time.Millisecond
	lockWaitMin       = 250 * time.Millisecond
)

// acquire takes the lock of the database between processes, waiting at most for timeout.
// The file tells who has it.
func (s *sidecar) acquire(ctx context.Context, timeout time.Duration) error {
	name := filepath.Join(s.folder, "lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, s.mode)
	if err != nil {
		return fmt.Errorf("engine: lock: %w", err)
	}
	deadline := time.NewTimer(max(timeout, lockWaitMin))
	defer deadline.Stop()
	retry := time.NewTicker(lockRetryInterval)
	defer retry.Stop()
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = file.Close()
			return fmt.Errorf("engine: lock: %w", err)
		}
		select {
		case <-retry.C:
			continue
		case <-deadline.C:
		case <-ctx.Done():
			_ = file.Close()
			return ctx.Err()
		}
		inUse := &InUseError{Path: strings.TrimSuffix(s.folder, sidecarSuffix), PID: readPID(file)}
		_ = file.Close()
		return inUse
	}
	s.lock = file
	return s.writePID()
}

func (s *sidecar) writePID() error {
	if err := s.lock.Truncate(0); err != nil {
		return fmt.Errorf("engine: lock: %w", err)
	}
	if _, err := s.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("engine: lock: %w", err)
	}
	return nil
}

func readPID(file *os.File) int {
	buffer := make([]byte, 32)
	n, _ := file.ReadAt(buffer, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buffer[:n])))
	return pid
}

// release closes what is open, the lock last.
func (s *sidecar) release() (err error) {
	if s.state != nil {
		err = s.state.Close()
		s.state = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}
