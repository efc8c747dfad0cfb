package sqlite

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// AppendIndex enters the pages of frames that follow the last published one, maxFrame,
// into the wal-index. The connection must hold SQLite's write lock. Nobody sees them until
// Publish; after an error, or when nothing is published, the next writer overwrites them.
func (h *Handle) AppendIndex(maxFrame uint32, pages []uint32) error {
	if len(pages) == 0 {
		return nil
	}
	rc, errno := C.mylibsql_index_append(h.db, C.uint32_t(maxFrame),
		(*C.uint32_t)(unsafe.Pointer(&pages[0])), C.int(len(pages)))
	return ioError("append to wal-index", rc, errno)
}

// Publish makes the frames up to next.MaxFrame visible to readers, in this and in other
// processes, and returns the number of the commit. The connection must hold the write
// lock, the frames must be in the WAL and their pages entered by AppendIndex. What counts
// of next is MaxFrame, PageCount, PageSize, Checksum, Salt and BigEndianChecksum.
//
// Only COMMIT may follow on the connection: ROLLBACK would leave its page cache stale.
func (h *Handle) Publish(next State) (change uint32, err error) {
	s := C.mylibsql_state{
		page_size:  C.uint32_t(next.PageSize),
		max_frame:  C.uint32_t(next.MaxFrame),
		page_count: C.uint32_t(next.PageCount),
		checksum:   [2]C.uint32_t{C.uint32_t(next.Checksum[0]), C.uint32_t(next.Checksum[1])},
		salt:       [2]C.uint32_t{C.uint32_t(next.Salt[0]), C.uint32_t(next.Salt[1])},
	}
	if next.BigEndianChecksum {
		s.big_endian = 1
	}
	rc := C.mylibsql_index_publish(h.db, &s)
	return uint32(s.change), resultError("publish in wal-index", rc)
}
