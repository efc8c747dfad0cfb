package translog

import (
	"cmp"
	"fmt"
	"os"
)

// imageRunBytes is how much is written to the file at once while pages follow each other,
// and imageRuns how many such runs there are: one being filled while another is written.
const (
	imageRunBytes = 256 << 10
	imageRuns     = 3
)

// image is a database file that is being written, with the sum of each of its pages.
// Summing and writing is done by a goroutine of its own, beside the decoding: each is
// about half of the work.
//
// The runs go round: write fills one and sends it to work, the goroutine returns it to
// free. Who holds all runs knows that the goroutine rests, and may use what is its own
// otherwise.
type image struct {
	pageSize int
	lockPage PageNo
	commit   uint32 // pages that the file has
	run      imageRun
	work     chan imageRun
	free     chan imageRun
	stopped  chan struct{}

	// The goroutine's.
	file *os.File
	sum  Checksum
	sums pageSums
}

// imageRun is some pages that follow each other.
type imageRun struct {
	first PageNo
	data  []byte
	err   error // of this run or one before, when it comes back
}

// newImage starts the goroutine, which runs until close.
func newImage(file *os.File, pageSize int) *image {
	i := &image{
		file: file, pageSize: pageSize, lockPage: LockPage(pageSize), sum: EmptyChecksum,
		sums: pageSums{}, work: make(chan imageRun, imageRuns),
		free: make(chan imageRun, imageRuns), stopped: make(chan struct{}),
	}
	for range imageRuns {
		i.free <- imageRun{data: make([]byte, 0, imageRunBytes)}
	}
	i.run = <-i.free
	go i.store()
	return i
}

// close waits for the goroutine's end.
func (i *image) close() {
	close(i.work)
	<-i.stopped
}

func (i *image) write(page Page) error {
	next := i.run.first + PageNo(len(i.run.data)/i.pageSize)
	if page.No != next || len(i.run.data)+i.pageSize > cap(i.run.data) {
		if err := i.flush(); err != nil {
			return err
		}
		i.run.first = page.No
	}
	i.run.data = append(i.run.data, page.Data...)
	return nil
}

// flush sends the run to work and takes an empty one.
func (i *image) flush() error {
	i.work <- i.run
	i.run = <-i.free
	i.run.data = i.run.data[:0]
	return i.run.err
}

// rest waits until everything is written.
func (i *image) rest() error {
	err := i.flush()
	var others [imageRuns - 1]imageRun
	for k := range others {
		others[k] = <-i.free
		err = cmp.Or(err, others[k].err)
	}
	for _, other := range others {
		i.free <- other
	}
	return err
}

// store is the goroutine. After an error it does nothing but say so.
func (i *image) store() {
	defer close(i.stopped)
	var failure error
	for run := range i.work {
		if failure == nil && len(run.data) > 0 {
			failure = i.storeRun(run)
		}
		run.err = failure
		i.free <- run
	}
}

func (i *image) storeRun(run imageRun) error {
	for offset := 0; offset < len(run.data); offset += i.pageSize {
		no := run.first + PageNo(offset/i.pageSize)
		sum := PageSum(no, run.data[offset:offset+i.pageSize])
		i.sum = i.sum.Replace(i.sums.swap(no, sum), sum)
	}
	if _, err := i.file.WriteAt(run.data, int64(run.first-1)*int64(i.pageSize)); err != nil {
		return fmt.Errorf("write database: %w", err)
	}
	return nil
}

// resize writes what is left of a log and gives the file its size after it. Pages that
// are cut off take their sums with them. Pages that the file gains without an image are
// zeros; of these all but the lock page count.
func (i *image) resize(commit uint32) error {
	if err := i.rest(); err != nil {
		return err
	}
	for no := PageNo(commit) + 1; no <= PageNo(i.commit) && no != 0; no++ {
		i.sum = i.sum.Replace(i.sums.swap(no, 0), 0)
	}
	var zeros []byte
	for no := PageNo(i.commit) + 1; no <= PageNo(commit) && no != 0; no++ {
		if no == i.lockPage || i.sums.get(no) != 0 {
			continue
		}
		if zeros == nil {
			zeros = make([]byte, i.pageSize)
		}
		sum := PageSum(no, zeros)
		i.sum = i.sum.Replace(i.sums.swap(no, sum), sum)
	}
	i.commit = commit
	if err := i.file.Truncate(int64(commit) * int64(i.pageSize)); err != nil {
		return fmt.Errorf("resize database: %w", err)
	}
	return nil
}

// sumBlockPages is how many sums are kept together.
const sumBlockPages = 64

// pageSums holds the sums of pages, zero for a page that has none. It takes memory for
// pages that are there, not for those that a header claims.
type pageSums map[PageNo]*[sumBlockPages]Checksum

func (s pageSums) get(no PageNo) Checksum {
	if block := s[no/sumBlockPages]; block != nil {
		return block[no%sumBlockPages]
	}
	return 0
}

// swap sets a sum and returns the one before.
func (s pageSums) swap(no PageNo, sum Checksum) (old Checksum) {
	block := s[no/sumBlockPages]
	if block == nil {
		if sum == 0 {
			return 0
		}
		block = new([sumBlockPages]Checksum)
		s[no/sumBlockPages] = block
	}
	old, block[no%sumBlockPages] = block[no%sumBlockPages], sum
	return old
}
