package checkpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Goal: a place that cannot be a store is refused when it is opened, by a testable error.
// Method: a file, a file above, a missing parent, a folder without permission.
func TestPlaceThatCannotBeAStoreIsRefused(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	_, err := OpenDirectory(file)
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = OpenDirectory(filepath.Join(file, "store"))
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = OpenDirectory(filepath.Join(folder, "missing", "store"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	root := filepath.Join(folder, "store")
	require.NoError(t, os.Mkdir(root, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "ltx"), nil, 0o600))
	_, err = OpenDirectory(root)
	require.ErrorIs(t, err, syscall.ENOTDIR)
}

// Goal: a lack of rights is the system's error, and nothing is created.
// Method: a folder that must not be written, and a chain that must not be read.
func TestLackOfPermissionIsAnError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	parent := t.TempDir()
	store, h := open(t, filepath.Join(parent, "store")), newHistory(t)
	log := h.log(1)
	require.NoError(t, os.Chmod(parent, 0o500))
	defer func() { _ = os.Chmod(parent, 0o700) }()
	require.ErrorIs(t, store.Save(t.Context(), log), fs.ErrPermission)
	require.NoError(t, os.Chmod(parent, 0o700))
	require.NoError(t, store.Save(t.Context(), log))

	chain := filepath.Join(store.Root(), "ltx", "chain")
	require.NoError(t, os.Chmod(chain, 0o300))
	defer func() { _ = os.Chmod(chain, 0o700) }()
	_, err := OpenDirectory(store.Root())
	require.ErrorIs(t, err, fs.ErrPermission)
}

// Goal: opening creates nothing, and a store stays usable when the program changes its folder.
// Method: open by a relative path, change the folder, save.
func TestRelativeRootIsMadeAbsolute(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	store := open(t, "store")
	require.Empty(t, names(t, folder))
	require.NoDirExists(t, "store")
	t.Chdir(t.TempDir())
	newHistory(t).save(store, 1)
	require.DirExists(t, filepath.Join(folder, "store", "ltx", "chain"))
}

// Goal: files that are not the store's are neither read nor touched.
// Method: put strange names into every folder.
func TestForeignFilesAreIgnored(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 3)
	foreign := []string{
		"README", "ltx/chain/floor.tmp", "ltx/chain/0000000000000000", "ltx/chain/000000000000000A",
		"ltx/chain/1", "ltx/chain/0000000000000002.tmp", "ltx/0/note", "ltx/0/1-2.ltx",
		"ltx/tmp/other", "ltx/tmp/note-1", "ltx/1/0000000000000001-0000000000000002.ltx",
	}
	for _, name := range foreign {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("foreign"), 0o600))
	}
	again := open(t, root)
	require.Len(t, records(t, again, 0), 3)
	h.save(again, 2)
	requireRestored(t, again, h)
	for _, name := range foreign {
		require.FileExists(t, filepath.Join(root, name))
	}
}

// Goal: a foreign file under the name of a log is reported and not overwritten; moving it away is
// enough. A copy of the record, as a backup without hard links has it, is as good as the name.
// Method: put either in the place of a second name, then save and open again.
func TestSecondNameThatIsTaken(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 1)
	log := h.log(5)
	name := filepath.Join(root, "ltx", "0", log.Name())
	require.NoError(t, os.WriteFile(name, []byte("foreign"), 0o600))
	require.ErrorIs(t, store.Save(t.Context(), log), ErrClash)
	require.ErrorIs(t, store.Save(t.Context(), log), ErrClash)
	require.Len(t, records(t, store, 0), 2, "the record itself is safe")
	require.NoError(t, os.Remove(name))
	require.NoError(t, store.Save(t.Context(), log))

	require.NoError(t, os.Remove(name))
	require.NoError(t, log.WriteFile(name, 0o600))
	require.NoError(t, open(t, root).Save(t.Context(), log))

	snapshot := filepath.Join(root, "ltx", "9", records0Name(t, store))
	require.NoError(t, os.Remove(snapshot))
	require.NoError(t, os.WriteFile(snapshot, []byte("foreign"), 0o600))
	_, err := OpenDirectory(root)
	require.ErrorIs(t, err, ErrClash)
}

// records0Name is the file name of the first record.
func records0Name(t *testing.T, store *Directory) string {
	t.Helper()
	log, err := store.Open(t.Context(), records(t, store, 0)[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	return log.Name()
}

// Goal: names that a crash left out are added at open; a damaged record does not stop that.
// Method: remove all names of four records, cut one record, open.
func TestMissingNamesAreAddedAtOpen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 3)
	before := names(t, root)
	for _, folder := range []string{"0", "9"} {
		require.NoError(t, os.RemoveAll(filepath.Join(root, "ltx", folder)))
	}
	open(t, root)
	require.Equal(t, before, names(t, root))

	require.NoError(t, os.RemoveAll(filepath.Join(root, "ltx", "0")))
	last := filepath.Join(root, "ltx", "chain", keyName(records(t, store, 0)[1].key()))
	require.NoError(t, os.Truncate(last, 10))
	open(t, root)
	require.Len(t, names(t, root), len(before)-1)
}

// Goal: leftovers of dead processes are removed, the file of a running Save is not.
// Method: one temporary file is closed, one is held, then the store is opened again.
func TestLeftoversAreRemovedAtOpen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 1)
	dead, err := store.createTemporary(7)
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	held, err := store.createTemporary(7)
	require.NoError(t, err)
	open(t, root)
	require.NoFileExists(t, dead.Name())
	require.FileExists(t, held.Name())
	store.discard(held)
	require.NoFileExists(t, held.Name())
}

// Goal: a store that must not be written can be read, repaired or not.
// Method: take a name away, and let every writing call fail as a read-only file system does.
func TestReadOnlyStoreCanBeRead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 3)
	require.NoError(t, os.RemoveAll(filepath.Join(root, "ltx", "9")))
	dead, err := store.createTemporary(7)
	require.NoError(t, err)
	require.NoError(t, dead.Close())

	readOnly := &Directory{root: root, calls: systemCalls(), ready: make(map[string]bool)}
	readOnly.calls.mkdir = func(path string) error {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.EROFS}
	}
	readOnly.calls.link = func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EROFS}
	}
	readOnly.calls.remove = func(path string) error {
		return &fs.PathError{Op: "remove", Path: path, Err: syscall.EROFS}
	}
	require.NoError(t, readOnly.open())
	requireRestored(t, readOnly, h)
	require.ErrorIs(t, readOnly.Save(t.Context(), h.log(1)), syscall.EROFS)
}

// Goal: names are parsed strictly and survive a round trip.
// Method: a table of near misses.
func TestKeyNames(t *testing.T) {
	for _, key := range []translog.FrameNo{1, 42, 1 << 63, 1<<64 - 1} {
		parsed, ok := parseKey(keyName(key))
		require.True(t, ok)
		require.Equal(t, key, parsed)
	}
	for _, name := range []string{
		"", "1", "0000000000000000", "000000000000000G", "000000000000000A", "+000000000000001",
		"00000000000000001", "0x00000000000001", "0000_0000_000001", " 000000000000001",
	} {
		_, ok := parseKey(name)
		require.False(t, ok, name)
	}
}

// Goal: what is no file under a name of ours neither holds up an open nor is touched.
// Method: a pipe and a full folder in the place of a leftover; a pipe in that of the next record.
func TestPipesAndFoldersAreNoFiles(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	store, h := open(t, root), newHistory(t)
	h.save(store, 2)
	temporary := store.folder(temporaryFolder)
	pipe := filepath.Join(temporary, "0000000000000007-x")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	full := filepath.Join(temporary, "0000000000000008-x")
	require.NoError(t, os.MkdirAll(filepath.Join(full, "inside"), 0o700))
	require.Len(t, records(t, open(t, root), 0), 2)
	require.DirExists(t, full)
	require.FileExists(t, pipe)
	record := store.recordPath(h.end.FrameNo + 1)
	require.NoError(t, syscall.Mkfifo(record, 0o600))
	require.ErrorIs(t, open(t, root).Save(t.Context(), h.log(1)), translog.ErrFormat)
	require.NoError(t, os.Remove(record))
}
