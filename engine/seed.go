//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// Seed writes the state of a database that was just restored to a saved position, so that
// what it commits, or as a replica takes, continues that position. historyID is the NodeID
// of the last log. The file must not be open.
func Seed(path string, role Role, pageSize int, saved translog.Position, historyID uint64) error {
	resolved, err := resolve(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	side, fresh, err := openSidecar(resolved, info.Mode())
	if err != nil {
		return err
	}
	if !fresh {
		return fmt.Errorf("engine: %s: %w", side.folder, os.ErrExist)
	}
	var writers []writer
	if historyID != 0 {
		writers = []writer{{NodeID: historyID, UpTo: saved.FrameNo}}
	}
	err = side.writeState(record{
		Generation: 1, Role: role, PageSize: pageSize, File: statOf(info),
		FileHolds: saved.FrameNo, Saved: saved, HistoryID: historyID,
		Writers: writers, Earlier: []translog.Position{saved},
		Anchor: anchor{Position: saved.FrameNo, Content: saved.Checksum},
	}, true)
	if err == nil {
		err = disk.SyncFolder(side.folder)
	}
	crashpoint.Reach(crashpoint.SeedRecorded)
	err = errors.Join(err, side.release())
	if err != nil {
		return errors.Join(err, os.RemoveAll(side.folder))
	}
	return nil
}
