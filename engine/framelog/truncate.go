package framelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// truncateSuffix is added to the path for the file that is to replace the log.
const truncateSuffix = ".truncate"

// TruncateHead drops the frames before first, as after a checkpoint that saved them. A
// first at or before the log's own changes nothing. One past the end makes the log empty,
// and first the position that it goes on with: so a log follows a history that has
// jumped, with a start checksum of 0.
//
// What is kept is written to a new file, path + ".truncate" with the same permissions,
// synced, and renamed over the log; then the folder is synced. A crash leaves the old log
// or the new one, whole and with everything that Sync has promised. The kept frames keep
// their checksums: the one before them becomes the start checksum. They are copied
// unverified. All of them, synced or not, are durable on return.
//
// When the frame before first does not end a transaction the error is [ErrTransaction],
// and one of [Log.Frame] when it is damaged. After that and any error before the rename
// the log is as it was. An error after it fails every later change of this Log, for it is
// not known which of both files a power loss would leave.
func (l *Log) TruncateHead(first translog.FrameNo) error {
	l.files.Lock()
	defer l.files.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	old := l.headerLocked()
	if first <= old.first() {
		return nil
	}
	h := header{start: uint64(first) - 1, pageSize: old.pageSize, version: LibraryVersion}
	if first <= old.next() {
		last, sum, err := l.readFrame(first-1, nil)
		if err != nil {
			return err
		}
		if last.Commit == 0 {
			return fmt.Errorf("%w: frame %v is no commit", ErrTransaction, last.FrameNo)
		}
		h.startChecksum, h.count = sum, uint64(old.next()-first)
	}
	if err := h.validate(); err != nil {
		return err
	}
	file, err := l.writeTail(h, old.count-h.count)
	if err != nil {
		return fmt.Errorf("framelog: truncate: %w", err)
	}
	return l.replace(file, h)
}

// writeTail writes the file that is to replace the log.
func (l *Log) writeTail(h header, index uint64) (*os.File, error) {
	info, err := l.file.Stat()
	if err != nil {
		return nil, err
	}
	name := l.path + truncateSuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // The leftover of a crash could not be removed.
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return nil, err
	}
	_, err = copyLog(file, l, h, index)
	if err == nil {
		err = file.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = disk.SyncFile(file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	return file, nil
}

// replace puts the new file in the place of the log.
func (l *Log) replace(file *os.File, h header) error {
	if err := os.Rename(file.Name(), l.path); err != nil {
		return fmt.Errorf("framelog: truncate: %w",
			errors.Join(err, file.Close(), os.Remove(file.Name())))
	}
	_ = l.file.Close() // Nothing of it is needed any more.
	l.file, l.head = file, h
	if h.count == 0 {
		l.checksum = h.startChecksum
	}
	l.count.Store(h.count)
	l.published, l.dirty = h.count, false
	if err := disk.SyncFolder(filepath.Dir(l.path)); err != nil {
		return l.fail("truncate: sync folder", err)
	}
	return nil
}
