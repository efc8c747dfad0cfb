package faultstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// openDirectory opens a store that the test may use.
func openDirectory(t *testing.T, root string) *checkpoint.Directory {
	t.Helper()
	directory, err := checkpoint.OpenDirectory(root)
	require.NoError(t, err)
	return directory
}

// newDirectory makes an empty store.
func newDirectory(t *testing.T) *checkpoint.Directory {
	t.Helper()
	return openDirectory(t, filepath.Join(t.TempDir(), "store"))
}

// runSuite runs the suite on directories behind faults.
func runSuite(t *testing.T, wrap func(checkpoint.Store) *faultstore.Store) {
	t.Helper()
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		root := filepath.Join(t.TempDir(), "store")
		return storetest.Backend{Open: func(t *testing.T) checkpoint.Store {
			return wrap(openDirectory(t, root))
		}}
	})
}

// Goal: without faults a wrapped store keeps the contract.
// Method: the suite, with an empty script.
func TestWithoutFaultsTheContractIsKept(t *testing.T) {
	runSuite(t, func(store checkpoint.Store) *faultstore.Store {
		return faultstore.Scripted(store, faultstore.Script{})
	})
}

// Goal: requests that are performed twice or take their time are within the contract.
// Method: the suite, with many of both.
func TestDuplicatesAndDelaysKeepTheContract(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite runs without faults already")
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	runSuite(t, func(store checkpoint.Store) *faultstore.Store {
		return faultstore.Seeded(store, seed, faultstore.Mix{
			Save:     faultstore.Odds{faultstore.Duplicate: 0.5, faultstore.Delay: 0.3},
			Records:  faultstore.Odds{faultstore.Delay: 0.1},
			Open:     faultstore.Odds{faultstore.Delay: 0.1},
			DelayMax: time.Millisecond,
		})
	})
}

// nextLog makes the next log of a history.
func nextLog(t *testing.T, h *storetest.History, positions translog.FrameNo) *translog.Log {
	t.Helper()
	log, err := h.Log(positions)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// ends lists where the records of a sound store end.
func ends(t *testing.T, store checkpoint.Store) []translog.Position {
	t.Helper()
	var all []translog.Position
	for record, err := range store.Records(t.Context(), 0) {
		require.NoError(t, err)
		all = append(all, record.End)
	}
	return all
}
