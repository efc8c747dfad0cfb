package checkpoint

import (
	"context"
	"iter"
	"time"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Store is a place where the logs of one database are kept, as a chain of records. All
// methods are safe for concurrent use, by several processes too.
type Store interface {
	// Save makes log the record that follows log.Follows(). It must not return nil until
	// the record, and everything needed to find it again, survives a crash of the
	// machine.
	//
	// Creation is exclusive: of all logs that follow the same position at most one is
	// ever saved. When the place is taken by the very same log (same range, end and pages:
	// two logs can have a checksum in common) Save makes sure that the record is durable
	// and returns nil, so a Save whose outcome is unknown is simply repeated. When another
	// log is there the error is a [*translog.TakenError], and that log is durable; so it is
	// when a record covers log.Follows() and ends elsewhere, or there with another checksum.
	// When the chain ends before log.Follows() the error is a [*translog.GapError], whose
	// Have is the chain's end, with the NodeID of its last log: by that a promoted replica
	// tells its own history from another one. A damaged record is never reported as another
	// log.
	//
	// After any other error, an ended ctx included, the log may or may not have been
	// saved; repeating is safe. The log is not closed and not kept.
	Save(ctx context.Context, log *translog.Log) error

	// Records lists the records that hold positions after the given one, in chain order:
	// first the record that contains after+1, then each one that follows. Zero lists all.
	// A store that ends at or before after lists nothing. When after lies inside a record
	// that record comes first, with First <= after; only the taker can tell whether it is
	// of use.
	//
	// What is listed is durable. The chain is checked on the way: a missing record is a
	// [*translog.GapError], a record that does not continue the checksum of the one
	// before it a [*translog.ChecksumError], a file that is no log a
	// [*translog.FormatError]. An error comes as the last pair, with a zero Record. Only
	// the ends of each log are read here, not its pages.
	Records(ctx context.Context, after translog.FrameNo) iter.Seq2[Record, error]

	// Open opens the log of a record that Records listed. Its Follows is the record's.
	// The caller closes it. A record that is gone is [io/fs.ErrNotExist], and [ErrPruned] too
	// when it was pruned.
	Open(ctx context.Context, record Record) (*translog.Log, error)

	// Prune forgets how the database came to where it is, up to a position: the records that
	// end at or before upTo become one snapshot, which is the chain's first record from then
	// on, of key 1. Nothing can be restored to a position before its end any more. Fewer
	// than two such records are left as they are. Every record behind them stays.
	//
	// A place that was pruned is never free again: of a store that deletes the records
	// behind the snapshot, Save looks for that once it has created a record, and before it
	// returns nil. A log that would continue a pruned position is answered by a
	// [*translog.TakenError] with the snapshot. Whoever lists or opens records meanwhile
	// gets them, or [ErrPruned]: then a new listing has the snapshot. Pruning that is cut
	// short, or fails, leaves the chain as it was or as it should be.
	Prune(ctx context.Context, upTo translog.FrameNo) error
}

// Record describes one saved log. It is a plain value.
type Record struct {
	// Follows is the position that the log continues in the chain, zero for the first
	// record. Its FrameNo+1 is the record's key.
	Follows translog.Position
	// First and Last are the positions that the log covers, both included. First is 1 for
	// a snapshot, otherwise Follows.FrameNo+1.
	First, Last translog.FrameNo
	// End is Last with the checksum of the whole database there.
	End translog.Position
	// Size is the length of the log's file, in bytes.
	Size int64
	// Timestamp is the log's own time, to the millisecond.
	Timestamp time.Time
	// NodeID is the log's: which primary wrote it, 0 when it does not say.
	NodeID uint64
}

// IsSnapshot reports whether the record holds every page of the database.
func (r Record) IsSnapshot() bool { return r.First == 1 }

// key is the position under which the record is kept.
func (r Record) key() translog.FrameNo { return r.Follows.FrameNo + 1 }
