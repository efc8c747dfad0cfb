//go:build cgo

package dbtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// A place is where a database was saved.
type place interface {
	fmt.Stringer
	// restore makes a database file of everything that was saved there.
	restore(t testing.TB, path string) translog.Position
	// copy returns a place with the same content, to which more can be added.
	copy(t testing.TB) place
	// add saves a log.
	add(ctx context.Context, log *translog.Log) error
}

// compare restores what a place has, and returns where that ends and whether it is the file.
func compare(t testing.TB, p place, path string) (end translog.Position, same bool) {
	t.Helper()
	restored := filepath.Join(t.TempDir(), "restored.db")
	end = p.restore(t, restored)
	return end, isSame(t, path, restored)
}

// logsPlace is a list of logs that a test has kept, oldest first.
type logsPlace []*translog.Log

func (p *logsPlace) String() string { return fmt.Sprintf("%d logs", len(*p)) }

func (p *logsPlace) restore(t testing.TB, path string) translog.Position {
	t.Helper()
	logs := *p
	RequireChain(t, logs)
	newest := 0
	for i, log := range logs {
		if log.IsSnapshot() {
			newest = i
		}
	}
	snapshot, err := translog.AsSnapshot(logs[newest])
	require.NoError(t, err)
	end, err := snapshot.Restore(path, logs[newest+1:]...)
	require.NoError(t, err)
	return end
}

func (p *logsPlace) copy(testing.TB) place {
	logs := append(logsPlace(nil), *p...)
	return &logs
}

func (p *logsPlace) add(_ context.Context, log *translog.Log) error {
	clone, err := log.Clone()
	*p = append(*p, clone)
	return err
}

// RequireChain requires that logs begin with a snapshot, and that each says that it
// continues the one before.
func RequireChain(t testing.TB, logs []*translog.Log) {
	t.Helper()
	require.NotEmpty(t, logs)
	require.True(t, logs[0].IsSnapshot(), "the first log is no snapshot: %v", logs[0])
	for i := 1; i < len(logs); i++ {
		require.Equal(t, logs[i-1].End(), logs[i].Follows(), "log %d", i)
		require.Greater(t, logs[i].Last(), logs[i-1].Last(), "log %d", i)
	}
}

// storePlace is a directory store.
type storePlace struct{ *checkpoint.Directory }

func (p *storePlace) String() string { return p.Root() }

func (p *storePlace) restore(t testing.TB, path string) translog.Position {
	t.Helper()
	end, err := checkpoint.Restore(context.Background(), p, path)
	require.NoError(t, err, "restore of %v", p)
	return end
}

func (p *storePlace) copy(t testing.TB) place {
	t.Helper()
	root := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.CopyFS(root, os.DirFS(p.Root())))
	store, err := checkpoint.OpenDirectory(root)
	require.NoError(t, err)
	return &storePlace{store}
}

func (p *storePlace) add(ctx context.Context, log *translog.Log) error { return p.Save(ctx, log) }
