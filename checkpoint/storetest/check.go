package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// seed is that of every history of the suite. One is as good as another.
const seed = 1

// made passes on a log that History has made, and closes it at the end.
func made(t *testing.T, log *translog.Log, err error) *translog.Log {
	t.Helper()
	require.NoError(t, err, "make a log")
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// next makes the next log of a history.
func next(t *testing.T, h *History, positions translog.FrameNo) *translog.Log {
	t.Helper()
	log, err := h.Log(positions)
	return made(t, log, err)
}

// nextSnapshot makes the next log, as a snapshot.
func nextSnapshot(t *testing.T, h *History, positions translog.FrameNo) *translog.Log {
	t.Helper()
	log, err := h.Snapshot(positions)
	return made(t, log, err)
}

// save saves a log that must be accepted.
func save(t *testing.T, store checkpoint.Store, log *translog.Log) *translog.Log {
	t.Helper()
	require.NoError(t, store.Save(t.Context(), log), "save %v after %v", log, log.Follows())
	return log
}

// saveNext makes and saves that many logs of a few positions each.
func saveNext(t *testing.T, store checkpoint.Store, h *History, count int) []*translog.Log {
	t.Helper()
	var logs []*translog.Log
	for index := range count {
		logs = append(logs, save(t, store, next(t, h, translog.FrameNo(1+(index*3)%5))))
	}
	return logs
}

// saveAll lets each handle save its log at the same time, and returns their answers.
func saveAll(t *testing.T, stores []checkpoint.Store, logs []*translog.Log) []error {
	t.Helper()
	answers := make([]error, len(logs))
	start := make(chan struct{})
	var savers sync.WaitGroup
	for index, log := range logs {
		savers.Go(func() {
			<-start
			answers[index] = stores[index%len(stores)].Save(t.Context(), log)
		})
	}
	close(start)
	savers.Wait()
	return answers
}

// openAll opens that many handles on one store.
func openAll(t *testing.T, backend Backend, count int) []checkpoint.Store {
	t.Helper()
	var stores []checkpoint.Store
	for range count {
		stores = append(stores, backend.Open(t))
	}
	return stores
}

// list lists a store up to its end or an error, which must come as the contract says.
func list(
	t *testing.T, store checkpoint.Store, after translog.FrameNo,
) (records []checkpoint.Record, failure error) {
	t.Helper()
	for record, err := range store.Records(t.Context(), after) {
		require.NoError(t, failure, "a pair after the one with the error")
		if err != nil {
			require.Zero(t, record, "the record beside an error")
			failure = err
			continue
		}
		record.Timestamp = record.Timestamp.UTC() // The zone is nobody's business.
		records = append(records, record)
	}
	return records, failure
}

// records lists a store that must be sound.
func records(
	t *testing.T, store checkpoint.Store, after translog.FrameNo,
) []checkpoint.Record {
	t.Helper()
	listed, err := list(t, store, after)
	require.NoError(t, err, "list the records after %v", after)
	return listed
}

// recordAt lists a store that must be sound, and takes one record out.
func recordAt(t *testing.T, store checkpoint.Store, index int) checkpoint.Record {
	t.Helper()
	listed := records(t, store, 0)
	require.Greater(t, len(listed), index, "the listing is too short")
	return listed[index]
}

// recordsOf is what a listing must say of logs.
func recordsOf(logs []*translog.Log) []checkpoint.Record {
	var wanted []checkpoint.Record
	for _, log := range logs {
		wanted = append(wanted, checkpoint.Record{
			Follows: log.Follows(), First: log.First(), Last: log.Last(), End: log.End(),
			Size: log.Size(), Timestamp: log.Timestamp(), NodeID: log.NodeID(),
		})
	}
	return wanted
}

// requireChain checks that the store holds these logs and no other, bytes included.
func requireChain(t *testing.T, store checkpoint.Store, logs []*translog.Log) {
	t.Helper()
	listed := records(t, store, 0)
	require.Equal(t, recordsOf(logs), listed)
	for index, record := range listed {
		requireOpened(t, store, record, logs[index])
	}
}

// requireOpened checks that a record's log is the wanted one.
func requireOpened(
	t *testing.T, store checkpoint.Store, record checkpoint.Record, want *translog.Log,
) {
	t.Helper()
	log, err := store.Open(t.Context(), record)
	require.NoError(t, err, "open %v", want)
	require.Equal(t, want.Follows(), log.Follows(), "the position that the opened log continues")
	require.Equal(t, want.End(), log.End(), "the end of the opened log")
	require.NoError(t, log.Verify(), "verify the opened log")
	require.True(t, sameBytes(t, want, log), "the opened log has other bytes than the saved one")
	require.NoError(t, log.Close())
}

// sameBytes compares two logs. A test does not print megabytes that differ.
func sameBytes(t *testing.T, one, other *translog.Log) bool {
	t.Helper()
	return string(bytesOf(t, one)) == string(bytesOf(t, other))
}

func bytesOf(t *testing.T, log *translog.Log) []byte {
	t.Helper()
	content := make([]byte, log.Size())
	_, err := log.Reader().ReadAt(content, 0)
	require.NoError(t, err, "read %v", log)
	return content
}

// requireRestored checks that a restore gives the database of a history.
func requireRestored(t *testing.T, store checkpoint.Store, h *History) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	end, err := checkpoint.Restore(t.Context(), store, path)
	require.NoError(t, err, "restore")
	require.Equal(t, h.End(), end, "the end of the restored database")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, string(h.Bytes()) == string(content), "the restored database has other bytes")
}

// requireRefused checks that a log was refused by one of these errors, and that the store
// holds what it held.
func requireRefused(
	t *testing.T, store checkpoint.Store, log *translog.Log, held []*translog.Log,
	allowed ...error,
) {
	t.Helper()
	err := store.Save(t.Context(), log)
	require.Error(t, err, "save %v after %v", log, log.Follows())
	if len(allowed) > 0 {
		require.True(t, isAny(err, allowed), "save %v after %v: %v", log, log.Follows(), err)
	}
	require.Equal(t, recordsOf(held), records(t, store, 0))
}

func isAny(err error, allowed []error) bool {
	return slices.ContainsFunc(allowed, func(one error) bool { return errors.Is(err, one) })
}
