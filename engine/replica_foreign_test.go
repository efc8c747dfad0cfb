//go:build cgo

package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// foreignPageSize makes many pages of little data.
const foreignPageSize = 1024

// foreignHalf is how many logs of a shelf a replica has before others come to it.
const foreignHalf = 6

func foreignShelf(t *testing.T) *shelf { return shelfOf(t, foreignPageSize, "gugsgvgugsgg") }

// openHalf opens a new replica with the first half of the logs.
func openHalf(t *testing.T, s *shelf, options Options) *opened {
	t.Helper()
	o := openReplicaAt(t, filepath.Join(t.TempDir(), "replica.db"), options)
	o.replicate(t, s.logs[:foreignHalf]...)
	return o
}

// requireCaughtUp takes the rest of the logs, and compares the files.
func (s *shelf) requireCaughtUp(t *testing.T, o *opened) {
	t.Helper()
	o.replicateRest(t, s.logs)
	require.Equal(t, s.end(), o.at(t))
	require.NoError(t, o.close())
	requireSameBytes(t, s.path, o.path)
	requireIntegrity(t, o.path)
}

// foreignWrites are ways to commit to a replica past the engine.
var foreignWrites = map[string][]string{
	"a row":          {"INSERT INTO t(x) VALUES('foreign')"},
	"a table":        {"CREATE TABLE foreign_table(x)"},
	"there and back": {"UPDATE c SET n = n + 1", "UPDATE c SET n = n - 1"},
	"a transaction":  {"BEGIN", "DELETE FROM t WHERE id % 2", "INSERT INTO c VALUES(7)", "COMMIT"},
	"a vacuum":       {"DELETE FROM t WHERE id % 3 = 0", "VACUUM"},
	"and TRUNCATE":   {"INSERT INTO c VALUES(8)", "PRAGMA wal_checkpoint(TRUNCATE)"},
	"one page":       {"UPDATE t SET x = zeroblob(length(x)) WHERE id = (SELECT min(id) FROM t)"},
	"behind a reset": {"PRAGMA wal_checkpoint(RESTART)", "INSERT INTO c VALUES(9)"},
}

// TestForeignWriteMakesAReplicaDiverge writes to a replica through go-sqlite3 alone, from another
// process and from this one: the replica says so, reads on, takes no log, is not promoted, and does
// not move. It still does so when it was closed and opened again, unless it has undone the write. A
// snapshot of its own database heals it, at whatever position.
func TestForeignWriteMakesAReplicaDiverge(t *testing.T) {
	s := foreignShelf(t)
	_, stranger := otherHistory(t, foreignPageSize)
	for name, statements := range foreignWrites {
		for i, where := range []string{"other process", "same process"} {
			t.Run(name+", "+where, func(t *testing.T) {
				o := openHalf(t, s, Options{})
				at := o.at(t)
				if i == 0 {
					foreign := openShell(t, o.path)
					foreign.exec(t, statements...)
					defer foreign.quit(t)
				} else {
					plain := openPlain(t, o.path, "")
					for _, statement := range statements {
						_, err := plain.Exec(statement)
						require.NoError(t, err)
					}
					require.NoError(t, plain.Close())
				}
				requireDiverged(t, s, o, at)
				require.ErrorIs(t, o.Replicate(t.Context(), stranger), ErrForeign)
				logs := foreignHalf - 1 + i // before its position, or at it
				require.NoError(t, o.Replicate(t.Context(), s.snapshot(t, logs)))
				require.False(t, o.Stats().Diverged)
				require.Equal(t, s.position(logs), o.at(t))
				s.requireCaughtUp(t, o)
			})
		}
	}
}

// TestDivergedReplicaIsOpenedAgain opens a replica again and again to which somebody else wrote
// while it was open: it never takes a log onto what they wrote. Either it still says that it has
// diverged, or it has undone the write and holds exactly what the primary held at its position.
func TestDivergedReplicaIsOpenedAgain(t *testing.T) {
	s := foreignShelf(t)
	for name, statements := range foreignWrites {
		for _, noticed := range []string{"by a log", "by a reset", "at the close"} {
			t.Run(name+", noticed "+noticed, func(t *testing.T) {
				o := openHalf(t, s, Options{})
				at := o.at(t)
				plain := openPlain(t, o.path, "")
				for _, statement := range statements {
					_, err := plain.Exec(statement)
					require.NoError(t, err)
				}
				require.NoError(t, plain.Close())
				switch noticed {
				case "by a log":
					requireDiverged(t, s, o, at)
				case "by a reset":
					_, err := o.Reset(t.Context())
					require.NoError(t, err)
				}
				for range 3 {
					require.NoError(t, o.close())
					copied := copyDatabase(t, o.path)
					o = openReplicaAt(t, o.path, Options{})
					require.Equal(t, at, o.at(t))
					if o.Stats().Diverged {
						requireDiverged(t, s, o, at)
						continue
					}
					again := openReplicaAt(t, copied, Options{})
					require.False(t, again.Stats().Diverged, "a copy finds out")
					require.NoError(t, again.close())
					s.requireContent(t, copied, at)
				}
				if !o.Stats().Diverged {
					s.requireCaughtUp(t, o)
					return
				}
				o.replicate(t, s.snapshot(t, foreignHalf+1))
				s.requireCaughtUp(t, o)
			})
		}
	}
}

func requireDiverged(t *testing.T, s *shelf, o *opened, at translog.Position) {
	t.Helper()
	require.ErrorIs(t, o.Replicate(t.Context(), s.logs[foreignHalf]), ErrDiverged)
	require.True(t, o.Stats().Diverged)
	require.Equal(t, at, o.at(t))
	require.ErrorIs(t, o.Promote(t.Context()), ErrDiverged)
	require.Contains(t, o.warnings.String(), "needs a snapshot")
	o.read(t, "SELECT count(*) FROM t")
}

// TestForeignWriteWhileAReplicateWaits lets a foreign program commit while a Replicate waits for
// its lock: the log is refused, though it fitted when it came.
func TestForeignWriteWhileAReplicateWaits(t *testing.T) {
	s := foreignShelf(t)
	o := openHalf(t, s, Options{})
	foreign := openShell(t, o.path)
	foreign.exec(t, "BEGIN IMMEDIATE", "INSERT INTO t(x) VALUES('foreign')")
	refusal := make(chan error)
	go func() { refusal <- o.Replicate(context.Background(), s.logs[foreignHalf]) }()
	foreign.exec(t, "SELECT sum(length(hex(randomblob(100000)))) FROM t a, t b", "COMMIT")
	require.ErrorIs(t, <-refusal, ErrDiverged)
	foreign.quit(t)
	require.Equal(t, s.position(foreignHalf), o.at(t))
	o.replicate(t, s.snapshot(t, foreignHalf+1))
	s.requireCaughtUp(t, o)
}

// TestForeignTransactionThatEndsInNothing lets a foreign program write more than its cache holds,
// so that frames and entries of the wal-index come behind the last commit, and roll back or be
// killed: no harm is done. It also begins the WAL anew that way, when all of it was copied before.
func TestForeignTransactionThatEndsInNothing(t *testing.T) {
	s := foreignShelf(t)
	for _, row := range []struct {
		name   string
		before string
		killed bool
	}{
		{"rollback", "SELECT 1", false},
		{"killed", "SELECT 1", true},
		{"rollback behind a restart", "PRAGMA wal_checkpoint(RESTART)", false},
		{"killed behind a restart", "PRAGMA wal_checkpoint(RESTART)", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := openHalf(t, s, Options{})
			for i := range 3 {
				foreign := openShell(t, o.path)
				foreign.exec(t, "PRAGMA cache_size = 5", row.before, "BEGIN IMMEDIATE",
					"UPDATE t SET x = randomblob(length(x))",
					fmt.Sprint("INSERT INTO t(x) SELECT randomblob(500) FROM t LIMIT ", 10+40*i))
				if row.killed {
					foreign.kill(t)
				} else {
					foreign.exec(t, "ROLLBACK")
					foreign.quit(t)
				}
				o.replicate(t, s.logs[foreignHalf+i])
				require.False(t, o.Stats().Diverged)
			}
			s.requireCaughtUp(t, o)
		})
	}
}

// TestForeignCheckpointsDoNoHarm lets another process checkpoint, in every mode, between the logs
// and while they are applied.
func TestForeignCheckpointsDoNoHarm(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	s := makeShelf(t, foreignPageSize, 60, rand.New(rand.NewPCG(seed, 1)))
	for _, mode := range []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"} {
		t.Run(mode, func(t *testing.T) {
			o := openReplicaAt(t, filepath.Join(t.TempDir(), "replica.db"),
				Options{WALLimitFrames: 200})
			o.replicate(t, s.logs[0])
			foreign := openShell(t, o.path)
			for _, log := range s.logs[1:20] {
				o.replicate(t, log)
				require.Regexp(t, `^0\|`, foreign.run(t, "PRAGMA wal_checkpoint("+mode+")"))
			}
			var looping sync.WaitGroup
			stop := make(chan struct{})
			looping.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						foreign.run(t, "PRAGMA wal_checkpoint("+mode+")")
					}
				}
			})
			for _, log := range s.logs[20:] {
				o.replicate(t, log)
				require.Equal(t, fmt.Sprint(s.counts[log.End()]), o.read(t, "SELECT n FROM c"))
			}
			close(stop)
			looping.Wait()
			require.False(t, o.Stats().Diverged)
			foreign.quit(t)
			s.requireCaughtUp(t, o)
		})
	}
}

// TestForeignWriteLock lets a foreign program hold SQLite's write lock for longer than a Replicate
// waits: SQLite's own error comes, and nothing has changed when the lock is gone.
func TestForeignWriteLock(t *testing.T) {
	t.Parallel()
	s := foreignShelf(t)
	o := openHalf(t, s, Options{})
	foreign := openShell(t, o.path)
	foreign.exec(t, "BEGIN IMMEDIATE")
	err := o.Replicate(t.Context(), s.logs[foreignHalf])
	var failure sqlite3.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, sqlite3.ErrBusy, failure.Code)
	require.Equal(t, s.position(foreignHalf), o.at(t))
	foreign.exec(t, "COMMIT")
	foreign.quit(t)
	s.requireCaughtUp(t, o)
}

// TestContextEndsBehindAForeignWriteLock ends the context of a Replicate that waits for a foreign
// program's lock: the context's error comes, and long before the wait for the lock would be over.
func TestContextEndsBehindAForeignWriteLock(t *testing.T) {
	t.Parallel()
	s := foreignShelf(t)
	o := openHalf(t, s, Options{})
	foreign := openShell(t, o.path)
	foreign.exec(t, "BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := o.Replicate(ctx, s.logs[foreignHalf])
	require.Less(t, time.Since(begin), 3*time.Second)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, s.position(foreignHalf), o.at(t))
	foreign.exec(t, "ROLLBACK")
	foreign.quit(t)
	s.requireCaughtUp(t, o)
}

// counted is a primary whose every commit changes all rows of a table, spread over many pages, and
// adds one to another: what readers see says whether they saw a commit as a whole.
type counted struct {
	*opened
	frames *Frames
}

// countedQuery reads the number of the commit, then values that are equal in each: the least and
// the greatest number in a, and the one that the sum over u stands for.
const countedQuery = "SELECT (SELECT count(*) FROM u), min(n), max(n), " +
	"(SELECT CAST(total(y) * 2 / (count(*) + 1) AS INTEGER) FROM u) FROM a"

func openCounted(t *testing.T) *counted {
	t.Helper()
	db := openNew(t, Options{PageSize: 512, WALLimitFrames: 1000})
	db.exec(t, "CREATE TABLE a(k INTEGER PRIMARY KEY, n INTEGER, x BLOB)")
	db.exec(t, "CREATE TABLE u(y INTEGER PRIMARY KEY)")
	db.exec(t, `WITH RECURSIVE i(k) AS (VALUES(1) UNION ALL SELECT k+1 FROM i WHERE k < 20)
		INSERT INTO a SELECT k, 0, zeroblob(400) FROM i`)
	db.checkpoint(t)
	frames, err := db.Frames(t.Context(), db.Saved())
	require.NoError(t, err)
	return &counted{opened: db, frames: frames}
}

// follow opens a replica that has the first snapshot.
func (c *counted) follow(t *testing.T, options Options) *opened {
	t.Helper()
	o := openReplicaAt(t, filepath.Join(t.TempDir(), "replica.db"), options)
	o.replicate(t, c.logs[0])
	return o
}

// commit commits once more, and gives the replica the log of it.
func (c *counted) commit(t *testing.T, o *opened) {
	t.Helper()
	c.exec(t, "BEGIN IMMEDIATE")
	c.exec(t, "UPDATE a SET n = n + 1")
	c.exec(t, "INSERT INTO u SELECT max(n) FROM a")
	c.exec(t, "COMMIT")
	batch, err := c.frames.Next(t.Context())
	require.NoError(t, err)
	log, err := batch.Log(translog.BuildOptions{})
	require.NoError(t, err)
	o.replicate(t, log)
	require.NoError(t, log.Close())
}

// requireSame saves what is left, closes both, and compares the files.
func (c *counted) requireSame(t *testing.T, o *opened) {
	t.Helper()
	c.checkpoint(t)
	require.NoError(t, c.frames.Close())
	require.NoError(t, c.close())
	require.NoError(t, o.close())
	requireSameBytes(t, c.path, o.path)
	requireIntegrity(t, o.path)
}

// TestForeignReaderSeesWholeLogs lets another process read in a loop while thousands of logs come
// and the WAL is moved into the file again and again: each read sees what one log led to, and no
// read sees less than the one before.
func TestForeignReaderSeesWholeLogs(t *testing.T) {
	logs := 2000
	if testing.Short() {
		logs = 300
	}
	c := openCounted(t)
	o := c.follow(t, Options{WALLimitFrames: 400})
	foreign := openShell(t, o.path)
	foreign.send(t, shellWatch+countedQuery)
	require.Equal(t, "watching", foreign.answer(t))
	emptied, last := 0, o.Stats().WALFrames
	for range logs {
		c.commit(t, o)
		now := o.Stats().WALFrames
		if now < last {
			emptied++
		}
		last = now
	}
	answer := foreign.run(t, "")
	var reads, steps int
	n, _ := fmt.Sscanf(answer, "%d reads, %d steps", &reads, &steps)
	require.Equal(t, 2, n, answer)
	t.Logf("%s of %d logs, WAL emptied %d times", answer, logs, emptied)
	require.Greater(t, steps, 10)
	require.Greater(t, emptied, 0)
	foreign.quit(t)
	c.requireSame(t, o)
}

// TestForeignReaderOfAnOldSnapshot lets another process keep a read transaction open: it sees the
// same for as long as it wants, while logs come and newer readers see them. The WAL cannot be
// emptied meanwhile and grows, and is emptied soon after.
func TestForeignReaderOfAnOldSnapshot(t *testing.T) {
	const limit = 200
	c := openCounted(t)
	o := c.follow(t, Options{WALLimitFrames: limit})
	for range 5 {
		c.commit(t, o)
	}
	foreign := openShell(t, o.path)
	for round := range 3 {
		foreign.exec(t, "BEGIN")
		old := foreign.run(t, countedQuery)
		newer := openShell(t, o.path)
		for o.Stats().WALFrames < 4*limit {
			c.commit(t, o)
			require.Equal(t, old, foreign.run(t, countedQuery), "round %d", round)
			require.Equal(t, o.read(t, countedQuery), newer.run(t, countedQuery))
		}
		require.NotEqual(t, old, o.read(t, countedQuery))
		foreign.exec(t, "COMMIT")
		newer.quit(t)
		for logs := 0; o.Stats().WALFrames >= 4*limit; logs++ {
			require.Less(t, logs, limit, "the WAL is not emptied")
			c.commit(t, o)
		}
		require.Less(t, o.Stats().WALFrames, limit)
		require.Equal(t, o.read(t, countedQuery), foreign.run(t, countedQuery))
	}
	foreign.quit(t)
	c.requireSame(t, o)
}
