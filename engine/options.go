//go:build cgo

package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Role is what a database is: the state file keeps it, Promote and Demote change it.
type Role string

// The roles.
const (
	RolePrimary Role = "primary" // takes writes
	RoleReplica Role = "replica" // takes logs and serves reads
)

// walLimitFramesDefault is when the WAL is reset, unless told otherwise.
const walLimitFramesDefault = 4000

// Options are settings of the database, not of a connection: every pool that opens the
// same file must agree on them. Zero values mean the default.
type Options struct {
	Role           Role          // "" for what the database was last; a new one is a primary
	WALLimitFrames int           // the WAL is reset once it holds this many frames
	PageSize       int           // bytes; new files only; 0 for SQLite's default
	AutoVacuum     string        // none, full or incremental; new files only
	LockTimeout    time.Duration // how long to wait for another process to let go
	MustExist      bool          // fail rather than create the file
	Temporary      bool          // remove the file and its folder at the last close
	ReplicaAcks    int           // how many live streams must acknowledge a position, default 1
	Logger         *slog.Logger  // nil: slog.Default()

	// ReadHead asks the chain that the logs go to what it has at a position, and where it
	// ends. Nil: there is none to ask. It is called when a primary opens, where an error is
	// a warning, for a store that is down must not keep a database closed; and by Promote,
	// where it is an error. It must not use the database.
	ReadHead func(ctx context.Context, at translog.FrameNo) (Head, error)

	// Agree is asked whether another pool may join the database: it gets the Settings
	// that opened it and those of the pool. Nil: everybody may.
	Agree    func(open, joining any) error
	Settings any
}

func (o Options) withDefaults() Options {
	if o.WALLimitFrames == 0 {
		o.WALLimitFrames = walLimitFramesDefault
	}
	if o.ReplicaAcks == 0 {
		o.ReplicaAcks = 1
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// agree returns an error that matches ErrSettings when other may not join a database that
// was opened with o.
func (o Options) agree(other Options) error {
	if o.Agree == nil || other.Settings == nil || o.Settings == nil {
		return nil
	}
	if err := o.Agree(o.Settings, other.Settings); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	return nil
}
