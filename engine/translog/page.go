package translog

// PageNo is the number of a database page, counted from 1.
type PageNo uint32

// Page is one page image.
type Page struct {
	// No is the page's number.
	No PageNo
	// Data is the page, of the database's page size in bytes.
	Data []byte
}

// Frame is one page image as SQLite wrote it to the write-ahead log
// (https://sqlite.org/fileformat2.html#the_write_ahead_log).
type Frame struct {
	// FrameNo is the position that this frame is.
	FrameNo FrameNo
	// PageNo is the page that the frame holds.
	PageNo PageNo
	// Commit is the database's size in pages after the commit that this frame ends, 0
	// inside a transaction.
	Commit uint32
	// Data is the page, of the database's page size in bytes.
	Data []byte
}

// Page sizes that SQLite knows, in bytes; a page size is a power of two.
const (
	pageSizeMin = 512
	pageSizeMax = 65536
)

func validPageSize(pageSize int) bool {
	return pageSize >= pageSizeMin && pageSize <= pageSizeMax && pageSize&(pageSize-1) == 0
}

// lockByteOffset is where SQLite takes its locks
// (https://sqlite.org/fileformat2.html#the_lock_byte_page).
const lockByteOffset = 1 << 30

// LockPage returns the page that holds SQLite's lock bytes, for a page size in bytes.
// SQLite never writes that page, so it is in no log, and its bytes in a database file are
// zero. For a page size that is not positive it returns 0.
func LockPage(pageSize int) PageNo {
	if pageSize <= 0 {
		return 0
	}
	return PageNo(lockByteOffset/pageSize) + 1
}

// pageCount is the number of pages that a database of commit pages really has: all but
// the lock page.
func pageCount(commit uint32, pageSize int) uint32 {
	if commit >= uint32(LockPage(pageSize)) {
		return commit - 1
	}
	return commit
}
