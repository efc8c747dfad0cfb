//go:build cgo

package engine

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// Session is the engine's side of one connection: it holds the write gate for it, sees
// its commits and carries its acks. Like the connection it is used by one goroutine at a
// time.
type Session struct {
	db     *DB
	conn   *sqlite3.SQLiteConn
	handle *sqlite.Handle

	gated     bool             // holds the write gate
	bypassed  bool             // may write without the gate
	rawWrite  bool             // writes already, through the raw connection: it has SQLite's lock
	explicit  bool             // inside an explicit transaction, as of the last settle
	readOnly  bool             // inside a transaction that must not write
	exposed   bool             // user code had the raw connection since the last settle
	queryOnly bool             // SQLite refuses writes while user code has a replica's connection
	enteredAt translog.FrameNo // committed position when the gate was entered
	sees      translog.FrameNo // a position that an open snapshot has at the least
	carried   []*Ack           // acks of the open transaction or of open RETURNING rows
	lastCode  int              // result code of the statement before the last After

	busyTimeout time.Duration // how long a writer waits for the gate
	classes     map[string]Class
	lastText    string // the latest text with an answer that cannot change
	lastClass   Class
}

// SQLite is the connection. Whoever hands it to user code calls Expose.
func (s *Session) SQLite() *sqlite3.SQLiteConn { return s.conn }

// DB is the database that the session belongs to.
func (s *Session) DB() *DB { return s.db }

// Interrupt cancels the statement that is running. Safe from any goroutine.
func (s *Session) Interrupt() { s.handle.Interrupt() }

// Explicit reports whether an explicit transaction is open.
func (s *Session) Explicit() bool { return s.explicit }

// Ran notes that a statement which the engine answers ran under an ack.
func (s *Session) Ran(ack *Ack) { ack.ran() }

// Expose notes that user code gets the raw connection: what it did is looked at, and the
// authorizer and the hook are set again, before the next statement. On a replica SQLite
// itself refuses to write until then.
func (s *Session) Expose() {
	if s.db.replica.Load() && !s.queryOnly {
		s.queryOnly = s.setQueryOnly()
	}
	s.exposed = true
}

// SetReadOnly makes every write fail until it is set to false.
func (s *Session) SetReadOnly(on bool) { s.readOnly = on }

// Before prepares for a statement of the given class under an ack, which may be nil: a
// writer waits for the gate. When it returns an error nothing was run.
func (s *Session) Before(ctx context.Context, class Class, text string, ack *Ack) error {
	if s.exposed {
		if err := s.reclaim(); err != nil {
			return err
		}
	}
	ack.ran()
	if class == Control && !s.explicit && s.handle.Transaction() == sqlite.TransactionNone {
		s.sees = s.db.lastSeen() // a BEGIN: its snapshot comes later
	}
	if class == Write || class == Several || class == Attach || class == Broken {
		if err := s.beforeWrite(ctx, class, text); err != nil {
			return err
		}
	}
	if s.explicit {
		s.carry(ack)
	}
	return nil
}

// beforeWrite is Before for a statement that may write.
func (s *Session) beforeWrite(ctx context.Context, class Class, text string) error {
	if s.readOnly {
		return s.refuseWrite(class, text, errReadOnlyTransaction)
	}
	if s.gated || s.rawWrite {
		return nil
	}
	if s.db.replica.Load() && class != Attach {
		return s.refuseWrite(class, text, errReplica)
	}
	if class == Attach || class == Broken {
		s.bypass()
		return nil
	}
	return s.enter(ctx)
}

var errReadOnlyTransaction error = &readOnlyError{"the transaction is read-only"}

// refuseWrite is for a read-only transaction or a replica: nil for a text of several
// statements that only read, and the reason why it does not compile for one that does not.
func (s *Session) refuseWrite(class Class, text string, reason error) error {
	switch class {
	case Several:
		if reads, _ := s.onlyReads(text); reads {
			return nil
		}
	case Broken:
		prepared, err := s.conn.Prepare(text)
		if err != nil {
			return err
		}
		_ = prepared.Close()
	}
	return reason
}

// bypass lets a statement run without the gate that most likely does not write. If it
// does, its commit is captured like a foreign one, and its ack gets the position.
func (s *Session) bypass() {
	if !s.bypassed {
		s.bypassed = true
		s.enteredAt = s.db.lastSeen()
	}
}

func (s *Session) enter(ctx context.Context) error {
	if err := s.db.writable(); err != nil {
		return err
	}
	if err := s.db.gate.enter(ctx, s.busyTimeout); err != nil {
		return err
	}
	if s.db.replica.Load() { // since this writer queued
		s.db.gate.leave()
		return errReplica
	}
	s.gated = true
	s.enteredAt = s.db.lastSeen()
	return nil
}

// onlyReads asks SQLite for each statement of a text whether it can write. What follows
// one that does not compile is never run.
func (s *Session) onlyReads(text string) (reads, compiles bool) {
	ended := false
	for !isBlank(text) {
		a := s.handle.Ask(text)
		if a.Failed || a.Tail == 0 {
			return a.Failed && !ended, false
		}
		ended = ended || a.Control // what follows may see another schema
		// Behind an ATTACH compiles what does not compile yet.
		if a.Attach || !a.Readonly || a.Reindex || a.Optimize ||
			a.Pragma != "" && pragmaClass(a) != Read {
			return false, true
		}
		text = text[min(a.Tail, len(text)):]
	}
	return true, true
}

// carry makes the open transaction or the open rows carry an ack.
func (s *Session) carry(ack *Ack) {
	if ack == nil || slices.Contains(s.carried, ack) {
		return
	}
	ack.hold()
	s.carried = append(s.carried, ack)
}

// CarryRows makes RETURNING rows that are about to be opened carry an ack.
func (s *Session) CarryRows(ack *Ack) { s.carry(ack) }

// After looks at what a statement did, whatever it returned: it is called after every
// step, reset and close of one that may write or end a transaction. A commit moves the
// position, and the acks that it carried get it while the gate is held.
func (s *Session) After(ack *Ack) error {
	state, position, what, err := s.db.observe(s.handle)
	if position > s.enteredAt {
		crashpoint.Reach(crashpoint.CommitSeen)
	}
	s.explicit, s.lastCode = !state.Autocommit, state.Error
	if err != nil {
		s.explicit = !s.conn.AutoCommit()
		s.finish(ack, s.db.neverSaved())
		return err
	}
	switch {
	case state.Transaction == sqlite.TransactionWrite:
		s.carry(ack)
	case s.explicit:
		s.carry(ack)
		s.leave()
	default:
		var end translog.FrameNo
		if (s.gated || s.bypassed) && position > s.enteredAt {
			end = position
		}
		s.finish(ack, end)
	}
	s.db.act(what)
	return nil
}

// LateError is why the statement before the last After failed when it was ended, behind what
// it returned: then go-sqlite3 tells nobody. It is nil when it did not.
func (s *Session) LateError() error { return s.Explain(sqlite.Error(s.lastCode)) }

// Tail is what follows the first statement of a text, empty when that is all, or when it does
// not compile.
func (s *Session) Tail(text string) string {
	a := s.handle.Ask(text)
	if rest := text[min(a.Tail, len(text)):]; !a.Failed && !isBlank(rest) {
		return rest
	}
	return ""
}

// finish lets go of everything the transaction held. end is 0 when nothing was committed.
func (s *Session) finish(ack *Ack, end translog.FrameNo) {
	if end > 0 {
		ack.committed(s.db, end)
	}
	for i, carried := range s.carried {
		if end > 0 && carried != ack {
			carried.committed(s.db, end)
		}
		carried.letGo()
		s.carried[i] = nil
	}
	s.carried = s.carried[:0]
	s.bypassed, s.rawWrite = false, false
	s.leave()
}

func (s *Session) leave() {
	if s.gated {
		s.gated = false
		s.db.gate.leave()
	}
}

// NeedsAfter reports whether After has anything to look at. A statement that only reads
// may have ended a transaction if it failed; one that writes inside an explicit
// transaction cannot have ended it if it succeeded.
func (s *Session) NeedsAfter(class Class, err error) bool {
	switch {
	case err != nil:
		return class != Read || s.gated || s.explicit
	case class == Write:
		return !s.explicit || !s.gated
	}
	return class != Read
}

// reclaim takes the connection back from user code, which may have written, begun or
// ended a transaction, and replaced the authorizer or the hook.
func (s *Session) reclaim() error {
	s.exposed = false
	if err := s.handle.Protect(); err != nil {
		return err
	}
	if err := s.clearQueryOnly(); err != nil {
		return err
	}
	state, position, what, err := s.db.observe(s.handle)
	if err != nil {
		return err
	}
	s.explicit = !state.Autocommit
	switch {
	case state.Transaction == sqlite.TransactionWrite:
		if !s.gated && !s.bypassed {
			s.bypassed, s.rawWrite = true, true
			s.enteredAt = position
		}
	case !s.explicit:
		var end translog.FrameNo
		if position > s.enteredAt {
			end = position
		}
		s.finish(nil, end)
	}
	s.db.act(what)
	return s.CheckAttached()
}

// Idle is called when the connection goes back to its pool: a transaction left open is
// rolled back. It reports whether the connection may be used again.
func (s *Session) Idle() bool {
	if s.exposed && s.reclaim() != nil {
		return false
	}
	s.readOnly = false
	if !s.explicit && !s.gated && !s.bypassed {
		return true
	}
	if !s.conn.AutoCommit() {
		_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK", nil)
	}
	return s.After(nil) == nil && !s.explicit && !s.gated
}

// CheckAttached detaches what was just attached if it is the main database's own file,
// under whatever name: writes through it would go past the gate. An open transaction is
// rolled back then, for SQLite detaches nothing inside one. After is called behind it.
func (s *Session) CheckAttached() error {
	for _, a := range s.handle.Attached()[1:] {
		info, err := os.Stat(a.Path)
		if err != nil || !os.SameFile(info, s.db.fileInfo) {
			continue
		}
		if !s.conn.AutoCommit() {
			_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK", nil)
		}
		detach := `DETACH "` + strings.ReplaceAll(a.Schema, `"`, `""`) + `"`
		if _, err := s.conn.ExecContext(context.Background(), detach, nil); err != nil {
			return err
		}
		return &RefusedError{What: "ATTACH", Reason: "it is the main database's own file",
			SQLite: sqlite3.Error{Code: sqlite3.ErrAuth}}
	}
	return nil
}

// Explain adds the reason to SQLite's "not authorized" when the engine's authorizer
// refused the statement. Every other error stays as it is.
func (s *Session) Explain(err error) error {
	if err == nil {
		return nil
	}
	var bare sqlite3.Error
	if !errors.As(err, &bare) || bare.Code != sqlite3.ErrAuth {
		return err
	}
	switch s.handle.TakeRefusal() {
	case sqlite.RefusedJournalMode:
		return &RefusedError{"PRAGMA journal_mode",
			"commits are captured from the WAL, so the mode stays WAL", bare}
	case sqlite.RefusedLockingMode:
		return &RefusedError{"PRAGMA locking_mode=EXCLUSIVE",
			"the engine reads the database too", bare}
	}
	return err
}

// Close rolls back what is open and closes the connection.
func (s *Session) Close() error {
	usable := s.Idle()
	err := s.conn.Close()
	s.handle.Release()
	if !usable {
		s.finish(nil, 0)
	}
	s.db.Release()
	return err
}
