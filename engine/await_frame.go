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

// AwaitFrame is DB.AwaitFrame for the statement that runs next. Inside a transaction whose
// snapshot is older than the position it fails at once: waiting would not change what the
// transaction sees.
func (s *Session) AwaitFrame(ctx context.Context, position translog.FrameNo) error {
	if s.explicit && s.handle.Transaction() != sqlite.TransactionNone {
		if s.sees >= position {
			return nil
		}
		return &StaleError{Have: s.sees, Want: position}
	}
	err := s.db.AwaitFrame(ctx, position)
	s.sees = s.db.lastSeen()
	return err
}
