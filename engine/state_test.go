//go:build cgo

package engine

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// recordOf is a record that differs from those of other generations in every part.
func recordOf(generation uint64) record {
	n := uint32(generation)
	return record{
		Generation: generation, Role: RolePrimary, PageSize: 4096,
		Anchor: anchor{Position: translog.FrameNo(100 * n), Salt: [2]uint32{n, n + 1}, Frame: n,
			Checksum: [2]uint32{n + 2, n + 3}},
		Saved: translog.Position{FrameNo: translog.FrameNo(90 * n), Checksum: 1},
		File:  &fileStat{Inode: generation},
	}
}

// slotOf is a slot as long as it is in a file whose second slot is used.
func slotOf(t testing.TB, generation uint64) []byte {
	t.Helper()
	slot, err := encodeSlot(recordOf(generation))
	require.NoError(t, err)
	return append(slot, make([]byte, stateSlotBytes-len(slot))...)
}

// damaged returns a copy with one byte changed.
func damaged(slot []byte, at int) []byte {
	slot = bytes.Clone(slot)
	slot[at] ^= 0x40
	return slot
}

// withText is a slot that is whole but for what its text says.
func withText(text string) []byte {
	slot := make([]byte, stateHeaderBytes, stateSlotBytes)
	copy(slot, stateMagic)
	binary.BigEndian.PutUint32(slot[8:], uint32(len(text)))
	binary.BigEndian.PutUint32(slot[12:], crc32.Checksum([]byte(text), castagnoli))
	return append(slot, text...)
}

// TestDecodeState is the table of what a state file can look like after a crash or damage, with
// the generation that counts; 0 stands for none, -1 for ErrState.
func TestDecodeState(t *testing.T) {
	five, six := slotOf(t, 5), slotOf(t, 6)
	overlong := bytes.Clone(six)
	binary.BigEndian.PutUint32(overlong[8:], stateSlotBytes)
	huge := bytes.Clone(six)
	binary.BigEndian.PutUint32(huge[8:], math.MaxUint32)
	beyond := append(append(bytes.Clone(five), damaged(six, 0)...), slotOf(t, 9)...)
	for _, row := range []struct {
		name    string
		content []byte
		want    int
	}{
		{"created and not written", nil, 0},
		{"first record, second slot", append(make([]byte, stateSlotBytes), slotOf(t, 1)...), 1},
		{"first slot only, as short as it was written", bytes.TrimRight(six, "\x00"), 6},
		{"newer one in the first slot", append(bytes.Clone(six), five...), 6},
		{"newer one in the second slot", append(bytes.Clone(five), six...), 6},
		{"newer one torn in its text", append(damaged(six, 100), five...), 5},
		{"newer one torn in its length", append(damaged(six, 11), five...), 5},
		{"newer one torn in its checksum", append(damaged(six, 13), five...), 5},
		{"newer one without magic", append(damaged(six, 0), five...), 5},
		{"newer one too long", append(overlong, five...), 5},
		{"newer one absurdly long", append(huge, five...), 5},
		{"newer one cut off by the end of the file", append(bytes.Clone(five), six[:60]...), 5},
		{"newer one cut off inside its header", append(bytes.Clone(five), six[:9]...), 5},
		{"newer one never written", append(bytes.Clone(five), make([]byte, 5000)...), 5},
		{"both torn", append(damaged(six, 100), damaged(five, 100)...), -1},
		{"the only one torn", damaged(six, 20), -1},
		{"zeros", make([]byte, 2*stateSlotBytes), -1},
		{"one byte", []byte{1}, -1},
		{"another file", []byte(strings.Repeat("SQLite format 3\x00", 500)), -1},
		{"a slot past the second one does not count", beyond, 5},
		{"sound checksum, no JSON", append(withText("nonsense"), five[:0]...), -1},
		{"sound checksum, wrong type", withText(`{"generation":"six"}`), -1},
		{"empty text", withText(""), -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			records, newestSlot, err := decodeState(row.content)
			switch row.want {
			case -1:
				require.ErrorIs(t, err, ErrState)
				require.Empty(t, records)
			case 0:
				require.NoError(t, err)
				require.Empty(t, records)
			default:
				require.NoError(t, err)
				require.Equal(t, recordOf(uint64(row.want)), records[0])
				r, ok := decodeSlot(row.content[newestSlot*stateSlotBytes:])
				require.True(t, ok)
				require.Equal(t, records[0], r)
			}
		})
	}
}

// TestStateKeepsWhatWasSynced writes many records, of which some are fsynced, also by a process
// that has just opened the file. Whatever becomes of a record that was not, the last one that was
// is there.
func TestStateKeepsWhatWasSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	side, fresh, err := openSidecar(path, 0o600)
	require.NoError(t, err)
	require.True(t, fresh)
	records, err := side.readState()
	require.NoError(t, err)
	require.Empty(t, records)
	synced := uint64(0)
	for generation := uint64(1); generation < 30; generation++ {
		if generation%7 == 0 { // another process: what it reads is made durable
			require.NoError(t, side.release())
			side, _, err = openSidecar(path, 0o600)
			require.NoError(t, err)
			records, err = side.readState()
			require.NoError(t, err)
			require.Equal(t, recordOf(generation-1), records[0])
			synced = generation - 1
		}
		sync := generation%4 == 1
		require.NoError(t, side.writeState(recordOf(generation), sync))
		if sync {
			synced = generation
		}
		content, err := os.ReadFile(side.statePath())
		require.NoError(t, err)
		records, newest, err := decodeState(content)
		require.NoError(t, err)
		require.Equal(t, recordOf(generation), records[0])
		if !sync {
			clear(content[newest*stateSlotBytes:][:stateHeaderBytes])
			records, _, err = decodeState(content)
			require.NoError(t, err)
			require.Equal(t, recordOf(synced), records[0])
		}
	}
	require.NoError(t, side.release())
	info, err := os.Stat(side.statePath())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "permissions of the database file")
	require.LessOrEqual(t, info.Size(), int64(2*stateSlotBytes))
}

// TestStateFitsItsSlot writes the longest record that the engine can make. A longer one is an error
// and leaves the file as it is.
func TestStateFitsItsSlot(t *testing.T) {
	const highest = math.MaxUint64
	longest := record{
		Generation: highest, Role: RolePrimary, PageSize: 65536,
		Anchor: anchor{Position: highest, Content: highest, Frame: math.MaxUint32,
			Salt:     [2]uint32{math.MaxUint32, math.MaxUint32},
			Checksum: [2]uint32{math.MaxUint32, math.MaxUint32}},
		File: &fileStat{Device: highest, Inode: highest, SizeBytes: math.MinInt64,
			ModifiedNs: math.MinInt64, ChangedNs: math.MinInt64},
		Saved:    translog.Position{FrameNo: highest, Checksum: highest},
		Snapshot: true,
	}
	position := translog.Position{FrameNo: highest, Checksum: highest}
	for range offeredRememberedMax {
		longest.Offered = append(longest.Offered, offeredLog{position, highest})
	}
	for range writersMax {
		longest.Writers = append(longest.Writers, writer{NodeID: highest, UpTo: highest})
	}
	for range earlierMax {
		longest.Earlier = append(longest.Earlier, position)
	}
	slot, err := encodeSlot(longest)
	require.NoError(t, err)
	t.Logf("longest record: %d of %d bytes", len(slot), stateSlotBytes)
	decoded, ok := decodeSlot(slot)
	require.True(t, ok)
	require.Equal(t, longest, decoded)

	side, _, err := openSidecar(filepath.Join(t.TempDir(), "app.db"), 0o600)
	require.NoError(t, err)
	require.NoError(t, side.writeState(recordOf(3), true))
	longest.Offered = append(longest.Offered, make([]offeredLog, 900)...)
	require.ErrorContains(t, side.writeState(longest, true), "does not fit")
	records, err := side.readState()
	require.NoError(t, err)
	require.Equal(t, recordOf(3), records[0])
}

// FuzzDecodeState decodes any bytes: it never panics, and what it accepts is what encoding it again
// and decoding that gives.
func FuzzDecodeState(f *testing.F) {
	five, six := slotOf(f, 5), slotOf(f, 6)
	f.Add([]byte{})
	f.Add(append(bytes.Clone(five), six...))
	f.Add(append(damaged(six, 100), five...))
	f.Add(six[:60])
	f.Add(withText(`{"generation":1}`))
	f.Add(withText("[]"))
	f.Add([]byte(`{"generation":1,"offered":[{"frame_no":1}],"file":{"inode":-1}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _, _ = decodeState(withText(string(content))) // past the checksum, too
		records, _, err := decodeState(content)
		if err != nil {
			require.ErrorIs(t, err, ErrState)
		}
		if len(records) == 0 {
			return
		}
		require.NoError(t, err)
		slot, err := encodeSlot(records[0])
		if err != nil {
			return // JSON that was shorter than ours
		}
		again, ok := decodeSlot(slot)
		require.True(t, ok)
		second, err := encodeSlot(again)
		require.NoError(t, err)
		require.Equal(t, slot, second)
	})
}
