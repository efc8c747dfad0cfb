//go:build cgo

package mylibsql_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/translog"
)

func asSnapshot(log *mylibsql.Log) (*mylibsql.Snapshot, error) { return translog.AsSnapshot(log) }

// snapshotOfFile makes a snapshot of a closed database file, ending at a position.
func snapshotOfFile(t *testing.T, path string, last mylibsql.FrameNo) *mylibsql.Snapshot {
	t.Helper()
	const pageSize = 4096
	image, err := os.ReadFile(path)
	require.NoError(t, err)
	builder, err := translog.NewBuilder(translog.Spec{First: 1, Last: last, PageSize: pageSize,
		Commit: uint32(len(image) / pageSize), Timestamp: time.Now()}, translog.BuildOptions{})
	require.NoError(t, err)
	total := translog.EmptyChecksum
	for i := range len(image) / pageSize {
		page, data := translog.PageNo(i+1), image[i*pageSize:(i+1)*pageSize]
		require.NoError(t, builder.WritePage(page, data))
		total = total.Replace(0, translog.PageSum(page, data))
	}
	log, err := builder.Finish(total)
	require.NoError(t, err)
	snapshot, err := asSnapshot(log)
	require.NoError(t, err)
	return snapshot
}

// TestOpenPrimaryOfARollbackJournalDatabase: such a snapshot, by another tool, says in its header
// that it is not in WAL mode. Opening changes that, and what is saved next restores.
func TestOpenPrimaryOfARollbackJournalDatabase(t *testing.T) {
	folder := t.TempDir()
	source := filepath.Join(folder, "source.db")
	plain, err := sql.Open("sqlite3", "file:"+source+"?_journal_mode=DELETE")
	require.NoError(t, err)
	_, err = plain.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	require.NoError(t, err)
	require.NoError(t, plain.Close())
	header, err := os.ReadFile(source)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 1}, header[18:20], "not a rollback-journal database")
	snapshot := snapshotOfFile(t, source, 5)

	db := openPrimary(t, filepath.Join(folder, "app.db"), snapshot)
	for range 3 {
		db.exec(t, "INSERT INTO t VALUES(2)")
		require.Greater(t, db.checkpoint(t), mylibsql.FrameNo(5))
	}
	require.Equal(t, 4, db.count(t, "t"))
}

// TestAutoVacuumOfANewFile: the parameter must come before the file has its first page.
func TestAutoVacuumOfANewFile(t *testing.T) {
	for params, want := range map[string]int{
		"": 0, "_auto_vacuum=none": 0, "_auto_vacuum=full": 1, "_auto_vacuum=1": 1,
		"_auto_vacuum=incremental": 2, "_vacuum=2": 2, "_auto_vacuum=2&_page_size=512": 2,
	} {
		db := openDatabase(t, params)
		db.exec(t, "CREATE TABLE t(x)")
		var got int
		require.NoError(t, db.QueryRow("PRAGMA auto_vacuum").Scan(&got))
		require.Equal(t, want, got, params)
		db.exec(t, "INSERT INTO t SELECT randomblob(50000)")
		db.checkpoint(t)
		db.exec(t, "DELETE FROM t")
		var free int
		require.NoError(t, db.QueryRow("PRAGMA freelist_count").Scan(&free))
		require.Equal(t, want != 1, free > 0, params)
	}
}
