//go:build crashlab

package crashlab

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

var (
	labTime   = flag.Duration("lab.time", 10*time.Second, "how long children are killed, at least")
	labKills  = flag.Int("lab.kills", 0, "how many are killed, at least")
	labVisits = flag.Int("lab.visits", 0, "how often each point is hit, at least")
	labSeed   = flag.Uint64("lab.seed", 0, "seed of the run, 0 for a new one")
	labKeep   = flag.String("lab.keep", "", "folder in which a world that failed is kept")
	labOnly   = flag.String("lab.point", "", "the only point to be hit")
)

func TestMain(m *testing.M) {
	if text := os.Getenv(lifeEnv); text != "" {
		var l life
		err := json.Unmarshal([]byte(text), &l)
		if err == nil {
			err = l.live()
		}
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// livesInAWorld bounds a world, whose rows are all read after every death.
const livesInAWorld = 60

// wholeLives is one life of how many that die at random that nobody ends.
const wholeLives = 4

// workers is how many worlds there are at a time.
const workers = 2

// TestNothingIsLost is the lab: see the package comment.
func TestNothingIsLost(t *testing.T) {
	seed := *labSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	r := newReport()
	defer func() { t.Log(r.line(seed)) }()
	var running sync.WaitGroup
	for worker := range workers {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		running.Go(func() {
			for number := 0; !r.done() && !t.Failed(); number++ {
				folder := filepath.Join(t.TempDir(), fmt.Sprintf("world-%d-%d", worker, number))
				if err := r.inhabit(folder, random); err != nil {
					t.Errorf("world %d of worker %d: %v", number, worker, err)
					keep(t, folder)
					return
				}
				err := errors.Join(os.RemoveAll(folder), os.RemoveAll(folder+"-before"))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	require.Zero(t, r.lost)
}

// keep saves a world that failed from the end of the test.
func keep(t *testing.T, folder string) {
	if *labKeep != "" {
		for _, name := range []string{folder, folder + "-before"} {
			if err := os.Rename(name, filepath.Join(*labKeep, filepath.Base(name))); err != nil {
				t.Log(err)
			}
		}
	}
}

// inhabit lets children live and die in one world.
func (r *report) inhabit(folder string, random *rand.Rand) error {
	w, err := newWorld(folder, random)
	if err != nil {
		return err
	}
	for range livesInAWorld {
		if r.done() {
			break
		}
		point, visit := r.choose(random)
		if strings.HasPrefix(string(point), "back:") {
			if err := w.leaveReplicaBehind(); err != nil {
				return err
			}
			visit = 1
		}
		after := time.Duration(10+random.IntN(400)) * time.Millisecond
		switch point {
		case "":
			if random.IntN(wholeLives) == 0 {
				after = 0
			}
		case crashpoint.OutboxMerged:
			after += 10 * time.Second
		default:
			after += time.Second
		}
		d, err := w.run(point, visit, after)
		if err != nil {
			return fmt.Errorf("life %d, point %q visit %d: %w", w.lives, point, visit, err)
		}
		r.count(point, d)
		cut := d.killed && random.IntN(3) == 0
		if cut {
			if err := w.cutPower(); err != nil {
				return err
			}
		}
		if *labKeep != "" {
			if err := w.keepBefore(); err != nil {
				return err
			}
		}
		lost, err := w.check(random.IntN(2) == 0, cut)
		r.checked(lost, cut, err)
		if err != nil || len(lost) > 0 {
			return fmt.Errorf("life %d, died at %q, visit %d, power cut %v: lost rows %v: %w",
				w.lives, d.point, visit, cut, lost, err)
		}
	}
	return nil
}
