package storetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
)

// Goal: the directory store keeps the contract.
// Method: the suite; records are removed and replaced by their path.
func TestDirectoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		root := filepath.Join(t.TempDir(), "store")
		path := func(record checkpoint.Record) string {
			key := fmt.Sprintf("%016x", uint64(record.Follows.FrameNo+1))
			return filepath.Join(root, "ltx", "chain", key)
		}
		return storetest.Backend{
			Open: func(t *testing.T) checkpoint.Store {
				store, err := checkpoint.OpenDirectory(root)
				require.NoError(t, err)
				return store
			},
			Remove: func(t *testing.T, record checkpoint.Record) {
				require.NoError(t, os.Remove(path(record)))
			},
			Replace: func(t *testing.T, record checkpoint.Record, content []byte) {
				require.NoError(t, os.WriteFile(path(record), content, 0o600))
			},
		}
	})
}
