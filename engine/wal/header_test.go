package wal_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// Goal: a header survives its file form. Method: every page size in both byte orders, appended to
// bytes that must stay, with a wrong checksum that Append must ignore.
func TestHeaderRoundTrip(t *testing.T) {
	for pageSize := 512; pageSize <= 65536; pageSize *= 2 {
		for _, bigEndian := range []bool{false, true} {
			header := wal.Header{
				BigEndianChecksum: bigEndian, PageSize: pageSize, Sequence: 0xfffffffe,
				Salt: testSalt, Checksum: wal.Checksum{1, 2},
			}
			file := header.Append([]byte("before"))
			require.Equal(t, "before", string(file[:6]))
			require.Len(t, file, 6+wal.HeaderSize)
			read, err := wal.ParseHeader(append(file[6:], 0xff))
			require.NoError(t, err)
			header.Checksum = naiveChecksum(wal.Checksum{}, bigEndian, file[6:6+24])
			require.Equal(t, header, read)
		}
	}
}

// Goal: the fields stand where the format page says. Method: bytes written by hand.
func TestHeaderFieldsStandWhereTheFormatSays(t *testing.T) {
	header := wal.Header{BigEndianChecksum: true, PageSize: 65536, Sequence: 0x0a0b0c0d}
	header.Salt = wal.Salt{
		binary.NativeEndian.Uint32([]byte{1, 2, 3, 4}),
		binary.NativeEndian.Uint32([]byte{5, 6, 7, 8}),
	}
	file := header.Append(nil)
	require.Equal(t, []byte{
		0x37, 0x7f, 0x06, 0x83, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x01, 0x00, 0x00,
		0x0a, 0x0b, 0x0c, 0x0d, 1, 2, 3, 4, 5, 6, 7, 8,
	}, file[:24])
	little := wal.Header{PageSize: 512}.Append(nil)
	require.Equal(t, []byte{0x37, 0x7f, 0x06, 0x82}, little[:4])
}

// Goal: every header that SQLite would not take is refused by the field that is wrong. Method: a
// table of changes; where the checksum should not be what fails, it is computed anew.
func TestParseHeaderRefusesWhatIsNotAWAL(t *testing.T) {
	word := func(at int, value uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[at:], value)
			sum := naiveChecksum(wal.Checksum{}, b[3]&1 == 1, b[:24])
			binary.BigEndian.PutUint32(b[24:], sum[0])
			binary.BigEndian.PutUint32(b[28:], sum[1])
			return b
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	tests := []struct {
		name    string
		corrupt func([]byte) []byte
		field   string
		got     uint64
	}{
		{"nothing", func([]byte) []byte { return nil }, "length", 0},
		{"one byte short", func(b []byte) []byte { return b[:31] }, "length", 31},
		{"zeros", func([]byte) []byte { return make([]byte, 32) }, "magic number", 0},
		{"another magic", word(0, 0x377f0684), "magic number", 0x377f0684},
		{"a database file", func([]byte) []byte {
			return []byte("SQLite format 3\x00................")
		}, "magic number", 0x53514c69},
		{"a later version", word(4, 3007001), "version", 3007001},
		{"page size 0", word(8, 0), "page size", 0},
		{"page size 1, as in a database header", word(8, 1), "page size", 1},
		{"page size 256", word(8, 256), "page size", 256},
		{"page size 4095", word(8, 4095), "page size", 4095},
		{"page size 131072", word(8, 131072), "page size", 131072},
		{"page size 2^31", word(8, 1<<31), "page size", 1 << 31},
	}
	for _, bigEndian := range []bool{false, true} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s,bigEndian=%t", test.name, bigEndian), func(t *testing.T) {
				header := wal.Header{BigEndianChecksum: bigEndian, PageSize: 4096, Salt: testSalt}
				file := header.Append(nil)
				requireFormatError(t, test.corrupt(file), test.field, test.got)
			})
		}
		for at := 12; at < wal.HeaderSize; at++ {
			t.Run(fmt.Sprintf("bit in byte %d,bigEndian=%t", at, bigEndian), func(t *testing.T) {
				header := wal.Header{BigEndianChecksum: bigEndian, PageSize: 4096, Salt: testSalt}
				file := header.Append(nil)
				file = flip(at)(file)
				requireFormatError(t, file, "checksum", binary.BigEndian.Uint64(file[24:]))
			})
		}
	}
	file := wal.Header{PageSize: 4096, Salt: testSalt}.Append(nil)
	file[3] ^= 1
	requireFormatError(t, file, "checksum", binary.BigEndian.Uint64(file[24:]))
}

func requireFormatError(t *testing.T, file []byte, field string, got uint64) {
	t.Helper()
	header, err := wal.ParseHeader(file)
	require.Zero(t, header)
	require.ErrorIs(t, err, wal.ErrFormat)
	require.NotErrorIs(t, err, wal.ErrChecksum)
	var format *wal.FormatError
	require.ErrorAs(t, err, &format)
	require.NotEmpty(t, format.Want)
	require.Equal(t, wal.FormatError{Field: field, Got: got, Want: format.Want}, *format)
	require.Contains(t, err.Error(), "wal: ")
	require.Contains(t, err.Error(), field)
}
