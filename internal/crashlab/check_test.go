//go:build crashlab

package crashlab

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// chain remembers which records of a world were verified, by their ends.
type chain struct{ verified map[mylibsql.Position]bool }

// verify reads the chain of a store, with the checksums between its records and in them.
func (c *chain) verify(store checkpoint.Store) (head mylibsql.Position, err error) {
	if c.verified == nil {
		c.verified = map[mylibsql.Position]bool{}
	}
	for record, err := range store.Records(context.Background(), 0) {
		if err != nil {
			return head, err
		}
		head = record.End
		if c.verified[record.End] {
			continue
		}
		log, err := store.Open(context.Background(), record)
		if err != nil {
			return head, err
		}
		if err := errors.Join(log.Verify(), log.Close()); err != nil {
			return head, fmt.Errorf("record %d-%d: %w", record.First, record.Last, err)
		}
		c.verified[record.End] = true
	}
	return head, nil
}

// check looks at a world whose child is dead. In place it leaves the nodes open and closed once.
// It returns the rows that are lost, and everything else that is wrong as an error.
func (w *world) check(inPlace, cut bool) (lost []int64, err error) {
	folder := w.folder
	if !inPlace {
		if folder, err = w.copyOf(); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
	}
	if _, err := os.Stat(filepath.Join(folder, w.primary, "app.db")); err != nil {
		return nil, nil // it died before it had a database
	}
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		return nil, err
	}
	if _, err := w.chain.verify(store); err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	lost, err = w.checkRestore(folder, store)
	if err != nil {
		return lost, err
	}
	here, err := w.checkPrimary(folder, store)
	if lost = append(lost, here...); err != nil {
		return lost, err
	}
	if err := w.checkReplica(folder, store, cut); err != nil {
		return lost, fmt.Errorf("replica: %w", err)
	}
	if err := noLeftovers(folder); err != nil || !inPlace {
		return lost, err
	}
	return lost, w.settle()
}

// settle begins a new journal: what this process did in place is durable.
func (w *world) settle() error {
	journal := filepath.Join(w.folder, "journal")
	err := errors.Join(os.RemoveAll(journal), os.Mkdir(journal, 0o755))
	for _, name := range []string{"a", "b", "store"} {
		if _, statErr := os.Stat(filepath.Join(w.folder, name)); statErr == nil {
			err = errors.Join(err, disk.SyncAll(journal, filepath.Join(w.folder, name)))
		}
	}
	return err
}

// keepBefore keeps what the dead child, or the power cut, left.
func (w *world) keepBefore() error {
	before := w.folder + "-before"
	err := os.RemoveAll(before)
	return errors.Join(err, exec.Command("cp", "-a", w.folder, before).Run())
}

// copyOf copies a world, without the wal-index, which no machine keeps. The files get other inodes
// and times, so a copy is also a database that was moved.
func (w *world) copyOf() (string, error) {
	folder := w.folder + "-copy"
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"a", "b", "store"} {
		from := filepath.Join(w.folder, name)
		if _, err := os.Stat(from); err != nil {
			continue
		}
		output, err := exec.Command("cp", "-a", from, folder).CombinedOutput()
		if err != nil {
			return folder, fmt.Errorf("copy: %w: %s", err, output)
		}
		_ = os.Remove(filepath.Join(folder, name, "app.db-shm"))
	}
	return folder, nil
}

// checkRestore restores what is saved: every acked row is in it.
func (w *world) checkRestore(folder string, store checkpoint.Store) (lost []int64, err error) {
	path := filepath.Join(folder, "restored.db")
	defer func() { _ = os.Remove(path) }()
	_, err = checkpoint.Restore(context.Background(), store, path)
	if errors.Is(err, checkpoint.ErrEmpty) && len(w.oracle.acked) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	found, err := rowsOf(path)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return w.oracle.judge(found, w.oracle.acked)
}

// openNode opens a node as the next process does.
func (w *world) openNode(folder, name string, store checkpoint.Store) (
	*sql.DB, *mylibsql.Connector, error,
) {
	connector, err := mylibsql.NewConnector(
		"file:"+filepath.Join(folder, name, "app.db")+"?"+w.params,
		&mylibsql.Options{Store: store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(connector)
	if err := db.Ping(); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, connector, nil
}

// checkPrimary opens the primary, reads every row, saves what is unsaved, and compares its file
// with a restore.
func (w *world) checkPrimary(folder string, store checkpoint.Store) (lost []int64, err error) {
	db, lib, err := w.openNode(folder, w.primary, store)
	if err != nil {
		return nil, fmt.Errorf("open the primary: %w", err)
	}
	if lib.Stats().Role == mylibsql.RoleReplica { // it was handing its role over
		w.head = lib.Stats().Committed
		return nil, db.Close()
	}
	for range 3 {
		_, err = lib.Checkpoint(context.Background(), store.Save)
		if errors.Is(err, mylibsql.ErrGap) {
			continue // just promoted, with more than the store has: a snapshot comes next
		}
		if err != nil || lib.Stats().Saved == lib.Stats().Committed {
			break
		}
	}
	position := lib.Stats().Committed
	w.head = position
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("save and close the primary: %w", err)
	}
	path := filepath.Join(folder, w.primary, "app.db")
	found, err := rowsOf(path)
	if err != nil {
		return nil, err
	}
	lost, err = w.oracle.judge(found, w.oracle.acked, w.oracle.streamed)
	if err != nil {
		return lost, err
	}
	if folder == w.folder {
		w.oracle.saved(found)
	}
	if position == 0 {
		return lost, nil
	}
	return lost, requireRestoreIs(store, path)
}

// saved notes that whatever the primary holds is in the store by now.
func (o *oracle) saved(found map[int64]bool) {
	for id := range found {
		o.acked[id] = true
	}
	clear(o.streamed)
	o.rebuilt = false
}

// errFork says that two places hold different histories.
var errFork = errors.New("a fork")

// requireRestoreIs compares a restore with a closed database.
func requireRestoreIs(store checkpoint.Store, path string) error {
	restored := path + ".restored"
	defer func() { _ = os.Remove(restored) }()
	if _, err := checkpoint.Restore(context.Background(), store, restored); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	got, err := os.ReadFile(restored)
	if err == nil && !bytes.Equal(want, got) {
		err = fmt.Errorf("%w: the restore has %d bytes, %s %d", errFork, len(got), path, len(want))
	}
	return err
}

// checkReplica lets the replica take what the store has, and compares its file with a restore.
//
// A power cut may take from the primary what it had given to the replica, and nobody was told
// was safe: then the replica is ahead, and has to be made anew.
func (w *world) checkReplica(folder string, store *checkpoint.Directory, cut bool) error {
	path := filepath.Join(folder, w.other(), "app.db")
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || w.broken || w.lost != "" {
		return nil
	}
	db, lib, err := w.openNode(folder, w.other(), nil)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if lib.Stats().Role == mylibsql.RolePrimary { // it was just promoted, and the store may lag
		if err := db.Close(); !errors.Is(err, mylibsql.ErrUnsaved) {
			return err
		}
		return nil
	}
	if lib.Stats().Diverged {
		return errors.Join(fmt.Errorf("%w: it has diverged", errFork), db.Close())
	}
	at := lib.Stats().Committed
	if at > w.head {
		if !cut {
			return errors.Join(fmt.Errorf("%w: it is ahead", errFork), db.Close())
		}
		w.broken = true
		return db.Close()
	}
	for record, err := range store.Records(context.Background(), at) {
		if err != nil {
			return errors.Join(err, db.Close())
		}
		log, err := store.Open(context.Background(), record)
		if err != nil {
			return errors.Join(err, db.Close())
		}
		err = errors.Join(lib.Replicate(context.Background(), log), log.Close())
		if err != nil {
			return errors.Join(fmt.Errorf("from %d: %w", at, err), db.Close())
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	if _, err := rowsOf(path); err != nil {
		return err
	}
	return requireRestoreIs(store, path)
}

// noLeftovers checks that nothing is left beside the nodes and in the store's folder for logs that
// are being written, after everything was saved and closed.
func noLeftovers(folder string) error {
	allowed := map[string]bool{"lock": true, "state": true, "outbox": true}
	for _, node := range []string{"a", "b"} {
		names, err := os.ReadDir(filepath.Join(folder, node, "app.db-mylibsql"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range names {
			if !allowed[name.Name()] {
				return fmt.Errorf("left over: %s in the sidecar of %s", name.Name(), node)
			}
		}
	}
	names, err := os.ReadDir(filepath.Join(folder, "store", "ltx", "tmp"))
	if len(names) > 0 {
		return fmt.Errorf("left over: %d files in the store's tmp", len(names))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
