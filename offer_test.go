//go:build cgo

package mylibsql_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

var errAnswerLost = errors.New("the answer is lost")

// loseAnswer stores the log, and says that it did not.
func loseAnswer(store *checkpoint.Directory) func(context.Context, *mylibsql.Log) error {
	return func(ctx context.Context, log *mylibsql.Log) error {
		return errors.Join(store.Save(ctx, log), errAnswerLost)
	}
}

func storageIsDown(context.Context, *mylibsql.Log) error { return errAnswerLost }

// TestPowerCutBehindALostAnswer copies what a power cut leaves at the moment when the store has the
// log and this machine does not know it, with the state as it was written then or, since that was
// not fsynced, as it was before. The copy goes on with the same history, also when it resets the
// WAL before it asks the store.
func TestPowerCutBehindALostAnswer(t *testing.T) {
	for _, row := range []struct{ first, oldState, reset bool }{
		{false, false, false}, {false, true, false}, {true, false, false}, {true, true, false},
		{false, false, true}, {false, true, true}, {true, true, true},
	} {
		first := row.first
		store, crashed := openStore(t), filepath.Join(t.TempDir(), "crashed")
		db := openDatabase(t, "")
		db.notRestored("the copy of it goes on in the store")
		db.exec(t, "CREATE TABLE t(x)")
		if !first {
			db.saveAll(t, store)
		}
		state := filepath.Join(filepath.Dir(db.path), "app.db-mylibsql", "state")
		durable, err := os.ReadFile(state) // not one of SQLite's files
		require.NoError(t, err)
		db.exec(t, "INSERT INTO t VALUES(1)")
		var landed mylibsql.FrameNo
		_, err = db.lib.Checkpoint(context.Background(),
			func(ctx context.Context, log *mylibsql.Log) error {
				landed = log.Last()
				if err := store.Save(ctx, log); err != nil {
					return err
				}
				// By another process: closing the files here would drop SQLite's locks.
				return exec.Command("cp", "-r", filepath.Dir(db.path), crashed).Run()
			})
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(crashed, "app.db-shm")))
		if row.oldState && !first { // the first offer of a WAL is fsynced
			state := filepath.Join(crashed, "app.db-mylibsql", "state")
			require.NoError(t, os.WriteFile(state, durable, 0o600))
		}

		next := openDatabaseAt(t, filepath.Join(crashed, "app.db"), "")
		require.Equal(t, landed, next.lib.Stats().Committed)
		if row.reset { // the WAL does not tell any more what the content was
			next.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
			next.exec(t, "INSERT INTO t VALUES(1.5)")
		}
		ctx, ack := mylibsql.WithAck(context.Background())
		_, err = next.ExecContext(ctx, "INSERT INTO t VALUES(2)")
		require.NoError(t, err)
		saved, err := next.lib.Checkpoint(ctx, store.Save)
		require.NoError(t, err)
		require.Equal(t, landed, saved, "the place is taken by a log from here")
		next.saveAll(t, store)
		require.NoError(t, ack.Err())
		next.exec(t, "INSERT INTO t VALUES(3)")
		next.requireRestores(t, store)
	}
}

// TestLongOutage tries to save more often than offers are remembered; of some tries only the answer
// is lost. Writes and resets go on meanwhile. When storage is back, it all counts.
func TestLongOutage(t *testing.T) {
	for name, c := range map[string]struct{ landed, rounds, rows int }{
		"the first try landed":         {0, 130, 1},
		"a later one landed":           {70, 130, 1},
		"none landed":                  {-1, 130, 1},
		"the WAL is reset meanwhile":   {0, 80, 30},
		"the history starts over":      {0, 80, 150},
		"it would start over for ever": {0, 200, 150},
		"and none landed":              {-1, 200, 150},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t)
			db := openDatabase(t, "_wal_limit_frames=100&_synchronous=OFF")
			db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
			db.saveAll(t, store)
			for round := range c.rounds {
				for row := range c.rows {
					db.exec(t, "INSERT OR REPLACE INTO t VALUES(?, randomblob(3000))", row%10)
				}
				save := storageIsDown
				if round == c.landed {
					save = loseAnswer(store)
				}
				_, err := db.lib.Checkpoint(context.Background(), save)
				require.ErrorIs(t, err, errAnswerLost, "round %d", round)
				require.NotErrorIs(t, err, mylibsql.ErrFenced)
			}
			ctx, ack := mylibsql.WithAck(context.Background())
			_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES('storage is back')")
			require.NoError(t, err)
			db.saveAll(t, store)
			require.NoError(t, ack.Err())
			db.requireRestores(t, store)
		})
	}
}

// TestOutageAtFirstBoot: a storage that is down from the start, for more tries than are
// remembered, gets everything once it is back, whichever try had landed.
func TestOutageAtFirstBoot(t *testing.T) {
	for _, landed := range []int{-1, 0, 20, 110} {
		t.Run(strconv.Itoa(landed), func(t *testing.T) {
			store := openStore(t)
			db := openDatabase(t, "_wal_limit_frames=100&_synchronous=OFF")
			db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
			for round := range 150 {
				for row := range 20 {
					db.exec(t, "INSERT OR REPLACE INTO t VALUES(?, randomblob(3000))", row)
				}
				save := storageIsDown
				if round == landed {
					save = loseAnswer(store)
				}
				_, err := db.lib.Checkpoint(context.Background(), save)
				require.ErrorIs(t, err, errAnswerLost, "round %d", round)
			}
			db.saveAll(t, store)
			db.requireRestores(t, store)
		})
	}
}

// TestAnotherPrimaryInThePlace: a log from elsewhere fences. Writes are refused from then on, reads
// work, and every pending ack fails with it.
func TestAnotherPrimaryInThePlace(t *testing.T) {
	store := openStore(t)
	db := openDatabase(t, "")
	const fenced = "the store has another primary's log in the place of its own"
	db.leavesWAL(fenced)
	db.notRestored(fenced)
	db.exec(t, "CREATE TABLE t(x)")
	db.saveAll(t, store)
	base, err := os.MkdirTemp(t.TempDir(), "other")
	require.NoError(t, err)
	other := restoredPrimary(t, store, filepath.Join(base, "app.db"))
	other.exec(t, "INSERT INTO t VALUES('other')")
	other.saveAll(t, store)

	ctx, ack := mylibsql.WithAck(context.Background())
	_, err = db.ExecContext(ctx, "INSERT INTO t VALUES('mine')")
	require.NoError(t, err)
	_, err = db.lib.Checkpoint(ctx, store.Save)
	require.ErrorIs(t, err, mylibsql.ErrFenced)
	require.ErrorIs(t, err, mylibsql.ErrTaken)
	require.ErrorIs(t, ack.Wait(ctx), mylibsql.ErrFenced)
	require.ErrorIs(t, db.lib.WaitSaved(ctx, ack.FrameNo()), mylibsql.ErrFenced)
	_, err = db.Exec("INSERT INTO t VALUES('refused')")
	require.ErrorIs(t, err, mylibsql.ErrFenced)
	_, err = db.Begin()
	require.ErrorIs(t, err, mylibsql.ErrFenced)
	_, err = db.lib.Checkpoint(ctx, store.Save)
	require.ErrorIs(t, err, mylibsql.ErrFenced)
	require.Equal(t, 1, db.count(t, "t"))
	other.exec(t, "INSERT INTO t VALUES('goes on')")
	other.requireRestores(t, store)
}

// restoredPrimary opens a second primary from what is in a store.
func restoredPrimary(t *testing.T, store *checkpoint.Directory, path string) *database {
	t.Helper()
	ctx := context.Background()
	var snapshot *mylibsql.Snapshot
	for record, err := range store.Records(ctx, 0) {
		require.NoError(t, err)
		require.Nil(t, snapshot, "more than a snapshot was saved")
		log, err := store.Open(ctx, record)
		require.NoError(t, err)
		snapshot, err = asSnapshot(log)
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, snapshot.Close()) })
	db := openPrimary(t, path, snapshot)
	db.saved.logs = nil // all of it goes to the store
	return db
}

// TestFirstSaveHangs hangs the save of the first snapshot while many times the database is written,
// and the WAL reset. Neither memory nor the outbox grows with it; then the save succeeds, and
// what follows continues it.
func TestFirstSaveHangs(t *testing.T) {
	const rows, blobBytes, rounds = 200, 3000, 60
	db := openDatabase(t, "_wal_limit_frames=100&_synchronous=OFF")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	write := func() {
		for row := range rows {
			db.exec(t, "INSERT OR REPLACE INTO t VALUES(?, randomblob(?))", row, blobBytes)
		}
	}
	write()
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, err := db.lib.Checkpoint(context.Background(),
			func(ctx context.Context, log *mylibsql.Log) error {
				close(entered)
				<-leave
				return db.saved.save(ctx, log)
			})
		done <- err
	}()
	<-entered
	write()
	before, outboxMax := heapBytes(), int64(0)
	for range rounds {
		write()
		outboxMax = max(outboxMax, folderBytes(t, db.path+"-mylibsql/outbox"))
	}
	grown := heapBytes() - before
	size := int64(rows * 4096)
	t.Logf("database %d, outbox at most %d, heap grew by %d", size, outboxMax, grown)
	require.Less(t, outboxMax, 3*size)
	require.Less(t, grown, 10*size)
	close(leave)
	require.NoError(t, <-done)
	db.exec(t, "INSERT INTO t(x) VALUES('after')")
	require.Equal(t, db.lib.Stats().Committed, db.checkpoint(t))
}

func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// folderBytes is the size of the files in a folder, some of which may vanish meanwhile.
func folderBytes(t *testing.T, folder string) (total int64) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
	}
	return total
}
