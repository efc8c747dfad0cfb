package translog

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"

	"github.com/superfly/ltx"
)

// Checksum is LTX's rolling checksum of a database: the exclusive or of the sums of all
// its pages, the lock page excepted, with bit 63 set. Zero means that no checksum is
// known. A page's own sum has the same type. See https://github.com/superfly/ltx#trailer.
type Checksum uint64

// EmptyChecksum is the checksum of a database without pages.
const EmptyChecksum = Checksum(ltx.ChecksumFlag)

var isoTable = crc64.MakeTable(crc64.ISO)

// PageSum returns the sum of one page, the CRC-64 of its number and its bytes, with bit
// 63 set, so that it is never zero. It allocates nothing and is safe for concurrent use.
func PageSum(no PageNo, data []byte) Checksum {
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(no))
	sum := crc64.Update(0, isoTable, number[:])
	return EmptyChecksum | Checksum(crc64.Update(sum, isoTable, data))
}

// Replace returns the checksum of a database in which a page with the sum old became one
// with the sum new. Zero stands for "no page": an old of zero adds a page, a new of zero
// removes one.
func (c Checksum) Replace(old, new Checksum) Checksum {
	return EmptyChecksum | (c ^ old ^ new)
}

// String returns the checksum as 16 hexadecimal digits.
func (c Checksum) String() string { return fmt.Sprintf("%016x", uint64(c)) }
