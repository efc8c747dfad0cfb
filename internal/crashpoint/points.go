package crashpoint

// Point is a moment between two steps, named by what was done last.
type Point string

// A commit, as the engine sees it.
const (
	CommitSeen    Point = "commit: seen"           // committed by SQLite, acks not queued
	CommitRestart Point = "commit: restart noted"  // the state names the new WAL
	SealEncoded   Point = "seal: log encoded"      // the log is nowhere but in memory
	SealWhole     Point = "seal: snapshot encoded" // so is the first one, of all pages
)

// A Checkpoint of the engine, around the save of the application.
const (
	OfferSynced   Point = "offer: WAL synced"
	OfferNoted    Point = "offer: noted in the state"
	OfferAnswered Point = "offer: saved"     // the engine has not looked at the answer
	OfferMoved    Point = "offer: acks gone" // saved is moved, and not in the state
	OfferForgot   Point = "offer: outbox cleared"
	OfferRecorded Point = "offer: recorded"
)

// The outbox.
const (
	OutboxWritten Point = "outbox: log written" // its folder is not synced
	OutboxSynced  Point = "outbox: folder synced"
	OutboxMerged  Point = "outbox: merged log written"
)

// A reset of the WAL.
const (
	ResetLocked  Point = "reset: write lock taken"
	ResetDurable Point = "reset: WAL, outbox and state durable"
	ResetOpen    Point = "reset: guard ended"
	ResetCopied  Point = "reset: WAL copied"
	ResetGuarded Point = "reset: guard begun"
	ResetSettled Point = "reset: file noted in the state"
)

// The state file.
const (
	StateWritten Point = "state: record written" // not synced
	StateSynced  Point = "state: record synced"
)

// Opening and closing.
const (
	OpenConnected Point = "open: connected"
	OpenResumed   Point = "open: position found"
	OpenRecorded  Point = "open: recorded"
	CloseDurable  Point = "close: all durable"
	CloseCopied   Point = "close: WAL copied"
	CloseSettled  Point = "close: file noted in the state"
	CloseUnlocked Point = "close: write lock let go"
	CloseRemoved  Point = "close: WAL removed"
)

// A replica takes a log.
const (
	ApplyWritten   Point = "apply: frames written" // all but the last
	ApplyIndexed   Point = "apply: index written"
	ApplyIntended  Point = "apply: intent noted"
	ApplyMarked    Point = "apply: commit mark written"
	ApplyPublished Point = "apply: published"
	ApplyCommitted Point = "apply: lock let go"
)

// A replica moves its WAL to the database file.
const (
	CopySynced    Point = "copy: WAL and state synced"
	CopyDone      Point = "copy: WAL copied"
	CopyNoted     Point = "copy: file noted in the state"
	TruncateDone  Point = "copy: WAL emptied"
	BackFound     Point = "back: earlier place found"
	BackApplied   Point = "back: gone back"
	AckSynced     Point = "stream ack: WAL synced"
	AckRecorded   Point = "stream ack: recorded"
	RoleSynced    Point = "role: WAL synced"
	RoleRecorded  Point = "role: recorded"
	RoleSwitched  Point = "role: switched"
	SeedRecorded  Point = "seed: state written"
	RestoreLinked Point = "restore: file has its name"
)

// A directory store.
const (
	StoreWritten Point = "store: log written"
	StoreSynced  Point = "store: log synced"
	StoreLinked  Point = "store: record created"
	StoreChained Point = "store: chain synced"
	StoreNamed   Point = "store: names added"
	PruneBased   Point = "prune: base made"
	PruneWritten Point = "prune: floor written"
	PruneRenamed Point = "prune: floor renamed"
	PruneRaised  Point = "prune: floor raised"
	PruneRemoved Point = "prune: record removed"
)

// All lists the points, in the order in which they are declared.
func All() []Point {
	return []Point{
		CommitSeen, CommitRestart, SealEncoded, SealWhole, OfferSynced, OfferNoted,
		OfferAnswered, OfferMoved, OfferForgot, OfferRecorded, OutboxWritten,
		OutboxSynced, OutboxMerged, ResetLocked, ResetDurable, ResetOpen, ResetCopied,
		ResetGuarded, ResetSettled, StateWritten, StateSynced, OpenConnected,
		OpenResumed, OpenRecorded, CloseDurable, CloseCopied, CloseSettled, CloseUnlocked,
		CloseRemoved,
		ApplyWritten, ApplyIndexed, ApplyIntended, ApplyMarked, ApplyPublished,
		ApplyCommitted, CopySynced, CopyDone, CopyNoted, TruncateDone, BackFound,
		BackApplied, AckSynced, AckRecorded, RoleSynced, RoleRecorded, RoleSwitched,
		SeedRecorded, RestoreLinked, StoreWritten, StoreSynced, StoreLinked,
		StoreChained, StoreNamed, PruneBased, PruneWritten, PruneRenamed, PruneRaised, PruneRemoved,
	}
}
