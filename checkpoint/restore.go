package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// openLogsMax is how many logs of one level a restore keeps open at a time. When it is
// reached they are merged into one log of the next level, so a history of n logs needs
// about openLogsMax * log(n) open files, whatever n is. Histories shorter than this are
// not merged.
const openLogsMax = 64

// Restore writes the newest saved state of a store to a new database file at path and
// returns its position. It begins with the newest snapshot and applies every log after
// it. The result is a plain SQLite database, byte for byte the one that was saved; the
// checksum of the whole file is compared before it gets its name, and it is durable on
// return.
//
// The errors are [ErrEmpty] for a store without logs, [fs.ErrExist] when path, path-wal
// or path-shm exists (nothing is ever overwritten), those of [Store] for a broken chain,
// and [*translog.FormatError] or [*translog.ChecksumError] for a damaged log. On an error
// there is no file at path and no temporary file beside it. The context is looked at
// between logs, no more once pages are being written. Large merged logs pass through
// unnamed files in path's folder.
func Restore(ctx context.Context, store Store, path string) (translog.Position, error) {
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if _, err := os.Lstat(name); err == nil {
			cause := &fs.PathError{Op: "restore", Path: name, Err: fs.ErrExist}
			return translog.Position{}, fmt.Errorf("checkpoint: %w", cause)
		}
	}
	for try := 1; ; try++ {
		position, err := restoreOnce(ctx, store, path)
		if !errors.Is(err, ErrPruned) || try == restoreTriesMax {
			return position, err
		}
	}
}

// restoreTriesMax is how often a restore begins anew because what it needs was pruned.
const restoreTriesMax = 5

func restoreOnce(ctx context.Context, store Store, path string) (translog.Position, error) {
	records, err := sinceSnapshot(ctx, store)
	if err != nil {
		return translog.Position{}, err
	}
	first, err := store.Open(ctx, records[0])
	if err != nil {
		return translog.Position{}, err
	}
	defer func() { _ = first.Close() }()
	snapshot, err := translog.AsSnapshot(first)
	if err != nil {
		return translog.Position{}, fmt.Errorf("checkpoint: restore: %w", err)
	}
	stack := &logStack{folder: filepath.Dir(path)}
	defer stack.close()
	for _, record := range records[1:] {
		log, err := store.Open(ctx, record)
		if err != nil {
			return translog.Position{}, err
		}
		if err := stack.push(log); err != nil {
			return translog.Position{}, err
		}
	}
	position, err := snapshot.Restore(path, stack.logs()...)
	if err != nil {
		return translog.Position{}, fmt.Errorf("checkpoint: restore: %w", err)
	}
	return position, nil
}

// sinceSnapshot lists the newest snapshot and the records after it; at least the
// snapshot.
func sinceSnapshot(ctx context.Context, store Store) ([]Record, error) {
	var records []Record
	for record, err := range store.Records(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if record.IsSnapshot() {
			records = records[:0]
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return nil, ErrEmpty
	}
	if !records[0].IsSnapshot() {
		return nil, fmt.Errorf("checkpoint: restore: %w",
			gap(translog.Position{}, records[0].Follows, nil))
	}
	return records, nil
}

// logStack holds consecutive logs, and merges them as they come so that few are open.
// Level 0 has single logs, each higher level what openLogsMax of the one below were
// merged into; a higher level is older.
type logStack struct {
	folder string // for large merged logs
	levels [][]*translog.Log
}

// push takes the log over, whatever it returns.
func (s *logStack) push(log *translog.Log) error {
	for level := 0; ; level++ {
		if level == len(s.levels) {
			s.levels = append(s.levels, nil)
		}
		s.levels[level] = append(s.levels[level], log)
		if len(s.levels[level]) < openLogsMax {
			return nil
		}
		merged, err := translog.Merge(s.folder, s.levels[level]...)
		if err != nil {
			return fmt.Errorf("checkpoint: restore: %w", err)
		}
		if err := closeAll(s.levels[level]); err != nil {
			return errors.Join(fmt.Errorf("checkpoint: restore: %w", err), merged.Close())
		}
		s.levels[level] = nil
		log = merged
	}
}

// logs are all logs in chain order.
func (s *logStack) logs() []*translog.Log {
	var logs []*translog.Log
	for level := len(s.levels) - 1; level >= 0; level-- {
		logs = append(logs, s.levels[level]...)
	}
	return logs
}

func (s *logStack) close() { _ = closeAll(s.logs()) }

func closeAll(logs []*translog.Log) error {
	var err error
	for _, log := range logs {
		err = errors.Join(err, log.Close())
	}
	return err
}
