//go:build cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// openReplica opens a new, empty replica. At cleanup it is closed and must be sound.
func openReplica(t *testing.T, params string) *replica {
	t.Helper()
	return openReplicaAt(t, filepath.Join(t.TempDir(), "replica.db"), "_role=replica&"+params)
}

// replica is a replica that a test has open. Promoted it is any other database.
type replica = database

func openReplicaAt(t *testing.T, path, params string) *replica {
	t.Helper()
	return openDatabaseAt(t, path, params)
}

// take applies the logs that a primary has saved since.
func (r *replica) take(t *testing.T, logs ...*mylibsql.Log) {
	t.Helper()
	for _, log := range logs {
		require.NoError(t, r.lib.Replicate(context.Background(), log), log)
	}
}

// TestReplicaFollowsEveryLog feeds a replica the logs of a primary with resets, VACUUM, and
// shrinking, while readers loop on it, and compares the files. Page sizes differ from the one
// that the replica's empty file was created with.
func TestReplicaFollowsEveryLog(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			primary := openDatabase(t, fmt.Sprintf("_page_size=%d&_wal_limit_frames=200", pageSize))
			primary.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB, y INTEGER)")
			primary.exec(t, "CREATE INDEX i ON t(y)")
			primary.checkpoint(t)
			r := openReplica(t, "_wal_limit_frames=300")
			r.take(t, primary.saved.logs...)
			var stop atomic.Bool
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() {
					last := int64(0)
					for !stop.Load() {
						var n int64
						var sum float64
						row := r.QueryRow("SELECT coalesce(max(id), 0), total(y) FROM t")
						err := row.Scan(&n, &sum)
						if err != nil || n < last { // torn, or a step back
							t.Errorf("read %d after %d: %v", n, last, err)
							return
						}
						last = n
					}
				})
			}
			seed := rand.Uint64()
			t.Log("seed", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			applied := len(primary.saved.logs)
			for i := range 300 {
				for range 1 + random.IntN(5) {
					primary.exec(t, "INSERT INTO t(x, y) VALUES(randomblob(?), ?)",
						random.IntN(3000), i)
				}
				switch i % 50 {
				case 20:
					primary.exec(t, "UPDATE t SET x = NULL WHERE id % 3 <> 0")
				case 30:
					primary.exec(t, "VACUUM")
				}
				if i%3 == 0 {
					primary.checkpoint(t)
				}
				r.take(t, primary.saved.logs[applied:]...)
				applied = len(primary.saved.logs)
			}
			primary.checkpoint(t)
			r.take(t, primary.saved.logs[applied:]...)
			stop.Store(true)
			readers.Wait()
			want, err := primary.lib.Position(t.Context())
			require.NoError(t, err)
			got, err := r.lib.Position(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, primary.DB.Close())
			require.NoError(t, r.DB.Close())
			a, err := os.ReadFile(primary.path)
			require.NoError(t, err)
			b, err := os.ReadFile(r.path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b), "%d and %d bytes", len(a), len(b))
		})
	}
}
