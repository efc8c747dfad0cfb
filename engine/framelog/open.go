package framelog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// CreateOptions describe a new log.
type CreateOptions struct {
	// First is the position of the first frame, 0 means 1.
	First translog.FrameNo
	// StartChecksum is the running checksum of the frame before First. The Rust crate
	// begins every log with 0.
	StartChecksum Checksum
	// PageSize is the size of a page in bytes: a power of two from 512 to 65536, 0 means
	// 4096, which is the only one that the Rust crate can read.
	PageSize int
	// Perm is the file's permissions before umask, 0 means 0600.
	Perm fs.FileMode
}

// Create makes a new, empty log and opens it for appending. An existing file is left as
// it is, and the error is [fs.ErrExist]. Options that the format cannot carry are a
// [*FormatError]. On return the file is durable, its folder synced; after an error there
// is none.
func Create(path string, options CreateOptions) (*Log, error) {
	h := header{
		startChecksum: options.StartChecksum, start: uint64(cmp.Or(options.First, 1)) - 1,
		pageSize: cmp.Or(options.PageSize, pageSizeDefault), version: LibraryVersion,
	}
	if err := h.validate(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, cmp.Or(options.Perm, 0o600))
	if err != nil {
		return nil, fmt.Errorf("framelog: create: %w", err)
	}
	_, err = file.WriteAt(h.encode(), 0)
	if err == nil {
		err = disk.SyncFile(file)
	}
	if err == nil {
		err = disk.SyncFolder(filepath.Dir(path))
	}
	if err == nil {
		path, err = resolve(path)
	}
	if err != nil {
		return nil, fmt.Errorf("framelog: create: %w",
			errors.Join(err, file.Close(), os.Remove(file.Name())))
	}
	return &Log{path: path, appending: true, file: file, head: h, checksum: h.startChecksum}, nil
}

// Open opens a log for reading, and writes nothing. It sees the frames that were synced
// when it was opened. Only the header is checked, and that the file is as long as it
// says: frames are verified as they are read, all of them by [Log.Verify].
//
// What is not a log is a [*FormatError], a file that is too short a [*TruncatedError].
func Open(path string) (*Log, error) { return open(path, os.O_RDONLY) }

// OpenAppend opens a log for appending and reading, with the checks and errors of [Open].
// The last frame, which new ones are chained to, is verified too: a [*FormatError] or
// [*ChecksumError]. Bytes past the counted frames are cut off, as the package
// documentation tells.
func OpenAppend(path string) (*Log, error) {
	l, err := open(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := l.resume(); err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

func open(path string, flag int) (*Log, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, fmt.Errorf("framelog: open: %w", err)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		if err != nil {
			return nil, fmt.Errorf("framelog: open: %w", err)
		}
		return nil, &FormatError{Field: "file", Got: info.Mode().Type(), Want: "a regular file"}
	}
	file, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, fmt.Errorf("framelog: open: %w", err)
	}
	l, err := read(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	l.path = path
	return l, nil
}

// resolve names the file itself, whatever the working directory is later.
func resolve(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// read reads the header of an open file.
func read(file *os.File) (*Log, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("framelog: open: %w", err)
	}
	if info.Size() < headerBytes {
		return nil, &TruncatedError{Bytes: info.Size(), WantBytes: headerBytes}
	}
	var b [headerBytes]byte
	if _, err := file.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("framelog: open: %w", err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		return nil, err
	}
	end := h.offset(h.count)
	if info.Size() < end {
		return nil, &TruncatedError{Bytes: info.Size(), WantBytes: end}
	}
	l := &Log{file: file, head: h, leftover: info.Size() - end}
	l.count.Store(h.count)
	return l, nil
}

// resume makes an opened log ready for appending.
func (l *Log) resume() error {
	l.appending, l.published, l.checksum = true, l.head.count, l.head.startChecksum
	if l.head.count > 0 {
		var err error
		if _, l.checksum, err = l.readFrame(l.head.next()-1, nil); err != nil {
			return err
		}
	}
	if l.leftover > 0 {
		if err := l.file.Truncate(l.head.offset(l.head.count)); err != nil {
			return fmt.Errorf("framelog: cut off what was not counted: %w", err)
		}
	}
	// Whoever wrote the count, or renamed the file into place, may have been killed
	// before the sync that belongs to it. The folder is paid for here, the count by the
	// next Sync.
	l.dirty = true
	if err := disk.SyncFolder(filepath.Dir(l.path)); err != nil {
		return fmt.Errorf("framelog: sync folder: %w", err)
	}
	return nil
}
