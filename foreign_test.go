//go:build cgo

package mylibsql_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// A foreign process is this test binary again, with plain go-sqlite3 on the database. It works
// until its standard input ends.
const (
	foreignEnv    = "MYLIBSQL_TEST_FOREIGN"     // path of the database
	foreignJobEnv = "MYLIBSQL_TEST_FOREIGN_JOB" // one of the jobs

	foreignWrite      = "foreign writer"
	foreignCheckpoint = "foreign checkpointer"
)

// openForeign opens a plain go-sqlite3 pool, which knows nothing of the gate. A checkpointer does
// not wait: it keeps writers out while it waits for the guard to let go.
func openForeign(path, job string) (*sql.DB, error) {
	busyTimeoutMs := 20000
	if job == foreignCheckpoint {
		busyTimeoutMs = 0
	}
	return sql.Open("sqlite3", fmt.Sprintf("file:%s?_busy_timeout=%d", path, busyTimeoutMs))
}

// foreignRoundsMax bounds a job: left alone it would outgrow what is written and saved beside it.
const foreignRoundsMax = 1000

// truncateEvery is how many rounds of a checkpointer end in one TRUNCATE. That keeps writers
// out while it lasts, so nothing but TRUNCATE would leave them nothing.
const truncateEvery = 10

// foreignWork does a job until it is stopped. Its rounds race with the engine, so a busy database
// is no failure. begun is called after the first one.
func foreignWork(db *sql.DB, job string, stop <-chan struct{}, begun func()) {
	for n := range foreignRoundsMax {
		select {
		case <-stop:
			return
		default:
		}
		foreignRound(db, job, n)
		if n == 0 {
			begun()
		}
	}
	<-stop
}

func foreignRound(db *sql.DB, job string, n int) {
	if job == foreignWrite {
		_, _ = db.Exec("INSERT INTO t(x) VALUES('foreign ' || hex(randomblob(500)))")
		return
	}
	mode := "PASSIVE"
	if n%truncateEvery == 0 {
		mode = "TRUNCATE"
	}
	var busy, frames, copied int
	_ = db.QueryRow("PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &copied)
}

// workUntilStopped is the main function of the foreign process.
func workUntilStopped(path, job string) error {
	db, err := openForeign(path, job)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	foreignWork(db, job, stop, func() { fmt.Println("works") })
	return db.Close()
}

type foreignProcess struct {
	command *exec.Cmd
	stdin   io.Closer
}

// startForeign returns when the process has done its first round.
func startForeign(t *testing.T, path, job string) *foreignProcess {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(executable)
	command.Env = append(os.Environ(), foreignEnv+"="+path, foreignJobEnv+"="+job)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "works\n", line)
	return &foreignProcess{command, stdin}
}

func (p *foreignProcess) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.stdin.Close())
	require.NoError(t, p.command.Wait())
}
