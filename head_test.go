//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// openWithStore opens a database whose driver looks at the store.
func openWithStore(t *testing.T, path string, options mylibsql.Options) (
	*database, *mylibsql.Connector, error,
) {
	t.Helper()
	connector, err := mylibsql.NewConnector("file:"+path, &options)
	require.NoError(t, err)
	db := &database{DB: sql.OpenDB(connector), lib: connector.Database, path: path}
	db.life = pooltest.Watch(t, path, db.DB, nil)
	err = db.Ping()
	if err != nil {
		const refused = "it is refused, for its store has something else"
		db.leavesWAL(refused)
		db.notRestored(refused)
	}
	return db, connector, err
}

// savedPair is a closed database with two saved logs, and a copy of it with the first one only.
func savedPair(t *testing.T) (path, older string, store *checkpoint.Directory) {
	t.Helper()
	store = openStore(t)
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(x)")
	db.saveAll(t, store)
	require.NoError(t, db.DB.Close())
	older = filepath.Join(t.TempDir(), "older")
	require.NoError(t, exec.Command("cp", "-a", filepath.Dir(db.path), older).Run())
	next := openDatabaseAt(t, db.path, "")
	next.exec(t, "INSERT INTO t VALUES(1)")
	next.saveAll(t, store)
	require.NoError(t, next.DB.Close())
	return db.path, filepath.Join(older, "app.db"), store
}

// TestPrimaryBehindItsStoreIsRefused opens an older copy of a database, state and all, as a machine
// that was rolled back has it: the store has more, and nothing may be written.
func TestPrimaryBehindItsStoreIsRefused(t *testing.T) {
	path, older, store := savedPair(t)
	_, _, err := openWithStore(t, older, mylibsql.Options{Store: store})
	var behind *mylibsql.BehindError
	require.ErrorAs(t, err, &behind)
	require.Greater(t, behind.Want, behind.Have)
	db, _, err := openWithStore(t, path, mylibsql.Options{Store: store})
	require.NoError(t, err, "the newest copy is welcome")
	require.NoError(t, db.Close())
}

// TestPrimaryThatWasOvertakenIsFencedAtOpen lets the older copy write as much as the store has: at
// the next open the store tells that another primary went on.
func TestPrimaryThatWasOvertakenIsFencedAtOpen(t *testing.T) {
	_, older, store := savedPair(t)
	db := openDatabaseAt(t, older, "") // nobody looks at the store
	for range 5 {
		db.exec(t, "INSERT INTO t VALUES(2)")
	}
	require.ErrorIs(t, db.DB.Close(), mylibsql.ErrUnsaved)
	_, _, err := openWithStore(t, older, mylibsql.Options{Store: store})
	require.ErrorIs(t, err, mylibsql.ErrFenced)
}

// TestLostAnswerIsNoStranger opens a database whose last log is in the store without its knowledge:
// written by itself, it is no reason to refuse.
func TestLostAnswerIsNoStranger(t *testing.T) {
	store := openStore(t)
	db := openDatabase(t, "")
	db.exec(t, "CREATE TABLE t(x)")
	db.saveAll(t, store)
	db.exec(t, "INSERT INTO t VALUES(1)")
	_, err := db.lib.Checkpoint(context.Background(), loseAnswer(store))
	require.ErrorIs(t, err, errAnswerLost)
	db.exec(t, "INSERT INTO t VALUES(2)")
	require.ErrorIs(t, db.DB.Close(), mylibsql.ErrUnsaved)
	again, connector, err := openWithStore(t, db.path,
		mylibsql.Options{Store: store, CloseTimeout: time.Minute})
	require.NoError(t, err)
	require.NoError(t, again.Close(), "the final checkpoint saves the rest")
	require.Zero(t, connector.Stats())
	copied := filepath.Join(t.TempDir(), "restored.db")
	_, err = checkpoint.Restore(context.Background(), store, copied)
	require.NoError(t, err)
	requireSameFile(t, db.path, copied)
}

// TestStoreThatIsDown keeps no primary closed, and no replica is promoted meanwhile.
func TestStoreThatIsDown(t *testing.T) {
	path, _, store := savedPair(t)
	down := faultstore.Seeded(store, 1, faultstore.Mix{
		Records: faultstore.Odds{faultstore.Fail: 1}, Save: faultstore.Odds{faultstore.Hang: 1},
	})
	options := mylibsql.Options{Store: down, CloseTimeout: 20 * time.Millisecond}
	db, connector, err := openWithStore(t, path, options)
	require.NoError(t, err)
	require.NoError(t, connector.Demote(t.Context()))
	require.ErrorIs(t, connector.Promote(t.Context()), faultstore.ErrInjected)
	require.Equal(t, mylibsql.RoleReplica, connector.Stats().Role)
	require.NoError(t, db.Close())

	options.Store = store
	db, connector, err = openWithStore(t, path, options)
	require.NoError(t, err)
	require.NoError(t, connector.Promote(t.Context()))
	require.NoError(t, db.Close())
	options.Store = down
	db, _, err = openWithStore(t, path, options)
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO t VALUES(3)")
	require.NoError(t, err)
	err = db.Close()
	require.ErrorIs(t, err, context.DeadlineExceeded, "the final checkpoint is bounded")
	require.ErrorIs(t, err, mylibsql.ErrUnsaved)
}

// replicaOf makes a replica of the first log of a store.
func replicaOf(t *testing.T, store *checkpoint.Directory) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "replica.db")
	for record, err := range store.Records(t.Context(), 0) {
		require.NoError(t, err)
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		snapshot, err := mylibsql.OpenSnapshot(
			filepath.Join(store.Root(), "ltx", "9", log.Name()))
		require.NoError(t, err)
		db := openReplicaOf(t, path, snapshot)
		require.NoError(t, errors.Join(snapshot.Close(), log.Close(), db.Close()))
		break
	}
	return path
}

// TestReplicaBehindTheStoreIsNotPromoted promotes a replica that lacks a log: first it takes it.
func TestReplicaBehindTheStoreIsNotPromoted(t *testing.T) {
	primary, _, store := savedPair(t)
	pooltest.Watch(t, primary, nil, nil).Unrestored = "the replica goes on in its store"
	path := replicaOf(t, store)
	db, connector, err := openWithStore(t, path, mylibsql.Options{Store: store})
	require.NoError(t, err)
	require.ErrorIs(t, connector.Promote(t.Context()), mylibsql.ErrBehind)
	_, err = db.Exec("INSERT INTO t VALUES(4)")
	require.ErrorIs(t, err, mylibsql.ErrReadOnly)
	for record, err := range store.Records(t.Context(), connector.Stats().Saved) {
		require.NoError(t, err)
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		require.NoError(t, connector.Replicate(t.Context(), log))
		require.NoError(t, log.Close())
	}
	require.NoError(t, connector.Promote(t.Context()))
	_, err = db.Exec("INSERT INTO t VALUES(4)")
	require.NoError(t, err)
	_, err = connector.Checkpoint(t.Context(), db.saveTo(store))
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// TestPromotedReplicaSavesWhatTheStoreLacks promotes a replica that followed live, when the primary
// and what it had not saved are gone: nobody has to write before the store gets it.
func TestPromotedReplicaSavesWhatTheStoreLacks(t *testing.T) {
	for _, empty := range []bool{true, false} {
		store, primary := openStore(t), openDatabase(t, "")
		primary.exec(t, "CREATE TABLE t(x)")
		primary.checkpoint(t)
		if !empty {
			saveInto(t, store, primary.saved.logs[0])
		}
		path := filepath.Join(t.TempDir(), "replica.db")
		replica := openReplicaAt(t, path, "_role=replica")
		replica.take(t, primary.saved.logs[0])
		primary.exec(t, "INSERT INTO t VALUES(1)")
		primary.checkpoint(t)
		replica.take(t, primary.saved.logs[1])
		require.NoError(t, replica.DB.Close())

		db, connector, err := openWithStore(t, path, mylibsql.Options{Store: store})
		require.NoError(t, err)
		require.NoError(t, connector.Promote(t.Context()))
		stats := connector.Stats()
		require.Less(t, stats.Saved, stats.Committed)
		require.Positive(t, stats.UnsavedAge)
		if !empty {
			require.ErrorIs(t, connector.Demote(t.Context()), mylibsql.ErrUnsaved)
		}
		saved, err := connector.Checkpoint(t.Context(), db.saveTo(store))
		require.NoError(t, err)
		require.Equal(t, stats.Committed, saved)
		require.NoError(t, db.Close())
		copied := filepath.Join(t.TempDir(), "restored.db")
		_, err = checkpoint.Restore(t.Context(), store, copied)
		require.NoError(t, err)
		requireSameFile(t, path, copied)
	}
}

func saveInto(t *testing.T, store *checkpoint.Directory, log *mylibsql.Log) {
	t.Helper()
	require.NoError(t, store.Save(t.Context(), log))
}

// TestReplicaOfAnotherHistoryIsNotPromoted gives the store another content at that position.
func TestReplicaOfAnotherHistoryIsNotPromoted(t *testing.T) {
	store := openStore(t)
	first := openDatabase(t, "")
	first.notRestored("the test removes what its store has")
	first.exec(t, "CREATE TABLE t(x)")
	first.saveAll(t, store)
	path := replicaOf(t, store)
	require.NoError(t, os.RemoveAll(filepath.Join(store.Root(), "ltx")))
	other := openDatabase(t, "")
	other.exec(t, "CREATE TABLE u(y)")
	_, err := other.lib.Checkpoint(t.Context(), store.Save)
	require.ErrorIs(t, err, os.ErrNotExist, "its folders are gone")
	other.saveAll(t, store)
	require.Equal(t, first.lib.Stats().Saved, other.lib.Stats().Saved)
	_, connector, err := openWithStore(t, path, mylibsql.Options{Store: store})
	require.NoError(t, err)
	require.ErrorIs(t, connector.Promote(t.Context()), mylibsql.ErrFenced)
}

// TestOlderFileBesideItsStateIsRefused puts an older copy of the database file back, beside the
// state of its later life: what was saved since would be overwritten in the store.
func TestOlderFileBesideItsStateIsRefused(t *testing.T) {
	path, _, store := savedPair(t)
	next := openDatabaseAt(t, path, "")
	older := filepath.Join(t.TempDir(), "older.db")
	require.NoError(t, next.DB.Close())
	require.NoError(t, exec.Command("cp", path, older).Run())
	last := openDatabaseAt(t, path, "")
	last.exec(t, "INSERT INTO t VALUES(5)")
	last.saveAll(t, store)
	require.NoError(t, last.DB.Close())
	newest := filepath.Join(t.TempDir(), "newest.db")
	require.NoError(t, exec.Command("cp", path, newest).Run())

	require.NoError(t, exec.Command("cp", older, path).Run())
	_, _, err := openWithStore(t, path, mylibsql.Options{})
	require.ErrorIs(t, err, mylibsql.ErrBehind)
	require.NoError(t, exec.Command("cp", newest, path).Run())
	again := openDatabaseAt(t, path, "")
	again.exec(t, "INSERT INTO t VALUES(6)")
	require.Less(t, again.lib.Stats().Committed, mylibsql.FrameNo(1<<32), "the newest goes on")
	again.requireRestores(t, store)
}
