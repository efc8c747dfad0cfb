package wal

import "encoding/binary"

// Checksum is the running checksum of a WAL: two sums over 32-bit words.
// https://www.sqlite.org/fileformat2.html#checksum_algorithm
type Checksum [2]uint32

// Update returns the checksum after further data, whose length must be a multiple of
// eight bytes. bigEndian is the byte order of the words, which the file header tells.
func (c Checksum) Update(bigEndian bool, data []byte) Checksum {
	s0, s1 := c[0], c[1]
	if bigEndian {
		for ; len(data) >= 8; data = data[8:] {
			s0 += binary.BigEndian.Uint32(data) + s1
			s1 += binary.BigEndian.Uint32(data[4:]) + s0
		}
		return Checksum{s0, s1}
	}
	for ; len(data) >= 16; data = data[16:] {
		a := binary.LittleEndian.Uint64(data)
		b := binary.LittleEndian.Uint64(data[8:])
		s0 += uint32(a) + s1
		s1 += uint32(a>>32) + s0
		s0 += uint32(b) + s1
		s1 += uint32(b>>32) + s0
	}
	for ; len(data) >= 8; data = data[8:] {
		s0 += binary.LittleEndian.Uint32(data) + s1
		s1 += binary.LittleEndian.Uint32(data[4:]) + s0
	}
	return Checksum{s0, s1}
}
