package translog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// restoredMode is the mode of a restored file before umask, as SQLite creates its own.
const restoredMode fs.FileMode = 0o644

// sidecars are the files beside a database that SQLite would play into it when it opens
// it next (https://sqlite.org/tempfiles.html).
var sidecars = []string{"-wal", "-shm", "-journal"}

// Restore writes the database as it is after the snapshot and the logs to a new file, and
// returns its position. The file is a plain SQLite database, the same bytes that the
// original had there.
//
// The logs must continue the snapshot by the rules of [CheckChain]: those at or before
// its end are skipped, a later snapshot among them replaces everything. Each is verified
// while it is read, and after each one the checksum of the whole file is compared with
// the log's: a difference is a [*ChecksumError]. A damaged log is a [*FormatError].
//
// The path is never overwritten. When it exists, or has a -wal, -shm or -journal file
// beside it, from which SQLite would change the restored file, the error is
// [fs.ErrExist]. The file appears at path complete and durable, its folder synced, or
// after any error not at all: until then it has another name in the same folder, which
// must support hard links. Memory is a constant plus about 9 bytes per page of the
// database.
func (s *Snapshot) Restore(path string, logs ...*Log) (Position, error) {
	used, end, err := chain(Position{}, append([]*Log{s.Log}, logs...))
	if err != nil {
		return Position{}, err
	}
	if err := refuseExisting(path); err != nil {
		return Position{}, err
	}
	file, err := createBeside(path)
	if err != nil {
		return Position{}, err
	}
	err = restoreInto(file, used)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = publish(file.Name(), path)
	}
	crashpoint.Reach(crashpoint.RestoreLinked)
	removing := os.Remove(file.Name())
	if err != nil {
		return Position{}, errors.Join(err, removing)
	}
	if removing != nil {
		err = errors.Join(removing, os.Remove(path))
		return Position{}, fmt.Errorf("translog: restore: %w", err)
	}
	if err := disk.SyncFolder(filepath.Dir(path)); err != nil {
		err = fmt.Errorf("translog: restore: sync folder: %w", err)
		return Position{}, errors.Join(err, os.Remove(path))
	}
	return end, nil
}

// refuseExisting looks for what must not be there. For path itself that is only to fail
// early: link(2) decides.
func refuseExisting(path string) error {
	for _, suffix := range append([]string{""}, sidecars...) {
		_, err := os.Lstat(path + suffix)
		if err == nil {
			return fmt.Errorf("translog: restore: %w",
				&fs.PathError{Op: "create", Path: path + suffix, Err: fs.ErrExist})
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("translog: restore: %w", err)
		}
	}
	return nil
}

// createBeside creates the file that is to become path. Unlike those of os.CreateTemp its
// mode is that of an ordinary file.
func createBeside(path string) (*os.File, error) {
	name := path + "." + rand.Text() + ".restore"
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, restoredMode)
	if err != nil {
		return nil, fmt.Errorf("translog: restore: %w", err)
	}
	return file, nil
}

// publish gives the file its name, unless something has appeared there meanwhile.
func publish(from, path string) error {
	if err := refuseExisting(path); err != nil {
		return err
	}
	if err := os.Link(from, path); err != nil {
		return fmt.Errorf("translog: restore: %w", err)
	}
	return nil
}

func restoreInto(file *os.File, logs []*Log) error {
	image := newImage(file, logs[0].PageSize())
	defer image.close()
	for _, log := range logs {
		if err := image.apply(log); err != nil {
			return fmt.Errorf("translog: restore %v: %w", log, err)
		}
	}
	if err := disk.SyncFile(file); err != nil {
		return fmt.Errorf("translog: restore: %w", err)
	}
	return nil
}

// apply writes a log's pages, gives the file its size, and compares checksums.
func (i *image) apply(log *Log) error {
	decoder, err := log.decode(readBufferBytes)
	if err != nil {
		return err
	}
	defer decoder.close()
	for {
		page, err := decoder.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := i.write(page); err != nil {
			return err
		}
	}
	if err := i.resize(log.Commit()); err != nil {
		return err
	}
	return sameChecksum(Position{FrameNo: log.Last(), Checksum: i.sum}, log.End().Checksum)
}
