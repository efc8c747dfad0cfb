package wal_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// Goal: the fast loops compute what the format page defines. Method: random data of every length
// around the unrolled steps, beside the algorithm written word by word.
func TestUpdateComputesTheDocumentedChecksum(t *testing.T) {
	random := newRandom(t)
	for length := 0; length <= 4096; length += 8 {
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		start := wal.Checksum{random.Uint32(), random.Uint32()}
		for _, bigEndian := range []bool{false, true} {
			want := naiveChecksum(start, bigEndian, data)
			require.Equal(t, want, start.Update(bigEndian, data), "%d bytes", length)
			split := random.IntN(length/8+1) * 8
			parts := start.Update(bigEndian, data[:split]).Update(bigEndian, data[split:])
			require.Equal(t, want, parts, "%d bytes in two parts, cut at %d", length, split)
		}
	}
}

// Goal: the two byte orders are not mixed up. Method: values computed by hand.
func TestUpdateByHand(t *testing.T) {
	data := []byte{0, 0, 0, 1, 0, 0, 0, 2}
	require.Equal(t, wal.Checksum{1, 3}, wal.Checksum{}.Update(true, data))
	require.Equal(t, wal.Checksum{0x01000000, 0x03000000}, wal.Checksum{}.Update(false, data))
	require.Equal(t, wal.Checksum{5 + 7 + 1, 7 + 2 + 13}, wal.Checksum{5, 7}.Update(true, data))
	require.Equal(t, wal.Checksum{5, 7}, wal.Checksum{5, 7}.Update(true, nil))
}

func BenchmarkUpdate(b *testing.B) {
	for _, bigEndian := range []bool{false, true} {
		b.Run(fmt.Sprintf("bigEndian=%t", bigEndian), func(b *testing.B) {
			page := make([]byte, 4096)
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			var sum wal.Checksum
			for b.Loop() {
				sum = sum.Update(bigEndian, page)
			}
		})
	}
}
