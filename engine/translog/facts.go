package translog

import (
	"time"

	"github.com/superfly/ltx"
)

// facts is what header and trailer say about a log, checked.
type facts struct {
	first, last     FrameNo
	pageSize        int    // bytes
	commit          uint32 // pages
	timestampMillis int64  // since the Unix epoch, 0 when not recorded
	nodeID          uint64
	before, after   Checksum // zero when not tracked, before also for a snapshot
	unchecked       bool     // LTX's flag NoChecksum
}

// start is where the chain stands before a log with these facts.
func (f facts) start() Position {
	if f.first == 1 {
		return Position{}
	}
	return Position{FrameNo: f.first - 1, Checksum: f.before}
}

func (f facts) header() ltx.Header {
	header := ltx.Header{
		Version:          ltx.Version,
		PageSize:         uint32(f.pageSize),
		Commit:           f.commit,
		MinTXID:          ltx.TXID(f.first),
		MaxTXID:          ltx.TXID(f.last),
		Timestamp:        f.timestampMillis,
		PreApplyChecksum: ltx.Checksum(f.before),
		NodeID:           f.nodeID,
	}
	if f.unchecked {
		header.Flags = ltx.HeaderFlagNoChecksum
	}
	return header
}

// factsOf takes over a header, which must be valid.
func factsOf(header ltx.Header) (facts, error) {
	if err := header.Validate(); err != nil {
		return facts{}, &FormatError{Field: "header", Err: err}
	}
	return facts{
		first:           FrameNo(header.MinTXID),
		last:            FrameNo(header.MaxTXID),
		pageSize:        int(header.PageSize),
		commit:          header.Commit,
		timestampMillis: header.Timestamp,
		nodeID:          header.NodeID,
		before:          Checksum(header.PreApplyChecksum),
		unchecked:       header.NoChecksum(),
	}, nil
}

// finish takes over the checksum of the trailer, which must fit to the header.
func (f *facts) finish(trailer ltx.Trailer) error {
	if err := trailer.Validate(f.header()); err != nil {
		return &FormatError{Field: "trailer", Err: err}
	}
	after := Checksum(trailer.PostApplyChecksum)
	if f.commit == 0 && !f.unchecked && after != EmptyChecksum {
		return &FormatError{Field: "trailer", Got: after, Want: EmptyChecksum}
	}
	f.after = after
	return nil
}

// sameHeader reports whether two facts agree in what the header says.
func (f facts) sameHeader(other facts) bool { return f.header() == other.header() }

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
