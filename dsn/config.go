package dsn

import (
	"net/url"
	"time"
)

// Role is what a database is opened as.
type Role string

// The values of _role.
const (
	RoleUnset   Role = ""        // as the database was last; a new one becomes a primary
	RolePrimary Role = "primary" // takes writes
	RoleReplica Role = "replica" // takes logs and serves reads
)

// The values of TxLock, in go-sqlite3's words.
const (
	TxLockDeferred  = "deferred"
	TxLockImmediate = "immediate"
	TxLockExclusive = "exclusive"
)

// What a parameter is when the data source name does not give it.
const (
	WALLimitFramesDefault = 4000
	BusyTimeoutDefault    = 5 * time.Second // go-sqlite3's own
	StmtCacheSizeDefault  = 64              // statements a connection; go-sqlite3's own is 0
	ReplicaAcksDefault    = 1               // live streams
)

// The legal ranges, both ends included.
const (
	WALLimitFramesMin = 100           // below it resets would cost more than the commits
	WALLimitFramesMax = 1_000_000_000 // 4 TB of pages of 4096 bytes
	PageSizeMin       = 512           // https://www.sqlite.org/fileformat2.html#pages
	PageSizeMax       = 65536
	LockTimeoutMax    = 24 * time.Hour
	BusyTimeoutMax    = (1<<31 - 1) * time.Millisecond // SQLite takes more for 0
	ReplicaAcksMin    = 1
	ReplicaAcksMax    = 64    // far more streams than anybody feeds from one primary
	StmtCacheSizeMax  = 65536 // go-sqlite3 allocates it at once
)

// Config is a parsed data source name. It is a plain value: Parse fills it, after which
// its fields may be changed; not safe for concurrent changes.
type Config struct {
	// Path is the file's path as SQLite will be given it, unescaped, relative or
	// absolute; "" for an in-memory database.
	Path string
	// Memory is true for an in-memory database: ":memory:", "", mode=memory.
	Memory bool
	// MemoryName is the name by which pools share an in-memory database (cache=shared);
	// "" for one that is private to its pool.
	MemoryName string

	// ReadOnly is true with mode=ro: a plain reader, without lock or sidecar directory.
	ReadOnly bool
	// Mode is SQLite's mode as given: "", "ro", "rw" (the file must exist) or "rwc". It
	// is always "memory" for an in-memory database.
	Mode string

	// Role is what the database is opened as; RoleUnset leaves it to the file.
	Role Role
	// WALLimitFrames is the length of the WAL, in frames, from which it is reset.
	WALLimitFrames int
	// PageSize is for new files, in bytes; 0 leaves it to SQLite.
	PageSize int
	// LockTimeout is how long to wait for another process that has the database open; 0
	// not at all.
	LockTimeout time.Duration
	// ReplicaAcks is how many live streams must acknowledge a position before acks up to
	// it resolve without a checkpoint.
	ReplicaAcks int
	// BusyTimeout is how long a write waits for its turn, in whole milliseconds; 0 not at
	// all.
	BusyTimeout time.Duration
	// TxLock is what BeginTx opens: TxLockImmediate by default, TxLockDeferred for
	// readers.
	TxLock string
	// StmtCacheSize is how many prepared statements each connection keeps; 0 none.
	StmtCacheSize int
	// Synchronous is OFF, NORMAL, FULL or EXTRA; "" leaves it to go-sqlite3, which takes
	// NORMAL. https://www.sqlite.org/pragma.html#pragma_synchronous
	Synchronous string

	// SQLite holds the parameters of go-sqlite3 and SQLite that no field above stands
	// for, by the name they were given under, with their values as given. Never nil after
	// Parse.
	SQLite url.Values

	// Given by name, if only with the default value: what two pools must agree on.
	walLimitGiven    bool
	lockTimeoutGiven bool
	replicaAcksGiven bool
}
