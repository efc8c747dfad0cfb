//go:build cgo

package mylibsql_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// fencingCounts is what happened, for people.
type fencingCounts struct {
	sequences, saves, fenced, behind, refused, lost, prunes, acked, rowsLost, forks int
}

func (c *fencingCounts) add(o fencingCounts) {
	c.sequences += o.sequences
	c.saves += o.saves
	c.fenced += o.fenced
	c.behind += o.behind
	c.refused += o.refused
	c.lost += o.lost
	c.prunes += o.prunes
	c.acked += o.acked
	c.rowsLost += o.rowsLost
	c.forks += o.forks
}

func (c fencingCounts) String() string {
	return fmt.Sprintf("%d sequences, %d saves, %d times fenced, %d times behind, "+
		"%d promotions refused, %d answers lost, %d prunes, %d rows acked, %d rows lost, %d forks",
		c.sequences, c.saves, c.fenced, c.behind, c.refused, c.lost, c.prunes, c.acked,
		c.rowsLost, c.forks)
}

var (
	errFencingFork = errors.New("fork")
	errFencingLost = errors.New("acked row lost")
)

// fencingUndone is added to the number of a row that is rolled back.
const fencingUndone = 1 << 20

// fencingTemplate is a folder with what every sequence begins with.
type fencingTemplate struct{ folder string }

// newFencingTemplate makes a store with two records, images of the primary that saved them, both
// running and closed, and a replica. Nobody here looks at what a power cut leaves, so it is
// in memory where there is such a place: each fsync costs milliseconds elsewhere.
func newFencingTemplate(t *testing.T) *fencingTemplate {
	t.Helper()
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = t.TempDir()
	}
	folder, err := os.MkdirTemp(parent, "mylibsql-fencing-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	original := filepath.Join(folder, "closed")
	require.NoError(t, os.Mkdir(original, 0o700))
	db := openDatabaseAt(t, filepath.Join(original, "app.db"), "")
	tables := []string{"t_A", "t_B", "t_C"}
	for _, table := range tables {
		db.exec(t, "CREATE TABLE "+table+"(id INTEGER PRIMARY KEY, content TEXT)")
	}
	db.saveAll(t, store)
	for _, table := range tables { // one row each, so that twins change the same bytes
		db.exec(t, "INSERT INTO "+table+" VALUES(0, 'from before')")
	}
	db.saveAll(t, store)
	// By another process: closing the files here would drop SQLite's locks.
	require.NoError(t, exec.Command("cp", "-a", original, filepath.Join(folder, "running")).Run())
	require.NoError(t, db.DB.Close())
	replica := filepath.Join(folder, "replica")
	require.NoError(t, os.Mkdir(replica, 0o700))
	require.NoError(t, restoreActor(store, filepath.Join(replica, "app.db"), true))
	return &fencingTemplate{folder}
}

// restoreActor makes a database of what a store has, and closes it.
func restoreActor(store checkpoint.Store, path string, replica bool) (err error) {
	ctx := context.Background()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var logs []*mylibsql.Log
	defer func() {
		for _, log := range logs {
			err = errors.Join(err, log.Close())
		}
	}()
	newest := 0
	for record, err := range store.Records(ctx, 0) {
		if err != nil {
			return err
		}
		log, err := store.Open(ctx, record)
		if err != nil {
			return err
		}
		if record.IsSnapshot() {
			newest = len(logs)
		}
		logs = append(logs, log)
	}
	snapshot, err := asSnapshot(logs[newest])
	if err != nil {
		return err
	}
	open := mylibsql.OpenPrimary
	if replica {
		open = mylibsql.OpenReplica
	}
	db, err := open(ctx, "file:"+path, snapshot, logs[newest+1:]...)
	if err != nil {
		return err
	}
	return db.Close()
}

// copyFolder copies files that nobody has open. Names of one file stay names of one file, as the
// store has them.
func copyFolder(from, to string) error {
	links := map[fs.FileInfo]string{}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(target, info.Mode().Perm())
		}
		for other, copied := range links {
			if os.SameFile(other, info) {
				return os.Link(copied, target)
			}
		}
		links[info] = target
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}

// fencingWorld is one sequence while it runs: the store and everybody who uses it.
type fencingWorld struct {
	template *fencingTemplate
	setting  fencingSetting
	folder   string
	actors   []*fencingActor // A, B, C
	rows     []*fencingRow
	logs     []fencingLog
	counts   fencingCounts
	remade   bool // an actor was made anew

	fencedLives map[*mylibsql.Connector]bool
}

// runFencingCase runs one sequence, and returns what is wrong.
func runFencingCase(template *fencingTemplate, c fencingCase) (counts fencingCounts, err error) {
	folder, err := os.MkdirTemp(template.folder, "run-")
	if err != nil {
		return counts, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	w := &fencingWorld{template: template, setting: c.setting, folder: folder,
		fencedLives: map[*mylibsql.Connector]bool{}}
	defer func() {
		w.counts.sequences++
		if errors.Is(err, errFencingFork) {
			w.counts.forks++
		}
		counts = w.counts
	}()
	root := filepath.Join(folder, "store")
	if err := copyFolder(filepath.Join(template.folder, "store"), root); err != nil {
		return counts, err
	}
	for _, name := range []string{"A", "B", "C"} {
		store, err := checkpoint.OpenDirectory(root)
		if err != nil {
			return counts, err
		}
		w.actors = append(w.actors, &fencingActor{world: w, name: name, replica: name == "C",
			store: store, faults: store})
	}
	defer w.closeAll()
	for _, step := range c.steps {
		if err := w.do(step); err != nil {
			return counts, fmt.Errorf("%s: %w", step, err)
		}
	}
	if err := w.finish(); err != nil {
		return counts, fmt.Errorf("at the end: %w", err)
	}
	return counts, nil
}

// closeAll closes what a sequence that failed has left open.
func (w *fencingWorld) closeAll() {
	for _, a := range w.actors {
		_ = a.flush() // which frees what late requests hold
		for _, db := range append(a.dead, a.db) {
			if db != nil {
				_ = db.Close()
			}
		}
		a.dead, a.db = nil, nil
	}
}

// image is the folder that an actor begins with.
func (w *fencingWorld) image(actor string) string {
	name := "running" // the original goes on with its positions, as it does where it is
	switch {
	case actor == "C":
		name = "replica"
	case actor == "B" && !w.setting.running:
		name = "closed"
	}
	return filepath.Join(w.template.folder, name)
}

// content is what a row holds.
func (w *fencingWorld) content(row *fencingRow) string {
	if w.setting.twins {
		return "the same"
	}
	return "of " + row.String()
}

// do is one step of an actor, or of P, who prunes: at the head by the handle of B, or at the end
// of the second record by that of C.
func (w *fencingWorld) do(step string) error {
	switch step {
	case "P.head":
		return w.prune(w.actors[1].store, ^mylibsql.FrameNo(0))
	case "P.part":
		upTo, count := mylibsql.FrameNo(0), 0
		for record, err := range w.actors[2].store.Records(context.Background(), 0) {
			if err != nil {
				return err
			}
			if count++; count <= 2 {
				upTo = record.Last
			}
		}
		return w.prune(w.actors[2].store, upTo)
	}
	for _, a := range w.actors {
		if len(step) > 2 && step[:2] == a.name+"." {
			return a.do(step[2:])
		}
	}
	return fmt.Errorf("no such actor: %s", step)
}

func (w *fencingWorld) prune(store checkpoint.Store, upTo mylibsql.FrameNo) error {
	w.counts.prunes++
	return store.Prune(context.Background(), upTo)
}

// checkAcks looks at every ack: what was acked stays so, what failed stays so, and in a life that
// is fenced none is pending.
func (w *fencingWorld) checkAcks() error {
	for _, row := range w.rows {
		if !row.committed {
			continue
		}
		err := row.ack.Err()
		switch {
		case err == nil && row.failed != nil:
			return fmt.Errorf("%w: %v is acked after %w", errFencingFork, row, row.failed)
		case err == nil && row.afterOut:
			return fmt.Errorf("%w: %v is acked, which was written too late", errFencingFork, row)
		case err == nil:
			row.acked = true
		case row.acked:
			return fmt.Errorf("%v was acked, and is not any more: %w", row, err)
		case errors.Is(err, mylibsql.ErrFenced), errors.Is(err, mylibsql.ErrClosed):
			row.failed = err
		case !errors.Is(err, mylibsql.ErrPending):
			return fmt.Errorf("%v: %w", row, err)
		}
		if w.fencedLives[row.lib] && errors.Is(err, mylibsql.ErrPending) {
			return fmt.Errorf("%v is pending in a database that is fenced", row)
		}
	}
	return nil
}

// flush lets everything arrive that is still on its way.
func (w *fencingWorld) flush() error {
	for _, a := range w.actors {
		if err := a.flush(); err != nil {
			return err
		}
	}
	return nil
}

// finish lets everybody who thinks that it is the primary save, twice, of whom one succeeds; then
// everything is closed and compared.
func (w *fencingWorld) finish() error {
	if !w.setting.lags {
		if err := w.flush(); err != nil {
			return err
		}
	}
	survivor, err := w.survive()
	if err != nil {
		return err
	}
	position := survivor.lib.Stats().Committed
	if err := w.flush(); err != nil {
		return err
	}
	for _, a := range w.actors {
		for _, db := range a.dead {
			if err := db.Close(); err != nil && !errors.Is(err, mylibsql.ErrUnsaved) {
				return err
			}
		}
		a.dead = nil
		if err := a.close(); err != nil {
			return err
		}
	}
	if err := w.checkAcks(); err != nil {
		return err
	}
	return w.checkStore(survivor, position)
}

// survive lets everybody save who thinks that it is the primary, twice, and returns who still can.
func (w *fencingWorld) survive() (survivor *fencingActor, err error) {
	for round := range 2 {
		for _, a := range w.actors {
			if a.replica || round > 0 && a.db == nil {
				continue // it takes no writes, or has just been refused
			}
			if err := a.settle(); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range w.actors {
		switch {
		case a.replica || a.out != nil:
		case survivor != nil:
			return nil, fmt.Errorf("%w: %s and %s both save", errFencingFork, survivor.name, a.name)
		default:
			survivor = a
		}
	}
	if survivor != nil {
		return survivor, nil
	}
	if !w.remade {
		return nil, errors.New("nobody is left who can save")
	}
	// The newest log is of somebody who was made anew before it arrived: so is its successor.
	survivor = w.actors[0]
	if err := errors.Join(survivor.makeAnew(), survivor.settle()); err != nil {
		return nil, err
	}
	if survivor.out != nil {
		return nil, fmt.Errorf("made anew, %s cannot save: %w", survivor.name, survivor.out)
	}
	return survivor, nil
}

// checkStore compares what the store has with the survivor's file and with everybody's acks.
func (w *fencingWorld) checkStore(survivor *fencingActor, position mylibsql.FrameNo) error {
	ctx := context.Background()
	store, err := checkpoint.OpenDirectory(survivor.store.Root())
	if err != nil {
		return err
	}
	if err := w.checkLogs(store); err != nil {
		return err
	}
	restored := filepath.Join(w.folder, "restored.db")
	end, err := checkpoint.Restore(ctx, store, restored)
	if err != nil {
		return err
	}
	if end.FrameNo != position {
		return fmt.Errorf("%w: %s is at %d, the store at %d", errFencingFork, survivor.name,
			position, end.FrameNo)
	}
	want, err := os.ReadFile(survivor.path())
	if err != nil {
		return err
	}
	got, err := os.ReadFile(restored)
	if err != nil {
		return err
	}
	if string(want) != string(got) {
		return fmt.Errorf("%w: the restored file is not that of %s", errFencingFork, survivor.name)
	}
	return w.checkRows(restored)
}

// checkLogs lists the chain: every log that was saved is in it or was pruned, and no two of them
// are for the same positions. One log may be saved twice: two images that have not changed since
// make the same snapshot.
func (w *fencingWorld) checkLogs(store checkpoint.Store) error {
	var base mylibsql.FrameNo
	ends := map[mylibsql.Position]mylibsql.Position{}
	for record, err := range store.Records(context.Background(), 0) {
		if err != nil {
			return err
		}
		if record.Follows.IsZero() {
			base = record.Last
		}
		ends[record.Follows] = record.End
	}
	slices.SortFunc(w.logs, func(a, b fencingLog) int {
		return cmp.Or(cmp.Compare(a.follows.FrameNo, b.follows.FrameNo),
			cmp.Compare(a.end.FrameNo, b.end.FrameNo))
	})
	for i, log := range w.logs {
		same := i > 0 && w.logs[i-1].follows == log.follows && w.logs[i-1].end == log.end
		if i > 0 && !same && w.logs[i-1].end.FrameNo > log.follows.FrameNo {
			return fmt.Errorf("%w: %v and %v were both saved", errFencingFork, w.logs[i-1], log)
		}
		if ends[log.follows] != log.end && log.end.FrameNo > base {
			return fmt.Errorf("%w: %v is not in the chain", errFencingFork, log)
		}
	}
	return nil
}

// checkRows compares the rows of a restored database with what was promised of them.
func (w *fencingWorld) checkRows(path string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var sound string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		return errors.Join(err, errors.New("the restored database is damaged: "+sound))
	}
	found := map[string]bool{}
	rows, err := db.Query("SELECT 'A', id FROM t_A UNION ALL SELECT 'B', id FROM t_B " +
		"UNION ALL SELECT 'C', id FROM t_C")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var who string
		var id int
		if err := rows.Scan(&who, &id); err != nil {
			return err
		}
		found[fencingKey(who, id)] = true
		if id >= fencingUndone {
			return fmt.Errorf("%s%d was rolled back, and is restored", who, id)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, row := range w.rows {
		switch here := found[row.String()]; {
		case row.acked && !here:
			w.counts.rowsLost++
			err = errors.Join(err, fmt.Errorf("%w: %v", errFencingLost, row))
		case here && !row.committed:
			return fmt.Errorf("%v was refused, and is restored", row)
		case here && row.afterOut:
			return fmt.Errorf("%w: %v was written too late, and is restored", errFencingFork, row)
		case row.acked:
			w.counts.acked++
		}
	}
	return err
}
