//go:build cgo

package engine

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// outcome is what an open must make of a crash state.
type outcome int

const (
	continues       outcome = iota // same position; the next log continues the last saved one
	continuesWhole                 // same position; the next log is a snapshot
	continuesWithin                // a later position, by what a foreign writer committed
	jumps                          // the history starts over with a snapshot, far away
	begins                         // nothing is known: a history of its own begins
)

// crashRows are crash states: what the process did before it was killed (see crashSteps), what was
// done to the files then, and what the open must make of it. None of them may lose or invent a
// byte: after the open, everything saved must restore to exactly the file.
var crashRows = []struct {
	name   string
	steps  string
	damage func(t *testing.T, c crashed)
	want   outcome
	err    error // instead of an outcome
}{
	{"killed, never saved", "w", nil, continuesWhole, nil},
	{"killed with everything saved", "ws", nil, continues, nil},
	{"killed with an unsaved tail", "wsw", nil, continues, nil},
	{"killed after a save that failed", "wswf", nil, continues, nil},
	{"killed after a first save that failed", "wf", nil, continuesWhole, nil},
	{"killed after a reset", "wswr", nil, continues, nil},
	{"killed after a reset with everything saved", "wsr", nil, continues, nil},
	{"killed after the WAL restarted", "wswrw", nil, continues, nil},
	{"killed after the WAL restarted, saved", "wswrws", nil, continues, nil},
	{"killed after many resets", "wsrwrwrwfrw", nil, continues, nil},
	{"killed after resets, never saved", "wrwrw", nil, continuesWhole, nil},

	{"outbox log missing", "wswrw", removeOutbox(0), continuesWhole, nil},
	{"second outbox log missing", "wswrwrwrw", removeOutbox(1), continuesWhole, nil},
	{"outbox log damaged", "wswrw", flipOutbox, continuesWhole, nil},
	{"outbox log cut", "wswrw", cutOutbox, continuesWhole, nil},
	{"outbox log missing, its frames still in the WAL", "wswr", removeOutbox(0), continues, nil},
	{"stray file in the outbox", "wswrw", strayOutbox, continues, nil},

	{"killed inside a checkpoint", "wsrws", partialCheckpoint, continues, nil},
	{"checkpoint of unsaved commits, killed", "wsrw", partialCheckpoint, jumps, nil},
	{"file copied, with its WAL", "wsrws", touchFile, continues, nil},
	{"file copied, with an unsaved tail", "wsrwsw", touchFile, continues, nil},
	{"file copied, after a reset", "wswr", touchFile, continues, nil},

	{"WAL deleted after a reset, all of it in the file", "wswr", removeWAL, continues, nil},
	{"WAL deleted, with saved frames", "wsrws", removeWAL, 0, ErrBehind},
	{"WAL deleted, unsaved frames lost", "wsrw", removeWAL, jumps, nil},
	{"WAL cut behind the saved frames", "wsw", cutWAL(10), continues, nil},
	{"WAL cut into the saved frames", "wsws", cutWAL(10), 0, ErrBehind},
	{"WAL cut into what a stream acknowledged", "wsa", cutWAL(10), 0, ErrBehind},
	{"WAL cut to nothing", "wsrws", cutWALToHeader, 0, ErrBehind},
	{"WAL damaged in the saved frames", "wsws", flipWAL, 0, ErrBehind},

	{"state missing", "ws", remove("state"), 0, ErrState},
	{"state torn in one slot", "wswrw", tearState(1), continues, nil},
	{"state torn in both slots", "ws", tearState(2), 0, ErrState},
	{"state empty", "ws", emptyState, 0, ErrState},
	{"sidecar missing", "wsw", remove(""), begins, nil},
	{"lock missing", "wsw", remove("lock"), continues, nil},

	{"foreign writer, killed too", "wsw", foreignKilled, continuesWithin, nil},
	{"foreign writer after a reset, killed too", "wsr", foreignKilled, continuesWithin, nil},
	{"foreign writer and checkpoint at close", "wsw", foreign("INSERT INTO t(x) VALUES('f')"),
		jumps, nil},
	{"foreign reader that checkpoints at close", "wsw", foreign("SELECT count(*) FROM t"),
		jumps, nil},
	{"foreign TRUNCATE and close", "wsw", foreign("INSERT INTO t(x) VALUES('f')",
		"PRAGMA wal_checkpoint(TRUNCATE)"), jumps, nil},
	{"foreign writer after a reset", "wsr", foreign("INSERT INTO t(x) VALUES('f')"), jumps, nil},
	{"foreign VACUUM", "wsw", foreign("DELETE FROM t WHERE id % 2", "VACUUM"), jumps, nil},
	{"foreign rollback journal", "wsw", foreign("PRAGMA journal_mode=DELETE",
		"INSERT INTO t(x) VALUES('f')"), jumps, nil},
}

// TestCrashStates goes through crashRows.
func TestCrashStates(t *testing.T) {
	for _, row := range crashRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := crash(t, t.TempDir(), row.steps)
			if row.damage != nil {
				row.damage(t, c)
			}
			db, err := openAt(t, c.path, Options{})
			if row.err != nil {
				require.ErrorIs(t, err, row.err)
				requireNothingChanged(t, c, row.err)
				return
			}
			require.NoError(t, err)
			requireOutcome(t, c, db, row.want)
		})
	}
}

// requireOutcome compares what the open database says, saves the rest, and restores everything.
func requireOutcome(t *testing.T, c crashed, db *opened, want outcome) {
	t.Helper()
	logs := c.logs(t)
	if want == begins {
		logs = nil
		require.Zero(t, db.Saved())
	} else if len(logs) > 0 {
		require.Equal(t, logs[len(logs)-1].End(), db.Saved())
	}
	switch at := db.Committed(); want {
	case continues, continuesWhole:
		require.LessOrEqual(t, at, c.committed)
		require.GreaterOrEqual(t, at, db.Saved().FrameNo)
	case continuesWithin:
		require.Greater(t, at, c.committed)
		require.Less(t, at, c.committed+historyJump)
	case jumps:
		require.Greater(t, at, c.committed+historyJump/2)
		require.Contains(t, db.warnings.String(), "starts over with a snapshot")
	}
	db.logs = logs
	db.checkpoint(t)
	first := db.logs[len(logs):]
	if len(first) > 0 {
		whole := want == continuesWhole || want == jumps || want == begins
		require.Equal(t, whole, first[0].IsSnapshot(), "the first log after the crash")
	}
	db.exec(t, "INSERT INTO t(x) VALUES('after')")
	db.requireRestores(t)
}

// requireNothingChanged opens the refused database again: a refusal is not forgotten.
func requireNothingChanged(t *testing.T, c crashed, want error) {
	t.Helper()
	_, err := openAt(t, c.path, Options{})
	require.ErrorIs(t, err, want)
	require.FileExists(t, c.path)
}

func remove(name string) func(*testing.T, crashed) {
	return func(t *testing.T, c crashed) { require.NoError(t, os.RemoveAll(c.sidecar(name))) }
}

func removeOutbox(i int) func(*testing.T, crashed) {
	return func(t *testing.T, c crashed) {
		names := c.outbox(t)
		require.Greater(t, len(names), i)
		require.NoError(t, os.Remove(names[i]))
	}
}

func flipOutbox(t *testing.T, c crashed) {
	name := c.outbox(t)[0]
	info, err := os.Stat(name)
	require.NoError(t, err)
	flip(t, name, info.Size()/2)
}

func cutOutbox(t *testing.T, c crashed) { require.NoError(t, os.Truncate(c.outbox(t)[0], 500)) }

func strayOutbox(t *testing.T, c crashed) {
	require.NoError(t, os.WriteFile(c.sidecar("outbox", "0.tmp"), []byte("stray"), 0o600))
}

func removeWAL(t *testing.T, c crashed) {
	require.NoError(t, os.Remove(c.path+"-wal"))
	require.NoError(t, os.Remove(c.path+"-shm"))
}

// cutWAL removes frames from the end of the WAL, as a power cut can that lost what nobody synced.
func cutWAL(frames int64) func(*testing.T, crashed) {
	return func(t *testing.T, c crashed) {
		info, err := os.Stat(c.path + "-wal")
		require.NoError(t, err)
		size := info.Size() - frames*(1024+wal.FrameHeaderSize)
		require.NoError(t, os.Truncate(c.path+"-wal", size))
		require.NoError(t, os.Remove(c.path+"-shm"))
	}
}

func cutWALToHeader(t *testing.T, c crashed) {
	require.NoError(t, os.Truncate(c.path+"-wal", wal.HeaderSize))
	require.NoError(t, os.Remove(c.path+"-shm"))
}

func flipWAL(t *testing.T, c crashed) {
	flip(t, c.path+"-wal", wal.FrameOffset(30, 1024)+500)
	require.NoError(t, os.Remove(c.path+"-shm"))
}

func flip(t *testing.T, name string, at int64) {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	content[at] ^= 0x10
	require.NoError(t, os.WriteFile(name, content, 0o644))
}

func tearState(slots int) func(*testing.T, crashed) {
	return func(t *testing.T, c crashed) {
		content, err := os.ReadFile(c.sidecar("state"))
		require.NoError(t, err)
		_, newest, err := decodeState(content)
		require.NoError(t, err)
		for i := range slots {
			content[(newest+i)%2*stateSlotBytes+50] ^= 0x10
		}
		require.NoError(t, os.WriteFile(c.sidecar("state"), content, 0o644))
	}
}

func emptyState(t *testing.T, c crashed) { require.NoError(t, os.Truncate(c.sidecar("state"), 0)) }

func foreign(statements ...string) func(*testing.T, crashed) {
	return func(t *testing.T, c crashed) { c.foreign(t, statements...) }
}

// partialCheckpoint copies a later frame to the database file, as a checkpoint does that is killed.
func partialCheckpoint(t *testing.T, c crashed) {
	content, err := os.ReadFile(c.path + "-wal")
	require.NoError(t, err)
	header, err := wal.ParseHeader(content)
	require.NoError(t, err)
	reader := wal.NewReader(bytes.NewReader(content), header, wal.Cursor{Checksum: header.Checksum})
	file, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	require.NoError(t, err)
	for range 5 {
		frame, err := reader.Next()
		require.NoError(t, err)
		_, err = file.WriteAt(frame.Data, int64(frame.PageNo-1)*1024)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
}

// touchFile changes the file's times and nothing else.
func touchFile(t *testing.T, c crashed) {
	require.NoError(t, os.Chtimes(c.path, time.Time{}, time.Now().Add(-time.Hour)))
}

// foreignKilled appends commits to the WAL and leaves it there.
func foreignKilled(t *testing.T, c crashed) {
	db := openPlain(t, c.path, "")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(raw any) error {
		handle, err := sqlite.Attach(raw.(*sqlite3.SQLiteConn), false)
		if err != nil {
			return err
		}
		return handle.Protect() // closes without a checkpoint
	}))
	_, err = conn.ExecContext(t.Context(), "INSERT INTO t(x) VALUES(randomblob(5000))")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, db.Close())
	require.FileExists(t, c.path+"-wal")
}

// TestRecoveredDatabaseTakesSaves kills a process again and again, at the same place, without ever
// letting one close in peace: one history, restored at the end.
func TestRecoveredDatabaseTakesSaves(t *testing.T) {
	folder := t.TempDir()
	var c crashed
	last := translog.FrameNo(0)
	for _, steps := range []string{"ws", "w", "sw", "fw", "wr", "w", "rwr", "ws", "rw", "wf"} {
		c = crash(t, folder, steps)
		require.Greater(t, c.committed, last)
		require.Less(t, c.committed, historyJump, "never starts over")
		last = c.committed
	}
	db, err := openAt(t, c.path, Options{})
	require.NoError(t, err)
	require.Equal(t, last, db.Committed())
	for i, log := range c.logs(t) {
		require.Equal(t, i == 0, log.IsSnapshot(), "log %d", i)
	}
	db.logs = c.logs(t)
	db.requireRestores(t)
}

// TestOlderDatabaseFile puts an older copy of the database file, with or without the WAL of today,
// in the place of a killed one. With today's WAL the two do not belong together, and SQLite
// itself finds that damaged: what is saved is still exactly the file, and never continues the
// history that it does not belong to.
func TestOlderDatabaseFile(t *testing.T) {
	for _, row := range []struct {
		name, steps string
		keepWAL     bool
	}{
		{"with today's WAL", "wsrwscwrwrws", true},
		{"with today's WAL and an unsaved tail", "wsrwscwrwrwsw", true},
		{"without a WAL", "wsrwscwrwrws", false},
		{"of before the last save, without a WAL", "wsrcws", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := crash(t, t.TempDir(), row.steps)
			require.NoError(t, os.Rename(filepath.Join(c.folder, "older.db"), c.path))
			if !row.keepWAL {
				removeWAL(t, c)
			}
			db, err := openAt(t, c.path, Options{})
			if err != nil {
				require.ErrorIs(t, err, ErrBehind)
				return
			}
			if row.keepWAL {
				db.damaged("two halves that do not belong together")
			}
			require.Greater(t, db.Committed(), historyJump)
			require.Contains(t, db.warnings.String(), "starts over with a snapshot")
			db.logs = c.logs(t)
			db.checkpoint(t)
			require.NoError(t, db.close())
			requireRestored(t, c.path, db.logs)
		})
	}
}

// TestLostConfirmation tears the record that says that the last save succeeded. The store then
// answers that the place is taken, by the very log that was offered: it counts as saved. A log
// of somebody else at that place fences the database.
func TestLostConfirmation(t *testing.T) {
	for _, ours := range []bool{true, false} {
		c := crash(t, t.TempDir(), "ws")
		tearState(1)(t, c)
		stored := c.logs(t)
		end := stored[0].End()
		if !ours {
			end.Checksum ^= 1
		}
		db, err := openAt(t, c.path, Options{})
		require.NoError(t, err)
		require.Zero(t, db.Saved())
		saved, err := db.Checkpoint(t.Context(), func(context.Context, *translog.Log) error {
			return &translog.TakenError{End: end}
		})
		if !ours {
			const fenced = "the store has another primary's log in the place of its own"
			db.leavesWAL(fenced)
			db.notRestored(fenced)
			require.ErrorIs(t, err, ErrFenced)
			require.ErrorIs(t, db.run("DELETE FROM t"), ErrFenced)
			require.NoError(t, db.close())
			continue
		}
		require.NoError(t, err)
		require.Equal(t, end.FrameNo, saved)
		db.logs = stored
		db.exec(t, "INSERT INTO t(x) VALUES('after')")
		db.requireRestores(t)
		require.False(t, db.logs[1].IsSnapshot())
	}
}
