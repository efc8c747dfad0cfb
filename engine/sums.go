//go:build cgo

package engine

import (
	"github.com/mylibsql/mylibsql/engine/translog"
)

// sums holds the checksum of every page at one position, by page number: that of the sealer
// or of a stream. A zero stands for one that is not known: when it is needed it is computed
// from the database file, which holds nothing newer than the position.
type sums struct {
	known []translog.Checksum
}

func (s *sums) pages() uint32 { return uint32(len(s.known)) }

func (s *sums) resize(pages uint32) {
	if pages <= uint32(len(s.known)) {
		s.known = s.known[:pages]
		return
	}
	if pages <= uint32(cap(s.known)) {
		old := len(s.known)
		s.known = s.known[:pages]
		clear(s.known[old:])
		return
	}
	grown := make([]translog.Checksum, pages, pages+pages/8)
	copy(grown, s.known)
	s.known = grown
}

func (s *sums) set(page translog.PageNo, sum translog.Checksum) { s.known[page-1] = sum }

// at returns the sum of a page at that position, 0 for a page past its size.
func (s *sums) at(page translog.PageNo, read func(translog.PageNo) ([]byte, error)) (
	translog.Checksum, error,
) {
	if uint32(page) > s.pages() {
		return 0, nil
	}
	if sum := s.known[page-1]; sum != 0 {
		return sum, nil
	}
	data, err := read(page)
	if err != nil {
		return 0, err
	}
	sum := translog.PageSum(page, data)
	s.known[page-1] = sum
	return sum, nil
}
