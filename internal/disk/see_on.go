//go:build crashlab

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// JournalEnv names the folder in which a process of the crash lab keeps what is durable: a
// copy of each file's content, and for each folder its files, as they were before the last
// sync. Without it nothing is kept. A file is known by its inode, which a link in the journal
// keeps from being used again, a folder by its path; all on one file system.
const JournalEnv = "MYLIBSQL_CRASHLAB_JOURNAL"

// Fault is called by every sync of a test, from any goroutine, with the path. The error that it
// returns is that of the sync; one that only watches returns nil.
var Fault atomic.Pointer[func(path string) error]

// sight is what was there before a sync: at the least that is durable behind it.
type sight struct {
	copied string // in the journal, empty when none is kept
	name   string // that it gets there
	pinned string // the file that it is a copy of, empty for a folder
}

func faultOf(path string) error {
	if fault := Fault.Load(); fault != nil {
		if err := (*fault)(path); err != nil {
			return fmt.Errorf("%w: %w", ErrSync, err)
		}
	}
	return nil
}

func seeFile(file *os.File) (sight, error) {
	if err := faultOf(file.Name()); err != nil {
		return sight{}, err
	}
	return copyFile(os.Getenv(JournalEnv), file)
}

func copyFile(journal string, file *os.File) (sight, error) {
	if journal == "" || isDatabase(file.Name()) {
		return sight{}, nil
	}
	content, err := os.ReadFile(file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return sight{}, nil // unlinked: nothing of it survives anyway
	}
	if err != nil {
		return sight{}, err
	}
	copied, err := os.CreateTemp(journal, "tmp-")
	if err != nil {
		return sight{}, err
	}
	_, err = copied.Write(content)
	info, statErr := file.Stat()
	if err := errors.Join(err, statErr, copied.Close()); err != nil {
		return sight{}, err
	}
	return sight{copied.Name(), contentName(journal, info), file.Name()}, nil
}

// isDatabase tells database files by their names: the engine refuses one with a second link, by
// which the journal would know it.
func isDatabase(name string) bool {
	return strings.HasSuffix(name, ".db") || strings.HasSuffix(name, ".restore")
}

func seeFolder(path string) (sight, error) {
	if err := faultOf(path); err != nil {
		return sight{}, err
	}
	return copyFolder(os.Getenv(JournalEnv), path)
}

func copyFolder(journal, path string) (sight, error) {
	if journal == "" {
		return sight{}, nil
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return sight{}, err
	}
	copied, err := os.MkdirTemp(journal, "tmp-")
	if err != nil {
		return sight{}, err
	}
	for _, name := range names {
		if !name.Type().IsRegular() || isDatabase(name.Name()) {
			continue
		}
		err := os.Link(filepath.Join(path, name.Name()), filepath.Join(copied, name.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sight{}, err
		}
	}
	// A folder cannot be replaced by a rename, a link to it can.
	link := copied + "-link"
	return sight{copied: link, name: folderName(journal, path)}, os.Symlink(copied, link)
}

// durable replaces what the journal had before. A process that is killed here leaves the
// older one, as if the sync had not come to its end; nobody was told of it.
func (s sight) durable() error {
	if s.copied == "" {
		return nil
	}
	if s.pinned != "" {
		err := os.Link(s.pinned, s.name+pinSuffix)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // unlinked by now
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.Rename(s.copied, s.name)
}
