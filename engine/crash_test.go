//go:build cgo

package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// crashEnv makes the test binary a process that is killed: the folder to work in and, after
// a colon, what to do there, one letter a step.
const crashEnv = "MYLIBSQL_TEST_CRASH"

// crashSteps are what the process can do before it is killed.
var crashSteps = map[rune]func(o *opened, folder string) error{
	// w commits some rows: existing pages change, new ones come.
	'w': func(o *opened, _ string) error {
		for range 20 {
			err := o.run("INSERT INTO t(x) VALUES(randomblob(900))")
			if err == nil {
				err = o.run("UPDATE t SET x = randomblob(900) WHERE id % 7 = 0")
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
	// a commits a row, which a live stream acknowledges.
	'a': func(o *opened, _ string) error {
		frames, err := o.Frames(context.Background(), translog.Position{})
		if err != nil {
			return err
		}
		if err := o.run("INSERT INTO t(x) VALUES(randomblob(20000))"); err != nil {
			return err
		}
		batch, err := frames.Next(context.Background())
		if err != nil {
			return err
		}
		return frames.AckReplicated(batch.End.FrameNo)
	},
	// s saves everything into the folder's logs.
	's': func(o *opened, folder string) error {
		_, err := o.Checkpoint(context.Background(), saveInto(folder))
		return err
	},
	// f offers everything to a save that fails.
	'f': func(o *opened, _ string) error {
		refused := errors.New("refused")
		save := func(context.Context, *translog.Log) error { return refused }
		if _, err := o.Checkpoint(context.Background(), save); !errors.Is(err, refused) {
			return fmt.Errorf("checkpoint: %w", err)
		}
		return nil
	},
	// r resets the WAL.
	'r': func(o *opened, _ string) error {
		result, err := o.Reset(context.Background())
		if err == nil && result.Busy {
			err = errors.New("reset is busy")
		}
		return err
	},
	// c keeps a copy of the database file, by another process: a copy made in this one would
	// drop SQLite's locks.
	'c': func(o *opened, folder string) error {
		return exec.Command("cp", o.path, filepath.Join(folder, "older.db")).Run()
	},
}

// saveInto writes logs into a folder under their ordinary names.
func saveInto(folder string) Save {
	return func(_ context.Context, log *translog.Log) error {
		logs := filepath.Join(folder, "logs")
		if err := os.MkdirAll(logs, 0o755); err != nil {
			return err
		}
		name := fmt.Sprintf("%016x-%s", uint64(log.Last()), log.Name())
		return log.WriteFile(filepath.Join(logs, name), 0o644)
	}
}

// TestCrashProcess is the process that is killed; in an ordinary run it does nothing.
func TestCrashProcess(t *testing.T) {
	folder, steps, ok := strings.Cut(os.Getenv(crashEnv), ":")
	if !ok {
		t.Skip("the body of the processes that other tests kill")
	}
	db, err := openAt(t, filepath.Join(folder, "app.db"), Options{PageSize: 1024})
	require.NoError(t, err)
	db.exec(t, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
	for _, step := range steps {
		require.NoError(t, crashSteps[step](db, folder), "step %c", step)
	}
	fmt.Printf("done %d\n", db.Committed())
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// crashed is what a killed process left behind, which nobody has open.
type crashed struct {
	folder    string
	path      string
	committed translog.FrameNo
}

// crash lets a process do its steps in a folder and kills it with SIGKILL.
func crash(t *testing.T, folder, steps string) crashed {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestCrashProcess$", "-test.v")
	command.Env = append(os.Environ(), crashEnv+"="+folder+":"+steps)
	_, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	c := crashed{folder: folder, path: filepath.Join(folder, "app.db")}
	var said []string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		said = append(said, lines.Text())
		if n, _ := fmt.Sscanf(lines.Text(), "done %d", &c.committed); n == 1 {
			break
		}
	}
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	require.NotZero(t, c.committed, strings.Join(said, "\n"))
	return c
}

// logs opens what was saved, in the order of saving.
func (c crashed) logs(t *testing.T) (logs []*translog.Log) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.folder, "logs", "*"))
	require.NoError(t, err)
	slices.Sort(names)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		log, err := translog.ReadLog(bytes.NewReader(content), c.folder)
		require.NoError(t, err)
		if log.IsSnapshot() && len(logs) > 0 {
			log = log.WithFollows(logs[len(logs)-1].End())
		}
		logs = append(logs, log)
	}
	return logs
}

// sidecar is the path of something in the sidecar folder.
func (c crashed) sidecar(names ...string) string {
	return filepath.Join(append([]string{c.path + "-mylibsql"}, names...)...)
}

// outbox lists the logs of the outbox, oldest first.
func (c crashed) outbox(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(c.sidecar("outbox", "*"))
	require.NoError(t, err)
	slices.Sort(names)
	return names
}

// foreign runs statements through go-sqlite3 alone, on one connection.
func (c crashed) foreign(t *testing.T, statements ...string) {
	t.Helper()
	db := openPlain(t, c.path, "")
	for _, statement := range statements {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, db.Close())
}
