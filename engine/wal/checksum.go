package wal

import "encoding/binary"

// Checksum is the running checksum of a WAL: two sums, each fed by the other, over 32-bit
// words. It starts at zero before the file header; every frame's checksum goes on from
// the one before. https://www.sqlite.org/fileformat2.html#checksum_algorithm
//
// The sums are numbers: in the file they are stored big-endian, in the wal-index in the
// machine's byte order, and whoever reads either gets the same Checksum.
type Checksum [2]uint32

// checksumStrideBytes is how much one round of the unrolled loops takes.
const checksumStrideBytes = 32

// Update returns the checksum that includes data, whose words are read as bigEndian says
// (a file says it in its magic number: Header.BigEndianChecksum). The length of data must
// be a multiple of 8, as all that a WAL sums is; odd bytes at the end are not included.
func (c Checksum) Update(bigEndian bool, data []byte) Checksum {
	if bigEndian {
		return c.updateBigEndian(data)
	}
	return c.updateLittleEndian(data)
}

// The chain of additions that no processor can shorten is one for each word. The order of
// the operands keeps it at that: first what is known early, then the sum that was
// computed last.

func (c Checksum) updateLittleEndian(data []byte) Checksum {
	first, second := c[0], c[1]
	for len(data) >= checksumStrideBytes {
		a := binary.LittleEndian.Uint64(data)
		b := binary.LittleEndian.Uint64(data[8:])
		c := binary.LittleEndian.Uint64(data[16:])
		d := binary.LittleEndian.Uint64(data[24:])
		first = (first + uint32(a)) + second
		second = (second + uint32(a>>32)) + first
		first = (first + uint32(b)) + second
		second = (second + uint32(b>>32)) + first
		first = (first + uint32(c)) + second
		second = (second + uint32(c>>32)) + first
		first = (first + uint32(d)) + second
		second = (second + uint32(d>>32)) + first
		data = data[checksumStrideBytes:]
	}
	for len(data) >= 8 {
		first = (first + binary.LittleEndian.Uint32(data)) + second
		second = (second + binary.LittleEndian.Uint32(data[4:])) + first
		data = data[8:]
	}
	return Checksum{first, second}
}

func (c Checksum) updateBigEndian(data []byte) Checksum {
	first, second := c[0], c[1]
	for len(data) >= checksumStrideBytes {
		a := binary.BigEndian.Uint64(data)
		b := binary.BigEndian.Uint64(data[8:])
		c := binary.BigEndian.Uint64(data[16:])
		d := binary.BigEndian.Uint64(data[24:])
		first = (first + uint32(a>>32)) + second
		second = (second + uint32(a)) + first
		first = (first + uint32(b>>32)) + second
		second = (second + uint32(b)) + first
		first = (first + uint32(c>>32)) + second
		second = (second + uint32(c)) + first
		first = (first + uint32(d>>32)) + second
		second = (second + uint32(d)) + first
		data = data[checksumStrideBytes:]
	}
	for len(data) >= 8 {
		first = (first + binary.BigEndian.Uint32(data)) + second
		second = (second + binary.BigEndian.Uint32(data[4:])) + first
		data = data[8:]
	}
	return Checksum{first, second}
}
