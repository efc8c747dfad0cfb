package faultstore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
	"github.com/mylibsql/mylibsql/engine/translog"
)

var (
	saverSeed   = flag.Uint64("saver.seed", 0, "seed of the savers' test, 0: by the clock")
	saverRounds = flag.Int("saver.rounds", 4, "rounds of the savers' test, each on a new store")
)

// saver saves the history of one primary as the engine does. A save that failed for a reason that
// does not tell is repeated, merged with what came since. A place that is taken is looked at: by
// a log that was offered from here, it is saved; by any other, this primary is fenced.
type saver struct {
	store   *faultstore.Store
	history *storetest.History
	random  *rand.Rand

	pending   []*translog.Log // not known to be saved
	offered   map[translog.Position]bool
	confirmed []translog.Position
	passed    map[translog.Position]*storetest.History // the history as it was at each end
	fenced    bool
	failure   error // what a correct store never gives
}

func newSaver(store *faultstore.Store, history *storetest.History, seed uint64) *saver {
	return &saver{
		store: store, history: history, random: rand.New(rand.NewPCG(seed, 1)),
		offered: make(map[translog.Position]bool),
		passed:  make(map[translog.Position]*storetest.History),
	}
}

// run makes some attempts and dies: what is pending then was perhaps saved and perhaps will be.
func (s *saver) run(ctx context.Context, attempts int) {
	for attempt := 0; attempt < attempts && !s.fenced && s.failure == nil; attempt++ {
		if len(s.pending) == 0 || s.random.IntN(3) == 0 {
			s.failure = s.write()
		}
		if s.failure == nil {
			s.failure = s.offer(ctx)
		}
	}
}

// write makes a log, now and then a snapshot.
func (s *saver) write() error {
	next := s.history.Log
	if s.random.IntN(7) == 0 {
		next = s.history.Snapshot
	}
	log, err := next(translog.FrameNo(1 + s.random.IntN(4)))
	if err != nil {
		return err
	}
	s.pending = append(s.pending, log)
	s.passed[log.End()] = s.history.Fork()
	return nil
}

// offer merges what is pending and tries to save it once, with little time now and then.
func (s *saver) offer(ctx context.Context) error {
	log, err := translog.Merge("", s.pending...)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s.offered[log.End()] = true
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+s.random.IntN(20))*time.Millisecond)
	defer cancel()
	err = s.store.Save(ctx, log)
	var taken *translog.TakenError
	switch {
	case err == nil:
		s.confirm(log.End())
	case errors.As(err, &taken) && s.offered[taken.End]:
		s.confirm(taken.End)
	case errors.As(err, &taken):
		s.fenced = true
	case errors.Is(err, translog.ErrGap):
		return fmt.Errorf("what was confirmed is gone: %w", err)
	}
	return nil // Anything else says nothing: the next attempt repeats it.
}

func (s *saver) confirm(end translog.Position) {
	s.confirmed = append(s.confirmed, end)
	for len(s.pending) > 0 && s.pending[0].Last() <= end.FrameNo {
		_ = s.pending[0].Close()
		s.pending = s.pending[1:]
	}
	clear(s.offered)
}

func (s *saver) close() {
	for _, log := range s.pending {
		_ = log.Close()
	}
}

// contest is a store, and everybody who has saved to it.
type contest struct {
	root   string
	mix    faultstore.Mix
	random *rand.Rand
	savers []*saver
	counts map[faultstore.Kind]int
}

// generation lets two primaries continue the newest saved state, which they read as whoever opens
// a primary does, while what their dead predecessors sent is still arriving.
func (c *contest) generation(t *testing.T) {
	t.Helper()
	base := storetest.NewHistory(c.random.Uint64(), 512)
	if all := ends(t, openDirectory(t, c.root)); len(all) > 0 {
		base = c.historyAt(t, all[len(all)-1])
	}
	dead := c.savers
	var group sync.WaitGroup
	for range 2 {
		faults := faultstore.Seeded(openDirectory(t, c.root), c.random.Uint64(), c.mix)
		s := newSaver(faults, base.Fork(), c.random.Uint64())
		attempts := 5 + c.random.IntN(15)
		c.savers = append(c.savers, s)
		t.Cleanup(s.close)
		group.Go(func() { s.run(t.Context(), attempts) })
	}
	for _, s := range dead {
		group.Go(func() { _ = s.store.Flush(t.Context()) })
	}
	group.Wait()
}

func (c *contest) historyAt(t *testing.T, end translog.Position) *storetest.History {
	t.Helper()
	for _, s := range c.savers {
		if history := s.passed[end]; history != nil {
			return history
		}
	}
	require.Fail(t, "the store holds what nobody wrote", "%v", end)
	return nil
}

// verify checks that there is one chain, that everything confirmed is in it, and that it restores
// to what its last writer had.
func (c *contest) verify(t *testing.T) error {
	t.Helper()
	store := openDirectory(t, c.root)
	saved := make(map[translog.Position]bool)
	var last translog.Position
	for record, err := range store.Records(t.Context(), 0) {
		if err != nil {
			return err
		}
		last = record.End
		saved[last] = true
	}
	for _, s := range c.savers {
		if s.failure != nil {
			return s.failure
		}
		for _, end := range s.confirmed {
			if !saved[end] {
				return fmt.Errorf("%v was confirmed and is not in the chain", end)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "restored.db")
	end, err := checkpoint.Restore(t.Context(), store, path)
	require.NoError(t, err)
	require.Equal(t, last, end)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, string(c.historyAt(t, end).Bytes()) == string(content))
	return nil
}

// play lets several generations follow each other on a new store.
func play(t *testing.T, seed uint64, mix faultstore.Mix) (*contest, error) {
	t.Helper()
	c := &contest{
		root: filepath.Join(t.TempDir(), "store"), mix: mix,
		random: rand.New(rand.NewPCG(seed, 0)), counts: make(map[faultstore.Kind]int),
	}
	for range 4 {
		c.generation(t)
	}
	for _, s := range c.savers {
		require.NoError(t, s.store.Flush(t.Context()))
		for kind := range faultstore.SuccessWithoutSaving + 1 {
			c.counts[kind] += s.store.Count(kind)
		}
	}
	return c, c.verify(t)
}

func seedOf(t *testing.T) uint64 {
	seed := *saverSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-saver.seed=%d", seed)
	return seed
}

// Goal: savers that follow the engine's protocol never fork a history, and never lose what was
// confirmed to them, whatever a network does.
// Method: generations of two primaries each on one store, all requests under a mix of faults. The
// primaries die without a word, the next ones continue what the store has, late requests of the
// dead arrive meanwhile. Then one chain must hold everything confirmed, and restore.
func TestSaversNeverFork(t *testing.T) {
	seed := seedOf(t)
	mix := faultstore.Mix{Save: faultstore.Odds{
		faultstore.Delay: 0.1, faultstore.Fail: 0.05, faultstore.Tear: 0.1,
		faultstore.LoseAnswer: 0.15, faultstore.Late: 0.2, faultstore.Duplicate: 0.1,
		faultstore.Hang: 0.06, faultstore.Overrun: 0.08,
	}}
	counts := make(map[faultstore.Kind]int)
	confirmed, fenced := 0, 0
	for round := range uint64(*saverRounds) {
		c, err := play(t, seed+round, mix)
		require.NoError(t, err)
		for kind, count := range c.counts {
			counts[kind] += count
		}
		for _, s := range c.savers {
			confirmed += len(s.confirmed)
			if s.fenced {
				fenced++
			}
		}
	}
	t.Logf("%d confirmed, %d of %d primaries fenced, faults %v",
		confirmed, fenced, 8**saverRounds, counts)
	for kind := range faultstore.SuccessWithoutSaving {
		require.Positive(t, counts[kind], "no %v", kind)
	}
	require.Positive(t, confirmed)
	require.Positive(t, fenced)
}

// Goal: the test above would notice a loss.
// Method: the same, with a store that lies.
func TestLostConfirmationsAreNoticed(t *testing.T) {
	seed := seedOf(t)
	for round := range uint64(10) {
		c, err := play(t, seed+round, faultstore.Mix{
			Save: faultstore.Odds{faultstore.SuccessWithoutSaving: 0.2},
		})
		if c.counts[faultstore.SuccessWithoutSaving] > 0 {
			require.Error(t, err)
			return
		}
	}
	require.Fail(t, "no lie in ten rounds")
}
