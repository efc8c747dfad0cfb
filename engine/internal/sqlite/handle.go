// Package sqlite reaches what go-sqlite3 does not expose: the wal-index header, the state
// of a transaction, the authorizer in C, reads through SQLite's own file descriptor. It
// is the only package of this module that uses cgo.
//
// It declares the functions of SQLite's C API that it calls as weak symbols; they resolve
// at the final link to the amalgamation that go-sqlite3 compiles.
package sqlite

/*
#cgo CFLAGS: -std=gnu99
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"
	"unsafe"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// ErrLayout is returned when go-sqlite3's connection no longer keeps SQLite's handle
// where this package looks for it, which an upgrade of go-sqlite3 could cause. A test
// fails first.
var ErrLayout = errors.New("sqlite: unknown layout of go-sqlite3's connection")

// Handle is one SQLite connection seen from below. It is used by whoever uses the
// connection, never concurrently, except Interrupt. It must be closed after the
// connection.
type Handle struct {
	db   *C.sqlite3
	auth *C.mylibsql_auth // in C memory: SQLite keeps the pointer; nil when unrestricted
	last C.mylibsql_state // reused by Observe, so that a commit allocates nothing
}

// Attach finds the SQLite handle of a go-sqlite3 connection. A restricted one gets the
// authorizer of this package (see Protect).
func Attach(c *sqlite3.SQLiteConn, restricted bool) (*Handle, error) {
	field := reflect.ValueOf(c).Elem().FieldByName("db")
	if !field.IsValid() || field.Kind() != reflect.Pointer || field.IsNil() {
		return nil, ErrLayout
	}
	h := &Handle{db: (*C.sqlite3)(field.UnsafePointer())}
	if restricted {
		h.auth = (*C.mylibsql_auth)(C.calloc(1, C.sizeof_mylibsql_auth))
	}
	return h, nil
}

// Protect keeps SQLite from checkpointing by itself on this connection, at commit and at
// close, and sets the authorizer of a restricted one, which refuses what would break
// capture. It is called again whenever user code had the connection.
func (h *Handle) Protect() error {
	return resultError("protect", C.mylibsql_protect(h.db, h.auth))
}

// CheckpointOnClose lets this connection, when it is the last one, checkpoint and remove
// the WAL as SQLite does by default.
func (h *Handle) CheckpointOnClose() { C.mylibsql_checkpoint_on_close(h.db, 1) }

// Interrupt makes the statement that runs on the connection fail soon with
// SQLITE_INTERRUPT. It is safe to call from any goroutine while the connection is open.
// https://www.sqlite.org/c3ref/interrupt.html
func (h *Handle) Interrupt() { C.mylibsql_interrupt(h.db) }

// Release frees what the handle owns. The connection must be closed already.
func (h *Handle) Release() {
	C.free(unsafe.Pointer(h.auth))
	h.auth = nil
	h.db = nil
}

// ResetStatement ends a statement that go-sqlite3 has run and not ended, as it leaves a prepared
// one behind Exec. Outside a transaction that commits: the error is that of the commit.
// https://www.sqlite.org/c3ref/reset.html
func ResetStatement(statement *sqlite3.SQLiteStmt) error {
	field := reflect.ValueOf(statement).Elem().FieldByName("s")
	if !field.IsValid() || field.Kind() != reflect.Pointer {
		return ErrLayout
	}
	if field.IsNil() {
		return nil // closed, or empty
	}
	return Error(int(C.mylibsql_reset((*C.sqlite3_stmt)(field.UnsafePointer()))))
}

// Error makes go-sqlite3's error of an extended result code; nil when it says that a step
// went well. https://www.sqlite.org/rescode.html
func Error(code int) error {
	const row, done = 100, 101
	if code == 0 || code == row || code == done {
		return nil
	}
	return sqlite3.Error{
		Code: sqlite3.ErrNo(code & 0xff), ExtendedCode: sqlite3.ErrNoExtended(code),
	}
}

// ResultError is a result code of SQLite's C API.
type ResultError struct {
	Op    string
	Code  int           // https://www.sqlite.org/rescode.html
	Errno syscall.Errno // of the system, where an I/O error has one
}

// Error names the operation and the code.
func (e *ResultError) Error() string {
	text := fmt.Sprintf("sqlite: %s: %v", e.Op, sqlite3.ErrNo(e.Code&0xff))
	if e.Errno != 0 {
		text += ": " + e.Errno.Error()
	}
	return text
}

// Unwrap gives the error that go-sqlite3 has for the code.
func (e *ResultError) Unwrap() error {
	failure := sqlite3.Error{Code: sqlite3.ErrNo(e.Code & 0xff),
		ExtendedCode: sqlite3.ErrNoExtended(e.Code), SystemErrno: e.Errno}
	return failure
}

// ioError is resultError with the system's reason.
func ioError(op string, code C.int, reason error) error {
	if code == 0 {
		return nil
	}
	failure := &ResultError{Op: op, Code: int(code)}
	if errno, ok := reason.(syscall.Errno); ok && sqlite3.ErrNo(code&0xff) == sqlite3.ErrIoErr {
		failure.Errno = errno
	}
	return failure
}

func resultError(op string, code C.int) error {
	if code == 0 {
		return nil
	}
	return &ResultError{Op: op, Code: int(code)}
}
