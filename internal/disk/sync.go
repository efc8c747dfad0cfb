package disk

import (
	"errors"
	"fmt"
	"os"
)

// ErrSync is returned when an fsync failed: nobody knows what is durable.
var ErrSync = errors.New("disk: fsync failed")

// SyncFile makes the content of a file durable, not its name. It returns ErrSync, with the
// system's error, when the fsync failed. Safe for concurrent use.
func SyncFile(file *os.File) error {
	seen, err := seeFile(file)
	if err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	return seen.durable()
}

// SyncFolder makes the names in a folder durable: those that were added, those that were
// removed, and what they stand for. It returns ErrSync as SyncFile does; any other error
// means that no fsync was tried.
func SyncFolder(path string) error {
	seen, err := seeFolder(path)
	if err != nil {
		return err
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	return seen.durable()
}
