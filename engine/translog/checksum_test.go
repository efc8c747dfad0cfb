package translog

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// Goal: our sums are LTX's. Method: random pages of every size against ltx.
func TestPageSumIsThatOfLTX(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for pageSize := pageSizeMin; pageSize <= pageSizeMax; pageSize *= 2 {
		data := make([]byte, pageSize)
		for range 20 {
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			no := random.Uint32()
			require.Equal(t, uint64(ltx.ChecksumPage(no, data)), uint64(PageSum(PageNo(no), data)))
		}
		require.Equal(t, ltx.LockPgno(uint32(pageSize)), uint32(LockPage(pageSize)))
		require.True(t, validPageSize(pageSize))
		require.False(t, validPageSize(pageSize+1))
	}
	require.Zero(t, LockPage(0))
	require.Zero(t, LockPage(-1))
}

// Goal: summing allocates nothing. Method: count allocations.
func TestPageSumAllocatesNothing(t *testing.T) {
	data := make([]byte, 4096)
	var sum Checksum
	allocations := testing.AllocsPerRun(100, func() {
		sum = sum.Replace(sum, PageSum(3, data))
	})
	require.Zero(t, allocations)
}

// Goal: the rolling checksum does not depend on the way to a state.
// Method: replace, add and remove pages; compare with the sum worked out anew.
func TestReplaceFollowsTheDatabase(t *testing.T) {
	h := newHistory(t, 3, 512)
	h.start(10)
	sum := h.sum()
	require.Equal(t, sum, sum.Replace(0, 0))

	changed := h.randomPage()
	sum = sum.Replace(PageSum(4, h.pages[3]), PageSum(4, changed))
	h.pages[3] = changed
	require.Equal(t, h.sum(), sum)

	sum = sum.Replace(PageSum(10, h.pages[9]), 0)
	h.pages = h.pages[:9]
	require.Equal(t, h.sum(), sum)

	added := h.randomPage()
	sum = sum.Replace(0, PageSum(10, added))
	h.pages = append(h.pages, added)
	require.Equal(t, h.sum(), sum)
	require.Equal(t, "8000000000000000", EmptyChecksum.String())
}
