package wal_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// BenchmarkNext reads a WAL of 8 MiB from memory; MB/s counts the bytes of the file.
func BenchmarkNext(b *testing.B) {
	for _, pageSize := range []int{512, 4096, 65536} {
		for _, bigEndian := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d,bigEndian=%t", pageSize, bigEndian), func(b *testing.B) {
				random := rand.New(rand.NewPCG(1, 2))
				frames := testFrames(random, pageSize, make([]bool, 8<<20/pageSize)...)
				header := wal.Header{
					BigEndianChecksum: bigEndian, PageSize: pageSize, Salt: testSalt,
				}
				file, header, cursors := buildWAL(b, header, frames)
				source := bytes.NewReader(file)
				reader := wal.NewReader(source, header, cursors[0])
				_, err := reader.Next() // allocates the chunk
				require.NoError(b, err)
				b.SetBytes(int64(wal.FrameHeaderSize + pageSize))
				b.ReportAllocs()
				for b.Loop() {
					_, err = reader.Next()
					if err == io.EOF {
						reader.Reset(source, header, cursors[0])
						_, err = reader.Next()
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
