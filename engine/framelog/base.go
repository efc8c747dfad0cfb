package framelog

import (
	"fmt"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// Base is a database at one position, as far as [Log.Convert] needs to know it to carry
// its checksum through the frames that follow. The zero Base is the database before
// anything was written: its frames become a snapshot.
type Base struct {
	// Position is the last position that is part of the base, with the checksum there.
	Position translog.Position
	// PageSize is the size of a page in bytes.
	PageSize int
	// Pages is the size of the database in pages.
	Pages uint32
	// PageSum returns the sum of a page of the base, [translog.PageSum] of its bytes. It
	// is called once for each page that the frames change or cut off, from 1 to Pages and
	// never for the lock page.
	PageSum func(translog.PageNo) (translog.Checksum, error)
}

// Sums is a base in memory: position and page sums of a database, 8 bytes for each page.
// It is not safe for concurrent use.
type Sums struct {
	position translog.Position
	pageSize int
	lockPage translog.PageNo
	sums     []translog.Checksum // of page index+1, 0 for the lock page
}

// ReadSums reads and verifies a snapshot, by the rules of [translog.Log.Verify]. Use
// [translog.Snapshot.Append] first for logs on top of it.
func ReadSums(snapshot *translog.Snapshot) (*Sums, error) {
	s := &Sums{
		pageSize: snapshot.PageSize(), lockPage: translog.LockPage(snapshot.PageSize()),
		position: translog.Position{FrameNo: snapshot.Last(), Checksum: translog.EmptyChecksum},
	}
	for page, err := range snapshot.Pages() {
		if err != nil {
			return nil, fmt.Errorf("framelog: read %v: %w", snapshot, err)
		}
		if err := s.growTo(page.No - 1); err != nil {
			return nil, err
		}
		s.set(page.No, translog.PageSum(page.No, page.Data))
	}
	return s, s.growTo(translog.PageNo(snapshot.Commit()))
}

// set enters the sum of a page: one that is there, or the next one.
func (s *Sums) set(no translog.PageNo, sum translog.Checksum) {
	if uint64(len(s.sums)) < uint64(no) {
		s.sums = append(s.sums, 0)
	}
	s.position.Checksum = s.position.Checksum.Replace(s.sums[no-1], sum)
	s.sums[no-1] = sum
}

// Position returns the position that the sums are of.
func (s *Sums) Position() translog.Position { return s.position }

// Base returns the base for the frames after [Sums.Position]. It is valid until the next
// Apply.
func (s *Sums) Base() Base {
	return Base{Position: s.position, PageSize: s.pageSize, Pages: uint32(len(s.sums)),
		PageSum: s.pageSum}
}

func (s *Sums) pageSum(no translog.PageNo) (translog.Checksum, error) {
	if no == 0 || uint64(no) > uint64(len(s.sums)) {
		return 0, &FormatError{Field: "page number", Got: no,
			Want: fmt.Sprint("1 to ", len(s.sums))}
	}
	return s.sums[no-1], nil
}

// Apply moves the sums to the end of a log that continues them, such as the one that
// Convert just made from their base. The log is read and verified. After an error the
// sums are as they were.
//
// A log that does not continue them is a [*translog.GapError], or a
// [*translog.ChecksumError] when it starts or ends with another checksum; a damaged one,
// or one that grows the database by pages that it does not hold, is a
// [*translog.FormatError] or [*FormatError].
func (s *Sums) Apply(log *translog.Log) error {
	if log.IsSnapshot() {
		fresh, err := ReadSums(&translog.Snapshot{Log: log})
		if err != nil {
			return err
		}
		*s = *fresh
		return nil
	}
	if log.Start().FrameNo != s.position.FrameNo {
		return &translog.GapError{Have: s.position, Want: log.Start(),
			First: log.First(), Last: log.Last()}
	}
	if _, err := translog.CheckChain(s.position, log); err != nil {
		return err
	}
	if log.PageSize() != s.pageSize {
		return &FormatError{Field: "page size", Got: log.PageSize(), Want: s.pageSize}
	}
	next, err := s.with(log)
	if err != nil {
		return err
	}
	*s = *next
	return nil
}

// with returns the sums after a log.
func (s *Sums) with(log *translog.Log) (*Sums, error) {
	next := *s
	next.sums = append([]translog.Checksum(nil), s.sums...)
	for page, err := range log.Pages() {
		if err != nil {
			return nil, fmt.Errorf("framelog: read %v: %w", log, err)
		}
		if err := next.growTo(page.No - 1); err != nil {
			return nil, err
		}
		next.set(page.No, translog.PageSum(page.No, page.Data))
	}
	if err := next.growTo(translog.PageNo(log.Commit())); err != nil {
		return nil, err
	}
	for uint32(len(next.sums)) > log.Commit() {
		no := translog.PageNo(len(next.sums))
		if no != next.lockPage {
			next.set(no, 0)
		}
		next.sums = next.sums[:no-1]
	}
	next.position.FrameNo = log.Last()
	if want := log.End().Checksum; want != 0 && want != next.position.Checksum {
		return nil, &translog.ChecksumError{At: log.Last(), Got: next.position.Checksum, Want: want}
	}
	return &next, nil
}

// growTo enters the lock page when it is the next one, and refuses if then any page up to
// the given one is missing: a log should have brought it. So memory grows only with pages
// that are there.
func (s *Sums) growTo(no translog.PageNo) error {
	if translog.PageNo(len(s.sums))+1 == s.lockPage && no >= s.lockPage {
		s.sums = append(s.sums, 0)
	}
	if uint64(len(s.sums)) < uint64(no) {
		return &FormatError{Field: "log", Got: fmt.Sprint("no page ", len(s.sums)+1),
			Want: "all pages that the database grows by"}
	}
	return nil
}
