package translog

import "time"

// Spec describes a log before its pages are written.
type Spec struct {
	// First and Last are the positions that the log covers. First is 1 for a snapshot.
	First, Last FrameNo
	// Follows is the position that the log continues in its chain. For an ordinary log it
	// is {First-1, PreApply}, and may be left zero to mean that. For a snapshot it is the
	// last position that was saved before, zero when there is none.
	Follows Position
	// PageSize is the size of a page in bytes: a power of two from 512 to 65536.
	PageSize int
	// Commit is the size of the database after the log, in pages.
	Commit uint32
	// Timestamp is the time of the log, kept to the millisecond. Zero records none.
	Timestamp time.Time
	// PreApply is the checksum of the database at First-1. It must be 0 for a snapshot,
	// and must not be 0 for any other log.
	PreApply Checksum
	// NodeID names the node that writes the log, 0 records none. Nothing is decided by
	// it.
	NodeID uint64

	// unchecked makes a log that does not track checksums, for merging such logs.
	unchecked bool
}

// facts checks the specification.
func (s Spec) facts() (facts, error) {
	if !validPageSize(s.PageSize) {
		return facts{}, &FormatError{Field: "page size", Got: s.PageSize,
			Want: "a power of two from 512 to 65536"}
	}
	f := facts{
		first: s.First, last: s.Last, pageSize: s.PageSize, commit: s.Commit,
		timestampMillis: millisOf(s.Timestamp), nodeID: s.NodeID,
		before: s.PreApply, unchecked: s.unchecked,
	}
	if _, err := factsOf(f.header()); err != nil {
		return facts{}, err
	}
	if s.First != 1 && !s.Follows.IsZero() && s.Follows != f.start() {
		return facts{}, &FormatError{Field: "follows", Got: s.Follows, Want: f.start()}
	}
	return f, nil
}

// follows is Follows with the default filled in.
func (s Spec) follows() Position {
	if s.First == 1 {
		return s.Follows
	}
	return Position{FrameNo: s.First - 1, Checksum: s.PreApply}
}
