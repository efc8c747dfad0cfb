//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sync/semaphore"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// oldestSQLite is the first version without the WAL reset bug.
const oldestSQLite = 3051003

// open opens a database that is not open in this process. On an error nothing stays open,
// and no folder that was not there before.
func open(ctx context.Context, path string, info fs.FileInfo, created bool, options Options) (
	_ *DB, err error,
) {
	if version, number, _ := sqlite3.Version(); number < oldestSQLite {
		return nil, fmt.Errorf("%w: linked with %s", ErrVersion, version)
	}
	resolved, err := resolve(path)
	if err != nil {
		return nil, err
	}
	db := &DB{
		path: resolved, fileInfo: info, options: options, log: options.Logger,
		gate:          newGate(),
		checkpointing: semaphore.NewWeighted(1), sealing: semaphore.NewWeighted(1),
		walLimit: uint32(options.WALLimitFrames),
	}
	var fresh bool
	db.sidecar, fresh, err = openSidecar(resolved, info.Mode())
	if err == nil {
		err = db.sidecar.acquire(ctx, options.LockTimeout)
	}
	if err == nil {
		err = db.start(ctx, created || info.Size() == 0)
	}
	if err != nil {
		_ = db.closeFiles()
		if fresh {
			_ = os.RemoveAll(db.sidecar.folder)
		}
		return nil, err
	}
	return db, nil
}

// start opens the engine's connections, before those of any user, and finds out at which
// position the database is.
func (db *DB) start(ctx context.Context, empty bool) error {
	records, err := db.sidecar.readState()
	if err != nil {
		return err
	}
	var old record
	found := len(records) > 0
	if found {
		old = records[0]
	}
	if err := db.takeRole(old.Role, found, empty); err != nil {
		return err
	}
	db.historyID, db.writers = old.HistoryID, old.Writers
	if err := db.openConnections(empty); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.OpenConnected)
	db.mu.Lock()
	state, err := db.readIndexLocked(db.index.Read)
	db.mu.Unlock()
	if err != nil {
		return err
	}
	switch {
	case found && db.replica.Load():
		err = db.resumeReplica(old, state)
	case found:
		// A crash may have come between the state and its outbox.
		if err = db.sidecar.makeOutbox(); err == nil {
			err = db.resume(old, state)
		}
	case db.replica.Load():
		db.adopt(state, empty)
		err = db.scanReplica(state)
	default:
		db.adopt(state, empty)
	}
	if err != nil {
		return err
	}
	if !db.replica.Load() {
		db.becomeWriter()
	}
	crashpoint.Reach(crashpoint.OpenResumed)
	db.guardedFrom = db.last.position
	if err := db.compareHeadAtOpen(ctx); err != nil {
		return err // and nothing is recorded
	}
	return db.recordOpen(found)
}

// openConnections opens the writer, the guard with its read transaction, the wal-index
// and the WAL. It is here that the file gets its page size, and WAL mode.
func (db *DB) openConnections(empty bool) (err error) {
	if db.writer, err = openConnection(db.path); err != nil {
		return err
	}
	if empty && db.options.PageSize != 0 {
		err := db.writer.exec(fmt.Sprintf("PRAGMA page_size = %d", db.options.PageSize))
		if err != nil {
			return err
		}
	}
	if empty && db.options.AutoVacuum != "" {
		err := db.writer.exec("PRAGMA auto_vacuum = " + db.options.AutoVacuum)
		if err != nil {
			return err
		}
	}
	mode, err := db.writer.text("PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("engine: the database stays in journal mode %q", mode)
	}
	// Leaving another journal mode changes the file: then it is not what the state noted.
	info, err := os.Stat(db.path)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	db.fileInfo = info
	// The writer does not wait unless somebody sets another timeout first: a reset that
	// meets a foreign writer comes later.
	if err := db.writer.setBusyTimeout(0); err != nil {
		return err
	}
	if db.guard, err = openConnection(db.path); err != nil {
		return err
	}
	if err := db.guard.beginRead(); err != nil {
		return err
	}
	if db.replica.Load() { // it has nothing to guard, and only needs the wal-index
		defer func() { err = errors.Join(err, db.guard.endRead()) }()
	}
	pageSize, err := db.guard.integer("PRAGMA page_size")
	if err != nil {
		return err
	}
	db.pageSize = int(pageSize)
	if db.index, err = db.guard.handle.MapIndex(); err != nil {
		return fmt.Errorf("engine: no wal-index: %w", err)
	}
	db.walFile, err = openWAL(db.path)
	return err
}

// closeFiles closes whatever is open. The writer goes last: SQLite may remove the WAL
// when its last connection closes.
func (db *DB) closeFiles() error {
	var errs []error
	if db.guard != nil {
		errs = append(errs, db.guard.close())
	}
	if db.walFile != nil {
		errs = append(errs, db.walFile.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	for _, p := range db.sealer.pending {
		errs = append(errs, p.log.Close())
	}
	db.recording.Lock()
	defer db.recording.Unlock()
	return errors.Join(append(errs, db.sidecar.release())...)
}
