//go:build cgo

package mylibsql_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// killEnv makes the test binary the child that is killed: the folder to work in.
const killEnv = "MYLIBSQL_TEST_KILL"

func TestMain(m *testing.M) {
	if folder := os.Getenv(killEnv); folder != "" {
		if err := writeUntilKilled(folder); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(foreignEnv); path != "" {
		if err := workUntilStopped(path, os.Getenv(foreignJobEnv)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeUntilKilled inserts rows, saves into a directory store, and prints each row once its
// ack has resolved.
func writeUntilKilled(folder string) error {
	db, err := sql.Open("mylibsql", filepath.Join(folder, "app.db")+"?_wal_limit_frames=150")
	if err != nil {
		return err
	}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
	if err != nil {
		return err
	}
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		return err
	}
	lib, err := mylibsql.From(context.Background(), db)
	if err != nil {
		return err
	}
	for {
		ctx, ack := mylibsql.WithAck(context.Background())
		var id int64
		for range 1 + rand.IntN(20) {
			result, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES(randomblob(1500))")
			if err != nil {
				return err
			}
			if id, err = result.LastInsertId(); err != nil {
				return err
			}
		}
		if _, err := lib.Checkpoint(ctx, store.Save); err != nil {
			return err
		}
		if err := ack.Wait(ctx); err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// TestKilledWhileWriting kills a child again and again at random moments. Each time every row whose
// ack had resolved is in the database and in a restore of the store, and the
// next child goes on with the same history.
func TestKilledWhileWriting(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 5
	}
	folder := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for kill := range kills {
		acked := runAndKill(t, folder, time.Duration(20+random.IntN(250))*time.Millisecond)
		restored := filepath.Join(t.TempDir(), strconv.Itoa(kill)+".db")
		if acked > 0 {
			store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
			require.NoError(t, err)
			_, err = checkpoint.Restore(context.Background(), store, restored)
			require.NoError(t, err)
			requireSound(t, restored)
			requireRow(t, restored, acked)
		}
	}
	db := openDatabaseAt(t, filepath.Join(folder, "app.db"), "")
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	_, err = db.lib.Checkpoint(context.Background(), db.saveTo(store))
	require.NoError(t, err)
	require.NoError(t, db.DB.Close())
	restored := filepath.Join(t.TempDir(), "last.db")
	_, err = checkpoint.Restore(context.Background(), store, restored)
	require.NoError(t, err)
	requireSameFile(t, db.path, restored)
}

// runAndKill returns the last row that the child printed as acked.
func runAndKill(t *testing.T, folder string, after time.Duration) int64 {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), killEnv+"="+folder)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	timer := time.AfterFunc(after, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	var acked int64
	for lines := bufio.NewScanner(output); lines.Scan(); {
		acked, err = strconv.ParseInt(lines.Text(), 10, 64)
		require.NoError(t, err, lines.Text())
	}
	require.Error(t, command.Wait(), "the child ends only when it is killed")
	return acked
}

func requireRow(t *testing.T, path string, id int64) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var found int64
	require.NoError(t, db.QueryRow("SELECT id FROM t WHERE id = ?", id).Scan(&found))
}
