package translog

import "time"

// Batch is one committed transaction as single frames, in the order in which SQLite wrote
// them to the write-ahead log: what a live stream delivers. It is a plain value; the
// frames' Data is shared and must not be written to.
type Batch struct {
	// Start is the position before the transaction, End the one of its last frame, each
	// with the checksum of the whole database there. End.FrameNo is Start.FrameNo plus
	// the number of frames.
	Start, End Position
	// PageSize is the size of a page in bytes.
	PageSize int
	// Timestamp is when the transaction was read from the write-ahead log, at or shortly
	// after its commit.
	Timestamp time.Time
	// NodeID names the history that the batch belongs to, as in its logs; 0 when it is
	// not known.
	NodeID uint64
	// Frames are those of the transaction. The last one, and no other, has a Commit.
	Frames []Frame
}

// Commit returns the size of the database after the batch, in pages.
func (b *Batch) Commit() uint32 {
	if len(b.Frames) == 0 {
		return 0
	}
	return b.Frames[len(b.Frames)-1].Commit
}

// Bytes returns the size of the batch's pages in bytes.
func (b *Batch) Bytes() int64 { return int64(len(b.Frames)) * int64(b.PageSize) }

// Log makes a log of the batch, by the rules of [MergeBatches].
func (b *Batch) Log(options BuildOptions) (*Log, error) { return MergeBatches(options, b) }

// MergeBatches makes one log of batches that follow each other, as one stream has
// delivered them: the newest image of each page that the last one still has, from the
// first one's Start to the last one's End. It costs less than a log for each batch, since
// pages that change in many of them are taken once. The caller closes the log.
//
// A batch that does not continue the one before is a [*GapError], or a [*ChecksumError]
// when only the checksums differ; one without frames, or with another page size, is a
// [*FormatError]. When not all were written by one node the log names none.
func MergeBatches(options BuildOptions, batches ...*Batch) (*Log, error) {
	frames, err := joinBatches(batches)
	if err != nil {
		return nil, err
	}
	first, last := batches[0], batches[len(batches)-1]
	keys := make([]uint64, len(frames))
	for i, frame := range frames {
		keys[i] = uint64(frame.PageNo)<<32 | uint64(uint32(i))
	}
	spec := Spec{
		First: first.Start.FrameNo + 1, Last: last.End.FrameNo, PageSize: last.PageSize,
		Commit: last.Commit(), Timestamp: last.Timestamp, PreApply: first.Start.Checksum,
		NodeID: last.NodeID,
	}
	for _, batch := range batches {
		if batch.NodeID != spec.NodeID {
			spec.NodeID = 0
		}
	}
	if spec.First == 1 {
		spec.PreApply = 0 // a snapshot follows nothing
	}
	builder, err := NewBuilder(spec, options)
	if err != nil {
		return nil, err
	}
	defer builder.Abort()
	for _, key := range NewestFrames(keys, last.Commit()) {
		frame := frames[uint32(key)]
		if err := builder.WritePage(frame.PageNo, frame.Data); err != nil {
			return nil, err
		}
	}
	return builder.Finish(last.End.Checksum)
}

// joinBatches returns the frames of batches that continue each other.
func joinBatches(batches []*Batch) ([]Frame, error) {
	if len(batches) == 0 {
		return nil, &FormatError{Field: "batches", Got: "none", Want: "at least one"}
	}
	count := 0
	for i, batch := range batches {
		if batch.Commit() == 0 {
			return nil, &FormatError{Field: "batch", Got: "frames without a commit",
				Want: "a whole transaction"}
		}
		count += len(batch.Frames)
		if i == 0 {
			continue
		}
		before := batches[i-1]
		switch {
		case before.End.FrameNo != batch.Start.FrameNo:
			return nil, &GapError{Have: before.End, Want: batch.Start,
				First: batch.Start.FrameNo + 1, Last: batch.End.FrameNo}
		case before.End.Checksum != batch.Start.Checksum:
			return nil, &ChecksumError{At: before.End.FrameNo, Got: before.End.Checksum,
				Want: batch.Start.Checksum}
		case before.PageSize != batch.PageSize:
			return nil, &FormatError{Field: "page size of a batch", Got: batch.PageSize,
				Want: before.PageSize}
		}
	}
	if len(batches) == 1 {
		return batches[0].Frames, nil
	}
	frames := make([]Frame, 0, count)
	for _, batch := range batches {
		frames = append(frames, batch.Frames...)
	}
	return frames, nil
}
