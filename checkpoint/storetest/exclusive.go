package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// contenders are logs that all continue the end of a history, of forks that end at the same
// and at other positions, one of them a snapshot. A store that keeps logs under the
// positions that they cover would keep several of them.
func contenders(t *testing.T, h *History) (forks []*History, logs []*translog.Log) {
	t.Helper()
	for _, positions := range []translog.FrameNo{5, 5, 8} {
		fork := h.Fork()
		forks, logs = append(forks, fork), append(logs, next(t, fork, positions))
	}
	fork := h.Fork()
	return append(forks, fork), append(logs, nextSnapshot(t, fork, 8))
}

// takenBy is what the losers must be told: by which log, with its range, end and writer.
func takenBy(log *translog.Log) translog.TakenError {
	return translog.TakenError{
		At: log.Follows().FrameNo + 1, First: log.First(), Last: log.Last(), End: log.End(),
		NodeID: log.NodeID(),
	}
}

// requireTaken checks that an answer names the log that holds the place.
func requireTaken(t *testing.T, answer error, winner *translog.Log) {
	t.Helper()
	var taken *translog.TakenError
	require.ErrorAs(t, answer, &taken)
	require.Equal(t, takenBy(winner), *taken)
	require.ErrorIs(t, answer, translog.ErrTaken)
}

// Goal: of all logs that continue one position exactly one is saved, and every other saver
// learns which one.
// Method: four logs for one place, each offered three times, by handles of four processes,
// all at the same time; then go on with the winner. First on the empty store, where all of
// them are snapshots.
func exactlyOneLogWins(t *testing.T, backend Backend) {
	const offers = 3
	stores, h := openAll(t, backend, 4), NewHistory(seed, 512)
	var chain []*translog.Log
	for range rounds(15, 4) {
		forks, logs := contenders(t, h)
		offered := slices.Repeat(logs, offers)
		// Shifted, so that each log is offered by several processes.
		shifted := append(slices.Clone(stores[1:]), stores[0])
		handles := slices.Concat(stores, shifted, stores)
		answers := saveAll(t, handles, offered)

		winner := slices.Index(answers, nil)
		require.NotEqual(t, -1, winner, "nobody won: %v", errors.Join(answers...))
		winner %= len(logs)
		for index, answer := range answers {
			if index%len(logs) == winner {
				require.NoError(t, answer, "the winner's own log, offered again")
			} else {
				requireTaken(t, answer, logs[winner])
			}
		}
		// Later offers are told the same.
		for index, log := range logs {
			if index != winner {
				requireTaken(t, stores[index].Save(t.Context(), log), logs[winner])
			}
		}
		h, chain = forks[winner], append(chain, logs[winner])
		require.Equal(t, recordsOf(chain), records(t, stores[winner], 0))
	}
	requireChain(t, backend.Open(t), chain)
	requireRestored(t, backend.Open(t), h)
}

// Goal: a log that many save at once is saved for all of them, once.
// Method: six savers by three handles, for each log of a chain.
func oneLogSavedByManyIsSavedForAll(t *testing.T, backend Backend) {
	stores, h := openAll(t, backend, 3), NewHistory(seed, 512)
	var chain []*translog.Log
	for range rounds(10, 3) {
		log := next(t, h, 2)
		answers := saveAll(t, stores, slices.Repeat([]*translog.Log{log}, 6))
		require.NoError(t, errors.Join(answers...))
		chain = append(chain, log)
	}
	requireChain(t, stores[0], chain)
}

// Goal: a Save whose outcome is unknown is repeated, any number of times, however much has
// been saved since, and changes nothing.
// Method: repeat every log of a chain with a snapshot, on the saver's handle and on a new
// one.
func repeatedSaveIsSaved(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	logs := saveNext(t, store, h, 3)
	logs = append(logs, save(t, store, nextSnapshot(t, h, 10)))
	logs = append(logs, saveNext(t, store, h, 2)...)
	for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
		for _, log := range slices.Concat(logs, logs) {
			save(t, handle, log)
		}
	}
	requireChain(t, store, logs)
	logs = append(logs, saveNext(t, store, h, 1)...)
	requireChain(t, store, logs)
}

// Goal: a log is the same when its range and the checksum at its end are: a log that was
// merged once more has other bytes. The saved one stays.
// Method: save the same changes twice, with another node's id.
func sameLogInOtherBytesIsTheSame(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	twin := h.twin()
	var logs []*translog.Log
	for range 2 {
		log, again := next(t, h, 4), next(t, twin, 4)
		require.Equal(t, log.End(), again.End())
		require.False(t, sameBytes(t, log, again))
		logs = append(logs, save(t, store, log))
		save(t, store, again)
		save(t, backend.Open(t), again)
	}
	requireChain(t, store, logs)
}

// Goal: a request that was on its way for long, whose saver may be dead, cannot change what
// others have built since.
// Method: a chain of six; logs of other histories for each place in it, from the last to the
// first.
func lateSaveIsRefused(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	var chain []*translog.Log
	var late [][]*translog.Log // for each place
	for range 6 {
		_, logs := contenders(t, h)
		late = append(late, logs)
		chain = append(chain, save(t, store, next(t, h, 5)))
	}
	for place, winner := range slices.Backward(chain) {
		for _, log := range late[place] {
			requireTaken(t, store.Save(t.Context(), log), winner)
			requireTaken(t, backend.Open(t).Save(t.Context(), log), winner)
		}
	}
	requireChain(t, store, chain)
	requireRestored(t, store, h)
}

// Goal: a log is not saved behind a gap, where no restore could reach it. The error says
// what the log continues and where the chain ends, from where the saver may go on.
// Method: leave out a log, then offer the next one and a snapshot; with a chain of none, one
// and several records; by the saver's own handle and by a new one.
func logBehindAGapIsRefused(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	var chain []*translog.Log
	for range 3 {
		saved, ahead := h.End(), h.Fork()
		left := next(t, ahead, 3)
		for _, log := range []*translog.Log{next(t, ahead, 4), nextSnapshot(t, ahead, 4)} {
			for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
				err := handle.Save(t.Context(), log)
				var gap *translog.GapError
				require.ErrorAs(t, err, &gap, "save %v after %v", log, log.Follows())
				require.Equal(t, log.Follows(), gap.Want)
				require.Equal(t, saved, gap.Have)
				require.ErrorIs(t, err, translog.ErrGap)
				require.NotErrorIs(t, err, translog.ErrTaken)
			}
			require.Equal(t, recordsOf(chain), records(t, store, 0))
		}
		require.Equal(t, saved, left.Follows())
		chain = append(chain, save(t, store, next(t, h, 5)))
	}
	requireChain(t, store, chain)
}

// Goal: a log does not continue a record that only ends at the same position, nor one that
// ends later, even where its own place is free.
// Method: a fork that wrote as many positions as the chain, one that wrote fewer, and the
// chain's own history from the middle of a record; as logs and as snapshots.
func logOfAnotherHistoryIsRefused(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	chain := saveNext(t, store, h, 2)
	strangers := []struct {
		*History
		positions translog.FrameNo
	}{{h.Fork(), 10}, {h.Fork(), 6}, {h.twin(), 6}}
	for _, stranger := range strangers {
		next(t, stranger.History, stranger.positions)
	}
	chain = append(chain, save(t, store, next(t, h, 10)))
	for _, stranger := range strangers {
		passed := stranger.End()
		log := next(t, stranger.History, 9)
		snapshot := nextSnapshot(t, stranger.History, 9).WithFollows(passed)
		for _, handle := range []checkpoint.Store{store, backend.Open(t)} {
			requireRefused(t, handle, log, chain, translog.ErrTaken)
			requireRefused(t, handle, snapshot, chain, translog.ErrTaken)
		}
	}
	chain = append(chain, saveNext(t, store, h, 1)...)
	requireChain(t, store, chain)
	requireRestored(t, store, h)
}

// Goal: a log that cannot stand where it says is refused: a chain with it would be broken.
// Method: a snapshot that ends where the chain does already, and logs that say that they
// continue another position than the one that they begin at.
func logThatFitsNowhereIsRefused(t *testing.T, backend Backend) {
	store, h := backend.Open(t), NewHistory(seed, 0)
	chain := saveNext(t, store, h, 2)
	fork := h.Fork()
	early := nextSnapshot(t, fork, 1)
	chain = append(chain, save(t, store, next(t, h, 5)))
	log := next(t, h, 5)
	wrong := translog.Position{FrameNo: chain[2].Last(), Checksum: chain[2].End().Checksum ^ 1}
	for _, misfit := range []*translog.Log{
		early.WithFollows(chain[2].End()),
		log.WithFollows(translog.Position{}),
		log.WithFollows(chain[0].End()),
		log.WithFollows(chain[1].End()),
		log.WithFollows(wrong),
	} {
		requireRefused(t, store, misfit, chain)
	}
	requireChain(t, store, append(chain, save(t, store, log)))
}
