package translog

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/superfly/ltx"
)

// guard stands between a file and ltx's decoder, which allocates as many bytes for a page
// as a 32-bit field of the file says. The guard knows when that field passes, and refuses
// a size that no page can have when compressed. The decoder reads exactly what it decodes
// while it is in the pages, so the guard only has to be told when a page begins.
type guard struct {
	reader        io.Reader
	blockBytesMax uint32
	inPage        bool
	head          [pageHeadBytes]byte // page header and the size that follows it
	headBytes     int
}

// A page begins with its number, flags, and the size of its compressed block
// (https://github.com/superfly/ltx#page-block).
const (
	pageFlagsOffset = 4
	pageSizeOffset  = ltx.PageHeaderSize
	pageHeadBytes   = ltx.PageHeaderSize + 4
)

// blockBytesMax is the bound that LZ4 gives for the compression of a page.
func blockBytesMax(pageSize int) uint32 { return uint32(pageSize + pageSize/255 + 16) }

func (g *guard) expectPage() { g.inPage, g.headBytes = true, 0 }

func (g *guard) expectEnd() { g.inPage = false }

// headerComplete reports whether a whole page header has passed.
func (g *guard) headerComplete() bool { return g.headBytes >= ltx.PageHeaderSize }

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.reader.Read(p)
	if !g.inPage || g.headBytes == pageHeadBytes || n == 0 {
		return n, err
	}
	g.headBytes += copy(g.head[g.headBytes:], p[:n])
	if g.headBytes < pageHeadBytes {
		return n, err
	}
	flags := binary.BigEndian.Uint16(g.head[pageFlagsOffset:])
	if flags&ltx.PageHeaderFlagSize == 0 {
		return n, err // The older form: an LZ4 frame, which bounds itself.
	}
	size := binary.BigEndian.Uint32(g.head[pageSizeOffset:])
	if size == 0 || size > g.blockBytesMax {
		return 0, &FormatError{Field: "size of a compressed page", Got: size,
			Want: fmt.Sprint("1 to ", g.blockBytesMax)}
	}
	return n, err
}
