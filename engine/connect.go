//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// ConnectOptions are settings of one connection.
type ConnectOptions struct {
	DSN         string                          // for go-sqlite3, without parameters of ours
	BusyTimeout time.Duration                   // how long a writer waits for the gate
	Extensions  []string                        // loaded before the hook
	ConnectHook func(*sqlite3.SQLiteConn) error // user code
}

// Connect opens a connection to the database. The protections of capture stand before any
// user code runs, and are set again after it. The caller holds the database for the
// session, whose Close releases it; after an error the caller does.
func (db *DB) Connect(o ConnectOptions) (*Session, error) {
	s := &Session{db: db, busyTimeout: o.BusyTimeout, classes: make(map[string]Class)}
	s.NoSnapshot()
	d := &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) (err error) {
		if s.handle, err = sqlite.Attach(c, true); err != nil {
			return err
		}
		if err := s.handle.Protect(); err != nil {
			return err
		}
		for _, extension := range o.Extensions {
			if err := c.LoadExtension(extension, ""); err != nil {
				return err
			}
		}
		if o.ConnectHook == nil {
			return nil
		}
		s.conn = c
		s.Expose() // the hook may write, and on a replica must not
		if err := o.ConnectHook(c); err != nil {
			return s.explainHook(err)
		}
		return s.handle.Protect()
	}}
	conn, err := d.Open(o.DSN)
	if err != nil {
		if s.handle != nil {
			s.handle.Release()
		}
		return nil, err
	}
	s.conn = conn.(*sqlite3.SQLiteConn)
	return s, nil
}

// explainHook adds the reason when a hook could not write because this is a replica.
func (s *Session) explainHook(err error) error {
	var failure sqlite3.Error
	if s.queryOnly && errors.As(err, &failure) && failure.Code == sqlite3.ErrReadonly {
		return fmt.Errorf("%w: connect hook: %w", errReplica, err)
	}
	return err
}
