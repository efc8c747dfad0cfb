//go:build cgo

package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/superfly/ltx"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// inputHistory is a small history, a fork of it, and what else a replica must refuse.
type inputHistory struct {
	path     string          // of the primary's file, which is closed
	logs     []*translog.Log // of the primary: a snapshot, then logs of several frames each
	fork     []*translog.Log // of a copy of the primary, from logs[3] on, which writes elsewhere
	snapshot *translog.Log   // of the primary's end
	other    []*translog.Log // of another database: a snapshot and a log
	foreign  *translog.Log   // a snapshot of that one, with a high position
	wide     []*translog.Log // of a database with pages of 1024 bytes: a snapshot and a log
}

// inputAt is the last log that the replicas of these tests have: the next one is logs[inputAt+1].
const inputAt = 4

func makeInput(t *testing.T) *inputHistory {
	t.Helper()
	h := &inputHistory{path: filepath.Join(t.TempDir(), "app.db")}
	db := openInput(t, h.path, 512)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.exec(t, "CREATE TABLE u(id INTEGER PRIMARY KEY, x BLOB)")
	for range 4 {
		db.commitTwice(t, "t")
	}
	require.NoError(t, db.close())
	h.logs = db.logs
	h.fork = forkOf(t, h.logs)
	db = openInput(t, h.path, 512)
	for range 3 {
		db.commitTwice(t, "t")
	}
	h.snapshot = snapshotOf(t, db)
	require.NoError(t, db.close())
	h.logs = append(h.logs, db.logs...)

	h.other, h.foreign = otherHistory(t, 512)
	h.wide, _ = otherHistory(t, 1024)
	return h
}

// openInput opens a primary whose text differs from that of every other one.
func openInput(t *testing.T, path string, pageSize int) *opened {
	t.Helper()
	db, err := openAt(t, path, Options{PageSize: pageSize})
	require.NoError(t, err)
	return db
}

// forkOf opens another primary at the end of the logs. Its first log ends farther away than the
// next one of theirs, and does not have every page that changes there.
func forkOf(t *testing.T, logs []*translog.Log) []*translog.Log {
	t.Helper()
	snapshot, err := translog.AsSnapshot(logs[0])
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "fork.db")
	end, err := snapshot.Restore(path, logs[1:]...)
	require.NoError(t, err)
	require.NoError(t, Seed(path, RolePrimary, 512, end, snapshot.NodeID()))
	db := openInput(t, path, 512)
	db.life.Logs = func() []*translog.Log { return append(slices.Clone(logs), db.kept()...) }
	for range 4 {
		db.exec(t, "INSERT INTO u(x) VALUES(printf('%0300d', random()))")
	}
	db.commitTwice(t, "u")
	require.NoError(t, db.close())
	require.Equal(t, end, db.logs[0].Start())
	return db.logs
}

// commitTwice makes one log of two commits, after which the file has grown.
func (o *opened) commitTwice(t *testing.T, table string) {
	t.Helper()
	o.exec(t, "INSERT INTO "+table+"(x) VALUES(printf('%0300d', random()))")
	o.exec(t, "INSERT INTO "+table+"(x) VALUES(printf('%0300d', random()))")
	o.checkpoint(t)
}

func otherHistory(t *testing.T, pageSize int) (logs []*translog.Log, snapshot *translog.Log) {
	t.Helper()
	db := openInput(t, filepath.Join(t.TempDir(), "other.db"), pageSize)
	db.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	db.commitTwice(t, "t")
	db.commitTwice(t, "t")
	logs = db.logs
	for range 30 {
		db.exec(t, "INSERT INTO t(x) VALUES('more')")
	}
	snapshot = snapshotOf(t, db)
	return logs, snapshot
}

func snapshotOf(t *testing.T, db *opened) *translog.Log {
	t.Helper()
	var buffer bytes.Buffer
	_, err := db.WriteSnapshot(t.Context(), &buffer)
	require.NoError(t, err)
	log, err := translog.ReadLog(&buffer, t.TempDir())
	require.NoError(t, err)
	return log
}

// fed is a replica that holds the logs up to inputAt, with a copy of its file.
type fed struct {
	*opened
	before []byte
	rows   string
	have   translog.Position
}

const inputQuery = "SELECT count(*), sum(id), sum(length(x)), max(hex(x)) FROM t"

func feed(t *testing.T, h *inputHistory) *fed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replica.db")
	o := openReplicaAt(t, path, Options{})
	o.replicate(t, h.logs[:inputAt+1]...)
	require.NoError(t, o.close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	o = openReplicaAt(t, path, Options{})
	f := &fed{opened: o, before: before, rows: o.read(t, inputQuery), have: o.at(t)}
	require.Equal(t, h.logs[inputAt].End(), f.have)
	return f
}

// requireUnmoved requires that the open replica serves on at its old position.
func (f *fed) requireUnmoved(t *testing.T) {
	t.Helper()
	require.Equal(t, f.have, f.at(t))
	require.Equal(t, f.have.FrameNo, f.Committed())
	require.False(t, f.Stats().Diverged)
	require.Equal(t, f.rows, f.read(t, inputQuery))
}

// requireSound closes the replica, whose file must not have changed, and opens it again: it goes on
// to what the primary is.
func (f *fed) requireSound(t *testing.T, h *inputHistory) {
	t.Helper()
	require.NoError(t, f.close())
	require.NoFileExists(t, f.path+"-wal")
	after, err := os.ReadFile(f.path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(f.before, after), "the replica's file has changed")
	requireIntegrity(t, f.path)
	o := openReplicaAt(t, f.path, Options{})
	o.replicate(t, h.logs[inputAt+1:]...)
	require.NoError(t, o.close())
	requireSameBytes(t, h.path, f.path)
	requireIntegrity(t, f.path)
}

// bytesOf is a log's file.
func bytesOf(t *testing.T, log *translog.Log) []byte {
	t.Helper()
	var buffer bytes.Buffer
	_, err := log.WriteTo(&buffer)
	require.NoError(t, err)
	return buffer.Bytes()
}

// logFile writes a log to a file of its own.
func logFile(t *testing.T, log *translog.Log) (name string, data []byte) {
	t.Helper()
	name = filepath.Join(t.TempDir(), log.Name())
	require.NoError(t, log.WriteFile(name, 0o600))
	return name, bytesOf(t, log)
}

// claim makes a log that has the pages of another one and says other things of them. Its file is
// sound: what the checksum of the file covers is summed anew.
func claim(t *testing.T, from *translog.Log, change func(*ltx.Header, *ltx.Trailer)) *translog.Log {
	t.Helper()
	data := bytesOf(t, from)
	var header ltx.Header
	var trailer ltx.Trailer
	require.NoError(t, header.UnmarshalBinary(data))
	end := len(data) - ltx.TrailerSize
	require.NoError(t, trailer.UnmarshalBinary(data[end:]))
	change(&header, &trailer)
	head, err := header.MarshalBinary()
	require.NoError(t, err)
	copy(data, head)
	binary.BigEndian.PutUint64(data[end:], uint64(trailer.PostApplyChecksum))
	// The sum goes over everything but the pages' compressed form, in whose place their bytes are.
	hash := crc64.New(crc64.MakeTable(crc64.ISO))
	_, _ = hash.Write(data[:ltx.HeaderSize])
	at := ltx.HeaderSize
	for page, err := range from.Pages() {
		require.NoError(t, err)
		next := at + ltx.PageHeaderSize + 4
		_, _ = hash.Write(data[at:next])
		_, _ = hash.Write(page.Data)
		at = next + int(binary.BigEndian.Uint32(data[next-4:]))
	}
	_, _ = hash.Write(data[at : len(data)-8])
	binary.BigEndian.PutUint64(data[len(data)-8:], uint64(ltx.ChecksumFlag)|hash.Sum64())
	name := filepath.Join(t.TempDir(), "claim.ltx")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	log, err := translog.OpenLog(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// rebuild makes a log of another one's pages, as change leaves them.
func rebuild(t *testing.T, from *translog.Log, change func(translog.Page) bool) *translog.Log {
	t.Helper()
	builder, err := translog.NewBuilder(translog.Spec{
		First: from.First(), Last: from.Last(), PageSize: from.PageSize(), Commit: from.Commit(),
		PreApply: from.Start().Checksum, NodeID: from.NodeID(),
	}, translog.BuildOptions{})
	require.NoError(t, err)
	for page, err := range from.Pages() {
		require.NoError(t, err)
		page.Data = bytes.Clone(page.Data)
		if change(page) {
			require.NoError(t, builder.WritePage(page.No, page.Data))
		}
	}
	log, err := builder.Finish(from.End().Checksum)
	require.NoError(t, err)
	return log
}

// claims makes the logs that say something wrong of sound pages.
func claims(t *testing.T, h *inputHistory) map[string]*translog.Log {
	t.Helper()
	at, next := h.logs[inputAt].End(), h.logs[inputAt+1]
	continuing := func(header *ltx.Header, _ *ltx.Trailer) {
		header.NodeID = next.NodeID()
		header.MinTXID, header.MaxTXID = ltx.TXID(at.FrameNo+1), ltx.TXID(at.FrameNo+9)
		header.PreApplyChecksum = ltx.Checksum(at.Checksum)
	}
	return map[string]*translog.Log{
		"far away": claim(t, next, func(h *ltx.Header, _ *ltx.Trailer) {
			h.MinTXID += 1 << 32
			h.MaxTXID += 1 << 32
		}),
		"other start": claim(t, next, func(h *ltx.Header, _ *ltx.Trailer) {
			h.PreApplyChecksum ^= 2
		}),
		"other end": claim(t, next, func(_ *ltx.Header, trailer *ltx.Trailer) {
			trailer.PostApplyChecksum ^= 2
		}),
		"other end before": claim(t, h.logs[inputAt], func(_ *ltx.Header, trailer *ltx.Trailer) {
			trailer.PostApplyChecksum ^= 2
		}),
		"other node": claim(t, next, func(h *ltx.Header, _ *ltx.Trailer) {
			h.NodeID ^= 2 << writerBits
		}),
		"no checksums": claim(t, next, func(h *ltx.Header, trailer *ltx.Trailer) {
			h.Flags = ltx.HeaderFlagNoChecksum
			h.PreApplyChecksum, trailer.PostApplyChecksum = 0, 0
		}),
		"no checksums, snapshot": claim(t, h.snapshot, func(h *ltx.Header, trailer *ltx.Trailer) {
			h.Flags, trailer.PostApplyChecksum = ltx.HeaderFlagNoChecksum, 0
		}),
		"huge": claim(t, next, func(h *ltx.Header, _ *ltx.Trailer) { h.Commit = 1<<32 - 1 }),
		"huge snapshot": claim(t, h.snapshot, func(h *ltx.Header, _ *ltx.Trailer) {
			h.Commit = 1<<32 - 1
		}),
		"larger by one": claim(t, next, func(h *ltx.Header, _ *ltx.Trailer) { h.Commit++ }),
		"snapshot with another end": claim(t, h.snapshot, func(_ *ltx.Header, t *ltx.Trailer) {
			t.PostApplyChecksum ^= 2
		}),
		"pages of another database": claim(t, h.other[1], continuing),
		"wide pages":                claim(t, h.wide[1], continuing),
		"wide snapshot": claim(t, h.wide[0], func(h *ltx.Header, _ *ltx.Trailer) {
			h.NodeID, h.MaxTXID = next.NodeID(), ltx.TXID(at.FrameNo+9)
		}),
	}
}

// inputRow is a log that a replica must refuse, and the error that says why. Of a FormatError only
// the field counts.
type inputRow struct {
	name string
	log  *translog.Log
	want error
}

func inputRows(t *testing.T, h *inputHistory) []inputRow {
	t.Helper()
	claims := claims(t, h)
	at, next := h.logs[inputAt].End(), h.logs[inputAt+1]
	gap := func(log *translog.Log) error {
		return &translog.GapError{Have: at, Want: log.Start(), First: log.First(), Last: log.Last()}
	}
	differs := func(n translog.FrameNo, got, want translog.Checksum) error {
		return &translog.ChecksumError{At: n, Got: got, Want: want}
	}
	other := func(log *translog.Log) error {
		return &ForeignError{Have: next.NodeID(), Got: log.NodeID()}
	}
	invalid := func(field string) error { return &translog.FormatError{Field: field} }
	changed := rebuild(t, next, func(p translog.Page) bool { // one page: two would cancel out
		if p.No == 1 {
			p.Data[511] ^= 1
		}
		return true
	})
	rows := []inputRow{
		{"gap", h.logs[inputAt+2], gap(h.logs[inputAt+2])},
		{"gap of 2^32", claims["far away"], gap(claims["far away"])},
		{"another start", claims["other start"],
			differs(at.FrameNo, at.Checksum, claims["other start"].Start().Checksum)},
		{"fork, over the position", h.fork[0],
			differs(h.fork[0].Last(), 0, h.fork[0].End().Checksum)},
		{"another end", claims["other end"],
			differs(next.Last(), next.End().Checksum, claims["other end"].End().Checksum)},
		{"another end at the position", claims["other end before"],
			differs(at.FrameNo, at.Checksum, claims["other end before"].End().Checksum)},
		{"another content", changed, differs(next.Last(), 0, next.End().Checksum)},
		{"other history", claims["other node"], other(claims["other node"])},
		{"log of another database", h.other[1], other(h.other[1])},
		{"older snapshot of another database", h.other[0], other(h.other[0])},
		{"later snapshot of another database", h.foreign, other(h.foreign)},
		{"pages of another database", claims["pages of another database"],
			differs(at.FrameNo+9, 0, claims["pages of another database"].End().Checksum)},
		{"pages of 1024 bytes", claims["wide pages"], invalid("page size")},
		{"snapshot with pages of 1024 bytes", claims["wide snapshot"], invalid("page size")},
		{"no checksums", claims["no checksums"], invalid("post-apply checksum")},
		{"snapshot without checksums", claims["no checksums, snapshot"],
			invalid("post-apply checksum")},
		{"no pages", rebuild(t, next, func(translog.Page) bool { return false }), invalid("log")},
		{"a page missing that the file grows by", rebuild(t, next, func(p translog.Page) bool {
			return uint32(p.No) != next.Commit()
		}), invalid("log")},
		{"a page missing", rebuild(t, next, func(p translog.Page) bool { return p.No != 1 }),
			differs(next.Last(), 0, next.End().Checksum)},
		{"larger by a page", claims["larger by one"], invalid("log")},
		{"four billion pages", claims["huge"], invalid("log")},
		{"snapshot of four billion pages", claims["huge snapshot"],
			invalid("snapshot's number of pages")},
		{"snapshot with another end", claims["snapshot with another end"], invalid("end")},
	}
	require.Greater(t, h.fork[0].Last(), at.FrameNo)
	require.Less(t, h.fork[0].Start().FrameNo, at.FrameNo)
	require.Greater(t, h.foreign.Last(), at.FrameNo)
	require.Less(t, h.other[0].Last(), at.FrameNo)
	return rows
}

// requireRefusal compares a refusal with the one that is due. What a replica computes to find that
// a log leads elsewhere is not compared where the row leaves it open.
func requireRefusal(t *testing.T, want, err error) {
	t.Helper()
	switch want := want.(type) {
	case *translog.GapError:
		var got *translog.GapError
		require.ErrorAs(t, err, &got)
		require.Equal(t, want, got)
		require.ErrorIs(t, err, translog.ErrGap)
	case *translog.ChecksumError:
		var got *translog.ChecksumError
		require.ErrorAs(t, err, &got)
		if want.Got == 0 {
			require.NotEqual(t, got.Want, got.Got)
			want.Got = got.Got
		}
		require.Equal(t, want, got)
		require.ErrorIs(t, err, translog.ErrChecksum)
	case *ForeignError:
		var got *ForeignError
		require.ErrorAs(t, err, &got)
		require.Equal(t, want, got)
		require.ErrorIs(t, err, ErrForeign)
		require.ErrorIs(t, err, translog.ErrChecksum)
	case *translog.FormatError:
		var got *translog.FormatError
		require.ErrorAs(t, err, &got)
		require.Equal(t, want.Field, got.Field, err)
		require.ErrorIs(t, err, translog.ErrFormat)
	}
}

// requireTyped requires one of the errors that a bad log may lead to.
func requireTyped(t *testing.T, err error, what string) {
	t.Helper()
	var gap *translog.GapError
	var sum *translog.ChecksumError
	var format *translog.FormatError
	var other *ForeignError
	typed := errors.As(err, &gap) || errors.As(err, &sum) || errors.As(err, &format) ||
		errors.As(err, &other)
	require.True(t, typed, "%s: %v", what, err)
}

// TestBadLogsAreRefused offers a replica every log that it must not take: each is refused with the
// error that says why, costs no memory for what it claims, and leaves the replica as it was, which
// then takes the right ones.
func TestBadLogsAreRefused(t *testing.T) {
	h := makeInput(t)
	f := feed(t, h)
	for _, row := range inputRows(t, h) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := f.Replicate(t.Context(), row.log)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %v", row.name, err)
		require.Error(t, err, row.name)
		requireRefusal(t, row.want, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), row.name)
		f.requireUnmoved(t)
	}
	closed := rebuild(t, h.logs[inputAt+1], func(translog.Page) bool { return true })
	require.NoError(t, closed.Close())
	require.ErrorIs(t, f.Replicate(t.Context(), closed), translog.ErrClosed)
	f.requireUnmoved(t)
	f.requireSound(t, h)
}

// TestLogsBeforeThePositionChangeNothing offers a replica what it has already, one by one and
// merged.
func TestLogsBeforeThePositionChangeNothing(t *testing.T) {
	h := makeInput(t)
	f := feed(t, h)
	older := append([]*translog.Log(nil), h.logs[:inputAt+1]...)
	for first := range inputAt {
		merged, err := translog.Merge(t.TempDir(), h.logs[first:inputAt+1]...)
		require.NoError(t, err)
		older = append(older, merged)
	}
	change := f.change(t)
	for _, log := range older {
		require.NoError(t, f.Replicate(t.Context(), log), log)
		f.requireUnmoved(t)
		require.Equal(t, change, f.change(t), "nothing was committed")
	}
	f.requireSound(t, h)
}

// TestLogsOverThePositionAreTaken offers a replica logs that begin before its position and end
// behind it: they are taken when what comes out is what they say, whatever they begin with.
func TestLogsOverThePositionAreTaken(t *testing.T) {
	h := makeInput(t)
	for first := range inputAt + 1 {
		merged, err := translog.Merge(t.TempDir(), h.logs[first:inputAt+2]...)
		require.NoError(t, err)
		f := feed(t, h)
		f.replicate(t, merged)
		f.replicate(t, h.logs[inputAt+1]) // nothing
		require.Equal(t, merged.End(), f.at(t))
		f.replicate(t, h.logs[inputAt+2:]...)
		require.NoError(t, f.close())
		requireSameBytes(t, h.path, f.path)
		requireIntegrity(t, f.path)
	}
}

// TestNewReplicaTakesASnapshotOnly offers an empty replica what is no snapshot, and snapshots that
// are damaged, then the right one, which has pages of another size than the empty file.
func TestNewReplicaTakesASnapshotOnly(t *testing.T) {
	h := makeInput(t)
	path := filepath.Join(t.TempDir(), "replica.db")
	o := openReplicaAt(t, path, Options{PageSize: 8192})
	claims := claims(t, h)
	for _, row := range []inputRow{
		{"a log", h.logs[1], &translog.GapError{
			Want: h.logs[1].Start(), First: h.logs[1].First(), Last: h.logs[1].Last()}},
		{"four billion pages", claims["huge snapshot"],
			&translog.FormatError{Field: "snapshot's number of pages"}},
		{"another end", claims["snapshot with another end"], &translog.FormatError{Field: "end"}},
		{"no checksums", claims["no checksums, snapshot"],
			&translog.FormatError{Field: "post-apply checksum"}},
	} {
		requireRefusal(t, row.want, o.Replicate(t.Context(), row.log))
		require.Zero(t, o.at(t), row.name)
		require.Equal(t, "0", o.read(t, "SELECT count(*) FROM sqlite_master"))
	}
	o.replicate(t, h.logs...)
	require.NoError(t, o.close())
	requireSameBytes(t, h.path, path)
}

// TestFlippedBitsAreRefused flips each bit of a log's file and of a snapshot's. The few flips that
// change nothing, because a page can be compressed in several ways, are left out. All others are
// refused, also where a flip makes a snapshot claim to end before the position.
func TestFlippedBitsAreRefused(t *testing.T) {
	h := makeInput(t)
	f := feed(t, h)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, log := range []*translog.Log{h.logs[inputAt+1], h.snapshot} {
		name, data := logFile(t, log)
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		require.NoError(t, err)
		offered, harmless, some := 0, 0, random.IntN(8)
		for i := range 8 * len(data) {
			if testing.Short() && (i+i/8)%8 != some { // one bit of each byte, in turn
				continue
			}
			at := int64(i / 8)
			_, err := file.WriteAt([]byte{data[at] ^ 1<<(i%8)}, at)
			require.NoError(t, err)
			what := fmt.Sprintf("%v, bit %d of byte %d", log, i%8, at)
			wrong, err := translog.OpenLog(name)
			switch {
			case err != nil:
				requireTyped(t, err, what)
			case wrong.Verify() == nil:
				harmless++
			default:
				offered++
				err = f.Replicate(t.Context(), wrong)
				requireTyped(t, err, what)
				require.Equal(t, f.have, f.at(t), what)
			}
			if err == nil {
				require.NoError(t, wrong.Close())
			}
			_, err = file.WriteAt(data[at:at+1], at)
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
		t.Logf("%v: %d bytes, %d offered, %d harmless", log, len(data), offered, harmless)
		f.requireUnmoved(t)
	}
	f.requireSound(t, h)
}

// TestTruncatedLogsAreRefused cuts the file of a log and of a snapshot at every length, and offers
// what opens then, and the same file as it was opened before the cut.
func TestTruncatedLogsAreRefused(t *testing.T) {
	h := makeInput(t)
	f := feed(t, h)
	for _, log := range []*translog.Log{h.logs[inputAt+1], h.snapshot} {
		name, data := logFile(t, log)
		before, err := translog.OpenLog(name)
		require.NoError(t, err)
		for length := len(data) - 1; length >= 0; length-- {
			what := fmt.Sprintf("%v cut to %d bytes", log, length)
			require.NoError(t, os.Truncate(name, int64(length)))
			requireTyped(t, f.Replicate(t.Context(), before), what)
			cut, err := translog.OpenLog(name)
			if err == nil {
				err = f.Replicate(t.Context(), cut)
				require.NoError(t, cut.Close())
			}
			requireTyped(t, err, what)
			require.Equal(t, f.have, f.at(t), what)
		}
		require.NoError(t, before.Close())
		f.requireUnmoved(t)
	}
	f.requireSound(t, h)
}
