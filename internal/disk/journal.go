//go:build crashlab

package disk

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

const (
	fileSuffix   = ".file"
	folderSuffix = ".folder"
)

// escape makes one name of a path.
func escape(path string) string { return url.PathEscape(filepath.Clean(path)) }

// DurableContent is the content that a file had when it was synced last, as a journal has it;
// false when it never was.
func DurableContent(journal, path string) ([]byte, bool, error) {
	content, err := os.ReadFile(filepath.Join(journal, escape(path)+fileSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return content, err == nil, err
}

// DurableFolder is a folder with the files that path had when it was synced last; false when
// it never was.
func DurableFolder(journal, path string) (folder string, found bool, err error) {
	folder, err = os.Readlink(filepath.Join(journal, escape(path)+folderSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return folder, err == nil, err
}
