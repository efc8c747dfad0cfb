package sqlite

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// Transaction is what a connection is in the middle of, for its main database.
// https://www.sqlite.org/c3ref/txn_state.html
type Transaction int

// The states of a transaction.
const (
	TransactionNone  Transaction = 0
	TransactionRead  Transaction = 1
	TransactionWrite Transaction = 2
)

// Index is the first region of a wal-index, mapped by SQLite. It is valid while the
// connection that it came from is open. https://www.sqlite.org/walformat.html#walidxfmt
type Index struct{ region unsafe.Pointer }

// MapIndex maps the wal-index of the connection's main database, which must have been
// read in WAL mode already.
func (h *Handle) MapIndex() (Index, error) {
	var region unsafe.Pointer
	rc, errno := C.mylibsql_map_index(h.db, &region)
	return Index{region: region}, ioError("map wal-index", rc, errno)
}

// State is the wal-index header at one moment, with what the asking connection is in the
// middle of.
type State struct {
	Transaction Transaction
	Autocommit  bool
	Error       int       // the connection's latest result code, of the statement before
	Change      uint32    // goes up by one per commit
	MaxFrame    uint32    // last committed frame of the WAL, 0 when it is empty
	PageCount   uint32    // database size in pages after that frame, 0 when unknown
	Checksum    [2]uint32 // running checksum of frame MaxFrame
	Salt        [2]uint32 // the WAL file header's eight salt bytes, as they lie in memory
	Backfilled  uint32    // frames that SQLite's checkpoints have copied to the database file

	PageSize          int  // bytes
	BigEndianChecksum bool // how the WAL's checksums read words
}

// Observe reads the header by SQLite's rule, both copies equal and the checksum right. It
// returns a *ResultError with SQLITE_BUSY when a writer died while it published: the next
// read through SQLite repairs that.
func (h *Handle) Observe(index Index) (State, error) {
	if rc := C.mylibsql_observe(h.db, index.region, &h.last); rc != 0 {
		return State{}, resultError("read wal-index", rc)
	}
	return stateOf(&h.last), nil
}

// Transaction tells what the connection is in the middle of.
func (h *Handle) Transaction() Transaction { return Transaction(C.mylibsql_transaction(h.db)) }

// Read is Observe without a connection: Transaction, Autocommit and Error are not set. Safe for
// concurrent use while the index is mapped.
func (x Index) Read() (State, error) {
	var s C.mylibsql_state
	if rc := C.mylibsql_observe(nil, x.region, &s); rc != 0 {
		return State{}, resultError("read wal-index", rc)
	}
	return stateOf(&s), nil
}

func stateOf(s *C.mylibsql_state) State {
	return State{
		Transaction: Transaction(s.transaction),
		Autocommit:  s.autocommit != 0,
		Error:       int(s.error),
		Change:      uint32(s.change),
		MaxFrame:    uint32(s.max_frame),
		PageCount:   uint32(s.page_count),
		Checksum:    [2]uint32{uint32(s.checksum[0]), uint32(s.checksum[1])},
		Salt:        [2]uint32{uint32(s.salt[0]), uint32(s.salt[1])},
		Backfilled:  uint32(s.backfilled),

		PageSize:          int(s.page_size),
		BigEndianChecksum: s.big_endian != 0,
	}
}
