package framelog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// The header of a database, and where it has what an import needs, big-endian
// (https://sqlite.org/fileformat2.html#the_database_header).
const (
	databaseMagic       = "SQLite format 3\x00"
	databaseHeaderBytes = 100
	databasePageSize    = 16
	databaseChanges     = 24
	databaseUserVersion = 60
	databaseApplication = 68
	databaseValidFor    = 92
)

// databasePagesMax bounds what a page number can count.
const databasePagesMax = math.MaxUint32

// nothingWritten is the Rust crate's number for "no frame yet".
const nothingWritten = math.MaxUint64

// importBufferBytes is how much of a database file is read at once.
const importBufferBytes = 256 << 10

// ImportSnapshot reads a database file that the Rust crate saved as a snapshot. Its
// position is what that crate put into the header: user_version is the upper half,
// application_id the lower one of the last frame's number. An ordinary database has other
// things there, which cannot be told apart from a position: import only what the crate
// has saved.
//
// The pages become the snapshot as they are, with those two fields, as every log of the
// crate on top of it has them too. The file is only read. It must not be open as a
// database in this process, for closing a file drops the locks that SQLite holds on it.
//
// A file with a journal or write-ahead log beside it that is not empty is [ErrUnclean], a
// snapshot of a database in which nothing was written [ErrEmpty], and what is not a whole
// database a [*FormatError]. The caller closes the result.
func ImportSnapshot(path string, options ConvertOptions) (*translog.Snapshot, error) {
	for _, suffix := range []string{"-wal", "-journal"} {
		info, err := os.Stat(path + suffix)
		if err == nil && info.Size() > 0 {
			return nil, fmt.Errorf("%w: %s", ErrUnclean, path+suffix)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("framelog: import: %w", err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("framelog: import: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{Field: "file", Got: info.Mode().Type(), Want: "a regular file"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("framelog: import: %w", err)
	}
	defer func() { _ = file.Close() }()
	d, err := readDatabase(file, info.Size())
	if err != nil {
		return nil, err
	}
	return d.snapshot(file, options)
}

// database is what the header of a database file says.
type database struct {
	pageSize int
	pages    uint32
	last     translog.FrameNo
}

func readDatabase(file io.ReaderAt, size int64) (database, error) {
	var b [databaseHeaderBytes]byte
	n, err := file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return database{}, fmt.Errorf("framelog: import: %w", err)
	}
	// The crate's snapshot of an empty database is an empty file with the two numbers in
	// it.
	upper := uint64(binary.BigEndian.Uint32(b[databaseUserVersion:]))
	number := upper<<32 | uint64(binary.BigEndian.Uint32(b[databaseApplication:]))
	if n >= databaseApplication+4 && number == nothingWritten {
		return database{}, fmt.Errorf("%w: snapshot of an empty database", ErrEmpty)
	}
	if n < len(b) || string(b[:len(databaseMagic)]) != databaseMagic {
		return database{}, &FormatError{Field: "database header", Want: "one of SQLite"}
	}
	d := database{
		pageSize: int(binary.BigEndian.Uint16(b[databasePageSize:])),
		last:     translog.FrameNo(number + 1),
	}
	if d.pageSize == 1 {
		d.pageSize = pageSizeMax
	}
	if err := (header{pageSize: d.pageSize}).validate(); err != nil {
		return database{}, err
	}
	pages := size / int64(d.pageSize)
	if size%int64(d.pageSize) != 0 || pages > databasePagesMax {
		return database{}, &FormatError{Field: "database length", Got: size, Want: "whole pages"}
	}
	d.pages = uint32(pages)
	inHeader := binary.BigEndian.Uint32(b[sizeOffset:])
	changes := binary.BigEndian.Uint32(b[databaseChanges:])
	// Only then does SQLite believe the size in the header.
	valid := changes == binary.BigEndian.Uint32(b[databaseValidFor:])
	if valid && inHeader != 0 && inHeader != d.pages {
		return database{}, &FormatError{Field: "database length in pages", Got: d.pages,
			Want: inHeader}
	}
	return d, nil
}

// snapshot reads all pages.
func (d database) snapshot(file *os.File, options ConvertOptions) (*translog.Snapshot, error) {
	builder, err := translog.NewBuilder(translog.Spec{
		First: 1, Last: d.last, PageSize: d.pageSize, Commit: d.pages,
		Timestamp: options.Timestamp, NodeID: options.NodeID,
	}, options.Build)
	if err != nil {
		return nil, err
	}
	defer builder.Abort()
	total := translog.EmptyChecksum
	reader := bufio.NewReaderSize(file, importBufferBytes)
	data := make([]byte, d.pageSize)
	for i := range d.pages {
		no := translog.PageNo(i + 1)
		if _, err := io.ReadFull(reader, data); err != nil {
			return nil, fmt.Errorf("framelog: import page %d: %w", no, err)
		}
		if no == translog.LockPage(d.pageSize) {
			continue
		}
		total = total.Replace(0, translog.PageSum(no, data))
		if err := builder.WritePage(no, data); err != nil {
			return nil, err
		}
	}
	log, err := builder.Finish(total)
	if err != nil {
		return nil, err
	}
	return translog.AsSnapshot(log)
}
