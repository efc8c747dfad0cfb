package translog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: positions and names have one written form each, and nothing else is read.
// Method: tables of good and bad forms.
func TestPositionsHaveOneWrittenForm(t *testing.T) {
	for _, position := range []Position{
		{}, {42, 0x9a3f000000000000}, {1<<64 - 1, 1<<64 - 1}, {1, 0}, {0, EmptyChecksum},
	} {
		read, err := ParsePosition(position.String())
		require.NoError(t, err)
		require.Equal(t, position, read)
	}
	require.Equal(t, "42/9a3f000000000000", Position{42, 0x9a3f000000000000}.String())
	require.True(t, Position{}.IsZero())
	require.False(t, Position{Checksum: EmptyChecksum}.IsZero())
	require.True(t, FrameNo(0).IsZero())
	for _, text := range []string{
		"", "42", "/", "42/", "42/9a3f", "042/9a3f000000000000", "+42/9a3f000000000000",
		"42/9A3F000000000000", "42/9a3f000000000000 ", "42/0x3f000000000000", "-1/9a3f000000000000",
		"18446744073709551616/9a3f000000000000", "4_2/9a3f000000000000", "42/9a3f00000000000_",
	} {
		_, err := ParsePosition(text)
		require.ErrorIs(t, err, ErrFormat, text)
	}
}

// Goal: the name of a log is read strictly, for stores decide by it. Method: a table.
func TestNamesAreReadStrictly(t *testing.T) {
	first, last, err := ParseName("0000000000000005-00000000000000ff.ltx")
	require.NoError(t, err)
	require.Equal(t, FrameNo(5), first)
	require.Equal(t, FrameNo(255), last)
	for _, name := range []string{
		"", "0000000000000005-00000000000000FF.ltx", "0000000000000005-00000000000000ff.ltX",
		"0000000000000005-0000000000000004.ltx", "0000000000000000-0000000000000004.ltx",
		"5-ff.ltx", "0000000000000005_00000000000000ff.ltx",
		"+000000000000005-00000000000000ff.ltx",
		"0000000000000005-00000000000000ff.ltx.tmp", "0x00000000000005-00000000000000ff.ltx",
	} {
		_, _, err := ParseName(name)
		require.ErrorIs(t, err, ErrFormat, name)
	}
}
