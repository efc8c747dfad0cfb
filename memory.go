//go:build cgo

package mylibsql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/mylibsql/mylibsql/engine"
)

// sharedMemory knows the temporary files behind in-memory databases that are shared
// between pools by name.
var sharedMemory = struct {
	sync.Mutex
	paths map[string]string
}{paths: make(map[string]string)}

// openMemory opens the temporary file behind an in-memory database: the one of that name,
// or a private one when name is empty. The engine removes it at the last close.
func openMemory(ctx context.Context, name string, options engine.Options) (
	*engine.DB, string, error,
) {
	if name == "" {
		return createMemory(ctx, options)
	}
	sharedMemory.Lock()
	defer sharedMemory.Unlock()
	if path, ok := sharedMemory.paths[name]; ok {
		existing := options
		existing.MustExist = true
		db, err := engine.Acquire(ctx, path, existing)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return db, path, err
		}
	}
	db, path, err := createMemory(ctx, options)
	if err == nil {
		sharedMemory.paths[name] = path
	}
	return db, path, err
}

func createMemory(ctx context.Context, options engine.Options) (*engine.DB, string, error) {
	folder, err := os.MkdirTemp("", "mylibsql-memory-")
	if err != nil {
		return nil, "", fmt.Errorf("mylibsql: in-memory database: %w", err)
	}
	path := filepath.Join(folder, "memory.db")
	db, err := engine.Acquire(ctx, path, options)
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(folder))
	}
	return db, path, nil
}
