//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// childEnv makes TestChildOpens open the named database; the test binary runs itself with it.
const childEnv = "MYLIBSQL_TEST_CHILD_OPENS"

// TestChildOpens is what the child processes of the tests below run.
func TestChildOpens(t *testing.T) {
	name := os.Getenv(childEnv)
	if name == "" {
		t.Skip("runs in a child process only")
	}
	db, err := sql.Open("mylibsql", name)
	require.NoError(t, err)
	var n int
	err = db.QueryRow("SELECT count(*) FROM t").Scan(&n)
	var inUse *mylibsql.InUseError
	if errors.As(err, &inUse) {
		require.ErrorIs(t, err, mylibsql.ErrInUse)
		fmt.Println("in use by", inUse.PID)
	} else {
		require.NoError(t, err)
		fmt.Println("rows", n)
	}
	require.NoError(t, db.Close())
}

func childOpens(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChildOpens$", "-test.v")
	command.Env = append(os.Environ(), childEnv+"="+name)
	return command
}

func outputOfChild(t *testing.T, name string) string {
	t.Helper()
	output, err := childOpens(t, name).CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

// TestSecondProcess: another process gets ErrInUse with our pid, a plain reader there is not
// stopped, and one that waits gets in when we are done.
func TestSecondProcess(t *testing.T) {
	db := openTable(t, "")
	require.Contains(t, outputOfChild(t, db.path), fmt.Sprintf("in use by %d\n", os.Getpid()))
	require.Contains(t, outputOfChild(t, "file:"+db.path+"?mode=ro"), "rows 1\n")
	db.exec(t, "INSERT INTO t(x) VALUES('second')")
	require.Contains(t, outputOfChild(t, db.path+"?_lock_timeout=50"), "in use by")
	waiting := childOpens(t, db.path+"?_lock_timeout=1m")
	var output strings.Builder
	waiting.Stdout, waiting.Stderr = &output, &output
	require.NoError(t, waiting.Start())
	require.NoError(t, db.DB.Close())
	require.NoError(t, waiting.Wait(), output.String())
	require.Contains(t, output.String(), "rows 2\n")
}

// namesIn lists a folder.
func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestNotADatabase: SQLite's own error, the file as it was, and nothing beside it.
func TestNotADatabase(t *testing.T) {
	for name, content := range map[string]string{
		"text":   strings.Repeat("This is a letter and no database.\n", 200),
		"short":  "short",
		"header": "SQLite format 3\x00" + strings.Repeat("\xff", 4080),
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "letter.db")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			requireNoDescriptorLeft(t, func() {
				db, err := sql.Open("mylibsql", path)
				require.NoError(t, err)
				err = db.Ping()
				require.Contains(t, []sqlite3.ErrNo{sqlite3.ErrNotADB, sqlite3.ErrCorrupt},
					sqliteCode(err), "%v", err)
				_, err = mylibsql.From(context.Background(), db)
				require.Error(t, err)
				require.NoError(t, db.Close())
			})
			require.Equal(t, []string{"letter.db"}, namesIn(t, folder))
			now, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, content, string(now))
		})
	}
}

// requireNoDescriptorLeft runs something twice, for the first time may open what stays.
func requireNoDescriptorLeft(t *testing.T, use func()) {
	t.Helper()
	use()
	before := descriptors(t)
	use()
	require.LessOrEqual(t, descriptors(t), before)
}

// TestFolderThatCannotBeUsed opens below a missing folder, in one without permission, a folder
// itself, and a file that must exist.
func TestFolderThatCannotBeUsed(t *testing.T) {
	folder := t.TempDir()
	fails := func(name string) (err error) {
		t.Helper()
		requireNoDescriptorLeft(t, func() {
			err = tryOpen(t, name)
			require.Error(t, err, name)
		})
		return err
	}
	require.ErrorIs(t, fails(filepath.Join(folder, "missing", "app.db")), fs.ErrNotExist)
	require.ErrorIs(t, fails("file:"+filepath.Join(folder, "app.db")+"?mode=rw"), fs.ErrNotExist)
	require.ErrorContains(t, fails(folder), "is a directory")
	require.Empty(t, namesIn(t, folder))

	closed := filepath.Join(folder, "closed")
	require.NoError(t, os.Mkdir(closed, 0o500))
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	require.ErrorIs(t, fails(filepath.Join(closed, "app.db")), fs.ErrPermission)
	require.Empty(t, namesIn(t, closed))
}

// TestReadOnlyFolderWithDatabase: a database in a folder where no sidecar can be made.
func TestReadOnlyFolderWithDatabase(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "app.db")
	plain, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	_, err = plain.Exec("CREATE TABLE t(x)")
	require.NoError(t, err)
	require.NoError(t, plain.Close())
	require.NoError(t, os.Chmod(folder, 0o500))
	defer func() { require.NoError(t, os.Chmod(folder, 0o700)) }()
	require.ErrorIs(t, tryOpen(t, path), fs.ErrPermission)
	require.Equal(t, []string{"app.db"}, namesIn(t, folder))
}

// TestPlainReader opens a database that has no engine with mode=ro: it reads, it cannot
// write, and it makes neither lock nor sidecar. Beside a primary it sees what is committed.
func TestPlainReader(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "app.db")
	plain, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	_, err = plain.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	require.NoError(t, err)
	require.NoError(t, plain.Close())

	reader := openPool(t, "mylibsql", "file:"+path+"?mode=ro")
	requireReader(t, reader, 1)
	require.Equal(t, []string{"app.db"}, namesIn(t, folder))

	db := openDatabaseAt(t, path, "")
	db.exec(t, "INSERT INTO t VALUES(2)")
	requireReader(t, reader, 2)
	require.NoError(t, reader.Close())
}

func requireReader(t *testing.T, reader *sql.DB, rows int) {
	t.Helper()
	var n int
	require.NoError(t, reader.QueryRow("SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, rows, n)
	_, err := reader.Exec("INSERT INTO t VALUES(9)")
	require.Equal(t, sqlite3.ErrReadonly, sqliteCode(err))
	_, err = mylibsql.From(context.Background(), reader)
	require.ErrorIs(t, err, mylibsql.ErrNoEngine)
	tx, err := reader.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM t").Scan(&n))
	require.NoError(t, tx.Commit())
	conn, err := reader.Conn(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.Raw(func(raw any) error {
		c := raw.(*mylibsql.Conn)
		require.NotNil(t, c.SQLite())
		require.Zero(t, c.Stats())
		_, err := c.WriteSnapshot(context.Background(), nil)
		require.ErrorIs(t, err, mylibsql.ErrNoEngine)
		return nil
	}))
}
