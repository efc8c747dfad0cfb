//go:build cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// Each test here is named after a mistake that an earlier design of the same idea made, and
// proves that this one does not make it.

// trapPatience is how long a test waits for what must come soon.
const trapPatience = 30 * time.Second

// Many goroutines checkpoint at once, with saves of uneven length, while others write. Saves never
// overlap, each log continues the one before, and when a save begins no ack beyond the
// last log has resolved.
func TestTrapLaterLogSavedBeforeAnEarlierOne(t *testing.T) {
	db := openNotes(t, "")
	var saving sync.Mutex
	last := db.saved.logs[0].End()
	save := func(ctx context.Context, log *mylibsql.Log) error {
		if !saving.TryLock() {
			return fmt.Errorf("two saves at once")
		}
		defer saving.Unlock()
		if log.Follows() != last {
			return fmt.Errorf("%v continues %v, not %v", log, log.Follows(), last)
		}
		if saved := db.lib.Stats().Acknowledged; saved != last.FrameNo {
			return fmt.Errorf("%v is acknowledged, %v is saved", saved, last)
		}
		if err := db.saved.save(ctx, log); err != nil {
			return err
		}
		last = log.End()
		return nil
	}
	errs := make(chan error, 64)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 40 {
				_, err := db.Exec("INSERT INTO t(x) VALUES(?)", fmt.Sprintf("%d %d", i, j))
				if err == nil {
					_, err = db.lib.Checkpoint(context.Background(), save)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	require.NoError(t, <-errs)
	require.Equal(t, db.lib.Stats().Committed, last.FrameNo)
}

// Checkpoints follow each other without a pause while writers insert. An ack is in the queue
// before anybody can save past it: whatever is saved is resolved, at every moment.
func TestTrapAckRegisteredTooLateIsPendingForEver(t *testing.T) {
	db := openNotes(t, "")
	ctx, cancel := context.WithTimeout(context.Background(), trapPatience)
	defer cancel()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			_, err := db.lib.Checkpoint(ctx, db.saved.save)
			select {
			case <-stop:
				stopped <- err
				return
			default:
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	errs := make(chan error, 8)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 100 {
				if err := insertAndWait(ctx, db, fmt.Sprintf("%d %d", i, j)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(stop)
	require.NoError(t, <-stopped)
	close(errs)
	require.NoError(t, <-errs)
	require.Zero(t, db.lib.Stats().PendingAcks)
}

func insertAndWait(ctx context.Context, db *database, text string) error {
	ackContext, ack := mylibsql.WithAck(ctx)
	if _, err := db.ExecContext(ackContext, "INSERT INTO t(x) VALUES(?)", text); err != nil {
		return err
	}
	if db.lib.Stats().Saved >= ack.FrameNo() && ack.Err() != nil {
		return fmt.Errorf("%v is saved, its ack says %w", ack.FrameNo(), ack.Err())
	}
	return ack.Wait(ctx)
}

// Closing the database answers whoever waits for an ack, and whoever asks later.
func TestTrapAckOfADroppedPrimaryWaitsForEver(t *testing.T) {
	db := openNotes(t, "")
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "INSERT INTO t(x) VALUES('a')")
	require.NoError(t, err)
	const waiters = 10
	var waiting sync.WaitGroup
	waiting.Add(waiters)
	answers := make(chan error, waiters)
	for range waiters {
		go func() { answers <- ack.Wait(&announcedContext{ctx, waiting.Done, sync.Once{}}) }()
	}
	waiting.Wait()
	done := ack.Done()
	require.ErrorIs(t, db.Close(), mylibsql.ErrUnsaved)
	for range waiters {
		require.ErrorIs(t, <-answers, mylibsql.ErrClosed)
	}
	<-done
	require.ErrorIs(t, ack.Err(), mylibsql.ErrClosed)
	require.ErrorIs(t, ack.Wait(ctx), mylibsql.ErrClosed)

	// The row itself is not lost: the next primary offers it.
	again := openDatabaseAt(t, db.path, "")
	again.saved.logs, db.saved.logs = db.saved.logs, nil
	require.Equal(t, ack.FrameNo(), again.lib.Stats().Committed)
	require.Equal(t, ack.FrameNo(), again.checkpoint(t))
}

// A call that commits and then fails has committed: its rows are in the next log, and its ack
// stands for them.
func TestTrapCommitThenFailureIsLost(t *testing.T) {
	for _, query := range []string{
		"INSERT INTO t(x) VALUES('a'); INSERT INTO nowhere VALUES(1)",
		"BEGIN; INSERT INTO t(x) VALUES('a'); COMMIT; INSERT INTO t(id) VALUES('no number')",
		"INSERT OR FAIL INTO t(x) VALUES('a'), ('a')",
	} {
		db := openNotes(t, "")
		ctx, ack := mylibsql.WithAck(context.Background())
		_, err := db.ExecContext(ctx, query)
		require.Error(t, err, query)
		require.Equal(t, 1, db.count(t, "t"), query)
		db.requireCaptured(t, ack)
	}
}

// What is written out twice is the same twice.
func TestTrapSecondCopyIsEmpty(t *testing.T) {
	db := openNotes(t, "")
	db.exec(t, "INSERT INTO t(x) VALUES('a')")
	_, err := db.lib.Checkpoint(context.Background(),
		func(ctx context.Context, log *mylibsql.Log) error {
			requireSameCopies(t, log)
			for _, name := range []string{"1", "2"} {
				path := filepath.Join(t.TempDir(), name)
				require.NoError(t, log.WriteFile(path, 0o600))
				info, err := os.Stat(path)
				require.NoError(t, err)
				require.Equal(t, log.Size(), info.Size())
			}
			return db.saved.save(ctx, log)
		})
	require.NoError(t, err)
	requireSameCopies(t, db.saved.logs[1])
	var positions []mylibsql.FrameNo
	for range 2 {
		var snapshot bytes.Buffer
		position, err := db.lib.WriteSnapshot(context.Background(), &snapshot)
		require.NoError(t, err)
		read, err := mylibsql.ReadSnapshot(&snapshot)
		require.NoError(t, err)
		require.NoError(t, read.Verify())
		require.Equal(t, db.saved.logs[1].End(), read.End())
		positions = append(positions, position)
	}
	require.Equal(t, positions[0], positions[1])
}

func requireSameCopies(t *testing.T, log *mylibsql.Log) {
	t.Helper()
	var first, second bytes.Buffer
	for _, copied := range []*bytes.Buffer{&first, &second} {
		n, err := log.WriteTo(copied)
		require.NoError(t, err)
		require.Equal(t, log.Size(), n)
	}
	require.NotZero(t, first.Len())
	require.True(t, bytes.Equal(first.Bytes(), second.Bytes()))
}

// A log that was damaged anywhere is refused when it is read; what is not refused, since a
// compressed page can be written in more than one way, has the very pages of the original.
// A log of another history is refused when it is applied, although it is sound in itself.
func TestTrapChecksumsAreNeverVerified(t *testing.T) {
	db := openNotes(t, "_page_size=512")
	db.exec(t, "INSERT INTO t(x) VALUES(hex(randomblob(100)))")
	db.checkpoint(t)
	var file bytes.Buffer
	_, err := db.saved.logs[1].WriteTo(&file)
	require.NoError(t, err)
	want, err := pagesOf(db.saved.logs[1])
	require.NoError(t, err)
	require.NotEmpty(t, want)
	refused := 0
	for at := range file.Len() {
		damaged := bytes.Clone(file.Bytes())
		damaged[at] ^= 0x10
		log, err := mylibsql.ReadLog(bytes.NewReader(damaged))
		if err != nil {
			require.ErrorIs(t, err, mylibsql.ErrFormat, "byte %d", at)
			refused++
			continue
		}
		got, err := pagesOf(log)
		require.NoError(t, err, "byte %d: a log that was verified", at)
		require.Equal(t, want, got, "byte %d", at)
		require.Equal(t, db.saved.logs[1].Start(), log.Start(), "byte %d", at)
		require.Equal(t, db.saved.logs[1].End(), log.End(), "byte %d", at)
		require.NoError(t, log.Close())
	}
	require.Greater(t, refused, file.Len()*9/10)

	// The same statements with another text: positions fit, contents do not.
	other := openNotes(t, "_page_size=512")
	other.exec(t, "INSERT INTO t(x) VALUES(hex(randomblob(100)))")
	other.checkpoint(t)
	other.exec(t, "INSERT INTO t(x) VALUES('third')")
	other.checkpoint(t)
	require.Equal(t, db.saved.logs[1].End().FrameNo, other.saved.logs[1].End().FrameNo)
	snapshot, err := translog.AsSnapshot(db.saved.logs[0])
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "mixed.db")
	_, err = snapshot.Restore(path, db.saved.logs[1], other.saved.logs[2])
	require.ErrorIs(t, err, mylibsql.ErrChecksum)
	require.NoFileExists(t, path)
	err = openPrimaryFails(t, path, snapshot, db.saved.logs[1], other.saved.logs[2])
	require.ErrorIs(t, err, mylibsql.ErrChecksum)
	require.NoFileExists(t, path)
}

// pagesOf is what a log says each page is.
func pagesOf(log *mylibsql.Log) (map[translog.PageNo]string, error) {
	pages := make(map[translog.PageNo]string)
	for page, err := range log.Pages() {
		if err != nil {
			return nil, err
		}
		pages[page.No] = string(page.Data)
	}
	return pages, nil
}

// application_id and user_version belong to the user: they keep their values here, after a reopen
// and in a restore, and changing them is a commit like any other.
func TestTrapPositionIsKeptInUserVersion(t *testing.T) {
	pragmas := func(db *sql.DB) [2]int {
		var applicationID, userVersion int
		require.NoError(t, db.QueryRow("PRAGMA application_id").Scan(&applicationID))
		require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&userVersion))
		return [2]int{applicationID, userVersion}
	}
	db := openNotes(t, "_wal_limit_frames=100")
	require.Equal(t, [2]int{0, 0}, pragmas(db.DB))
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "PRAGMA application_id = 1234567")
	require.NoError(t, err)
	_, err = db.ExecContext(ctx, "PRAGMA user_version = 42")
	require.NoError(t, err)
	db.requireCaptured(t, ack)
	for i := range 150 { // resets included
		db.exec(t, "INSERT INTO t(x) VALUES(?)", strconv.Itoa(i))
		db.checkpoint(t)
	}
	require.Equal(t, [2]int{1234567, 42}, pragmas(db.DB))
	require.NoError(t, db.Close())
	again := openDatabaseAt(t, db.path, "_wal_limit_frames=100")
	again.saved.logs, db.saved.logs = db.saved.logs, nil
	require.Equal(t, [2]int{1234567, 42}, pragmas(again.DB))
	copied := filepath.Join(t.TempDir(), "restored.db")
	again.saved.restore(t, copied)
	restored, err := sql.Open("sqlite3", "file:"+copied+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, restored.Close()) }()
	require.Equal(t, [2]int{1234567, 42}, pragmas(restored))
}

// Every page size of SQLite works, through writes, VACUUM, saves, resets and a restore.
func TestTrapOtherPageSizesPanic(t *testing.T) {
	for size := 512; size <= 65536; size *= 2 {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			db := openNotes(t, fmt.Sprintf("_page_size=%d&_wal_limit_frames=100", size))
			require.Equal(t, size, db.lib.Stats().PageSize)
			for range 5 {
				db.exec(t, `WITH RECURSIVE n(i) AS
					(SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 200)
					INSERT INTO t(x) SELECT hex(randomblob(60)) FROM n`)
				db.checkpoint(t)
				db.exec(t, "DELETE FROM t WHERE id % 2")
			}
			db.exec(t, "VACUUM")
			db.requireCaptured(t, nil)
			require.Equal(t, size, db.saved.logs[0].PageSize())
		})
	}
}

// The database is the file that the DSN names, and stays that one: a reopen changes neither file
// nor content, another SQLite program reads it meanwhile, and after the last
// close it stands alone, without a WAL.
func TestTrapDatabaseIsATemporaryFile(t *testing.T) {
	db := openNotes(t, "")
	before, err := os.Stat(db.path)
	require.NoError(t, err)
	for i := range 3 {
		db.exec(t, "INSERT INTO t(x) VALUES(?)", strconv.Itoa(i))
		plain, err := sql.Open("sqlite3", "file:"+db.path+"?mode=ro")
		require.NoError(t, err)
		var rows int
		require.NoError(t, plain.QueryRow("SELECT count(*) FROM t").Scan(&rows))
		require.Equal(t, i+1, rows)
		require.NoError(t, plain.Close())
		db.checkpoint(t)
		require.NoError(t, db.Close())
		require.NoFileExists(t, db.path+"-wal")
		require.NoFileExists(t, db.path+"-shm")

		closed, err := os.Stat(db.path)
		require.NoError(t, err)
		require.True(t, os.SameFile(before, closed), "another file")
		again := openDatabaseAt(t, db.path, "")
		opened, err := os.Stat(db.path)
		require.NoError(t, err)
		require.Equal(t, closed.ModTime(), opened.ModTime(), "opening wrote to the file")
		require.Equal(t, i+1, again.count(t, "t"))
		again.saved.logs, db.saved.logs = db.saved.logs, nil
		db = again
	}
}
