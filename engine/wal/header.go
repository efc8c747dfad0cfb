package wal

import "encoding/binary"

const (
	// HeaderSize is the size of the file header in bytes.
	HeaderSize = 32
	// FrameHeaderSize is the size of a frame's header in bytes; the page follows it.
	FrameHeaderSize = 24

	magicLittleEndian = 0x377f0682
	magicBigEndian    = 0x377f0683
	formatVersion     = 3007000
	minPageSize       = 512
	maxPageSize       = 65536
)

// Salt is the eight bytes that tell one life of a WAL file from the next, as two
// words in the machine's byte order of memory, in which the wal-index keeps them.
type Salt [2]uint32

func readSalt(b []byte) Salt {
	return Salt{binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])}
}

func (s Salt) put(b []byte) {
	binary.NativeEndian.PutUint32(b, s[0])
	binary.NativeEndian.PutUint32(b[4:], s[1])
}

// Header is the file header.
type Header struct {
	BigEndianChecksum bool     // byte order of the words that checksums run over
	PageSize          int      // bytes
	Sequence          uint32   // number of checkpoints, for people
	Salt              Salt     // of every valid frame
	Checksum          Checksum // of the header itself, where the running checksum starts
}

// ParseHeader reads the file header from the first HeaderSize bytes of b. It
// returns a *FormatError when it is not valid.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, &FormatError{"length", uint32(len(b))}
	}
	magic := binary.BigEndian.Uint32(b)
	if magic != magicLittleEndian && magic != magicBigEndian {
		return Header{}, &FormatError{"magic", magic}
	}
	if version := binary.BigEndian.Uint32(b[4:]); version != formatVersion {
		return Header{}, &FormatError{"version", version}
	}
	size := binary.BigEndian.Uint32(b[8:])
	if size < minPageSize || size > maxPageSize || size&(size-1) != 0 {
		return Header{}, &FormatError{"page size", size}
	}
	h := Header{
		BigEndianChecksum: magic == magicBigEndian,
		PageSize:          int(size),
		Sequence:          binary.BigEndian.Uint32(b[12:]),
		Salt:              readSalt(b[16:]),
		Checksum:          readChecksum(b[24:]),
	}
	if h.Checksum != (Checksum{}).Update(h.BigEndianChecksum, b[:24]) {
		return Header{}, &FormatError{"checksum", h.Checksum[0]}
	}
	return h, nil
}

// Append appends the header in its file form, with its checksum computed anew, to b
// and returns the header with that checksum.
func (h Header) Append(b []byte) ([]byte, Header) {
	var raw [HeaderSize]byte
	magic := uint32(magicLittleEndian)
	if h.BigEndianChecksum {
		magic = magicBigEndian
	}
	binary.BigEndian.PutUint32(raw[0:], magic)
	binary.BigEndian.PutUint32(raw[4:], formatVersion)
	binary.BigEndian.PutUint32(raw[8:], uint32(h.PageSize))
	binary.BigEndian.PutUint32(raw[12:], h.Sequence)
	h.Salt.put(raw[16:])
	h.Checksum = Checksum{}.Update(h.BigEndianChecksum, raw[:24])
	putChecksum(raw[24:], h.Checksum)
	return append(b, raw[:]...), h
}

func readChecksum(b []byte) Checksum {
	return Checksum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func putChecksum(b []byte, c Checksum) {
	binary.BigEndian.PutUint32(b, c[0])
	binary.BigEndian.PutUint32(b[4:], c[1])
}
