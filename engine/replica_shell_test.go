//go:build cgo

package engine

import (
	"bufio"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// shellEnv makes the test binary a program that has a database open through go-sqlite3 alone.
const shellEnv = "MYLIBSQL_TEST_SHELL"

// shellWatch makes a shell repeat a query until it gets an empty line.
const shellWatch = "watch "

// shell is a foreign program: it runs one statement for each line that it gets.
type shell struct{ *process }

// openShell starts a foreign program on a database. It does not wait for locks.
func openShell(t *testing.T, path string) *shell {
	t.Helper()
	s := &shell{startProcess(t, "TestReplicaShellProcess", shellEnv, path)}
	require.Equal(t, "0", s.run(t, "SELECT 0"))
	return s
}

// run runs a statement and returns its first row, or what SQLite says against it.
func (s *shell) run(t *testing.T, statement string) string {
	t.Helper()
	s.send(t, statement)
	return s.answer(t)
}

func (s *shell) send(t *testing.T, statement string) {
	t.Helper()
	_, err := io.WriteString(s.stdin, statement+"\n")
	require.NoError(t, err)
}

func (s *shell) answer(t *testing.T) string {
	t.Helper()
	line, ok := s.line()
	require.True(t, ok, "the shell has ended: %s", strings.Join(s.said, "\n"))
	return line
}

// exec runs statements, which must succeed.
func (s *shell) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		require.NotContains(t, s.run(t, statement), "error", statement)
	}
}

// quit lets the shell close its connection.
func (s *shell) quit(t *testing.T) {
	t.Helper()
	require.NoError(t, s.stdin.Close())
	require.NoError(t, s.command.Wait())
}

// TestReplicaShellProcess is the foreign program; in an ordinary run it does nothing.
func TestReplicaShellProcess(t *testing.T) {
	var path string
	if json.Unmarshal([]byte(os.Getenv(shellEnv)), &path) != nil {
		t.Skip("the body of the programs that other tests run")
	}
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + path + "?_busy_timeout=0")
	require.NoError(t, err)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			lines <- input.Text()
		}
	}()
	for line := range lines {
		if query, ok := strings.CutPrefix(line, shellWatch); ok {
			fmt.Println("watching")
			fmt.Println(watch(conn.(*sqlite3.SQLiteConn), query, lines))
			continue
		}
		row, err := firstRow(conn.(*sqlite3.SQLiteConn).Query(line, nil))
		if err != nil {
			row = "error " + err.Error()
		}
		fmt.Println(row)
	}
	require.NoError(t, conn.Close())
}

// watch repeats a query until the next line. Its rows are a number that never falls, then values
// that are equal.
func watch(conn *sqlite3.SQLiteConn, query string, stop <-chan string) string {
	var reads, steps, last int64
	for {
		select {
		case <-stop:
			return fmt.Sprintf("%d reads, %d steps", reads, steps)
		default:
		}
		row, err := firstRow(conn.Query(query, nil))
		if err != nil {
			return "error " + err.Error()
		}
		values := strings.Split(row, "|")
		var number int64
		if _, err := fmt.Sscan(values[0], &number); err != nil {
			return "error " + err.Error()
		}
		for _, value := range values[2:] {
			if value != values[1] {
				return "torn read: " + row
			}
		}
		if number < last {
			return fmt.Sprintf("step back from %d to %s", last, row)
		}
		if number > last {
			steps++
		}
		last = number
		reads++
	}
}

// firstRow runs a query to its end, and returns its first row in one line.
func firstRow(rows driver.Rows, err error) (line string, _ error) {
	if err != nil {
		return "", err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for first := true; ; first = false {
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return line, rows.Close()
		}
		if err != nil {
			return "", errors.Join(err, rows.Close())
		}
		for i, value := range row {
			if text, ok := value.([]byte); ok {
				value = string(text)
			}
			if first && i > 0 {
				line += "|"
			}
			if first {
				line += fmt.Sprint(value)
			}
		}
	}
}
