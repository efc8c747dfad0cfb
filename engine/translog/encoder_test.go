package translog

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: what would make a log that does not verify is refused before anything is written, and the
// encoder goes on. Method: offer each kind of wrong page, then finish properly and verify.
func TestWrongPagesAreRefused(t *testing.T) {
	page := make([]byte, 65536)
	lock := LockPage(65536)
	spec := Spec{First: 2, Last: 5, PageSize: 65536, PreApply: EmptyChecksum | 1}
	spec.Commit = uint32(lock) + 2
	builder, err := NewBuilder(spec, BuildOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	defer builder.Abort()
	require.NoError(t, builder.WritePage(3, page))
	for name, wrong := range map[string]struct {
		no   PageNo
		data []byte
	}{
		"zero": {0, page}, "again": {3, page}, "descending": {2, page}, "lock page": {lock, page},
		"beyond the end": {lock + 3, page}, "short": {4, page[:512]},
		"long": {4, make([]byte, 65537)},
	} {
		require.ErrorIs(t, builder.WritePage(wrong.no, wrong.data), ErrFormat, name)
	}
	require.NoError(t, builder.WritePage(lock+2, page))
	log, err := builder.Finish(EmptyChecksum | 2)
	require.NoError(t, err)
	defer log.Close()
	require.NoError(t, log.Verify())
}

// Goal: a specification that does not hold together is refused. Method: a table.
func TestWrongSpecificationsAreRefused(t *testing.T) {
	sum := EmptyChecksum | 9
	for name, spec := range map[string]Spec{
		"no position":          {PageSize: 512},
		"first after last":     {First: 3, Last: 2, PageSize: 512, PreApply: sum},
		"page size":            {First: 1, Last: 2, PageSize: 1000},
		"huge page size":       {First: 1, Last: 2, PageSize: 131072},
		"negative page size":   {First: 1, Last: 2, PageSize: -512},
		"snapshot with sum":    {First: 1, Last: 2, PageSize: 512, PreApply: sum},
		"no sum":               {First: 2, Last: 2, PageSize: 512},
		"sum without its flag": {First: 2, Last: 2, PageSize: 512, PreApply: 9},
		"follows elsewhere": {First: 2, Last: 2, PageSize: 512, PreApply: sum,
			Follows: Position{5, sum}},
	} {
		_, err := NewBuilder(spec, BuildOptions{Dir: t.TempDir()})
		require.ErrorIs(t, err, ErrFormat, name)
		var buffer bytes.Buffer
		_, err = NewEncoder(&buffer, spec, "")
		require.ErrorIs(t, err, ErrFormat, name)
		require.Zero(t, buffer.Len())
	}
}

// Goal: a snapshot without all its pages cannot be made.
// Method: leave out the first, a middle and the last page.
func TestSnapshotsMustBeComplete(t *testing.T) {
	page := make([]byte, 512)
	begin := func() *Builder {
		spec := Spec{First: 1, Last: 1, PageSize: 512, Commit: 3}
		builder, err := NewBuilder(spec, BuildOptions{})
		require.NoError(t, err)
		return builder
	}
	builder := begin()
	require.ErrorIs(t, builder.WritePage(2, page), ErrFormat)
	require.NoError(t, builder.WritePage(1, page))
	require.ErrorIs(t, builder.WritePage(3, page), ErrFormat)
	require.NoError(t, builder.WritePage(2, page))
	_, err := builder.Finish(EmptyChecksum | 1)
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorIs(t, builder.WritePage(3, page), ErrFormat, "it is over")
}

// Goal: nothing can be done out of order. Method: use encoders and builders after their end.
func TestAfterTheEndEverythingIsRefused(t *testing.T) {
	spec := Spec{First: 2, Last: 2, PageSize: 512, Commit: 3, PreApply: EmptyChecksum | 1}
	page := make([]byte, 512)

	encoder, err := NewEncoder(io.Discard, spec, "")
	require.NoError(t, err)
	_, err = encoder.Close(EmptyChecksum | 1)
	require.NoError(t, err)
	_, err = encoder.Close(EmptyChecksum | 1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, encoder.WritePage(1, page), ErrClosed)
	encoder.Abort()

	builder, err := NewBuilder(spec, BuildOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	builder.Abort()
	builder.Abort()
	_, err = builder.Finish(EmptyChecksum | 1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, builder.WritePage(1, page), ErrClosed)

	encoder, err = NewEncoder(io.Discard, spec, "")
	require.NoError(t, err)
	_, err = encoder.Close(1)
	require.ErrorIs(t, err, ErrFormat, "a checksum without its flag")
}

var errDiskFull = errors.New("disk full")

// limitedWriter fails after some bytes.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		n := w.left
		w.left = 0
		return n, errDiskFull
	}
	w.left -= len(p)
	return len(p), nil
}

// Goal: a failed write is never followed by a nil from Close.
// Method: a writer that fails after any number of bytes.
func TestWriteErrorsReachTheCaller(t *testing.T) {
	h := newHistory(t, 15, 4096)
	h.start(40)
	var whole bytes.Buffer
	encode := func(w io.Writer) error {
		encoder, err := NewEncoder(w, Spec{First: 1, Last: 1, PageSize: 4096, Commit: 40}, "")
		require.NoError(t, err)
		defer encoder.Abort()
		for i, page := range h.pages {
			if err := encoder.WritePage(PageNo(i+1), page); err != nil {
				return err
			}
		}
		_, err = encoder.Close(h.at.Checksum)
		return err
	}
	require.NoError(t, encode(&whole))
	for limit := 0; limit < whole.Len(); limit += 1 + whole.Len()/50 {
		require.ErrorIs(t, encode(&limitedWriter{left: limit}), errDiskFull)
	}
	require.NoError(t, encode(&limitedWriter{left: whole.Len()}))
}

// Goal: a temporary folder that is not there is an error, not a lost log.
// Method: let a builder spill into it.
func TestSpillingIntoAMissingFolderFails(t *testing.T) {
	page := make([]byte, 512)
	spec := Spec{First: 2, Last: 2, PageSize: 512, Commit: 3, PreApply: EmptyChecksum | 1}
	missing := BuildOptions{Dir: t.TempDir() + "/missing", MemoryBytes: 110}
	builder, err := NewBuilder(spec, missing)
	require.NoError(t, err)
	defer builder.Abort()
	require.Error(t, builder.WritePage(1, page))
	_, err = builder.Finish(EmptyChecksum | 1)
	require.Error(t, err)
}
