package dsn_test

import (
	"database/sql"
	"net/url"
	"os"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/dsn"
)

// Goal: Path is the file that go-sqlite3 opens for the same name, and the one that it opens for
// what SQLiteDSN hands down.
// Method: both are opened in an empty folder, and the folder is listed.
func TestPathIsTheFileThatSQLiteOpens(t *testing.T) {
	for _, name := range []string{
		"a.db", "a.db?_fk=1", "a#b%20c.db?_fk=1", "a b.db", "a+b&c=d.db", "file:a.db?_fk=1",
		"file:a%20b%23c%3Fd.db", "file:100%.db?_fk=1", "file:%zz%4.db", "file:a.db#x", "FILE:a.db",
		"file:caf%C3%A9.db", "file:a+b.db", "file:a&b=c.db?x=1",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dsn.Parse(name)
			require.NoError(t, err)
			require.False(t, c.Memory)
			require.Equal(t, []string{c.Path}, filesAfterOpening(t, name))
			require.Equal(t, []string{c.Path}, filesAfterOpening(t, c.SQLiteDSN(c.Path, nil)))
			require.Equal(t, []string{c.Path}, filesAfterOpening(t, c.String()))
		})
	}
	folder := t.TempDir()
	for _, path := range []string{folder + "/a.db", "/" + folder + "/b?c#d%41.db"} {
		c, err := dsn.Parse("file:" + url.PathEscape("x"))
		require.NoError(t, err)
		open(t, c.SQLiteDSN(path, nil))
		require.FileExists(t, path)
	}
}

// Goal: what Parse accepts, go-sqlite3 accepts.
// Method: every good row is opened through what it hands down.
func TestSQLiteTakesWhatIsHandedDown(t *testing.T) {
	for _, row := range goodRows {
		c, err := dsn.Parse(row.dsn)
		require.NoError(t, err)
		c.SQLite.Del("modeof") // names a file that is not there
		path := t.TempDir() + "/a.db"
		open(t, "file:"+path+"?mode=rwc")
		open(t, c.SQLiteDSN(path, nil))
	}
}

func filesAfterOpening(t *testing.T, name string) []string {
	t.Helper()
	folder := t.TempDir()
	t.Chdir(folder)
	open(t, name)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// open makes SQLite create the file; a reader only reads.
func open(t *testing.T, name string) {
	t.Helper()
	db, err := sql.Open("sqlite3", name)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var version int
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&version), name)
}
