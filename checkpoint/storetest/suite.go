package storetest

import (
	"testing"

	"github.com/mylibsql/mylibsql/checkpoint"
)

// Backend is one store as seen from outside: a folder, a prefix in a bucket, a table. It
// belongs to one subtest and is empty at first.
type Backend struct {
	// Open opens a handle on the store, such as another process would have: handles must
	// not share memory, or the suite would not see that a store relies on what it
	// remembers. It is called from the subtest's own goroutine, several times, before the
	// first log is saved too. What it opens it closes by t.Cleanup, and when it cannot, it
	// fails t.
	Open func(t *testing.T) checkpoint.Store

	// Remove takes a record's log away behind the store's back, as a mistaken cleaning job
	// would, without a trace. Nil leaves out the subtests that need it.
	Remove func(t *testing.T, record checkpoint.Record)

	// Replace puts other bytes where a record's log is kept, as a damaged disk or a
	// mistaken copy would. Nil leaves out the subtests that need it.
	Replace func(t *testing.T, record checkpoint.Record, content []byte)
}

// Run checks every promise of [checkpoint.Store], each in a subtest with a Backend of its
// own. The subtests run one after the other; savers inside them run at the same time.
// newBackend fails its t when it cannot make a store, and removes by t.Cleanup what it
// made.
//
// Where the contract leaves something open, the suite asks for what users of stores rely on:
//
//   - a Save, a listing or an Open whose context has ended before the call returns an error
//     that matches the context's;
//   - a log comes back with the bytes that were saved first;
//   - Have of a [*translog.GapError] is where the chain ends, from where a promoted replica
//     goes on;
//   - a log that could not stand where it says is refused, by whatever error;
//   - a damaged record is neither confirmed as the log that it was nor called taken;
//   - nor is one taken for another log when the next log comes to continue it;
//   - a pruned store restores to the same bytes as before.
func Run(t *testing.T, newBackend func(t *testing.T) Backend) {
	for _, promise := range promises {
		t.Run(promise.name, func(t *testing.T) { promise.check(t, newBackend(t)) })
	}
}

// promises is the suite, in the order in which an author meets them.
var promises = []struct {
	name  string
	check func(t *testing.T, backend Backend)
}{
	{"EmptyStoreHasNothing", emptyStoreHasNothing},
	{"SavedLogsAreListedInOrder", savedLogsAreListedInOrder},
	{"ListingBeginsAtThePosition", listingBeginsAtThePosition},
	{"OpenedLogIsTheSavedOne", openedLogIsTheSavedOne},
	{"SaveNeitherClosesNorKeepsTheLog", saveNeitherClosesNorKeepsTheLog},
	{"HandlesSeeEachOther", handlesSeeEachOther},
	{"ListingWhileOthersSaveHasNoGap", listingWhileOthersSaveHasNoGap},
	{"ListingCanBeLeft", listingCanBeLeft},
	{"RestoreGivesTheBytes", restoreGivesTheBytes},
	{"LargeLogIsSaved", largeLogIsSaved},
	{"PositionsMayBeFarApart", positionsMayBeFarApart},
	{"LogMayHaveNoTime", logMayHaveNoTime},

	{"ExactlyOneLogWins", exactlyOneLogWins},
	{"OneLogSavedByManyIsSavedForAll", oneLogSavedByManyIsSavedForAll},
	{"RepeatedSaveIsSaved", repeatedSaveIsSaved},
	{"SameLogInOtherBytesIsTheSame", sameLogInOtherBytesIsTheSame},
	{"LateSaveIsRefused", lateSaveIsRefused},
	{"LogBehindAGapIsRefused", logBehindAGapIsRefused},
	{"LogOfAnotherHistoryIsRefused", logOfAnotherHistoryIsRefused},
	{"LogThatFitsNowhereIsRefused", logThatFitsNowhereIsRefused},

	{"EndedContextIsItsError", endedContextIsItsError},
	{"SaveCutShortCanBeRepeated", saveCutShortCanBeRepeated},
	{"TornLogLeavesNothing", tornLogLeavesNothing},

	{"PruningLeavesASnapshotAndTheRest", pruningLeavesASnapshotAndTheRest},
	{"PruningAgainGoesOn", pruningAgainGoesOn},
	{"PrunedPlaceIsNeverFreeAgain", prunedPlaceIsNeverFreeAgain},
	{"SaveThatMeetsAPruneIsRefused", saveThatMeetsAPruneIsRefused},
	{"RestoreBesideAPruneIsWhole", restoreBesideAPruneIsWhole},

	{"RecordThatIsGoneDoesNotExist", recordThatIsGoneDoesNotExist},
	{"MissingRecordIsAGap", missingRecordIsAGap},
	{"DamagedRecordIsAFormatError", damagedRecordIsAFormatError},
	{"ForkInTheChainIsAChecksumError", forkInTheChainIsAChecksumError},
	{"DamagedRecordIsNotTakenForALog", damagedRecordIsNotTakenForALog},
}
