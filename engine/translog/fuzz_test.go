package translog

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// FuzzReadLog's goal: no bytes make ReadLog panic or return anything but a sound log or a typed
// error. Method: what is read must read again to the same pages, and be inside its own bounds.
func FuzzReadLog(f *testing.F) {
	h := newHistory(f, 61, 512)
	f.Add(encoded(f, h.start(3).Log))
	log := encoded(f, h.change(4, 2, false))
	f.Add(log)
	f.Add(log[:len(log)-20])
	header := ltx.Header{MinTXID: 2, MaxTXID: 3, Commit: 9, PreApplyChecksum: ltx.ChecksumFlag | 5}
	f.Add(forged(f, header, []PageNo{1, 9}, ltx.ChecksumFlag|1, nil))
	header.Commit = 1<<32 - 1
	f.Add(forged(f, header, []PageNo{1, 1<<32 - 1}, ltx.ChecksumFlag|1, zeroBlock(f)))
	f.Add([]byte("LTX1"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := ReadLog(bytes.NewReader(data), dir)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		defer func() { require.NoError(t, log.Close()) }()
		require.Equal(t, data, encoded(t, log))
		require.NoError(t, log.Verify())
		var previous PageNo
		for _, page := range pagesOf(t, log) {
			require.Greater(t, page.No, previous)
			require.LessOrEqual(t, uint32(page.No), log.Commit())
			require.Len(t, page.Data, log.PageSize())
			previous = page.No
		}
		clone, err := Merge(dir, log)
		require.NoError(t, err)
		require.NoError(t, clone.Close())
	})
}
