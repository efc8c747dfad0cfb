//go:build cgo

package mylibsql_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
)

// TestInteropStoreOfADatabase saves a database that lives, with resets, VACUUM and a reopen, into a
// directory store. The ltx tool must accept every file in it, and litestream must
// restore it byte for byte.
func TestInteropStoreOfADatabase(t *testing.T) {
	ltx, litestream := os.Getenv("MYLIBSQL_LTX"), os.Getenv("MYLIBSQL_LITESTREAM")
	if ltx == "" || litestream == "" {
		t.Skip("MYLIBSQL_LTX and MYLIBSQL_LITESTREAM do not name the two programs")
	}
	folder := t.TempDir()
	root := filepath.Join(folder, "store")
	path := filepath.Join(folder, "app.db")
	for range 2 {
		db := openDatabaseAt(t, path, "_wal_limit_frames=100")
		store, err := checkpoint.OpenDirectory(root)
		require.NoError(t, err)
		db.exec(t, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
		for i := range 40 {
			for range 20 {
				db.exec(t, "INSERT INTO t(x) VALUES(randomblob(900))")
			}
			if i%15 == 14 {
				db.exec(t, "DELETE FROM t WHERE id % 3 = 0")
				db.exec(t, "VACUUM")
			}
			_, err := db.lib.Checkpoint(context.Background(), db.saveTo(store))
			require.NoError(t, err)
		}
		require.NoError(t, db.DB.Close())
	}
	verified := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		verified++
		output, err := exec.Command(ltx, "verify", name).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, output)
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, verified, 100)
	restored := filepath.Join(folder, "restored.db")
	output, err := exec.Command(litestream, "restore", "-o", restored, "file://"+root).
		CombinedOutput()
	require.NoError(t, err, string(output))
	requireSameFile(t, path, restored)
}
