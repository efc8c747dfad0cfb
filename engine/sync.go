//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql/internal/disk"
)

// holdSealing takes DB.sealing of a database that is usable, for who calls letGo.
func (db *DB) holdSealing(ctx context.Context) (letGo func(), err error) {
	if err := db.sealing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := db.usable(); err != nil {
		db.sealing.Release(1)
		return nil, err
	}
	return func() { db.sealing.Release(1) }, nil
}

// Sync makes durable what is committed, or on a replica applied: it survives a power cut,
// after which a replica is at this position or a later one. It is what an AckReplicated
// that promises as much has to wait for. It costs an fsync, two on a replica. It returns
// ErrClosed or ErrPoisoned.
func (db *DB) Sync(ctx context.Context) error {
	letGo, err := db.holdSealing(ctx)
	if err != nil {
		return err
	}
	defer letGo()
	if !db.replica.Load() {
		return db.syncWAL()
	}
	return db.syncReplica()
}

func (db *DB) syncReplica() error {
	if err := db.syncWAL(); err != nil {
		return err
	}
	return db.writeRecord(true)
}

// syncWAL makes committed frames durable before their position leaves the process. A
// failed fsync may have dropped them: nothing is vouched for after that.
func (db *DB) syncWAL() error {
	db.mu.Lock()
	covered := db.last
	db.mu.Unlock()
	if err := disk.SyncFile(db.walFile); err != nil {
		return db.failedSync(fmt.Errorf("WAL: %w", err))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	// By places: a snapshot that heals a replica may lead back to an earlier position.
	if covered.salt != db.synced.salt || covered.frame >= db.synced.frame {
		db.synced = covered
	}
	return nil
}

// failedSync poisons the engine when an error comes from an fsync: what it should have made
// durable may be gone, and another fsync would not tell. Other errors, such as a full disk,
// stay what they are.
func (db *DB) failedSync(err error) error {
	if !errors.Is(err, disk.ErrSync) {
		return err
	}
	return db.fail(fmt.Errorf("%w: %w", ErrPoisoned, err))
}
