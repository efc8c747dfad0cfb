//go:build crashlab

package crashlab

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/internal/disk"
)

// sectorBytes is what a disk writes as a whole, or not at all.
const sectorBytes = 512

// walHeaderBytes is the header of SQLite's WAL.
const walHeaderBytes = 32

// cutPower leaves of a world what a power cut does: of every file what was synced, and any part of
// what was written since; of every folder that is synced the names that were, and any of those
// that were added or removed since.
func (w *world) cutPower() error {
	cut := powerCut{random: w.random, journal: filepath.Join(w.folder, "journal")}
	for _, node := range []string{"a", "b"} {
		side := w.path(node) + "-mylibsql"
		header := 0
		if node == w.primary {
			header = walHeaderBytes // SQLite synced it
		}
		err := errors.Join(os.RemoveAll(w.path(node)+"-shm"),
			cut.folder(side), cut.folder(filepath.Join(side, "outbox")),
			cut.file(w.path(node)+"-wal", header), cut.file(filepath.Join(side, "state"), 0))
		if err != nil {
			return err
		}
	}
	ltx := filepath.Join(w.folder, "store", "ltx")
	err := cut.folder(filepath.Join(ltx, "chain"))
	for _, name := range []string{"0", "9", "tmp"} {
		err = errors.Join(err, cut.loseNames(filepath.Join(ltx, name)))
	}
	return err
}

// powerCut is one power cut.
type powerCut struct {
	random  *rand.Rand
	journal string
}

// file leaves of a file what is durable, mixed with what was written since. Its first bytes were
// synced by somebody else.
func (c powerCut) file(path string, keep int) error {
	durable, _, err := disk.DurableContent(c.journal, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	now, readErr := os.ReadFile(path)
	if err := errors.Join(err, readErr); err != nil {
		return err
	}
	mixed := c.mix(durable, now)
	if n := min(keep, len(mixed), len(now)); n > 0 {
		copy(mixed[:n], now)
	}
	return os.WriteFile(path, mixed, 0o600) // the same inode
}

// mix puts a content together from two, sector by sector.
func (c powerCut) mix(durable, now []byte) []byte {
	share := []float64{0, 1, .5, .9, .1}[c.random.IntN(5)] // of what was written since
	size := len(durable)
	if len(now) != len(durable) && c.random.Float64() < share {
		size = len(now)
	}
	behind := c.random.IntN(max(len(now), 1) + 1)
	ordered := c.random.IntN(2) == 0
	mixed := make([]byte, size)
	copy(mixed, durable)
	for start := 0; start < size; start += sectorBytes {
		end := min(start+sectorBytes, size)
		taken := c.random.Float64() < share
		if ordered && share > 0 && share < 1 {
			taken = end <= behind // what was written first reached the disk first
		}
		if taken && start < len(now) {
			copy(mixed[start:end], now[start:min(end, len(now))])
		}
	}
	return mixed
}

// folder leaves the durable names of a folder, and of the others any.
func (c powerCut) folder(path string) error {
	names, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	old, found, err := disk.DurableFolder(c.journal, path)
	if err != nil {
		return err
	}
	before := map[string]bool{}
	if found {
		entries, err := os.ReadDir(old)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			before[entry.Name()] = true
		}
	}
	for _, entry := range names {
		if !entry.Type().IsRegular() {
			continue
		}
		if err := c.name(path, old, entry.Name(), before[entry.Name()]); err != nil {
			return err
		}
		delete(before, entry.Name())
	}
	for name := range before { // removed since: any of them may be back
		if c.random.IntN(2) == 0 {
			if err := os.Link(filepath.Join(old, name), filepath.Join(path, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// name decides what becomes of a name that is there now.
func (c powerCut) name(folder, old, name string, wasThere bool) error {
	path := filepath.Join(folder, name)
	if name == "lock" || name == "state" && !wasThere {
		return nil // a state that never was durable is that of a database nobody has used
	}
	if !wasThere {
		if c.random.IntN(2) == 0 {
			return os.Remove(path)
		}
		return c.content(path)
	}
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	then, err := os.Stat(filepath.Join(old, name))
	if err != nil || os.SameFile(now, then) {
		return err
	}
	if c.random.IntN(2) == 0 { // replaced since
		return errors.Join(os.Remove(path), os.Link(filepath.Join(old, name), path))
	}
	return c.content(path)
}

// content tears a file that was never synced, whoever has its name. One that was is whole.
func (c powerCut) content(path string) error {
	_, synced, err := disk.DurableContent(c.journal, path)
	if err != nil || synced {
		return err
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, c.mix(nil, now), 0o600)
}

// loseNames removes any of the names in a folder that nobody relies on.
func (c powerCut) loseNames(path string) error {
	names, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if c.random.IntN(4) == 0 {
			err = errors.Join(err, os.Remove(filepath.Join(path, name.Name())))
		}
	}
	return err
}
