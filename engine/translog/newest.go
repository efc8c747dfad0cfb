package translog

import "slices"

// NewestFrames keeps of a stretch of frames what a log of it holds: the last frame of each
// page, in the order of the pages, without pages past the database's size of commit
// pages. A key is a page number in the upper half and a frame number in the lower. The
// slice is sorted and cut in place.
func NewestFrames(keys []uint64, commit uint32) []uint64 {
	slices.Sort(keys)
	kept := keys[:0]
	for i, key := range keys {
		page := uint32(key >> 32)
		if page > commit {
			break
		}
		if i+1 < len(keys) && uint32(keys[i+1]>>32) == page {
			continue
		}
		kept = append(kept, key)
	}
	return kept
}
