//go:build cgo

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// DB is one open database file, shared by every pool of the process that opens it. Its
// methods are safe for concurrent use.
//
// Locks are taken in this order: gate, checkpointing, sealing, recording, an Ack's, that of
// a Frames, mu.
// Who holds checkpointing or sealing never waits for the gate, since its holder may be
// waiting for them.
type DB struct {
	path     string // as SQLite resolves it
	fileInfo fs.FileInfo
	options  Options
	pageSize int // bytes; changes only with the first snapshot of an empty replica
	sidecar  sidecar
	log      *slog.Logger

	gate          gate
	checkpointing *semaphore.Weighted // one Checkpoint at a time; held while save runs
	sealing       *semaphore.Weighted // owns sealer, writer and guard

	index   sqlite.Index // valid while guard is connected
	walFile *os.File     // own descriptor: SQLite takes no locks on the -wal file

	writer *connection // owned by sealing
	guard  *connection // owned by sealing; on a primary in a read transaction, always
	sealer sealer      // owned by sealing

	committed atomic.Uint64 // last.position, written under mu
	failed    atomic.Bool   // failure is set
	replica   atomic.Bool   // the role; written under sealing and mu, to true with the gate
	sealsAll  atomic.Bool   // who has sealing reads the whole database

	mu                sync.Mutex        // guards what follows; held for moments only
	last              point             // the last commit seen
	saved             translog.Position // on a replica the end of the last log
	acknowledged      translog.FrameNo  // through live streams
	offered           []offeredLog      // logs whose save has an unknown outcome
	writers           []writer          // of the history before this one, the newest last
	historyID         uint64            // NodeID of the logs, 0 for a replica that has none yet
	guardedFrom       translog.FrameNo  // the database file holds nothing after it
	jumpedFrom        translog.FrameNo  // at open: where the history that started over ended
	inherited         translog.FrameNo  // position of a promotion, until the first save
	mustSnapshot      bool              // the next log must be one, also after a reopen
	published         uint32            // of a replica: number of the last commit that we made
	diverged          bool              // of a replica: somebody else wrote to it
	intent            *anchor           // of a replica: what is being applied
	goingBackTo       *anchor           // of a replica that is being opened: see goBackTo
	synced            point             // the last one that an fsync of the WAL covers
	failure           error             // set once: why nothing will be saved any more
	closed            bool              // the wal-index must not be read any more
	unsavedSince      time.Time         // of the oldest unsaved commit; zero when all is saved
	ackWaiters        waitList          // for positions to be saved or acknowledged
	positionWaiters   waitList          // for positions to be committed or applied
	streams           []*Frames         // open live streams
	pendingAcks       ackCount
	walLimit          uint32        // Options.WALLimitFrames
	resetFrame        uint32        // WAL frame at the last attempt to reset
	resetting         chan struct{} // of the reset in the background: closed at its end
	restartUnrecorded bool          // a WAL restart that state does not know of yet
	background        sync.WaitGroup

	recording sync.Mutex // guards record and the writing of it; taken before mu
	record    record     // what the state file says
	durable   anchor     // of the last record that was fsynced

	file *openFile // in the registry, which counts the holders
}

// errWALShrank is the cause when the WAL lost committed frames.
var errWALShrank = errors.New("engine: WAL lost committed frames")

// poisonLocked makes the engine refuse writes and fail every ack, once.
func (db *DB) poisonLocked(cause error) error {
	return db.failLocked(fmt.Errorf("%w: %w", ErrPoisoned, cause))
}

func (db *DB) failLocked(failure error) error {
	if db.failure == nil {
		db.failure = failure
		db.failed.Store(true)
		released := append(db.ackWaiters.take(^translog.FrameNo(0)),
			db.positionWaiters.take(^translog.FrameNo(0))...)
		db.background.Go(func() { fireAll(released, failure) })
		db.wakeStreamsLocked()
		if !errors.Is(failure, ErrClosed) {
			db.log.Error("database takes no more writes", "path", db.path, "error", failure)
		}
	}
	return db.failure
}

func (db *DB) fail(failure error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failLocked(failure)
}

// errReplica refuses a write on a replica.
var errReplica error = &readOnlyError{"the database is a replica: " +
	"write to its primary, or make this one the primary with Promote"}

// writable is nil while the database takes writes.
func (db *DB) writable() error {
	if db.replica.Load() {
		return errReplica
	}
	return db.usable()
}

// usable is nil unless the database has failed or is closed.
func (db *DB) usable() error {
	if !db.failed.Load() {
		return nil
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failure
}

// act does what an observation asks for, outside DB.mu.
func (db *DB) act(what news) {
	if what.restarted {
		db.recordRestart()
	}
	if what.resetDue {
		db.startReset()
	}
}
