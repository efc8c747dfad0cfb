//go:build cgo

package engine

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// indexRegion is the wal-index of an open database as SQLite has it mapped.
func indexRegion(db *DB) *[32]uint32 {
	return (*[32]uint32)(reflect.ValueOf(db.index).FieldByName("region").UnsafePointer())
}

// TestHeaderIsReadAgainUntilItIsWhole answers some reads with the error of a header that is just
// being written: the first whole one counts, and a header that never is whole is an error.
func TestHeaderIsReadAgainUntilItIsWhole(t *testing.T) {
	db := openNew(t, Options{})
	torn := errors.New("torn")
	want := sqlite.State{Change: 77}
	for _, row := range []struct {
		tornReads int
		err       error
	}{{0, nil}, {1, nil}, {5, nil}, {indexTries, nil}, {indexTries + 1, torn}} {
		reads := 0
		db.mu.Lock()
		state, err := db.readIndexLocked(func() (sqlite.State, error) {
			if reads++; reads <= row.tornReads {
				return sqlite.State{}, torn
			}
			return want, nil
		})
		db.mu.Unlock()
		require.ErrorIs(t, err, row.err)
		require.Equal(t, min(row.tornReads, indexTries)+1, reads)
		if err == nil {
			require.Equal(t, want, state)
		}
	}
}

// TestHeaderLeftByADyingWriter damages the wal-index as a process does that dies while it publishes
// a commit, in every word of both copies: a read through SQLite repairs it, and no position is lost
// or seen twice.
func TestHeaderLeftByADyingWriter(t *testing.T) {
	for _, options := range []Options{{}, {PageSize: 65536}} {
		db := openNew(t, options)
		db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
		db.checkpoint(t)
		for word := range 24 {
			db.grow(t, 2)
			if word%5 == 4 {
				_, err := db.Reset(t.Context())
				require.NoError(t, err)
			}
			committed := db.Committed()
			indexRegion(db.DB)[word] ^= 0x10101
			require.Equal(t, committed, db.Committed(), "word %d", word)
			db.grow(t, 2)
			require.Greater(t, db.Committed(), committed)
			db.checkpoint(t)
		}
		clear(indexRegion(db.DB)[:24])
		committed := db.Committed()
		db.grow(t, 1)
		require.Greater(t, db.Committed(), committed)
		require.NoError(t, db.writable())
		for i, log := range db.logs[1:] {
			require.False(t, log.IsSnapshot(), "log %d", i)
		}
		db.requireRestores(t)
	}
}

// TestImpossibleHeaderPoisons makes the WAL end before what was seen: the engine cannot vouch for
// anything any more, says so to every ack, and takes no more writes.
func TestImpossibleHeaderPoisons(t *testing.T) {
	db := openNew(t, Options{})
	db.leavesWAL("a poisoned database leaves its files as they are")
	db.exec(t, "CREATE TABLE t(x)")
	ack := NewAck(nil)
	require.NoError(t, db.runUnder(ack, "INSERT INTO t VALUES(1)"))
	db.mu.Lock()
	seen := db.last
	_, err := db.advanceLocked(sqlite.State{Salt: seen.salt, MaxFrame: seen.frame - 1})
	db.mu.Unlock()
	require.ErrorIs(t, err, ErrPoisoned)
	require.ErrorIs(t, ack.Wait(t.Context()), ErrPoisoned)
	require.ErrorIs(t, db.run("INSERT INTO t VALUES(2)"), ErrPoisoned)
	_, err = db.Checkpoint(t.Context(), db.save)
	require.ErrorIs(t, err, ErrPoisoned)
	require.NoError(t, db.run("SELECT * FROM t"), "reads go on")
}

// TestAdvance is the table of what a header can say after the last one.
func TestAdvance(t *testing.T) {
	old, fresh := [2]uint32{1, 2}, [2]uint32{2, 9}
	for _, row := range []struct {
		name  string
		state sqlite.State
		want  uint64
		news  news
	}{
		{"nothing new", sqlite.State{Salt: old, MaxFrame: 10}, 110, news{}},
		{"a commit", sqlite.State{Salt: old, MaxFrame: 13}, 113, news{}},
		{"a commit past the limit", sqlite.State{Salt: old, MaxFrame: 30}, 130,
			news{resetDue: true}},
		{"a restart without a commit", sqlite.State{Salt: fresh}, 110, news{}},
		{"a restart and a commit", sqlite.State{Salt: fresh, MaxFrame: 2}, 112,
			news{restarted: true}},
		{"a restart and many commits", sqlite.State{Salt: fresh, MaxFrame: 40}, 150,
			news{restarted: true, resetDue: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := &DB{walLimit: 20}
			db.last = point{generation: generation{base: 100, salt: old}, position: 110, frame: 10}
			got, err := db.advanceLocked(row.state)
			require.NoError(t, err)
			require.Equal(t, row.news, got)
			require.EqualValues(t, row.want, db.last.position)
			require.Equal(t, row.state.Salt, db.last.salt)
			require.Equal(t, row.state.MaxFrame, db.last.frame)
		})
	}
}
