package sqlite

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// ReadFile reads from the database file itself, without the WAL, through the descriptor
// that SQLite has open. Opening the file a second time and closing it would drop SQLite's
// POSIX locks for the whole process. What lies past the end of the file is read as zeros.
// https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
func (h *Handle) ReadFile(buffer []byte, offset int64) error {
	if len(buffer) == 0 {
		return nil
	}
	rc := C.mylibsql_read_file(h.db, unsafe.Pointer(&buffer[0]), C.int(len(buffer)),
		C.sqlite3_int64(offset))
	return resultError("read database file", rc)
}

// FileSize is the database file's size in bytes, without what is in the WAL only.
func (h *Handle) FileSize() (int64, error) {
	var size C.sqlite3_int64
	rc := C.mylibsql_file_size(h.db, &size)
	return int64(size), resultError("database file size", rc)
}

// Attached is a database that the connection has attached.
type Attached struct {
	Schema string // the alias
	Path   string // empty for a temporary or in-memory database
}

// Attached lists what is attached, the main database first.
func (h *Handle) Attached() []Attached {
	var all []Attached
	for i := 0; ; i++ {
		var name *C.char
		path := C.mylibsql_attached(h.db, C.int(i), &name)
		if path == nil {
			return all
		}
		all = append(all, Attached{Schema: C.GoString(name), Path: C.GoString(path)})
	}
}
