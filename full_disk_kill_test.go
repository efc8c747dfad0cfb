//go:build linux && cgo

package mylibsql_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// victimEnv makes TestFullDiskVictim work on a full disk until it kills itself.
const victimEnv = "MYLIBSQL_TEST_FULL_DISK_VICTIM"

// victim is what the child needs to know, and at its death what the parent does.
type victim struct {
	Job    string
	Folder string // on the small disk
	Store  string // of the logs that a replica takes
	FreeKB int
	Seed   uint64
	Rounds int
	Down   bool // the store says no
	InSave int  // it kills itself in that save; 0: behind the last round
	Rows   *ledger
	At     mylibsql.Position // of a replica
}

// victimJobs are what a child can do.
var victimJobs = map[string]func(*victim, *testing.T, *smallDisk){
	"primary": (*victim).write,
	"replica": (*victim).replicate,
	"index":   (*victim).failInIndex,
}

// TestFullDiskVictim is what the child processes of the tests below run.
func TestFullDiskVictim(t *testing.T) {
	text := os.Getenv(victimEnv)
	if text == "" {
		t.Skip("runs in a child process only")
	}
	var v victim
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	victimJobs[v.Job](&v, t, &smallDisk{root: filepath.Dir(v.Folder)})
	v.die(t)
}

func (v *victim) die(t *testing.T) {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	fmt.Printf("%s%s\n", victimEnv, text)
	require.NoError(t, unix.Kill(os.Getpid(), unix.SIGKILL))
	select {}
}

// run lets a child work until it is dead, and takes over what it knew.
func (v *victim) run(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskVictim$")
	command.Env = append(os.Environ(), victimEnv+"="+string(text))
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(output))
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), string(output))
	_, answer, found := bytes.Cut(output, []byte(victimEnv))
	require.True(t, found, string(output))
	*v = victim{}
	require.NoError(t, json.NewDecoder(bytes.NewReader(answer)).Decode(v))
}

// write is the work of a primary.
func (v *victim) write(t *testing.T, disk *smallDisk) {
	p := openFullPrimary(t, disk, v.Folder, v.Folder, fullSettings, v.Rows)
	disk.fill(t, v.FreeKB)
	p.down = v.Down
	saves := 0
	p.inSave = func() {
		if saves++; saves == v.InSave {
			v.die(t)
		}
	}
	p.work(t, rand.New(rand.NewPCG(v.Seed, 1)), v.Rounds)
}

// TestFullDiskAndAKilledPrimary kills a primary that has written until the disk was full, behind
// its work or in a save, and opens it again there.
func TestFullDiskAndAKilledPrimary(t *testing.T) {
	places := []string{openedFull}
	onSmallDisk(t, places, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		disk.each(t, 512, 40, func(t *testing.T, freeKB int) {
			random := rand.New(rand.NewPCG(seed, uint64(freeKB)))
			folder := disk.folder(t)
			p := openFullPrimary(t, disk, folder, folder, fullSettings, newLedger())
			p.begin(t)
			require.NoError(t, p.DB.Close())
			v := victim{
				Job: "primary", Folder: folder, FreeKB: freeKB, Seed: random.Uint64(),
				Rounds: random.IntN(16), Down: random.IntN(2) == 0, InSave: random.IntN(5),
				Rows: p.rows,
			}
			v.run(t)
			p.rows = v.Rows
			disk.fillAgain(t, random)
			p.requireReopens(t)
		})
	})
}

// replicate takes logs from a store until they are at an end, some do not fit for a while.
func (v *victim) replicate(t *testing.T, disk *smallDisk) {
	store, err := checkpoint.OpenDirectory(v.Store)
	require.NoError(t, err)
	r := openReplicaAt(t, filepath.Join(v.Folder, "replica.db"), fullReplicaSettings)
	disk.fill(t, v.FreeKB)
	at, err := r.lib.Position(t.Context())
	require.NoError(t, err)
	for record, err := range store.Records(t.Context(), at.FrameNo) {
		require.NoError(t, err)
		log, err := store.Open(t.Context(), record)
		require.NoError(t, err)
		err = r.lib.Replicate(t.Context(), log)
		require.NoError(t, log.Close())
		if err != nil {
			disk.requireNoSpace(t, err)
			break
		}
	}
	v.At, err = r.lib.Position(t.Context())
	require.NoError(t, err)
}

// TestFullDiskAndAKilledReplica kills a replica again and again when a log did not fit on the
// disk. It is opened on the full disk where it was, by the next child or here.
func TestFullDiskAndAKilledReplica(t *testing.T) {
	onSmallDisk(t, []string{openedFull}, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		h := newFullHistory(t, rand.New(rand.NewPCG(seed, 0)))
		store := openStore(t)
		for _, log := range h.logs {
			require.NoError(t, store.Save(t.Context(), log))
		}
		disk.each(t, 256, 64, func(t *testing.T, freeKB int) {
			random := rand.New(rand.NewPCG(seed, uint64(freeKB+1)))
			v := victim{Job: "replica", Folder: disk.folder(t), Store: store.Root()}
			path := filepath.Join(v.Folder, "replica.db")
			for next, more := 0, freeKB; next < len(h.logs); more += 8 {
				v.FreeKB = more
				v.run(t)
				next = h.next(t, v.At)
				disk.fillAgain(t, random)
				disk.openWhileFull(t, path, fullReplicaSettings, func(full *database) {
					h.requireAt(t, &replica{DB: full.DB, lib: full.lib, path: path}, next)
				})
				disk.makeRoom(t)
			}
			h.requireSame(t, openReplicaAt(t, path, fullReplicaSettings))
		})
	})
}
