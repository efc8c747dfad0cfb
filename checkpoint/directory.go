package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Directory is a [Store] in a folder of the file system, in the layout that the package
// comment shows. It is safe for concurrent use, and several processes may use one folder:
// creation is exclusive among all of them. It holds no open file and needs no closing.
type Directory struct {
	root  string // absolute
	calls calls

	mutex sync.Mutex
	ready map[string]bool // folders below ltx that exist durably
	tail  tail
}

var _ Store = (*Directory)(nil)

// tail remembers where the last record ended that this Directory saved. A record never
// changes, so this stays true; it may stop being the newest.
type tail struct {
	key translog.FrameNo
	end translog.Position
}

// OpenDirectory opens the store in the folder root. The folder is created by the first
// Save, the one above it must exist. Folders are created for their owner only (0700),
// files too (0600).
//
// What a crash left behind is repaired: records get the names that are missing, and
// temporary files that no running Save holds are removed. Where the caller must not write
// (a backup that is mounted read-only) the repair is left out, and the store can be read.
// Files that are none of the store's are left alone.
//
// A root that is not a folder is ENOTDIR ([syscall.ENOTDIR]), one whose parent is missing
// [fs.ErrNotExist], one that must not be read [fs.ErrPermission]; [ErrClash] when a
// foreign file holds the name that a record should have.
func OpenDirectory(root string) (*Directory, error) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: open store: %w", err)
	}
	d := &Directory{root: absolute, calls: systemCalls(), ready: make(map[string]bool)}
	if err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Directory) open() error {
	info, err := os.Stat(d.root)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(d.root))
		if err == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("checkpoint: open store: %w", err)
	}
	if !info.IsDir() {
		cause := &fs.PathError{Op: "open", Path: d.root, Err: syscall.ENOTDIR}
		return fmt.Errorf("checkpoint: open store: %w", cause)
	}
	if err := d.resumePrune(); err != nil && !mustNotWrite(err) {
		return err
	}
	if err := d.completeAll(); err != nil && !mustNotWrite(err) {
		return err
	}
	if err := d.removeLeftovers(); err != nil && !mustNotWrite(err) {
		return err
	}
	return nil
}

// mustNotWrite tells a lack of rights from a failure. A folder that must not be listed is
// caught before, by syncChain and keys, whose error comes from opening it for reading.
func mustNotWrite(err error) bool {
	var link *os.LinkError
	var path *fs.PathError
	writing := errors.As(err, &link) ||
		errors.As(err, &path) && (path.Op == "mkdir" || path.Op == "remove")
	return writing && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}

// Root is the absolute path of the store's folder.
func (d *Directory) Root() string { return d.root }

// folder is the path of a folder below <root>/ltx.
func (d *Directory) folder(name string) string { return filepath.Join(d.root, "ltx", name) }

func (d *Directory) recordPath(key translog.FrameNo) string {
	return filepath.Join(d.folder(chainFolder), keyName(key))
}

// pathOf is the file under a key of a chain that begins at a floor: there 1 is the base's.
func (d *Directory) pathOf(begin floor, key translog.FrameNo) string {
	if begin > 0 && key == 1 {
		return filepath.Join(d.folder(chainFolder), begin.base())
	}
	return d.recordPath(key)
}

// ensureFolder makes a folder below <root>/ltx exist durably, with all folders from root
// on.
func (d *Directory) ensureFolder(name string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.ready[name] {
		return nil
	}
	path := d.folder(name)
	ltx := filepath.Dir(path)
	for _, folder := range []string{d.root, ltx, path} {
		if err := d.calls.mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("checkpoint: create folder: %w", err)
		}
		// Also when the folder was there: whoever created it may have died before this
		// point.
		if err := d.calls.syncFolder(filepath.Dir(folder)); err != nil {
			return fmt.Errorf("checkpoint: sync new folder: %w", err)
		}
	}
	d.ready[name] = true
	return nil
}

// forgetFolders lets the next Save create the folders again, after somebody removed them.
func (d *Directory) forgetFolders() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	clear(d.ready)
}

// syncChain makes every record that can be seen durable, whoever created it. A store
// without a chain has nothing to sync.
func (d *Directory) syncChain() error {
	err := d.calls.syncFolder(d.folder(chainFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: sync chain: %w", err)
	}
	return nil
}
