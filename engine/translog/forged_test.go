package translog

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"
)

// forged encodes pages of 512 zeros by hand, each as the given LZ4 block, or when that is nil as an
// LZ4 frame, the older form. The file checksum is right, so that what else is wrong must be found.
func forged(t testing.TB, header ltx.Header, pages []PageNo, after ltx.Checksum,
	block []byte,
) []byte {
	t.Helper()
	header.Version, header.PageSize = ltx.Version, 512
	var buffer bytes.Buffer
	hash := ltx.NewHasher()
	put := func(b []byte) { buffer.Write(b); hash.Write(b) }
	head, err := header.MarshalBinary()
	require.NoError(t, err)
	put(head)
	var index []byte
	for _, no := range pages {
		offset := buffer.Len()
		put(binary.BigEndian.AppendUint32(nil, uint32(no)))
		if block != nil {
			put([]byte{0, 1})
			put(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			buffer.Write(block)
		} else {
			put([]byte{0, 0})
			buffer.WriteString(zeroFrame())
		}
		hash.Write(make([]byte, 512))
		index = binary.AppendUvarint(index, uint64(no))
		index = binary.AppendUvarint(index, uint64(offset))
		index = binary.AppendUvarint(index, uint64(buffer.Len()-offset))
	}
	put(make([]byte, ltx.PageHeaderSize))
	index = append(index, 0)
	put(index)
	put(binary.BigEndian.AppendUint64(nil, uint64(len(index))))
	put(binary.BigEndian.AppendUint64(nil, uint64(after)))
	sum := uint64(ltx.ChecksumFlag) | hash.Sum64()
	return binary.BigEndian.AppendUint64(buffer.Bytes(), sum)
}

// zeroBlock is a page of 512 zeros as ltx compresses it.
func zeroBlock(t testing.TB) []byte {
	t.Helper()
	builder, err := NewBuilder(Spec{First: 2, Last: 2, PageSize: 512, Commit: 1,
		PreApply: EmptyChecksum}, BuildOptions{})
	require.NoError(t, err)
	require.NoError(t, builder.WritePage(1, make([]byte, 512)))
	log, err := builder.Finish(EmptyChecksum)
	require.NoError(t, err)
	data := encoded(t, log)
	size := binary.BigEndian.Uint32(data[ltx.HeaderSize+ltx.PageHeaderSize:])
	begin := ltx.HeaderSize + pageHeadBytes
	return data[begin : begin+int(size)]
}

// zeroFrame is a page of 512 zeros as an LZ4 frame with one stored block and a content checksum
// (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
func zeroFrame() string {
	head, stored, end := "\x04\x22\x4d\x18\x64\x40\xa7", "\x00\x02\x00\x80", "\x00\x00\x00\x00"
	return head + stored + string(make([]byte, 512)) + end + "\xde\x53\xc1\x32"
}
