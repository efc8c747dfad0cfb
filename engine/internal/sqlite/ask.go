package sqlite

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import "unsafe"

// Answer is what SQLite says of the first statement of a text.
type Answer struct {
	Readonly    bool   // https://www.sqlite.org/c3ref/stmt_readonly.html
	Tail        int    // offset in bytes of what follows the first statement
	Pragma      string // name of the pragma, empty for another statement
	PragmaValue bool   // the pragma was given a value
	Checkpoint  bool   // PRAGMA wal_checkpoint of the main database, made a no-op
	Attach      bool
	Reindex     bool
	Optimize    bool // calls pragma_optimize or FTS3's optimize(), which write
	Control     bool // BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE
	Failed      bool // does not compile: running it reports why
}

// Ask prepares the first statement of a text on a restricted connection, without running
// it.
func (h *Handle) Ask(sql string) Answer {
	text := C.CString(sql)
	defer C.free(unsafe.Pointer(text))
	var readonly, tail C.int
	h.auth.seen = 0
	rc := C.mylibsql_ask(h.db, text, C.int(len(sql)), &readonly, &tail)
	seen := h.auth.seen
	a := Answer{
		Readonly:    readonly != 0,
		Tail:        int(tail),
		PragmaValue: seen&C.MYLIBSQL_SAW_PRAGMA_VALUE != 0,
		Checkpoint:  seen&C.MYLIBSQL_SAW_CHECKPOINT != 0,
		Attach:      seen&C.MYLIBSQL_SAW_ATTACH != 0,
		Reindex:     seen&C.MYLIBSQL_SAW_REINDEX != 0,
		Optimize:    seen&C.MYLIBSQL_SAW_OPTIMIZE != 0,
		Control:     seen&C.MYLIBSQL_SAW_TRANSACTION != 0,
		Failed:      rc != 0,
	}
	if seen&C.MYLIBSQL_SAW_PRAGMA != 0 {
		a.Pragma = C.GoString(&h.auth.pragma[0])
	}
	return a
}

// Refusal is why the authorizer refused a statement.
type Refusal int

// The refusals.
const (
	RefusedNothing     Refusal = C.MYLIBSQL_REFUSED_NOTHING
	RefusedJournalMode Refusal = C.MYLIBSQL_REFUSED_JOURNAL_MODE
	RefusedLockingMode Refusal = C.MYLIBSQL_REFUSED_LOCKING_MODE
)

// TakeRefusal returns the latest refusal and forgets it.
func (h *Handle) TakeRefusal() Refusal {
	if h.auth == nil {
		return RefusedNothing
	}
	r := Refusal(h.auth.refused)
	h.auth.refused = C.MYLIBSQL_REFUSED_NOTHING
	return r
}
