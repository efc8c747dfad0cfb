//go:build cgo

package mylibsql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/mylibsql/mylibsql/engine"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// The types that cross the packages of this module. See their documentation there.
type (
	// Log is the pages changed between two positions, an LTX file.
	Log = translog.Log
	// Snapshot is a log of the whole database.
	Snapshot = translog.Snapshot
	// FrameNo is a position in the history of a database, 0 for "nothing yet".
	FrameNo = translog.FrameNo
	// Position is a FrameNo with the checksum of the whole database there.
	Position = translog.Position
	// BuildOptions say where the bytes of a log are kept while it is made; the zero value
	// keeps a small one in memory and a large one in the folder for temporary files.
	BuildOptions = translog.BuildOptions
	// Batch is one committed transaction as a live stream delivers it.
	Batch = translog.Batch
	// Frames is a live stream of committed transactions.
	Frames = engine.Frames
	// Ack resolves when the writes under its context are saved, or acknowledged through a
	// live stream.
	Ack = engine.Ack
	// Stats is what an operator wants to know of an open database.
	Stats = engine.Stats
	// Role is what a database is: see Stats.
	Role = engine.Role
)

// The roles of a database.
const (
	// RolePrimary takes writes.
	RolePrimary = engine.RolePrimary
	// RoleReplica takes logs and serves reads.
	RoleReplica = engine.RoleReplica
)

// OpenSnapshot opens a snapshot file. Close lets go of it.
func OpenSnapshot(path string) (*Snapshot, error) { return translog.OpenSnapshot(path) }

// ReadSnapshot reads a snapshot and verifies all of it. A large one is kept in an
// unlinked temporary file until Close.
func ReadSnapshot(r io.Reader) (*Snapshot, error) { return translog.ReadSnapshot(r, "") }

// OpenLog opens a log file. Close lets go of it.
func OpenLog(path string) (*Log, error) { return translog.OpenLog(path) }

// ReadLog reads a log and verifies all of it, as ReadSnapshot does.
func ReadLog(r io.Reader) (*Log, error) { return translog.ReadLog(r, "") }

// MergeBatches makes one log of batches that follow each other, as one stream delivered
// them. Merging what has queued up is what lets a replica keep pace.
func MergeBatches(options BuildOptions, batches ...*Batch) (*Log, error) {
	return translog.MergeBatches(options, batches...)
}

// ParsePosition reads what Position.String writes.
func ParsePosition(text string) (Position, error) { return translog.ParsePosition(text) }

// Init creates a database, fills it with fill, and returns its first snapshot, which is
// the first log too: keep it durably, what is written later continues it. The database is
// closed again.
//
// It returns fs.ErrExist when the file is there, and ErrEmpty when fill commits nothing.
// After an error nothing is left of the file.
func Init(ctx context.Context, dataSourceName string, fill func(context.Context, *sql.DB) error) (
	snapshot *Snapshot, err error,
) {
	connector, err := newDatabase(dataSourceName)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer func() {
		err = errors.Join(err, db.Close())
		if err != nil {
			snapshot = nil
			removeDatabase(connector)
		}
	}()
	if err := fill(ctx, db); err != nil {
		return nil, err
	}
	_, err = connector.Checkpoint(ctx, func(_ context.Context, log *Log) error {
		clone, err := log.Clone()
		if err != nil {
			return err
		}
		snapshot, err = translog.AsSnapshot(clone)
		return err
	})
	if err == nil && snapshot == nil {
		err = ErrEmpty
	}
	return snapshot, err
}

// OpenPrimary makes a database from a snapshot and the logs that continue it, and opens
// it as a primary: what it commits continues the last of them. Logs at or before the
// snapshot's end are skipped.
//
// It returns fs.ErrExist when the file is there, ErrGap, ErrChecksum or ErrFormat for
// logs that do not fit, and ErrRole for a DSN that asks for another role. After an error
// nothing is left of the file.
func OpenPrimary(ctx context.Context, dataSourceName string, snapshot *Snapshot, logs ...*Log) (
	*sql.DB, error,
) {
	return openRestored(ctx, engine.RolePrimary, dataSourceName, snapshot, logs)
}

// OpenReplica makes a database from a snapshot and the logs that continue it, and opens it
// as a replica: it serves reads, and takes what follows the last of them by
// [Database.Replicate]. Otherwise it is as OpenPrimary.
func OpenReplica(ctx context.Context, dataSourceName string, snapshot *Snapshot, logs ...*Log) (
	*sql.DB, error,
) {
	return openRestored(ctx, engine.RoleReplica, dataSourceName, snapshot, logs)
}

func openRestored(
	ctx context.Context, role engine.Role, dataSourceName string, snapshot *Snapshot, logs []*Log,
) (*sql.DB, error) {
	connector, err := newDatabase(dataSourceName)
	if err != nil {
		return nil, err
	}
	if connector.config.Memory {
		return nil, fmt.Errorf("mylibsql: a %s from a snapshot needs a file on disk", role)
	}
	if asked := engine.Role(connector.config.Role); asked != "" && asked != role {
		return nil, fmt.Errorf("%w: _role=%s, opened as a %s", ErrRole, asked, role)
	}
	path := connector.config.Path
	end, err := snapshot.Restore(path, logs...)
	if err != nil {
		return nil, err
	}
	err = engine.Seed(path, role, snapshot.PageSize(), end, historyOf(snapshot, logs))
	if err != nil {
		removeDatabase(connector)
		return nil, err
	}
	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		err = errors.Join(err, db.Close())
		removeDatabase(connector)
		return nil, err
	}
	return db, nil
}

// historyOf is the NodeID of the newest log that has one.
func historyOf(snapshot *Snapshot, logs []*Log) uint64 {
	newest, id := snapshot.Last(), snapshot.NodeID()
	for _, log := range logs {
		if log.NodeID() != 0 && log.Last() >= newest {
			newest, id = log.Last(), log.NodeID()
		}
	}
	return id
}

// newDatabase parses the DSN of a database that must not exist.
func newDatabase(dataSourceName string) (*Connector, error) {
	connector, err := NewConnector(dataSourceName, nil)
	if err != nil {
		return nil, err
	}
	config := connector.config
	if config.Memory {
		return connector, nil
	}
	if config.ReadOnly || config.Mode == "rw" {
		return nil, fmt.Errorf("mylibsql: mode=%s cannot create a database", config.Mode)
	}
	for _, path := range databaseFiles(config.Path) {
		if _, err := os.Lstat(path); err == nil {
			return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("mylibsql: %w", err)
		}
	}
	return connector, nil
}

// databaseFiles are the names that belong to a database.
func databaseFiles(path string) []string {
	return []string{path, path + "-wal", path + "-shm", path + "-journal", path + "-mylibsql"}
}

// removeDatabase removes a database that was created here and is closed.
func removeDatabase(c *Connector) {
	if c.config.Memory {
		return
	}
	for _, path := range databaseFiles(c.config.Path) {
		_ = os.RemoveAll(path)
	}
}
