//go:build cgo

package engine

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
)

// statesPageSize is what the functions of recover_test.go expect that damage files.
const statesPageSize = 1024

// statesSteps make logs that shrink the database before and after the places where it is cut.
const statesSteps = "gusgsvgsugvg"

// replicaState is a state in which a crash can leave a replica: what was applied before the process
// was killed (see followerJob), what was done to the files then, and the number of logs that the
// replica must turn out to have.
type replicaState struct {
	name   string
	until  []int
	damage []func(*testing.T, *shelf, crashed)
	want   int
	sync   int // the log that was followed by a Sync
}

// diverges stands for a replica that takes only a snapshot, refused for one that does not open.
const (
	diverges = -1
	refused  = -2
)

// killedStates are what SIGKILL can leave. After the last log the state file names its end as the
// intent and the one before as the position, and the WAL holds the frames of both.
var killedStates = []replicaState{
	{"as it was", []int{6}, nil, 6, 0},
	{"before the commit mark", []int{6}, do(cutFrames(1)), 5, 0},
	{"commit mark torn", []int{6}, do(cutBytes(500)), 5, 0},
	{"before the first frame", []int{6}, do(cutLogs(1)), 5, 0},
	{"within the next log", []int{6}, do(appendFrames), 6, 0},
	{"wal-index lost", []int{6}, do(removeIndex), 6, 0},
	{"wal-index of before", []int{6}, do(olderIndex), 6, 0},
	{"wal-index of before, no commit mark", []int{6}, do(olderIndex, cutFramesOnly(1)), 5, 0},
	{"wal-index garbage", []int{6}, do(garbageIndex), 6, 0},
	{"within a checkpoint", []int{6}, do(on(partialCheckpoint)), 6, 0},
	{"within a checkpoint, no commit mark", []int{6},
		do(on(partialCheckpoint), cutFrames(1)), 5, 0},
	{"within the second checkpoint", []int{3, 6}, do(on(partialCheckpoint)), 6, 0},

	{"WAL emptied", []int{6, 6}, nil, 6, 0},
	{"WAL emptied, file touched", []int{6, 6}, do(on(touchFile)), 6, 0},
	{"WAL emptied and removed", []int{6, 6}, do(on(removeWAL)), 6, 0},
	{"WAL not emptied yet", []int{6}, do(resetButKeepWAL), 6, 0},
	{"WAL emptied, file not noted", []int{6, 6}, do(on(tearState(1))), 6, 0},
	{"WAL emptied, nothing noted", []int{6}, do(resetButKeepState), 6, 0},
	{"after the log behind", []int{6, 7}, nil, 7, 0},
	{"before the commit mark of the log behind", []int{6, 7}, do(cutFrames(1)), 6, 0},
	{"the same, file touched", []int{6, 7}, do(cutFrames(1), on(touchFile)), 6, 0},
	{"before the first frame behind", []int{6, 7}, do(on(cutWALToHeader)), 6, 0},
	{"before the header of the WAL behind", []int{6, 7}, do(cutTo(0)), 6, 0},
	{"header of the WAL behind torn", []int{6, 7}, do(cutTo(10)), 6, 0},
	{"intent of the log behind lost", []int{6, 7}, do(on(tearState(1)), cutFrames(1)), 6, 0},
	{"foreign reader that checkpoints at close", []int{6},
		do(on(foreign("SELECT count(*) FROM t"))), 6, 0},
	{"foreign reader, no commit mark", []int{6},
		do(cutFrames(1), on(foreign("SELECT count(*) FROM t"))), 5, 0},
}

// powerStates take a power cut, which can lose what was not synced of the WAL, of the state, or of
// both: the replica is where it was synced, or later. The WAL is emptied after a sync.
var powerStates = []replicaState{
	{"last frame damaged", []int{6}, do(flipLastFrame), 5, 0},
	{"state one record old", []int{6}, do(on(tearState(1))), 4, 4},
	{"state one record old, log lost", []int{6}, do(on(tearState(1)), cutLogs(1)), 4, 4},
	{"state one record old, logs lost", []int{6}, do(on(tearState(1)), cutLogs(2)), 4, 4},
	{"log lost", []int{6}, do(cutLogs(1)), 5, 4},
	{"logs lost up to the sync", []int{6}, do(cutLogs(2)), 4, 4},
	{"logs lost within the sync", []int{6}, do(cutLogs(2)), 3, 3},
	{"everything of the state lost", []int{4}, do(goOnButKeepState(6)), 4, 4},
	{"everything of the state lost twice", []int{4},
		do(goOnButKeepState(6), goOnButKeepState(8)), 4, 4},
	{"state one record old behind the emptied WAL", []int{6, 7}, do(on(tearState(1))), 6, 0},
	{"some logs lost behind the emptied WAL", []int{3, 6}, do(cutLogs(2)), 3, 0},
	{"all logs lost behind the emptied WAL", []int{3, 6}, do(cutLogs(3)), 3, 0},
	{"WAL lost behind the emptied one", []int{3, 6}, do(on(removeWAL)), 3, 0},
	{"WAL damaged behind the emptied one", []int{3, 8}, do(on(flipWAL)), 3, 0},
	{"synced behind the emptied WAL", []int{3, 6}, do(cutLogs(1)), 5, 5},
	{"synced log lost in part behind the emptied WAL", []int{3, 6}, do(on(tearState(1))), 4, 4},

	// What was never synced, or was lost though it was: that takes a disk that lies, or a hand.
	{"nothing synced, state one record old", []int{6}, do(on(tearState(1))), diverges, 0},
	{"nothing synced, logs lost", []int{6}, do(cutLogs(2)), diverges, 0},
	{"nothing synced, WAL lost", []int{6}, do(on(removeWAL)), diverges, 0},
	{"synced frames lost", []int{6}, do(cutLogs(3)), diverges, 5},
	{"synced WAL lost", []int{6}, do(on(removeWAL)), diverges, 6},
	{"synced WAL damaged", []int{6}, do(on(flipWAL)), diverges, 6},
	{"older file without a WAL", []int{3, 6, 6}, do(olderFile), diverges, 0},
	{"older file with the WAL of today", []int{3, 6, 8}, do(olderFile), diverges, 0},
	{"foreign writer, killed too", []int{6}, do(on(foreignKilled)), 6, 0},
	{"foreign writer", []int{6}, do(on(foreign("INSERT INTO t(x) VALUES('f')"))), diverges, 6},
	{"foreign writer behind the emptied WAL", []int{6, 6},
		do(on(foreign("INSERT INTO t(x) VALUES('f')"))), diverges, 0},
	{"state torn in both slots", []int{6}, do(on(tearState(2))), refused, 0},
	{"state missing", []int{6}, do(on(remove("state"))), refused, 0},
}

// TestKilledReplicaStates goes through killedStates: the replica is at the end of a log and holds
// exactly what the primary held there. It goes on, and the files are the same in the end.
func TestKilledReplicaStates(t *testing.T) { checkStates(t, killedStates) }

// TestReplicaPowerCutStates goes through powerStates, as TestKilledReplicaStates does. Where
// nothing tells what the replica holds, it says so: it reads on, takes a snapshot and no log.
func TestReplicaPowerCutStates(t *testing.T) { checkStates(t, powerStates) }

func checkStates(t *testing.T, rows []replicaState) {
	t.Helper()
	s := shelfOf(t, statesPageSize, statesSteps)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.check(t, s, statesPageSize)
		})
	}
}

// check brings a replica into the state, whose empty file has pages of the given size.
func (row replicaState) check(t *testing.T, s *shelf, pageSize int) {
	t.Helper()
	folder := t.TempDir()
	c := crashed{folder: folder, path: filepath.Join(folder, "replica.db")}
	killFollower(t, followerJob{Path: c.path, Logs: s.folder, Until: row.until,
		WALLimit: 1 << 20, PageSize: pageSize, Sync: row.sync})
	for _, damage := range row.damage {
		damage(t, s, c)
	}
	if row.want == refused {
		_, err := openAt(t, c.path, Options{})
		require.ErrorIs(t, err, ErrState)
		requireNothingChanged(t, c, ErrState)
		return
	}
	o := openReplicaAt(t, c.path, Options{})
	at := o.at(t)
	if row.want == diverges {
		heal(t, s, o)
		return
	}
	require.False(t, o.Stats().Diverged, "at %v: %s", at, o.warnings)
	require.Equal(t, s.position(row.want), at)
	require.NotContains(t, o.warnings.String(), "needs a snapshot")
	require.NoError(t, o.close())
	s.requireContent(t, c.path, at)
	o = openReplicaAt(t, c.path, Options{})
	require.Equal(t, at, o.at(t))
	o.replicateRest(t, s.logs)
	require.NoError(t, o.close())
	requireSameBytes(t, s.path, c.path)
	s.requireContent(t, c.path, s.end())
}

// heal requires that a replica that has diverged, or is back where it began, serves reads, takes no
// log, does so again after a reopen, and takes a snapshot.
func heal(t *testing.T, s *shelf, o *opened) {
	t.Helper()
	for range 3 {
		empty := o.at(t).IsZero()
		require.True(t, o.Stats().Diverged || empty, "at %v", o.at(t))
		o.read(t, "SELECT count(*) FROM sqlite_master")
		for _, log := range s.logs[1:] {
			err := o.Replicate(t.Context(), log)
			require.True(t, errors.Is(err, ErrDiverged) || empty && errors.Is(err, translog.ErrGap),
				"%v at %v: %v", log, o.at(t), err)
		}
		if !empty {
			require.Contains(t, o.warnings.String(), "needs a snapshot")
			require.ErrorIs(t, o.Promote(t.Context()), ErrDiverged)
		}
		require.NoError(t, o.close())
		o = openReplicaAt(t, o.path, Options{})
	}
	o.replicate(t, s.snapshot(t, len(s.logs)-1))
	require.False(t, o.Stats().Diverged)
	o.replicateRest(t, s.logs)
	require.NoError(t, o.close())
	requireSameBytes(t, s.path, o.path)
	s.requireContent(t, o.path, s.end())
}

// TestReplicaKilledInItsFirstSnapshot kills a replica while it takes its first log, before the
// commit mark: it is empty as before, and takes a snapshot, of whatever page size.
func TestReplicaKilledInItsFirstSnapshot(t *testing.T) {
	s := shelfOf(t, statesPageSize, statesSteps)
	for name, pageSize := range map[string]int{"same page size": statesPageSize, "another": 4096} {
		t.Run(name, func(t *testing.T) {
			replicaState{until: []int{1}, damage: do(cutFrames(1))}.check(t, s, pageSize)
		})
	}
}

// TestReplicaOfAnotherPageSizeLosesItsWAL removes the WAL of a replica that has never moved it into
// its file, which then is the empty one of another page size still: a snapshot heals it.
func TestReplicaOfAnotherPageSizeLosesItsWAL(t *testing.T) {
	s := shelfOf(t, statesPageSize, statesSteps)
	for _, sync := range []int{0, 6} {
		replicaState{until: []int{6}, damage: do(on(removeWAL)), want: diverges, sync: sync}.
			check(t, s, 4096)
	}
}

// position is where a number of logs leads.
func (s *shelf) position(logs int) translog.Position {
	if logs == 0 {
		return translog.Position{}
	}
	return s.logs[logs-1].End()
}

// snapshot is what a number of logs leads to.
func (s *shelf) snapshot(t *testing.T, logs int) *translog.Log {
	t.Helper()
	merged, err := translog.Merge(t.TempDir(), s.logs[:logs]...)
	require.NoError(t, err)
	require.True(t, merged.IsSnapshot())
	return merged
}

type damage = func(*testing.T, *shelf, crashed)

func do(all ...damage) []damage { return all }

// on is for the damage of recover_test.go.
func on(work func(*testing.T, crashed)) damage {
	return func(t *testing.T, _ *shelf, c crashed) { work(t, c) }
}

func cutFrames(frames int64) damage { return on(cutWAL(frames)) }

// cutFramesOnly leaves the wal-index.
func cutFramesOnly(frames int64) damage {
	return cutBytes(frames * (statesPageSize + wal.FrameHeaderSize))
}

func cutBytes(bytes int64) damage {
	return func(t *testing.T, _ *shelf, c crashed) {
		info, err := os.Stat(c.path + "-wal")
		require.NoError(t, err)
		require.NoError(t, os.Truncate(c.path+"-wal", info.Size()-bytes))
	}
}

func cutTo(bytes int64) damage {
	return func(t *testing.T, _ *shelf, c crashed) {
		require.NoError(t, os.Truncate(c.path+"-wal", bytes))
	}
}

// cutLogs removes the frames of the last logs from the WAL of a replica that has six.
func cutLogs(logs int) damage {
	return func(t *testing.T, s *shelf, c crashed) {
		frames := int64(0)
		for _, log := range s.logs[6-logs : 6] {
			for _, err := range log.Pages() {
				require.NoError(t, err)
				frames++
			}
		}
		cutFrames(frames)(t, s, c)
	}
}

func flipLastFrame(t *testing.T, _ *shelf, c crashed) {
	info, err := os.Stat(c.path + "-wal")
	require.NoError(t, err)
	flip(t, c.path+"-wal", info.Size()-100)
}

// appendFrames writes the frames of the next log without the last one, as its Replicate does.
func appendFrames(t *testing.T, s *shelf, c crashed) {
	wanted, err := os.ReadFile(c.path + "-wal")
	require.NoError(t, err)
	ahead := copyDatabase(t, c.path)
	killFollower(t, followerJob{Path: ahead, Logs: s.folder, Until: []int{7}, WALLimit: 1 << 20})
	longer, err := os.ReadFile(ahead + "-wal")
	require.NoError(t, err)
	require.Equal(t, wanted, longer[:len(wanted)])
	longer = longer[:len(longer)-statesPageSize-wal.FrameHeaderSize]
	require.Greater(t, len(longer), len(wanted))
	require.NoError(t, os.WriteFile(c.path+"-wal", longer, 0o644))
}

func removeIndex(t *testing.T, _ *shelf, c crashed) { require.NoError(t, os.Remove(c.path+"-shm")) }

// olderIndex puts the wal-index of two logs before in the place of today's.
func olderIndex(t *testing.T, s *shelf, c crashed) {
	older := filepath.Join(t.TempDir(), "older.db")
	killFollower(t, followerJob{Path: older, Logs: s.folder, Until: []int{4}, WALLimit: 1 << 20})
	index, err := os.ReadFile(older + "-shm")
	require.NoError(t, err)
	require.NotEmpty(t, index)
	require.NoError(t, os.WriteFile(c.path+"-shm", index, 0o644))
}

func garbageIndex(t *testing.T, _ *shelf, c crashed) {
	garbage := make([]byte, 65536)
	_, _ = rand.Read(garbage)
	require.NoError(t, os.WriteFile(c.path+"-shm", garbage, 0o644))
}

// goOnButKeepState applies more logs, and loses everything that the state noted on the way.
func goOnButKeepState(logs int) damage {
	return func(t *testing.T, s *shelf, c crashed) {
		state, err := os.ReadFile(c.sidecar("state"))
		require.NoError(t, err)
		killFollower(t, followerJob{Path: c.path, Logs: s.folder, Until: []int{logs},
			WALLimit: 1 << 20})
		require.NoError(t, os.WriteFile(c.sidecar("state"), state, 0o644))
	}
}

// resetButKeepWAL moves the WAL into the file and is killed before it is emptied.
func resetButKeepWAL(t *testing.T, s *shelf, c crashed) {
	content, err := os.ReadFile(c.path + "-wal")
	require.NoError(t, err)
	killFollower(t, followerJob{Path: c.path, Logs: s.folder, Until: []int{6, 6}})
	info, err := os.Stat(c.path + "-wal")
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.NoError(t, os.WriteFile(c.path+"-wal", content, 0o644))
}

// resetButKeepState empties the WAL, and loses everything that the state noted on the way.
func resetButKeepState(t *testing.T, s *shelf, c crashed) {
	state, err := os.ReadFile(c.sidecar("state"))
	require.NoError(t, err)
	killFollower(t, followerJob{Path: c.path, Logs: s.folder, Until: []int{6, 6}})
	require.NoError(t, os.WriteFile(c.sidecar("state"), state, 0o644))
}

// olderFile puts the database file of another replica, which has two logs, in the place of this.
func olderFile(t *testing.T, s *shelf, c crashed) {
	older := filepath.Join(t.TempDir(), "older.db")
	killFollower(t, followerJob{Path: older, Logs: s.folder, Until: []int{2, 2},
		PageSize: statesPageSize})
	require.NoError(t, os.Rename(older, c.path))
}
