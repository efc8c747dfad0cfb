//go:build cgo

package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// connection is a go-sqlite3 connection with its handle.
type connection struct {
	*sqlite3.SQLiteConn
	*Handle
}

// connect opens a connection that is protected from its first moment on, and closes it at the end.
func connect(t *testing.T, path string, restricted bool) *connection {
	t.Helper()
	c := &connection{}
	d := &sqlite3.SQLiteDriver{ConnectHook: func(raw *sqlite3.SQLiteConn) (err error) {
		if c.Handle, err = Attach(raw, restricted); err != nil {
			return err
		}
		return c.Protect()
	}}
	conn, err := d.Open("file:" + path)
	require.NoError(t, err)
	c.SQLiteConn = conn.(*sqlite3.SQLiteConn)
	t.Cleanup(func() { c.close(t) })
	return c
}

func (c *connection) close(t *testing.T) {
	if c.Handle.db == nil {
		return
	}
	require.NoError(t, c.SQLiteConn.Close())
	c.Release()
}

func (c *connection) exec(t *testing.T, text string) {
	t.Helper()
	_, err := c.Exec(text, nil)
	require.NoError(t, err, text)
}

// openWAL opens a new database in WAL mode with one table, and maps its index.
func openWAL(t *testing.T) (c *connection, path string, index Index) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.db")
	c = connect(t, path, true)
	c.exec(t, "PRAGMA journal_mode=WAL")
	c.exec(t, "CREATE TABLE t(x)")
	index, err := c.MapIndex()
	require.NoError(t, err)
	return c, path, index
}

// TestLayout fails when go-sqlite3 keeps SQLite's handle elsewhere.
func TestLayout(t *testing.T) {
	c := connect(t, filepath.Join(t.TempDir(), "a.db"), false)
	all := c.Attached()
	require.Len(t, all, 2)
	require.Equal(t, Attached{Schema: "temp"}, all[1])
	require.Equal(t, "main", all[0].Schema)
	require.Equal(t, "a.db", filepath.Base(all[0].Path))
	_, err := Attach(&sqlite3.SQLiteConn{}, false)
	require.ErrorIs(t, err, ErrLayout, "no handle at all")
}

// TestObserveSeesCommitsAndTransactions goes through the states of a transaction: Change
// goes up by one for each commit, however it ends, and only then.
func TestObserveSeesCommitsAndTransactions(t *testing.T) {
	c, _, index := openWAL(t)
	observe := func() State {
		state, err := c.Observe(index)
		require.NoError(t, err)
		alone, err := index.Read()
		require.NoError(t, err)
		require.Equal(t, state.Change, alone.Change)
		require.Equal(t, state.MaxFrame, alone.MaxFrame)
		return state
	}
	start := observe()
	require.Equal(t, TransactionNone, start.Transaction)
	require.True(t, start.Autocommit)
	for _, row := range []struct {
		text        string
		commits     uint32
		transaction Transaction
		autocommit  bool
	}{
		{"INSERT INTO t VALUES(1)", 1, TransactionNone, true},
		{"BEGIN", 0, TransactionNone, false},
		{"SELECT * FROM t", 0, TransactionRead, false},
		{"INSERT INTO t VALUES(2)", 0, TransactionWrite, false},
		{"SAVEPOINT s", 0, TransactionWrite, false},
		{"ROLLBACK TO s", 0, TransactionWrite, false},
		{"COMMIT", 1, TransactionNone, true},
		{"BEGIN IMMEDIATE", 0, TransactionWrite, false},
		{"INSERT INTO t VALUES(3)", 0, TransactionWrite, false},
		{"ROLLBACK", 0, TransactionNone, true},
		{"BEGIN IMMEDIATE", 0, TransactionWrite, false},
		{"COMMIT", 0, TransactionNone, true},
		{"SAVEPOINT s", 0, TransactionNone, false},
		{"DELETE FROM t", 0, TransactionWrite, false},
		{"RELEASE s", 1, TransactionNone, true},
		{"INSERT INTO t VALUES(4) RETURNING x", 1, TransactionNone, true},
	} {
		before := observe()
		c.exec(t, row.text)
		after := observe()
		require.Equal(t, row.commits, after.Change-before.Change, row.text)
		require.Equal(t, row.commits > 0, after.MaxFrame > before.MaxFrame, row.text)
		require.Equal(t, row.transaction, after.Transaction, row.text)
		require.Equal(t, row.autocommit, after.Autocommit, row.text)
		require.Equal(t, start.Salt, after.Salt)
	}
	require.EqualValues(t, 2, observe().PageCount)
}

// TestObserveAllocatesNothing looks at the header as a commit does.
func TestObserveAllocatesNothing(t *testing.T) {
	c, _, index := openWAL(t)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := c.Observe(index); err != nil {
			panic(err)
		}
	}))
}

// TestReadFilePastTheEnd reads the file without the WAL: what is only in the WAL is zeros.
func TestReadFilePastTheEnd(t *testing.T) {
	c, path, _ := openWAL(t)
	c.exec(t, "INSERT INTO t VALUES(randomblob(50000))")
	size, err := c.FileSize()
	require.NoError(t, err)
	require.EqualValues(t, 4096, size, "the rest is in the WAL")
	buffer := []byte(strings.Repeat("x", 3*4096))
	require.NoError(t, c.ReadFile(buffer, 0))
	require.Equal(t, "SQLite format 3\x00", string(buffer[:16]))
	require.Equal(t, make([]byte, 2*4096), buffer[4096:])
	require.NoError(t, c.ReadFile(buffer, 1<<40))
	require.Equal(t, make([]byte, len(buffer)), buffer)
	require.NoError(t, c.ReadFile(nil, 0))
	c.close(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, size, info.Size(), "a protected connection closes without a checkpoint")
	require.FileExists(t, path+"-wal")
}

// TestCheckpointOnClose gives the last connection SQLite's default back.
func TestCheckpointOnClose(t *testing.T) {
	c, path, _ := openWAL(t)
	c.CheckpointOnClose()
	c.close(t)
	require.NoFileExists(t, path+"-wal")
}

// TestProtectTurnsAutomaticCheckpointsOff commits far more than SQLite's 1000 frames: nothing is
// copied to the database file. An attached database keeps SQLite's default.
func TestProtectTurnsAutomaticCheckpointsOff(t *testing.T) {
	c, path, index := openWAL(t)
	c.exec(t, "ATTACH '"+path+"-other' AS other")
	c.exec(t, "PRAGMA other.journal_mode=WAL")
	c.exec(t, "CREATE TABLE other.u(x)")
	for range 30 {
		c.exec(t, "INSERT INTO t VALUES(randomblob(200000))")
		c.exec(t, "INSERT INTO other.u VALUES(randomblob(200000))")
	}
	state, err := index.Read()
	require.NoError(t, err)
	require.Greater(t, state.MaxFrame, uint32(1400))
	require.Zero(t, state.Backfilled)
	size, err := c.FileSize()
	require.NoError(t, err)
	require.EqualValues(t, 4096, size)
	info, err := os.Stat(path + "-other") // only stat: opening it would drop its locks
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(1_000_000))
	all := c.Attached()
	require.Len(t, all, 3)
	require.Equal(t, "other", all[2].Schema)
}

// TestAuthorizer refuses what would break capture, with the reason, and nothing else; an
// unrestricted connection may do it all.
func TestAuthorizer(t *testing.T) {
	for _, row := range []struct {
		text    string
		refusal Refusal
	}{
		{"PRAGMA journal_mode=DELETE", RefusedJournalMode},
		{"PRAGMA main.journal_mode('off')", RefusedJournalMode},
		{"PRAGMA JOURNAL_MODE=Truncate", RefusedJournalMode},
		{"PRAGMA journal_mode=5", RefusedJournalMode},
		{"PRAGMA locking_mode=EXCLUSIVE", RefusedLockingMode},
		{"PRAGMA main.locking_mode = exclusive", RefusedLockingMode},
		{"PRAGMA journal_mode", RefusedNothing},
		{"PRAGMA journal_mode=WAL", RefusedNothing},
		{"PRAGMA locking_mode", RefusedNothing},
		{"PRAGMA locking_mode=NORMAL", RefusedNothing},
		{"PRAGMA temp.journal_mode=MEMORY", RefusedNothing},
		{"PRAGMA wal_autocheckpoint=1", RefusedNothing},
		{"PRAGMA wal_checkpoint(TRUNCATE)", RefusedNothing},
		{"SELECT * FROM pragma_journal_mode", RefusedNothing},
	} {
		c, _, index := openWAL(t)
		_, err := c.Exec(row.text, nil)
		require.Equal(t, row.refusal, c.TakeRefusal(), row.text)
		require.Equal(t, RefusedNothing, c.TakeRefusal(), "taken")
		if row.refusal == RefusedNothing {
			require.NoError(t, err, row.text)
		} else {
			var failure sqlite3.Error
			require.ErrorAs(t, err, &failure, row.text)
			require.Equal(t, sqlite3.ErrAuth, failure.Code)
		}
		c.exec(t, "INSERT INTO t VALUES(randomblob(100000))")
		state, err := index.Read()
		require.NoError(t, err)
		require.Zero(t, state.Backfilled, row.text)
	}
	free := connect(t, filepath.Join(t.TempDir(), "b.db"), false)
	free.exec(t, "PRAGMA journal_mode=DELETE")
	require.Equal(t, RefusedNothing, free.TakeRefusal())
}

// TestInterruptFromAnotherGoroutine stops an endless query.
func TestInterruptFromAnotherGoroutine(t *testing.T) {
	c, _, _ := openWAL(t)
	started := make(chan struct{})
	var once sync.Once
	require.NoError(t, c.RegisterFunc("started", func() int64 {
		once.Do(func() { close(started) })
		return 1
	}, false))
	go func() {
		<-started
		c.Interrupt()
	}()
	_, err := c.Exec(`WITH RECURSIVE n(i) AS (SELECT started() UNION ALL SELECT i+started() FROM n)
		SELECT sum(i) FROM n`, nil)
	var failure sqlite3.Error
	require.True(t, errors.As(err, &failure))
	require.Equal(t, sqlite3.ErrInterrupt, failure.Code)
}
