//go:build cgo

package engine

import (
	"context"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// AwaitFrame returns once a position is committed here, which on a replica means applied.
// It returns a *StaleError when ctx ends first, and ErrClosed when the database does.
// Nothing is polled. Safe for concurrent use.
func (db *DB) AwaitFrame(ctx context.Context, position translog.FrameNo) error {
	if position <= db.lastSeen() {
		return nil
	}
	err := await(ctx, func(fire func(error)) func() bool {
		return db.watchList(&db.positionWaiters, db.lastSeen, position, fire)
	})
	if err != nil && err == ctx.Err() {
		return &StaleError{Have: db.lastSeen(), Want: position, Err: err}
	}
	return err
}

// NoSnapshot notes that no snapshot is open on the connection: it was just opened, or taken
// from its pool.
func (s *Session) NoSnapshot() { s.sees = s.db.lastSeen() }

// AwaitFrame is DB.AwaitFrame for the statement that runs next. Behind a snapshot that is
// open already and older than the position it fails at once: waiting would not change what the
// transaction sees.
//
// An open snapshot may be that of rows outside a transaction, too. Which position it has is
// known from below only: what was committed when it cannot have been open yet, or, inside a
// write transaction, which sees everything, when the gate was entered.
func (s *Session) AwaitFrame(ctx context.Context, position translog.FrameNo) error {
	sees := s.sees
	switch s.handle.Transaction() {
	case sqlite.TransactionNone:
		err := s.db.AwaitFrame(ctx, position)
		s.sees = s.db.lastSeen()
		return err
	case sqlite.TransactionWrite:
		sees = max(sees, s.enteredAt)
	}
	if sees < position {
		return &StaleError{Have: sees, Want: position}
	}
	return nil
}
