//go:build crashlab

package disk

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const pinSuffix = ".pin"

// contentName is where a journal keeps the durable content of a file.
func contentName(journal string, info fs.FileInfo) string {
	inode := info.Sys().(*syscall.Stat_t).Ino
	return filepath.Join(journal, "file-"+strconv.FormatUint(uint64(inode), 10))
}

// folderName is where it keeps the link to the durable names of a folder.
func folderName(journal, path string) string {
	return filepath.Join(journal, "folder-"+url.PathEscape(filepath.Clean(path)))
}

// SyncAll makes everything in a folder durable, as far as a journal knows.
func SyncAll(journal, folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() && !entry.Type().IsRegular() {
			return err
		}
		if entry.IsDir() {
			seen, err := copyFolder(journal, path)
			return errors.Join(err, seen.durable())
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		seen, err := copyFile(journal, file)
		return errors.Join(err, seen.durable(), file.Close())
	})
}

// DurableContent is the content that a file had when it was synced last, as a journal has it;
// false when it never was.
func DurableContent(journal, path string) ([]byte, bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	content, err := os.ReadFile(contentName(journal, info))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return content, err == nil, err
}

// DurableFolder is a folder with the files that path had when it was synced last; false when
// it never was.
func DurableFolder(journal, path string) (folder string, found bool, err error) {
	folder, err = os.Readlink(folderName(journal, path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return folder, err == nil, err
}
