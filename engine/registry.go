//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// registry finds the DB of a file that is open in this process. A file is known by device
// and inode: the same path may have become another file.
var registry = struct {
	sync.Mutex
	files []*openFile
}{}

// openFile is a file that is open, or being opened or closed.
type openFile struct {
	info    fs.FileInfo
	busy    chan struct{} // closed when opening or closing is over; nil while it is open
	db      *DB
	holders int // connections and connectors
}

// Acquire opens a database, or joins the pools that have it open. Each call is matched by
// one of Release. A missing file is created, unless Options.MustExist.
//
// It returns ErrInUse when another process has it, ErrHardLink, ErrState, ErrBehind,
// ErrFenced (by what Options.ReadHead tells), ErrRole, ErrSettings, ErrVersion,
// fs.ErrNotExist, and SQLite's own errors for a file that is not a database.
func Acquire(ctx context.Context, path string, options Options) (*DB, error) {
	options = options.withDefaults()
	for {
		registry.Lock()
		info, created, err := ensureFile(path, options.MustExist)
		if err != nil {
			registry.Unlock()
			return nil, err
		}
		file := findFile(info)
		switch {
		case file == nil:
			file = &openFile{info: info, busy: make(chan struct{})}
			registry.files = append(registry.files, file)
			registry.Unlock()
			return file.open(ctx, path, created, options)
		case file.busy == nil:
			defer registry.Unlock()
			err := errors.Join(file.db.checkRole(options.Role), file.db.options.agree(options))
			if err != nil {
				return nil, err
			}
			file.holders++
			return file.db, nil
		}
		busy := file.busy
		registry.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func findFile(info fs.FileInfo) *openFile {
	for _, file := range registry.files {
		if os.SameFile(file.info, info) {
			return file
		}
	}
	return nil
}

// open opens the database of a file that this call has put into the registry.
func (f *openFile) open(ctx context.Context, path string, created bool, options Options) (
	*DB, error,
) {
	db, err := open(ctx, path, f.info, created, options)
	registry.Lock()
	defer registry.Unlock()
	busy := f.busy
	defer close(busy)
	if err != nil {
		if created {
			for _, name := range []string{path, path + "-wal", path + "-shm"} {
				_ = os.Remove(name)
			}
		}
		f.forget()
		return nil, err
	}
	db.file = f
	f.db, f.holders, f.busy = db, 1, nil
	return db, nil
}

// forget takes the file out of the registry, whose lock the caller holds.
func (f *openFile) forget() {
	registry.files = slices.DeleteFunc(registry.files, func(other *openFile) bool {
		return other == f
	})
}

// Hold adds a holder to a database that is held already.
func (db *DB) Hold() {
	registry.Lock()
	defer registry.Unlock()
	db.file.holders++
}

// Release lets go of the database. The last one closes it: commits that are not saved are
// kept, and reported by ErrUnsaved where something was ever saved.
func (db *DB) Release() error {
	f := db.file
	registry.Lock()
	f.holders--
	if f.holders > 0 {
		registry.Unlock()
		return nil
	}
	f.busy = make(chan struct{})
	registry.Unlock()
	err := db.close()
	registry.Lock()
	defer registry.Unlock()
	f.forget()
	close(f.busy)
	return err
}

// Current reports whether the file at path is still the one that is open.
func (db *DB) Current(path string) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, db.fileInfo)
}

// ensureFile creates a missing file, so that it has an inode to be known by. Nobody can
// have locks on a file that is created here, so closing it is harmless.
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
