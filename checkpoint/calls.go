package checkpoint

import (
	"io"
	"os"

	"github.com/mylibsql/mylibsql/internal/disk"
)

// calls are the file system calls that make a log durable and visible. A test puts itself
// between, to record their order or to let the k-th one fail as a crash would.
type calls struct {
	mkdir      func(path string) error
	write      func(file *os.File, content io.WriterTo) (int64, error)
	syncFile   func(file *os.File) error
	link       func(from, to string) error
	rename     func(from, to string) error
	syncFolder func(path string) error
	remove     func(path string) error
}

// folderPermissions are those of a folder that a Directory creates; its files have 0600
// from [os.CreateTemp]. A log holds the content of a database, whose own permissions the
// store does not know, so only the owner may read it.
const folderPermissions = 0o700

func systemCalls() calls {
	return calls{
		mkdir: func(path string) error { return os.Mkdir(path, folderPermissions) },
		write: func(file *os.File, content io.WriterTo) (int64, error) {
			return content.WriteTo(file)
		},
		syncFile:   disk.SyncFile,
		link:       os.Link,
		rename:     os.Rename,
		syncFolder: disk.SyncFolder,
		remove:     os.Remove,
	}
}
