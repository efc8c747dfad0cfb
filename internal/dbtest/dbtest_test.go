//go:build cgo

package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/internal/dbtest"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// recorder is a test that keeps what it is told, and ends when it is asked to.
type recorder struct {
	testing.TB
	cleanups []func()
	messages []string
	failed   bool
}

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fail()               { r.failed = true }
func (r *recorder) Failed() bool        { return r.failed }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(text string, a ...any) {
	r.failed = true
	r.messages = append(r.messages, fmt.Sprintf(text, a...))
}

func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// subject is a database of a recorded test, with a table.
type subject struct {
	t *testing.T
	*recorder
	path  string
	db    *sql.DB
	lib   *mylibsql.Database
	life  *dbtest.Life
	store *checkpoint.Directory
}

func newSubject(t *testing.T) *subject {
	s := &subject{t: t, recorder: &recorder{TB: t}, path: filepath.Join(t.TempDir(), "app.db")}
	var err error
	s.store, err = checkpoint.OpenDirectory(filepath.Join(t.TempDir(), "store"))
	require.NoError(t, err)
	s.open()
	s.exec("CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(5000))")
	return s
}

// open begins a life.
func (s *subject) open() {
	var err error
	s.db, err = sql.Open("mylibsql", s.path)
	require.NoError(s.t, err)
	s.lib, err = mylibsql.From(context.Background(), s.db)
	require.NoError(s.t, err)
	s.life = pooltest.Watch(s.recorder, s.path, s.db, s.lib)
}

func (s *subject) exec(query string) {
	_, err := s.db.Exec(query)
	require.NoError(s.t, err)
}

func (s *subject) save(save dbtest.Save) {
	_, err := s.lib.Checkpoint(context.Background(), save)
	require.NoError(s.t, err)
}

// saveToStore saves into a store that the life knows.
func (s *subject) saveToStore() {
	s.life.Keep(s.store)
	s.save(s.store.Save)
}

func (s *subject) close() { _ = s.db.Close() }

// writePast commits through plain go-sqlite3.
func (s *subject) writePast() {
	db, err := sql.Open("sqlite3", s.path)
	require.NoError(s.t, err)
	_, err = db.Exec("INSERT INTO t VALUES('past the engine')")
	require.NoError(s.t, err)
	require.NoError(s.t, db.Close())
}

// damage overwrites the root page of the table.
func (s *subject) damage() {
	file, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	require.NoError(s.t, err)
	_, err = file.WriteAt(make([]byte, 100), 4096)
	require.NoError(s.t, err)
	require.NoError(s.t, file.Close())
}

// leaveWAL makes an empty WAL beside the closed file.
func (s *subject) leaveWAL() { require.NoError(s.t, os.WriteFile(s.path+"-wal", nil, 0o600)) }

func keepNothing(context.Context, *mylibsql.Log) error { return nil }

// rows are what tests do with their database, with what the end of the test must say, "" for
// nothing.
var rows = []struct {
	name string
	test func(*subject)
	want string
}{
	{"left open, nothing saved", func(*subject) {}, ""},
	{"closed, nothing saved", func(s *subject) { s.close() }, ""},
	{"saved", func(s *subject) { s.save(s.life.Save) }, ""},
	{"saved to a store", func(s *subject) { s.saveToStore() }, ""},
	{"unsaved commits", func(s *subject) { s.saveToStore(); s.exec("DELETE FROM t") }, ""},
	{"closed with unsaved commits", func(s *subject) {
		s.save(s.life.Save)
		s.exec("DELETE FROM t")
		s.close()
	}, ""},
	{"two lives, one after the other", func(s *subject) {
		s.save(s.life.Save)
		s.close()
		s.open()
		s.exec("DELETE FROM t")
		s.save(s.life.Save)
	}, ""},
	{"two lives at once", func(s *subject) { s.open(); s.save(s.life.Save) }, ""},
	{"failed", func(s *subject) { s.Fail(); s.close(); s.damage() }, ""},
	{"damaged, and says so", func(s *subject) {
		s.life.Unsound, s.life.Unrestored = "the test damages the file", "the test damages it"
		s.close()
		s.damage()
	}, ""},

	{"damaged", func(s *subject) { s.close(); s.damage() }, "integrity_check"},
	{"removed", func(s *subject) {
		s.close()
		require.NoError(s.t, os.Remove(s.path))
	}, "is gone"},
	{"saved and not kept", func(s *subject) { s.save(keepNothing) }, "nothing of it was kept"},
	{"kept in part", func(s *subject) {
		s.save(keepNothing)
		s.exec("DELETE FROM t")
		s.save(s.life.Save)
	}, "the first log is no snapshot"},
	{"the last log is not kept", func(s *subject) {
		s.save(s.life.Save)
		s.exec("DELETE FROM t")
		s.save(keepNothing)
	}, "everything was saved, and a restore of it is not"},
	{"the same, closed by the test", func(s *subject) {
		s.save(s.life.Save)
		s.exec("DELETE FROM t")
		s.save(keepNothing)
		s.close()
	}, "opened again (primary true) it is at 8, saved up to 8"},
	{"written to after the close", func(s *subject) {
		s.save(s.life.Save)
		s.close()
		s.writePast()
	}, "its history has started over"},
	{"the store has less than was saved", func(s *subject) {
		s.saveToStore()
		s.exec("DELETE FROM t")
		s.save(keepNothing)
	}, "everything was saved, and a restore of it is not"},
	{"saved to a store and elsewhere", func(s *subject) {
		s.saveToStore()
		s.exec("DELETE FROM t")
		s.save(s.life.Save)
	}, "the first log is no snapshot"},
	{"a WAL is left", func(s *subject) { s.close(); s.leaveWAL() }, "a WAL is left beside"},
	{"a WAL is left, and the test says so", func(s *subject) {
		s.life.LeavesWAL = "the test makes one"
		s.close()
		s.leaveWAL()
	}, ""},
}

// Goal: the end of a test says what is wrong with its database, and nothing of one that is right.
// Method: each row is a test, recorded, whose cleanup is run.
func TestEndOfATest(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := newSubject(t)
			row.test(s)
			s.end()
			if row.want == "" {
				require.Empty(t, s.messages)
				return
			}
			require.True(t, s.failed)
			require.Len(t, s.messages, 1)
			require.Contains(t, strings.Join(strings.Fields(s.messages[0]), " "), row.want)
		})
	}
}

// Goal: what the test left unsaved goes into a copy of its store. Method: list the store.
func TestStoreIsLeftAsItWas(t *testing.T) {
	s := newSubject(t)
	s.saveToStore()
	s.exec("DELETE FROM t")
	s.end()
	require.Empty(t, s.messages)
	records := 0
	for _, err := range s.store.Records(t.Context(), 0) {
		require.NoError(t, err)
		records++
	}
	require.Equal(t, 1, records)
}

// Goal: a panic of a test is not hidden behind what its cleanup finds.
// Method: a cleanup that fails while a panic unwinds.
func TestCleanupHidesNoPanic(t *testing.T) {
	s := newSubject(t)
	require.PanicsWithValue(t, "of the test", func() {
		defer s.end()
		s.close()
		s.damage()
		panic("of the test")
	})
	require.True(t, s.failed)
}
