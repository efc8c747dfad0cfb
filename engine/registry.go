//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// registry finds the DB of a file that is open in this process. A file is known by
// device and inode: the same path may have become another file.
var registry = struct {
	sync.Mutex
	open []*DB
}{}

// Acquire opens a database, or joins the pools that have it open. Each call
// is matched by one of Release. A missing file is created, unless Options.MustExist.
//
// It returns ErrInUse when another process has it, ErrHardLink, ErrState, ErrBehind,
// ErrRole, ErrSettings, ErrVersion, fs.ErrNotExist, and SQLite's own errors for a file that is
// not a database.
func Acquire(ctx context.Context, path string, options Options) (*DB, error) {
	options = options.withDefaults()
	registry.Lock()
	defer registry.Unlock()
	info, created, err := ensureFile(path, options.MustExist)
	if err != nil {
		return nil, err
	}
	for _, db := range registry.open {
		if !os.SameFile(db.fileInfo, info) {
			continue
		}
		if err := db.options.agree(options); err != nil {
			return nil, err
		}
		db.holders++
		return db, nil
	}
	db, err := open(ctx, path, info, created, options)
	if err != nil {
		if created {
			_ = os.Remove(path)
		}
		return nil, err
	}
	db.holders = 1
	registry.open = append(registry.open, db)
	return db, nil
}

// Hold adds a holder to a database that is held already.
func (db *DB) Hold() {
	registry.Lock()
	defer registry.Unlock()
	db.holders++
}

// Release lets go of the database. The last one closes it: commits that are not
// saved are kept, and reported by ErrUnsaved where something was ever saved.
func (db *DB) Release() error {
	registry.Lock()
	defer registry.Unlock()
	db.holders--
	if db.holders > 0 {
		return nil
	}
	for i, other := range registry.open {
		if other == db {
			registry.open = append(registry.open[:i], registry.open[i+1:]...)
			break
		}
	}
	return db.close()
}

// Current reports whether the file at path is still the one that is open.
func (db *DB) Current(path string) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, db.fileInfo)
}

// ensureFile creates a missing file, so that it has an inode to be known by.
// Nobody can have locks on a file that is created here, so closing it is harmless.
func ensureFile(path string, mustExist bool) (info fs.FileInfo, created bool, err error) {
	info, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !mustExist {
		file, createErr := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if createErr != nil {
			return nil, false, fmt.Errorf("engine: create database: %w", createErr)
		}
		created = true
		info, err = file.Stat()
		err = errors.Join(err, file.Close())
	}
	switch {
	case err != nil:
		return nil, created, fmt.Errorf("engine: open database: %w", err)
	case info.IsDir():
		return nil, false, fmt.Errorf("engine: open database: %w",
			&fs.PathError{Op: "open", Path: path, Err: errors.New("is a directory")})
	case linkCount(info) > 1:
		return nil, false, fmt.Errorf("%w: %s", ErrHardLink, path)
	}
	return info, created, nil
}

// resolve follows symbolic links, as SQLite does before it names the WAL.
func resolve(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	return resolved, nil
}
