package translog

import "fmt"

// CheckChain checks that the logs, in this order, continue the position from, and returns
// where they lead. Only what the logs say about themselves is compared, no page is read.
//
// A log that ends at or before the position reached is skipped. A snapshot that ends
// after it replaces everything. Any other log must begin right after the position, else
// the error is a [*GapError], and must start from its checksum, else it is a
// [*ChecksumError], as it is when a skipped log ends at the very position with another
// checksum. Checksums that are zero, because a file does not track them, are not
// compared. Logs that are applied to each other must have one page size, else it is a
// [*FormatError].
//
// With an error comes the position that was reached before the log that failed.
func CheckChain(from Position, logs ...*Log) (Position, error) {
	_, end, err := chain(from, logs)
	return end, err
}

// chain is CheckChain, and returns the logs that count: what a snapshot replaces and what
// is skipped are not among them.
func chain(from Position, logs []*Log) (used []*Log, end Position, err error) {
	at := from
	for _, log := range logs {
		if log.Last() <= at.FrameNo {
			if log.Last() == at.FrameNo {
				err = sameChecksum(at, log.End().Checksum)
			}
			if err != nil {
				return nil, at, err
			}
			continue
		}
		if log.IsSnapshot() {
			used, at = append(used[:0:0], log), log.End()
			continue
		}
		if log.First() != at.FrameNo+1 {
			return nil, at, &GapError{Have: at, Want: log.Start(),
				First: log.First(), Last: log.Last()}
		}
		if err := sameChecksum(at, log.Start().Checksum); err != nil {
			return nil, at, err
		}
		if len(used) > 0 && used[0].PageSize() != log.PageSize() {
			return nil, at, &FormatError{Field: fmt.Sprint("page size of ", log),
				Got: log.PageSize(), Want: used[0].PageSize()}
		}
		used, at = append(used, log), log.End()
	}
	return used, at, nil
}

// sameChecksum compares the checksum in hand with the one that a log wants, as far as
// both are known.
func sameChecksum(have Position, want Checksum) error {
	if have.Checksum == 0 || want == 0 || have.Checksum == want {
		return nil
	}
	return &ChecksumError{At: have.FrameNo, Got: have.Checksum, Want: want}
}
