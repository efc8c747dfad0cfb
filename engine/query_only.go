//go:build cgo

package engine

import (
	"context"
	"database/sql/driver"
)

// What keeps user code that has the raw connection of a replica from writing.
// https://www.sqlite.org/pragma.html#pragma_query_only
const (
	queryOnlyAsk = "PRAGMA query_only"
	queryOnlyOn  = "PRAGMA query_only = ON"
	queryOnlyOff = "PRAGMA query_only = OFF"
)

// setQueryOnly makes SQLite refuse writes on the connection. It reports whether that has to
// be taken back: not if the user has asked for it already. An error leaves the connection
// as it is: what is written then is found as any foreign commit is (followLocked).
func (s *Session) setQueryOnly() bool {
	rows, err := s.conn.QueryContext(context.Background(), queryOnlyAsk, nil)
	if err != nil {
		return false
	}
	row := make([]driver.Value, 1)
	err = rows.Next(row)
	_ = rows.Close()
	if err != nil || row[0] != int64(0) {
		return false
	}
	_, err = s.conn.ExecContext(context.Background(), queryOnlyOn, nil)
	return err == nil
}

// clearQueryOnly takes it back.
func (s *Session) clearQueryOnly() error {
	if !s.queryOnly {
		return nil
	}
	s.queryOnly = false
	_, err := s.conn.ExecContext(context.Background(), queryOnlyOff, nil)
	return err
}
