//go:build cgo

package engine

import (
	"fmt"
	"log/slog"
	"time"
)

// Role is what a database is used for in this process.
type Role string

// The roles. A primary takes writes.
const (
	RolePrimary Role = "primary"
	RoleReplica Role = "replica"
)

// DefaultWALLimitFrames is when the WAL is reset, unless told otherwise.
const DefaultWALLimitFrames = 4000

// Options are settings of the database, not of a connection: every pool that opens
// the same file must agree on them. Zero values mean the default.
type Options struct {
	Role           Role
	WALLimitFrames int           // the WAL is reset once it holds this many frames
	PageSize       int           // bytes; new files only; 0 for SQLite's default
	LockTimeout    time.Duration // how long to wait for another process to let go
	MustExist      bool          // fail rather than create the file
	Temporary      bool          // remove the file and its folder at the last close
	Logger         *slog.Logger  // nil: slog.Default()
}

func (o Options) withDefaults() Options {
	if o.Role == "" {
		o.Role = RolePrimary
	}
	if o.WALLimitFrames == 0 {
		o.WALLimitFrames = DefaultWALLimitFrames
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// agree returns ErrSettings when other asks for something else than o, which
// opened the database.
func (o Options) agree(other Options) error {
	switch {
	case o.Role != other.Role:
		return fmt.Errorf("%w: _role is %s", ErrSettings, o.Role)
	case o.WALLimitFrames != other.WALLimitFrames:
		return fmt.Errorf("%w: _wal_limit_frames is %d", ErrSettings, o.WALLimitFrames)
	case o.PageSize != other.PageSize:
		return fmt.Errorf("%w: _page_size is %d", ErrSettings, o.PageSize)
	}
	return nil
}
