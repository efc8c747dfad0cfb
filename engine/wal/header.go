package wal

import "encoding/binary"

// HeaderSize is the length of the file header in bytes.
const HeaderSize = 32

// What the file header holds. https://www.sqlite.org/fileformat2.html#walformat
const (
	magicLittleEndian = 0x377f0682
	magicBigEndian    = 0x377f0683
	version           = 3007000
	pageSizeMin       = 512
	pageSizeMax       = 65536
)

// The parts of the file header, by their offset in bytes.
const (
	headerVersion  = 4
	headerPageSize = 8
	headerSequence = 12
	headerSalt     = 16
	headerChecksum = 24
)

// Salt marks the frames that belong to one life of a WAL, from a restart to the next;
// frames left over from an earlier life carry another one. Its only use is comparison for
// equality.
//
// The two words are the eight bytes of the file read in the machine's byte order, because
// that is how the wal-index keeps them (it holds the bytes as they lie in the file, while
// all its other fields are native numbers): so a Salt read here equals one read there.
type Salt [2]uint32

func saltOf(b []byte) Salt {
	return Salt{binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])}
}

func (s Salt) append(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, s[0])
	return binary.NativeEndian.AppendUint32(b, s[1])
}

// Header is the file header of a WAL.
type Header struct {
	BigEndianChecksum bool     // how checksums read words; the file's numbers are big-endian anyway
	PageSize          int      // bytes, a power of two from 512 to 65536
	Sequence          uint32   // goes up by one at each restart
	Salt              Salt     // of every frame that belongs to this header
	Checksum          Checksum // of the header itself; the first frame's goes on from it
}

// ParseHeader reads the first HeaderSize bytes of a WAL file and verifies them. What
// follows in b is ignored. It returns a *FormatError that names the field that is wrong;
// "length" for fewer bytes, which is what an empty or just created WAL has.
func ParseHeader(b []byte) (Header, error) {
	wrong := func(field string, got uint64, want string) (Header, error) {
		return Header{}, &FormatError{Field: field, Got: got, Want: want}
	}
	if len(b) < HeaderSize {
		return wrong("length", uint64(len(b)), "32 bytes")
	}
	magic := binary.BigEndian.Uint32(b)
	if magic != magicLittleEndian && magic != magicBigEndian {
		return wrong("magic number", uint64(magic), "0x377f0682 or 0x377f0683")
	}
	if got := binary.BigEndian.Uint32(b[headerVersion:]); got != version {
		return wrong("version", uint64(got), "3007000")
	}
	pageSize := binary.BigEndian.Uint32(b[headerPageSize:])
	if pageSize < pageSizeMin || pageSize > pageSizeMax || pageSize&(pageSize-1) != 0 {
		return wrong("page size", uint64(pageSize), "a power of two from 512 to 65536")
	}
	h := Header{
		BigEndianChecksum: magic == magicBigEndian,
		PageSize:          int(pageSize),
		Sequence:          binary.BigEndian.Uint32(b[headerSequence:]),
		Salt:              saltOf(b[headerSalt:]),
		Checksum:          checksumOf(b[headerChecksum:]),
	}
	if (Checksum{}).Update(h.BigEndianChecksum, b[:headerChecksum]) != h.Checksum {
		got := binary.BigEndian.Uint64(b[headerChecksum:])
		return wrong("checksum", got, "the checksum of the 24 bytes before it")
	}
	return h, nil
}

// Append appends the HeaderSize bytes of the header to b. The checksum is computed: what
// h.Checksum holds does not matter. ParseHeader gives it back with the header.
func (h Header) Append(b []byte) []byte {
	start := len(b)
	magic := uint32(magicLittleEndian)
	if h.BigEndianChecksum {
		magic = magicBigEndian
	}
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(h.PageSize))
	b = binary.BigEndian.AppendUint32(b, h.Sequence)
	b = h.Salt.append(b)
	return Checksum{}.Update(h.BigEndianChecksum, b[start:]).append(b)
}

func checksumOf(b []byte) Checksum {
	return Checksum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func (c Checksum) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, c[0])
	return binary.BigEndian.AppendUint32(b, c[1])
}
