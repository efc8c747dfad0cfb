//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// The outbox keeps sealed logs that are not saved when their frames leave the WAL: one
// LTX file each, under its ordinary name.

// fillOutbox makes every pending log durable there. When what is not on its way through a
// save would outgrow the database the history starts over: a snapshot is smaller.
func (db *DB) fillOutbox() error {
	s := &db.sealer
	var total int64
	waiting := 0
	for _, p := range s.pending {
		if p.log.Last() > s.offering {
			total += p.log.Size()
			waiting++
		}
	}
	if total > int64(s.sums.pages())*int64(db.pageSize) && waiting > 1 {
		if limit, full := db.offerLimit(); full {
			return db.mergeWaiting(limit)
		}
		db.log.Debug("unsaved logs outgrow the database: the next log is a snapshot",
			"path", db.path, "bytes", total)
		db.startOver()
		return nil
	}
	everSaved, added := db.everSaved(), false
	for i := range s.pending {
		p := &s.pending[i]
		if p.outbox != "" || !everSaved && p.log.Last() <= s.offering {
			continue // a first snapshot needs no copy: another start makes another one
		}
		if err := db.putInOutbox(p); err != nil {
			return err
		}
		added = true
	}
	if !added {
		return nil
	}
	return db.syncOutbox()
}

// syncOutbox makes the names in the outbox durable, and those that went.
func (db *DB) syncOutbox() error {
	if err := disk.SyncFolder(db.sidecar.outbox()); err != nil {
		return db.failedSync(fmt.Errorf("outbox: %w", err))
	}
	crashpoint.Reach(crashpoint.OutboxSynced)
	return nil
}

// putInOutbox writes a log there, fsynced, and reads it from there from now on, so that
// its memory is free.
func (db *DB) putInOutbox(p *pendingLog) error {
	path := filepath.Join(db.sidecar.outbox(), p.log.Name())
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("engine: outbox: %w", err)
	}
	if err := p.log.WriteFile(path, db.sidecar.mode); err != nil {
		_ = os.Remove(path)
		return db.failedSync(fmt.Errorf("engine: outbox: %w", err))
	}
	crashpoint.Reach(crashpoint.OutboxWritten)
	p.outbox = path
	stored, err := translog.OpenLog(path)
	if err != nil {
		return fmt.Errorf("engine: outbox: %w", err)
	}
	follows := p.log.Follows()
	_ = p.log.Close()
	p.log = stored.WithFollows(follows)
	return nil
}

// mergeWaiting makes one log of those behind a position. It is what keeps the outbox small
// while a log that was offered must stay as it is.
func (db *DB) mergeWaiting(behind translog.FrameNo) error {
	s := &db.sealer
	first := slices.IndexFunc(s.pending, func(p pendingLog) bool { return p.log.Last() > behind })
	if first < 0 {
		return nil
	}
	waiting := s.pending[first:]
	logs := make([]*translog.Log, len(waiting))
	for i, p := range waiting {
		logs[i] = p.log
	}
	merged, err := translog.Merge(db.sidecar.folder, logs...)
	if err != nil {
		return err
	}
	p := pendingLog{log: merged}
	if err := db.putInOutbox(&p); err != nil {
		return errors.Join(err, p.log.Close())
	}
	crashpoint.Reach(crashpoint.OutboxMerged)
	if err := db.syncOutbox(); err != nil {
		return err
	}
	for _, old := range waiting {
		_ = old.log.Close()
		if old.outbox != "" && old.outbox != p.outbox {
			_ = os.Remove(old.outbox)
		}
	}
	s.pending = append(s.pending[:first:first], p)
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
