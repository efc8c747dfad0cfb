//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
)

// TestForeignCommitsDuringClose closes the database while plain go-sqlite3 commits without a pause.
// What it commits before, during and after the close is in what the next life saves.
func TestForeignCommitsDuringClose(t *testing.T) {
	for range 10 {
		folder := t.TempDir()
		path := filepath.Join(folder, "app.db")
		db := openDatabaseAt(t, path, "_synchronous=OFF")
		db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
		store := openStore(t)
		db.saveAll(t, store)

		foreign, err := sql.Open("sqlite3", path+"?_busy_timeout=5000&_synchronous=OFF")
		require.NoError(t, err)
		foreign.SetMaxOpenConns(1)
		_, err = foreign.Exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO t(x) VALUES('first')")
		require.NoError(t, err)
		stop, committed := make(chan struct{}), make(chan struct{}, 1)
		var group sync.WaitGroup
		group.Go(func() { insertUntil(t, foreign, stop, committed) })
		for range 20 {
			<-committed
		}
		_ = db.DB.Close() // unsaved or not is a matter of luck
		close(stop)
		group.Wait()

		again := openDatabaseAt(t, path, "_synchronous=OFF")
		again.exec(t, "INSERT INTO t(x) VALUES('last')")
		again.saveAll(t, store)
		rows := again.count(t, "t")
		require.NoError(t, foreign.Close())
		require.NoError(t, again.DB.Close())
		restored := filepath.Join(folder, "restored.db")
		_, err = checkpoint.Restore(context.Background(), store, restored)
		require.NoError(t, err)
		requireSameFile(t, path, restored)
		requireRow(t, restored, int64(rows))
	}
}

func insertUntil(t *testing.T, db *sql.DB, stop <-chan struct{}, committed chan<- struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := db.Exec("INSERT INTO t(x) VALUES(randomblob(100))"); err != nil {
			t.Error(err)
			return
		}
		select {
		case committed <- struct{}{}:
		default:
		}
	}
}
