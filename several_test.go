//go:build cgo

package mylibsql_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeveralStatementsThatReturnRows runs texts that are taken apart because of RETURNING, beside
// plain go-sqlite3: same rows, same results, same errors, arguments by place and by name.
func TestSeveralStatementsThatReturnRows(t *testing.T) {
	ours := openDatabase(t, "")
	plain, err := sql.Open("sqlite3", "file:"+t.TempDir()+"/plain.db")
	require.NoError(t, err)
	plain.SetMaxOpenConns(1)
	defer func() { require.NoError(t, plain.Close()) }()
	const insert = "INSERT INTO t(x) VALUES(?) RETURNING id; "
	for _, row := range []struct {
		query string
		args  []any
	}{
		{"CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)", nil},
		{insert + insert, []any{1, 2}},
		{insert + "SELECT x + ? FROM t", []any{3, 10}},
		{insert + insert, []any{4}},
		{"INSERT INTO t(x) VALUES(5); " + insert, []any{5}},
		{insert + "SELECT ';' -- RETURNING\n", []any{6}},
		{insert + "nonsense", []any{7}},
		{"BEGIN; " + insert + "COMMIT", []any{8}},
		{"INSERT INTO t(x) VALUES(:a) RETURNING id; UPDATE t SET x = :b + 1 WHERE x = :b",
			[]any{sql.Named("a", 90), sql.Named("b", 90)}},
	} {
		want, wantErr := plain.Exec(row.query, row.args...)
		got, gotErr := ours.Exec(row.query, row.args...)
		require.Equal(t, wantErr == nil, gotErr == nil, "%s: %v, %v", row.query, wantErr, gotErr)
		if wantErr != nil {
			require.Equal(t, wantErr.Error(), gotErr.Error(), row.query)
			continue
		}
		for _, result := range []func(sql.Result) (int64, error){
			sql.Result.LastInsertId, sql.Result.RowsAffected,
		} {
			wanted, _ := result(want)
			found, _ := result(got)
			require.Equal(t, wanted, found, row.query)
		}
		require.Equal(t, all(t, plain), all(t, ours.DB), row.query)
	}
	rows, err := ours.Query("INSERT INTO t(x) VALUES(?) RETURNING id; SELECT x FROM t WHERE x > ?",
		100, 50)
	require.NoError(t, err)
	var found []int
	for rows.Next() {
		var x int
		require.NoError(t, rows.Scan(&x))
		found = append(found, x)
	}
	require.NoError(t, rows.Close())
	require.Equal(t, []int{91, 100}, found)
}

// all reads the whole table.
func all(t *testing.T, db *sql.DB) (values []string) {
	t.Helper()
	rows, err := db.Query("SELECT id || ' ' || x FROM t ORDER BY id")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var value string
		require.NoError(t, rows.Scan(&value))
		values = append(values, value)
	}
	return values
}
