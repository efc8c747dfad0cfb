package storetest_test

import (
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint/storetest"
)

// flaws are the ways in which the imitation breaks the contract, each with a promise whose subtest
// must find it.
var flaws = map[string]string{
	"overwrites":                         "ExactlyOneLogWins",
	"looks before it writes":             "ExactlyOneLogWins",
	"names the loser":                    "ExactlyOneLogWins",
	"refuses the repeated save":          "RepeatedSaveIsSaved",
	"compares bytes":                     "SameLogInOtherBytesIsTheSame",
	"saves behind a gap":                 "LogBehindAGapIsRefused",
	"swaps have and want":                "LogBehindAGapIsRefused",
	"compares positions only":            "LogOfAnotherHistoryIsRefused",
	"takes what fits nowhere":            "LogThatFitsNowhereIsRefused",
	"keeps positions in 32 bits":         "PositionsMayBeFarApart",
	"has room for small logs only":       "LargeLogIsSaved",
	"ignores ended contexts":             "EndedContextIsItsError",
	"keeps torn logs":                    "TornLogLeavesNothing",
	"closes the log":                     "SaveNeitherClosesNorKeepsTheLog",
	"keeps the log":                      "SaveNeitherClosesNorKeepsTheLog",
	"lists from memory":                  "HandlesSeeEachOther",
	"begins behind the record":           "ListingBeginsAtThePosition",
	"forgets what a snapshot follows":    "OpenedLogIsTheSavedOne",
	"invents a time":                     "LogMayHaveNoTime",
	"has its own error for what is gone": "RecordThatIsGoneDoesNotExist",
	"overlooks gaps":                     "MissingRecordIsAGap",
	"overlooks damage":                   "DamagedRecordIsAFormatError",
	"overlooks forks":                    "ForkInTheChainIsAChecksumError",
	"trusts a damaged record":            "DamagedRecordIsNotTakenForALog",
	"forgets the floor":                  "PrunedPlaceIsNeverFreeAgain",
	"looks at the floor too early":       "SaveThatMeetsAPruneIsRefused",
	"prunes without a snapshot":          "PruningLeavesASnapshotAndTheRest",
	"prunes one record too many":         "PruningLeavesASnapshotAndTheRest",
}

const flawed = "MYLIBSQL_TEST_FLAW"

// Goal: the suite fits more than one kind of store.
// Method: it runs on an imitation of object storage.
func TestObjectStorageKeepsTheContract(t *testing.T) {
	storetest.Run(t, memoryBackend(""))
}

// Goal: the suite finds each flaw, by the promise that is broken.
// Method: a child process checks that promise on every flawed store; its output names what failed.
func TestSuiteFindsEachFlaw(t *testing.T) {
	if os.Getenv(flawed) != "" {
		for flaw, promise := range flaws {
			t.Run(flaw, func(t *testing.T) {
				storetest.Run(t, func(t *testing.T) storetest.Backend {
					if path.Base(t.Name()) != promise {
						t.Skip("another promise")
					}
					return memoryBackend(flaw)(t)
				})
			})
		}
		return
	}
	child := exec.Command(
		os.Args[0], "-test.run=^TestSuiteFindsEachFlaw$", "-test.v", "-test.short",
		"-test.timeout=100s")
	child.Env = append(os.Environ(), flawed+"=1")
	output, err := child.CombinedOutput()
	require.Error(t, err, "the suite passes on stores that are broken")
	for flaw, promise := range flaws {
		subtest := t.Name() + "/" + strings.ReplaceAll(flaw, " ", "_") + "/" + promise
		found := strings.Contains(string(output), "--- FAIL: "+subtest+" ")
		require.True(t, found, "the suite does not find that a store %s", flaw)
	}
}
