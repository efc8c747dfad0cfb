//go:build cgo

package engine

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// replicaKills is how often TestKilledReplica kills, over all page sizes.
var replicaKills = flag.Int("replica.kills", 25, "how often to kill a replica")

// followerEnv makes the test binary a replica that is killed; it holds a followerJob.
const followerEnv = "MYLIBSQL_TEST_FOLLOWER"

// followerJob is what such a process does.
type followerJob struct {
	Path     string // of the replica
	Logs     string // the folder of a shelf
	WALLimit int    // Options.WALLimitFrames
	PageSize int    // Options.PageSize
	// Until is how many logs of the shelf to get to, nil for all. Between two of its elements
	// the WAL is emptied.
	Until []int
	Sync  int // call Sync after this log, 0 for never
}

// TestFollowerProcess is the replica that other tests kill; in an ordinary run it does nothing.
// It prints where it begins, and each position that Replicate has led to.
func TestFollowerProcess(t *testing.T) {
	var job followerJob
	if json.Unmarshal([]byte(os.Getenv(followerEnv)), &job) != nil {
		t.Skip("the body of the processes that other tests kill")
	}
	db, err := openAt(t, job.Path, Options{
		Role: RoleReplica, WALLimitFrames: job.WALLimit, PageSize: job.PageSize,
	})
	require.NoError(t, err)
	begin, err := db.Position(t.Context())
	require.NoError(t, err)
	fmt.Println("begin", uint64(begin.FrameNo), uint64(begin.Checksum), db.Stats().Diverged)
	names, err := filepath.Glob(filepath.Join(job.Logs, "*"))
	require.NoError(t, err)
	slices.Sort(names)
	if job.Until == nil {
		job.Until = []int{len(names)}
	}
	from := 0
	for i, until := range job.Until {
		if i > 0 {
			result, err := db.Reset(t.Context())
			require.NoError(t, err)
			require.Equal(t, ResetResult{}, result)
		}
		for ; from < until; from++ {
			follow(t, db, names[from])
			if from+1 == job.Sync {
				require.NoError(t, db.Sync(t.Context()))
			}
		}
	}
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// follow applies a log if it is behind the position.
func follow(t *testing.T, db *opened, name string) {
	log, err := translog.OpenLog(name)
	require.NoError(t, err)
	if log.Last() > db.Committed() {
		require.NoError(t, db.Replicate(t.Context(), log), name)
		fmt.Println("applied", uint64(log.Last()))
	}
	require.NoError(t, log.Close())
}

// follower is a replica in a process of its own.
type follower struct {
	*process
	begin    translog.Position
	diverged bool             // as it said when it began
	applied  translog.FrameNo // the last one that Replicate led to, 0 for none
	done     bool
}

func startFollower(t *testing.T, job followerJob) *follower {
	t.Helper()
	f := &follower{process: startProcess(t, "TestFollowerProcess", followerEnv, job)}
	line, _ := f.line()
	_, err := fmt.Sscan(strings.TrimPrefix(line, "begin "),
		(*uint64)(&f.begin.FrameNo), (*uint64)(&f.begin.Checksum), &f.diverged)
	if err != nil {
		t.Fatal(f.rest())
	}
	return f
}

// rest is everything that the process has said and says until it ends.
func (p *process) rest() string {
	for {
		if _, ok := p.line(); !ok {
			return strings.Join(p.said, "\n")
		}
	}
}

// follow reads what a follower says until it is done or killed.
func (f *follower) follow(t *testing.T) {
	t.Helper()
	for {
		line, ok := f.line()
		if !ok {
			return
		}
		if line == "done" {
			f.done = true
			return
		}
		if n, _ := fmt.Sscanf(line, "applied %d", (*uint64)(&f.applied)); n != 1 {
			t.Fatal(f.rest())
		}
	}
}

// killFollower lets a follower do its job to the end, and kills it then.
func killFollower(t *testing.T, job followerJob) {
	t.Helper()
	f := startFollower(t, job)
	f.follow(t)
	require.True(t, f.done, "%s", strings.Join(f.said, "\n"))
	f.kill(t)
}

// killing is one replica that is killed again and again.
type killing struct {
	shelf   *shelf
	random  *rand.Rand
	path    string
	reached translog.FrameNo // a position that it must not fall behind
	keeper  *shell           // a foreign program that keeps the wal-index alive, or nil
}

// TestKilledReplica kills a process that applies logs, at random moments. A copy of what it leaves
// is opened each time: it is at the end of a log, not before the last one that Replicate led to,
// and holds exactly what the primary held there. The next process goes on, from the very position
// that the copy had; but while a foreign program keeps the wal-index alive there is no recovery,
// and it may begin one log earlier. In the end the files are the same.
func TestKilledReplica(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	kills := *replicaKills
	if testing.Short() {
		kills = min(kills, 8)
	}
	pageSizes, rounds := []int{512, 4096, 65536}, []int{400, 150, 30}
	for i, pageSize := range pageSizes {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, uint64(pageSize)))
			k := &killing{shelf: makeShelf(t, pageSize, rounds[i], random), random: random}
			finished := 0
			k.begin(t)
			for range (kills + i) / len(pageSizes) {
				if k.kill(t) {
					finished++
					k.begin(t)
				}
			}
			k.finish(t)
			t.Logf("%d times all %d logs were applied", finished, len(k.shelf.logs))
		})
	}
}

// begin begins with a new replica.
func (k *killing) begin(t *testing.T) {
	k.stopKeeper(t)
	k.path = filepath.Join(t.TempDir(), "replica.db")
	k.reached = 0
}

// kill runs a follower, kills it, and looks at what it left. It reports whether all was applied.
func (k *killing) kill(t *testing.T) (done bool) {
	t.Helper()
	if k.keeper == nil && k.reached > 0 && k.random.IntN(3) == 0 {
		k.keeper = openShell(t, k.path)
		k.keeper.exec(t, "SELECT count(*) FROM sqlite_master")
	}
	f := startFollower(t, followerJob{Path: k.path, Logs: k.shelf.folder,
		WALLimit: []int{60, 400, 100000}[k.random.IntN(3)]})
	k.requireBegin(t, f)
	// Short and long delays alike: most of the first snapshot's steps come in the first ones.
	after := time.Duration(1<<k.random.IntN(19)+k.random.IntN(5000)) * time.Microsecond
	timer := time.AfterFunc(after, func() { _ = f.command.Process.Kill() })
	f.follow(t)
	timer.Stop()
	f.kill(t)
	k.reached = max(k.reached, f.begin.FrameNo, f.applied)

	copied := copyDatabase(t, k.path)
	o := openReplicaAt(t, copied, Options{})
	at := o.at(t)
	require.False(t, o.Stats().Diverged, "after %v at %v: %s", after, at, o.warnings)
	require.GreaterOrEqual(t, at.FrameNo, k.reached, "after %v", after)
	require.NoError(t, o.close())
	k.shelf.requireContent(t, copied, at)
	t.Logf("killed after %v, from %v to %v", after, f.begin.FrameNo, at.FrameNo)
	if k.keeper == nil {
		k.reached = at.FrameNo
	} else if k.random.IntN(2) == 0 {
		k.stopKeeper(t)
	}
	return f.done
}

func (k *killing) requireBegin(t *testing.T, f *follower) {
	t.Helper()
	require.False(t, f.diverged, "at %v", f.begin)
	require.Contains(t, k.shelf.counts, f.begin)
	if k.keeper == nil && f.begin.FrameNo != k.reached {
		// What the keeper did not let be recovered may have been by now.
		require.Greater(t, f.begin.FrameNo, k.reached)
	}
	require.GreaterOrEqual(t, f.begin.FrameNo, k.reached)
}

// stopKeeper kills the foreign program, or lets it close its connection: when it is the last one,
// SQLite moves the WAL into the database file.
func (k *killing) stopKeeper(t *testing.T) {
	t.Helper()
	switch {
	case k.keeper == nil:
		return
	case k.random.IntN(2) == 0:
		k.keeper.kill(t)
	default:
		k.keeper.quit(t)
	}
	k.keeper = nil
}

// finish applies what is left in this process, and compares the files.
func (k *killing) finish(t *testing.T) {
	t.Helper()
	k.stopKeeper(t)
	o := openReplicaAt(t, k.path, Options{WALLimitFrames: 100})
	o.replicateRest(t, k.shelf.logs)
	require.Equal(t, k.shelf.end(), o.at(t))
	require.NoError(t, o.close())
	k.shelf.requireContent(t, k.path, k.shelf.end())
	requireSameBytes(t, k.shelf.path, k.path)
}

// replicateRest applies the logs behind the position.
func (o *opened) replicateRest(t *testing.T, logs []*translog.Log) {
	t.Helper()
	at := o.at(t).FrameNo
	for _, log := range logs {
		if log.Last() > at {
			o.replicate(t, log)
		}
	}
}
