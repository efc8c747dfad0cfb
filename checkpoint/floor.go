package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// floor is the key of the first record that was not pruned, zero when none was. What stands
// under a smaller key does not count: it is what a prune has not removed yet, or the log of
// a writer who found the place empty again. A floor only rises.
type floor translog.FrameNo

const (
	floorName  = "floor"
	basePrefix = "base-"
)

// base is the name of the snapshot that stands for what was pruned.
func (f floor) base() string { return basePrefix + keyName(translog.FrameNo(f)-1) }

// isBase is strict: whatever does not come from base is none of ours.
func isBase(name string) bool {
	last, found := strings.CutPrefix(name, basePrefix)
	_, ok := parseKey(last)
	return found && ok
}

func (d *Directory) floorPath() string { return filepath.Join(d.folder(chainFolder), floorName) }

// readFloor reads the floor that is in force. One that cannot be read is an error, never
// taken for none: the records below it may be gone.
func (d *Directory) readFloor() (floor, error) {
	content, err := os.ReadFile(d.floorPath())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("checkpoint: read floor: %w", err)
	}
	text, ended := string(content), len(content) == keyDigits+1 && content[keyDigits] == '\n'
	if ended {
		if key, ok := parseKey(text[:keyDigits]); ok && key > 1 {
			return floor(key), nil
		}
	}
	return 0, fmt.Errorf("checkpoint: %s: %w", d.floorPath(), &translog.FormatError{
		Field: "floor", Got: fmt.Sprintf("%.40q", text), Want: "a key of 16 hex digits",
	})
}

// raiseFloor makes a floor durable. The caller has the prune lock, and the base is durable.
func (d *Directory) raiseFloor(to floor) error {
	temporary, err := d.createTemporary(1)
	if err != nil {
		return err
	}
	defer d.discard(temporary)
	content := strings.NewReader(keyName(translog.FrameNo(to)) + "\n")
	if _, err := d.calls.write(temporary, content); err != nil {
		return fmt.Errorf("checkpoint: write floor: %w", err)
	}
	if err := d.calls.syncFile(temporary); err != nil {
		return fmt.Errorf("checkpoint: sync floor: %w", err)
	}
	// A rename replaces the old floor as a whole; the lock keeps a lower one from coming
	// after a higher one.
	crashpoint.Reach(crashpoint.PruneWritten)
	if err := d.calls.rename(temporary.Name(), d.floorPath()); err != nil {
		return fmt.Errorf("checkpoint: raise floor: %w", err)
	}
	crashpoint.Reach(crashpoint.PruneRenamed)
	return d.syncChain()
}

// lockRetryInterval is how often a lock is tried that another process holds.
const lockRetryInterval = 20 * time.Millisecond

// lockPrune keeps other prunes of the store out, of any process, until unlock. A file system
// without locks refuses: two prunes at once could lower the floor.
func (d *Directory) lockPrune(ctx context.Context) (unlock func(), err error) {
	retry := time.NewTicker(lockRetryInterval)
	defer retry.Stop()
	for {
		unlock, err := d.tryLockPrune()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("checkpoint: prune: %w", ctx.Err())
		}
	}
}

func (d *Directory) tryLockPrune() (unlock func(), err error) {
	folder, err := os.Open(d.folder(chainFolder))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: prune: %w", err)
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("checkpoint: lock the chain: %w", err)
	}
	return func() { _ = folder.Close() }, nil
}
