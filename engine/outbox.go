//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// The outbox keeps sealed logs that are not saved when their frames leave the WAL: one
// LTX file each, under its ordinary name.

// fillOutbox makes every pending log durable there. When the outbox would outgrow the
// database the history starts over: a snapshot is smaller.
func (db *DB) fillOutbox() error {
	s := &db.sealer
	var total int64
	for _, p := range s.pending {
		total += p.log.Size()
	}
	if limit := int64(s.sums.pages()) * int64(db.pageSize); total > limit && len(s.pending) > 1 {
		db.log.Debug("unsaved logs outgrow the database: the next log is a snapshot",
			"path", db.path, "bytes", total)
		db.startOver()
		return nil
	}
	added := false
	for i := range s.pending {
		p := &s.pending[i]
		if p.outbox != "" {
			continue
		}
		path := filepath.Join(db.sidecar.outbox(), p.log.Name())
		err := p.log.WriteFile(path, db.sidecar.mode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("engine: outbox: %w", err)
		}
		p.outbox = path
		added = true
	}
	if !added {
		return nil
	}
	if err := syncFolder(db.sidecar.outbox()); err != nil {
		return db.fail(fmt.Errorf("%w: fsync of the outbox: %w", ErrPoisoned, err))
	}
	return nil
}

// dropPending forgets logs that end at or before a position.
func (db *DB) dropPending(upTo translog.FrameNo) {
	s := &db.sealer
	for len(s.pending) > 0 && s.pending[0].log.Last() <= upTo {
		p := s.pending[0]
		s.pending[0] = pendingLog{}
		s.pending = s.pending[1:]
		_ = p.log.Close()
		if p.outbox != "" {
			_ = os.Remove(p.outbox)
		}
	}
}

func (db *DB) firstPending() *translog.Log {
	if len(db.sealer.pending) == 0 {
		return nil
	}
	return db.sealer.pending[0].log
}

// readOutbox returns the logs that continue a position, oldest first. What does not
// continue it is left over from before a snapshot, and removed.
func (s *sidecar) readOutbox(from translog.Position) (logs []pendingLog, err error) {
	entries, err := os.ReadDir(s.outbox()) // in the order of names, that is of positions
	if err != nil {
		return nil, fmt.Errorf("engine: outbox: %w", err)
	}
	end := from
	for _, entry := range entries {
		path := filepath.Join(s.outbox(), entry.Name())
		log, err := translog.OpenLog(path)
		if err == nil && log.Start() == end && log.Verify() == nil {
			logs = append(logs, pendingLog{log: log, outbox: path})
			end = log.End()
			continue
		}
		if err == nil {
			_ = log.Close()
		}
		if err := os.Remove(path); err != nil {
			return logs, fmt.Errorf("engine: outbox: %w", err)
		}
	}
	return logs, nil
}
