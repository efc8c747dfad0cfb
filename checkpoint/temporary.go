package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// createTemporary creates a file that is locked (flock) as long as it is open, which
// tells a running Save of any process from a leftover. Where the file system knows no
// locks none is taken, and leftovers stay.
func (d *Directory) createTemporary(key translog.FrameNo) (*os.File, error) {
	for {
		file, err := os.CreateTemp(d.folder(temporaryFolder), keyName(key)+"-*")
		if err != nil {
			return nil, fmt.Errorf("checkpoint: create temporary file: %w", err)
		}
		_ = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		// removeLeftovers can have come between the creation and the lock.
		opened, openedErr := file.Stat()
		named, namedErr := os.Lstat(file.Name())
		err = errors.Join(openedErr, namedErr)
		if err == nil && os.SameFile(opened, named) {
			return file, nil
		}
		_ = file.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("checkpoint: create temporary file: %w", err)
		}
	}
}

// discard removes the temporary name. The content lives on in the record, if it became
// one. A name that cannot be removed is a leftover for the next OpenDirectory, no reason
// to fail a Save.
func (d *Directory) discard(temporary *os.File) {
	_ = d.calls.remove(temporary.Name())
	_ = temporary.Close()
}

// removeLeftovers removes the temporary files that no running Save holds.
func (d *Directory) removeLeftovers() error {
	folder := d.folder(temporaryFolder)
	names, err := listNames(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		prefix, _, found := strings.Cut(name, "-")
		if _, ours := parseKey(prefix); !found || !ours {
			continue
		}
		if err := d.removeLeftover(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) removeLeftover(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil // not ours, and a pipe would not open
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // Gone, or another user's.
	}
	if err != nil {
		return fmt.Errorf("checkpoint: open leftover: %w", err)
	}
	defer func() { _ = file.Close() }()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // A Save is at work, or nobody can tell.
	}
	if err := d.calls.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: remove leftover: %w", err)
	}
	return nil
}
