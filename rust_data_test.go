//go:build cgo

package mylibsql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/engine/framelog"
)

// crateFile returns the path of a file that the Rust crate wrote, and skips where there is none.
func crateFile(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "shared", "data", "rust-mylibsql", name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the files of the Rust crate are not here: ", path)
	}
	return path
}

// crateHistory returns the crate's 0.db as a snapshot and its 1.log as the log behind it.
func crateHistory(t *testing.T) (*mylibsql.Snapshot, *mylibsql.Log) {
	t.Helper()
	snapshot, err := framelog.ImportSnapshot(crateFile(t, "0.db"), framelog.ConvertOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, snapshot.Close()) })
	sums, err := framelog.ReadSums(snapshot)
	require.NoError(t, err)
	frames, err := framelog.Open(crateFile(t, "1.log"))
	require.NoError(t, err)
	defer func() { require.NoError(t, frames.Close()) }()
	log, err := frames.Convert(sums.Base(), 0, framelog.ConvertOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return snapshot, log
}

// rowsOfScripts runs SQL files of the crate in plain go-sqlite3 and returns what they leave.
func rowsOfScripts(t *testing.T, names ...string) []string {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(t.TempDir(), "plain.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, name := range names {
		script, err := os.ReadFile(crateFile(t, name))
		require.NoError(t, err)
		_, err = db.Exec(string(script))
		require.NoError(t, err, name)
	}
	return rowsOfAllTables(t, db)
}

// rowsOfAllTables returns the schema and every row of every table, types included.
func rowsOfAllTables(t *testing.T, db *sql.DB) []string {
	t.Helper()
	all := rowsOf(t, db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
	tables, err := db.Query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
	require.NoError(t, err)
	var names []string
	for tables.Next() {
		var name string
		require.NoError(t, tables.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, errors.Join(tables.Err(), tables.Close()))
	for _, name := range names {
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		for _, row := range rowsOf(t, db, "SELECT rowid, * FROM "+quoted+" ORDER BY rowid") {
			all = append(all, name+": "+row)
		}
	}
	return all
}

func rowsOf(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		require.NoError(t, rows.Scan(pointers...))
		all = append(all, fmt.Sprintf("%#v", values))
	}
	require.NoError(t, rows.Err())
	return all
}

// TestCrateFilesOpenAsPrimaryAndReplica opens what the Rust crate wrote, its snapshot with its log,
// as a primary, as a replica, and as a replica that takes the log later. Each shows the rows that
// the crate's SQL leaves in plain SQLite. Then the primary goes on from the crate's position, and
// both replicas follow, to the same file.
func TestCrateFilesOpenAsPrimaryAndReplica(t *testing.T) {
	folder := t.TempDir()
	snapshot, log := crateHistory(t)
	before, after := rowsOfScripts(t, "0.sql"), rowsOfScripts(t, "0.sql", "1.sql")
	require.NotEqual(t, before, after)

	primary := openPrimary(t, filepath.Join(folder, "primary.db"), snapshot, log)
	require.Equal(t, after, rowsOfAllTables(t, primary.DB))

	replicas := make([]*replica, 2)
	for i, logs := range [][]*mylibsql.Log{{log}, nil} {
		path := filepath.Join(folder, fmt.Sprint("replica", i, ".db"))
		replicas[i] = openReplicaOf(t, path, snapshot, logs...)
	}
	require.Equal(t, after, rowsOfAllTables(t, replicas[0].DB))
	require.Equal(t, before, rowsOfAllTables(t, replicas[1].DB))
	replicas[1].take(t, log)
	require.Equal(t, after, rowsOfAllTables(t, replicas[1].DB))

	require.Equal(t, log.Last(), primary.lib.Stats().Saved)
	primary.exec(t, "UPDATE COMPANY SET SALARY = SALARY + 1 WHERE ID = 1")
	primary.checkpoint(t)
	next := primary.saved.logs[len(primary.saved.logs)-1]
	require.Equal(t, log.End(), next.Follows())
	require.Equal(t, log.Last()+1, next.First())
	want := rowsOfAllTables(t, primary.DB)
	require.NotEqual(t, after, want)
	require.NoError(t, primary.DB.Close())
	for _, r := range replicas {
		_, err := r.Exec("DELETE FROM COMPANY")
		require.ErrorIs(t, err, mylibsql.ErrReadOnly)
		r.take(t, next)
		require.Equal(t, want, rowsOfAllTables(t, r.DB))
		require.NoError(t, r.DB.Close())
		requireSound(t, r.path)
		requireSameFile(t, primary.path, r.path)
	}
}
