package translog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// bare makes a log without pages, which is all that the chain looks at.
func bare(t *testing.T, first, last FrameNo, before, after Checksum) *Log {
	t.Helper()
	spec := Spec{First: first, Last: last, PageSize: 512, Commit: 9, PreApply: before}
	if first == 1 {
		spec.Commit, after = 0, EmptyChecksum
	}
	spec.unchecked = first != 1 && before == 0
	builder, err := NewBuilder(spec, BuildOptions{})
	require.NoError(t, err)
	log, err := builder.Finish(after)
	require.NoError(t, err)
	return log
}

// Goal: only logs of one history, without a hole, form a chain. Method: one row per rule.
func TestCheckChainFollowsOneHistory(t *testing.T) {
	a, b, c := EmptyChecksum|1, EmptyChecksum|2, EmptyChecksum|3
	start := Position{4, a}
	log58 := bare(t, 5, 8, a, b)
	log33 := bare(t, 3, 3, c, a)
	log99 := bare(t, 9, 9, b, c)
	snapshot7 := bare(t, 1, 7, 0, 0)
	snapshot20 := bare(t, 1, 20, 0, 0)
	for _, row := range []struct {
		name string
		from Position
		logs []*Log
		want Position
		err  error
	}{
		{"nothing", start, nil, start, nil},
		{"two logs", start, []*Log{log58, log99}, Position{9, c}, nil},
		{"one is before", Position{8, b}, []*Log{log58, log99}, Position{9, c}, nil},
		{"twice", start, []*Log{log58, log58, log99}, Position{9, c}, nil},
		{"snapshot replaces", start, []*Log{log58, snapshot20}, Position{20, EmptyChecksum}, nil},
		{"snapshot from nothing", Position{}, []*Log{snapshot7}, Position{7, EmptyChecksum}, nil},
		{"snapshot is before", Position{8, b}, []*Log{snapshot7, log99}, Position{9, c}, nil},
		{"checksum not known", Position{4, 0}, []*Log{log58}, Position{8, b}, nil},
		{"checksum not tracked", start, []*Log{bare(t, 5, 6, 0, 0)}, Position{6, 0}, nil},
		{"gap", start, []*Log{log99}, start, ErrGap},
		{"gap after a log", Position{2, c}, []*Log{log33, log58}, Position{3, a}, ErrGap},
		{"overlap", Position{6, a}, []*Log{log58}, Position{6, a}, ErrGap},
		{"overlap again", Position{}, []*Log{snapshot7, log58}, Position{7, EmptyChecksum}, ErrGap},
		{"nothing yet", Position{}, []*Log{log58}, Position{}, ErrGap},
		{"fork", Position{4, c}, []*Log{log58}, Position{4, c}, ErrChecksum},
		{"fork in what is skipped", Position{8, c}, []*Log{log58}, Position{8, c}, ErrChecksum},
	} {
		got, err := CheckChain(row.from, row.logs...)
		require.ErrorIs(t, err, row.err, row.name)
		require.Equal(t, row.want, got, row.name)
	}

	_, err := CheckChain(start, log99)
	var gap *GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, GapError{Have: start, Want: Position{8, b}, First: 9, Last: 9}, *gap)
	require.Equal(t, "translog: have position 4/8000000000000001, want 8/8000000000000002 "+
		"for the log 9-9", gap.Error())
	_, err = CheckChain(Position{4, c}, log58)
	var checksum *ChecksumError
	require.ErrorAs(t, err, &checksum)
	require.Equal(t, ChecksumError{At: 4, Got: c, Want: a}, *checksum)
}

// Goal: a log that ends at the highest position there is does not wrap around to nothing.
// Method: chain on from it.
func TestTheLastPositionDoesNotWrap(t *testing.T) {
	highest := Position{1<<64 - 1, EmptyChecksum | 1}
	_, err := CheckChain(highest, bare(t, 5, 8, EmptyChecksum|1, EmptyChecksum|2))
	require.NoError(t, err)
	got, err := CheckChain(highest, bare(t, 1, 8, 0, 0))
	require.NoError(t, err)
	require.Equal(t, highest, got)
}
