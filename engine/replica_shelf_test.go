//go:build cgo

package engine

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/dbtest"
)

// shelf is what a primary has saved, from its first log to the one that holds everything.
type shelf struct {
	folder   string // of the logs, as files whose names are in order
	path     string // of the primary's file, which is closed
	pageSize int
	logs     []*translog.Log
	counts   map[translog.Position]int64 // what the table c holds at the end of each log
}

// shelfSteps are what a primary does between two logs, besides growing: updates, and shrinking by
// two ways.
var shelfSteps = map[byte][]string{
	'g': nil,
	'u': {"UPDATE t SET y = y + 1, x = randomblob(length(x)) WHERE id % 7 = 0"},
	's': {"DELETE FROM t WHERE id % 3 <> 0", "PRAGMA incremental_vacuum"},
	'v': {"DELETE FROM t WHERE id % 4 = 0", "VACUUM"},
}

// makeShelf lets a primary do random steps.
func makeShelf(t *testing.T, pageSize, rounds int, random *rand.Rand) *shelf {
	t.Helper()
	steps := make([]byte, rounds)
	for i := range steps {
		steps[i] = "ggggggggusvu"[random.IntN(12)]
	}
	return shelfOf(t, pageSize, string(steps))
}

// shelfOf lets a primary do steps, each of which ends with a log, while its WAL is reset again and
// again. The table c counts the logs.
func shelfOf(t *testing.T, pageSize int, steps string) *shelf {
	t.Helper()
	s := &shelf{folder: t.TempDir(), pageSize: pageSize,
		path: filepath.Join(t.TempDir(), "app.db"), counts: map[translog.Position]int64{{}: 0}}
	db, err := openAt(t, s.path, Options{
		PageSize: pageSize, WALLimitFrames: 120, AutoVacuum: "incremental",
	})
	require.NoError(t, err)
	db.exec(t, "CREATE TABLE c(n INTEGER)")
	db.exec(t, "INSERT INTO c VALUES(0)")
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB, y INTEGER DEFAULT 0)")
	db.exec(t, "CREATE INDEX i ON t(y)")
	db.grow(t, 60)
	for i := range len(steps) {
		db.exec(t, "UPDATE c SET n = n + 1")
		db.grow(t, 1+i%6)
		for _, statement := range shelfSteps[steps[i]] {
			db.exec(t, statement)
		}
		db.checkpoint(t)
		s.counts[db.Saved()] = int64(i + 1)
	}
	s.logs = db.logs
	require.NoError(t, db.close())
	for i, log := range s.logs {
		require.NoError(t, log.WriteFile(filepath.Join(s.folder, shelfName(i)), 0o644))
	}
	return s
}

func shelfName(i int) string { return fmt.Sprintf("%06d.ltx", i) }

// end is where the last log leads.
func (s *shelf) end() translog.Position { return s.logs[len(s.logs)-1].End() }

// requireContent requires that a closed file is what the primary had at a position.
func (s *shelf) requireContent(t *testing.T, path string, at translog.Position) {
	t.Helper()
	count, known := s.counts[at]
	require.True(t, known, "%v is not the end of a log", at)
	require.NoFileExists(t, path+"-wal")
	if at.IsZero() {
		return
	}
	require.Equal(t, at.Checksum, fileChecksum(t, path), "checksum of the file at %v", at)
	db := openPlain(t, path, "immutable=1")
	var found int64
	require.NoError(t, db.QueryRow("SELECT n FROM c").Scan(&found))
	require.Equal(t, count, found, "counter at %v", at)
	requireIntegrity(t, path)
}

// requireIntegrity checks a closed file that has no WAL.
func requireIntegrity(t *testing.T, path string) {
	t.Helper()
	dbtest.RequireSound(t, path)
}

// fileChecksum reads a closed file, which must have no WAL and be too small for a lock page.
func fileChecksum(t *testing.T, path string) translog.Checksum {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	size := int(binary.BigEndian.Uint16(content[16:]))
	if size == 1 {
		size = 65536
	}
	require.Zero(t, len(content)%size)
	total := translog.EmptyChecksum
	for i := range len(content) / size {
		sum := translog.PageSum(translog.PageNo(i+1), content[i*size:(i+1)*size])
		total = total.Replace(0, sum)
	}
	return total
}

// requireSameBytes compares two closed files.
func requireSameBytes(t *testing.T, want, got string) {
	t.Helper()
	dbtest.RequireSame(t, want, got)
}

// copyDatabase copies a database that nobody in this process has open, with its WAL and its
// sidecar but without the wal-index, and returns the path of the copy.
func copyDatabase(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to+suffix, content, 0o644))
	}
	require.NoError(t, os.CopyFS(to+sidecarSuffix, os.DirFS(path+sidecarSuffix)))
	return to
}

// openReplicaAt opens a replica, a new one where there is none.
func openReplicaAt(t *testing.T, path string, options Options) *opened {
	t.Helper()
	options.Role = RoleReplica
	// A process that another test starts at this moment has the lock until it is a program.
	options.LockTimeout = time.Minute
	o, err := openAt(t, path, options)
	require.NoError(t, err)
	return o
}

// replicate applies logs, and requires that each leads to its end.
func (o *opened) replicate(t *testing.T, logs ...*translog.Log) {
	t.Helper()
	for _, log := range logs {
		require.NoError(t, o.Replicate(t.Context(), log), log)
		require.Equal(t, log.End(), o.at(t))
	}
}

// at is the position of a replica.
func (o *opened) at(t *testing.T) translog.Position {
	t.Helper()
	at, err := o.Position(t.Context())
	require.NoError(t, err)
	return at
}

// read returns the first row of a query on the database's session, in one line.
func (o *opened) read(t *testing.T, query string) string {
	t.Helper()
	line, err := firstRow(o.session.SQLite().Query(query, nil))
	require.NoError(t, err, query)
	return line
}

// A process of this test binary that does what it is told, one line each way.
type process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	output  *bufio.Scanner
	said    []string
}

// startProcess runs one test of this binary, which finds its job under the given name.
func startProcess(t *testing.T, test, name string, job any) *process {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	p := &process{command: exec.Command(os.Args[0], "-test.run=^"+test+"$")}
	p.command.Env = append(os.Environ(), name+"="+string(text))
	p.command.Stderr = os.Stderr
	p.stdin, err = p.command.StdinPipe()
	require.NoError(t, err)
	output, err := p.command.StdoutPipe()
	require.NoError(t, err)
	p.output = bufio.NewScanner(output)
	require.NoError(t, p.command.Start())
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	})
	return p
}

// line is the next line that the process prints, false at its end.
func (p *process) line() (string, bool) {
	if !p.output.Scan() {
		return "", false
	}
	p.said = append(p.said, p.output.Text())
	return p.output.Text(), true
}

// kill ends the process with SIGKILL.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Kill())
	require.Error(t, p.command.Wait(), strings.Join(p.said, "\n"))
}
