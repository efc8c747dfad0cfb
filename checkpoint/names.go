package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Folders below <root>/ltx. Litestream reads those named by a digit, 0 for logs as they
// were written and 9 for snapshots (https://litestream.io/how-it-works/), and ignores the
// others.
const (
	chainFolder     = "chain"
	logFolder       = "0"
	snapshotFolder  = "9"
	temporaryFolder = "tmp"
)

// keyDigits is the length of a record's name, the same as of a position in a log's name.
const keyDigits = 16

func keyName(key translog.FrameNo) string { return fmt.Sprintf("%016x", uint64(key)) }

// parseKey is strict: whatever does not come from keyName is not a record.
func parseKey(name string) (key translog.FrameNo, ok bool) {
	number, err := strconv.ParseUint(name, 16, 64)
	if err != nil || len(name) != keyDigits || number == 0 {
		return 0, false
	}
	return translog.FrameNo(number), keyName(translog.FrameNo(number)) == name
}

// publicNames are the paths, besides the record's, under which a log must be found.
func (d *Directory) publicNames(log *translog.Log) []string {
	names := []string{filepath.Join(d.folder(logFolder), log.Name())}
	if log.IsSnapshot() {
		names = append(names, filepath.Join(d.folder(snapshotFolder), log.Name()))
	}
	return names
}

// completeNames gives a record the other names that a crash, or an earlier failure, left
// out. It looks for each one first, so that a complete record needs no permission to
// write.
func (d *Directory) completeNames(record string, log *translog.Log) error {
	for _, name := range d.publicNames(log) {
		same, err := sameLog(record, name)
		switch {
		case err == nil && !same:
			return fmt.Errorf("%w: %s", ErrClash, name)
		case errors.Is(err, fs.ErrNotExist):
			if err := d.addName(record, name); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("checkpoint: look for second name: %w", err)
		}
	}
	// The folders of these names are not synced: the record is the log. A name that a power
	// cut takes is added when the store is opened next.
	return nil
}

func (d *Directory) addName(record, name string) error {
	if err := d.ensureFolder(filepath.Base(filepath.Dir(name))); err != nil {
		return err
	}
	// Another process may be adding the same name at this moment: its link is as good as
	// ours.
	if err := d.calls.link(record, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("checkpoint: add second name: %w", err)
	}
	return nil
}

// sameLog reports whether name is the record, or a copy of it as a backup tool makes that
// knows no hard links.
func sameLog(record, name string) (bool, error) {
	nameInfo, err := os.Lstat(name)
	if err != nil {
		return false, err
	}
	recordInfo, err := os.Stat(record)
	if err != nil {
		return false, err
	}
	if os.SameFile(recordInfo, nameInfo) {
		return true, nil
	}
	if recordInfo.Size() != nameInfo.Size() || !nameInfo.Mode().IsRegular() {
		return false, nil
	}
	return equalEnds(record, name), nil
}

func equalEnds(onePath, otherPath string) bool {
	one, err := translog.OpenLog(onePath)
	if err != nil {
		return false
	}
	defer func() { _ = one.Close() }()
	other, err := translog.OpenLog(otherPath)
	if err != nil {
		return false
	}
	defer func() { _ = other.Close() }()
	return sameContent(one, other)
}

// sameContent holds when two logs bring a database from anywhere to the same place: same
// range and same checksum of the whole database at the end. Their pages may be compressed
// differently.
func sameContent(one, other *translog.Log) bool {
	return one.First() == other.First() && one.Last() == other.Last() && one.End() == other.End()
}

// samePages holds when two logs are the same, page by page. Their ends are not enough to
// confirm one by the other: the checksum of a database is linear, so two histories that make
// the same change to different pages have it in common.
func samePages(one, other *translog.Log) (bool, error) {
	if !sameContent(one, other) || one.Commit() != other.Commit() {
		return false, nil
	}
	next, stop := iter.Pull2(other.Pages())
	defer stop()
	for page, err := range one.Pages() {
		if err != nil {
			return false, err
		}
		twin, err, more := next()
		if err != nil {
			return false, err
		}
		if !more || twin.No != page.No || !bytes.Equal(twin.Data, page.Data) {
			return false, nil
		}
	}
	_, err, more := next()
	return !more, err
}

// completeAll repairs what crashes left: records without their other names.
func (d *Directory) completeAll() error {
	begin, keys, err := d.durableKeys() // first: Litestream must not find what the chain may lose
	if err != nil {
		return err
	}
	named, err := firstPositions(d.folder(logFolder))
	if err != nil {
		return err
	}
	for _, key := range keys {
		// A log's key is its first position, so the folder's listing alone says that it
		// has its name. Snapshots start at 1 whatever their key is: those are opened.
		if _, found := slices.BinarySearch(named, key); found && key != 1 {
			continue
		}
		log, err := d.openRecord(begin, key)
		if errors.Is(err, translog.ErrFormat) || errors.Is(err, fs.ErrNotExist) {
			continue // A damaged record is the business of those who read it, and they are told.
		}
		if err != nil {
			return err
		}
		err = errors.Join(d.completeNames(d.pathOf(begin, key), log), log.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// firstPositions lists the first positions of the logs in a folder, sorted.
func firstPositions(folder string) ([]translog.FrameNo, error) {
	names, err := listNames(folder)
	if err != nil {
		return nil, err
	}
	var positions []translog.FrameNo
	for _, name := range names {
		if first, _, err := translog.ParseName(name); err == nil {
			positions = append(positions, first)
		}
	}
	slices.Sort(positions)
	return positions, nil
}

// listNames lists a folder in no particular order; a folder that does not exist is empty.
func listNames(path string) ([]string, error) {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: list folder: %w", err)
	}
	defer func() { _ = folder.Close() }()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: list folder: %w", err)
	}
	return names, nil
}
