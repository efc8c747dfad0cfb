//go:build cgo

package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/wal"
)

// The wal-index as https://www.sqlite.org/walformat.html#walidxfmt has it: how many frames the
// first region has entries for, and every other one; how many slots their hash tables have.
const (
	firstRegionFrames = 4062
	regionFrames      = 4096
	regionSlots       = 8192
	regionBytes       = 32768
	regionHeaderBytes = 136
)

// pagedPageSize and pagedRows make pages whose numbers differ by once and twice the size of a hash
// table, so that they want the same slot.
const (
	pagedPageSize = 512
	pagedRows     = 2*regionSlots + 300
	pagedBlob     = 420 // bytes: no page holds two
)

// paged is a database with a row on each of its pages. A test writes the pages past SQLite and
// reads the rows through SQLite: a row ends with a number, its version.
type paged struct {
	*connection             // takes the write lock, and publishes
	reader      *connection // reads
	random      *rand.Rand
	path        string
	index       Index
	walFile     *os.File
	pages       uint32
	pageOf      []uint32 // of each row
	images      [][]byte // of that page
	versionAt   []int    // in the image
	versions    []uint32 // that SQLite must show
	next        uint32   // the version that was not used yet
}

func openPaged(t *testing.T) *paged {
	t.Helper()
	seed := rand.Uint64()
	t.Log("seed", seed)
	p := &paged{random: rand.New(rand.NewPCG(seed, 1)), path: filepath.Join(t.TempDir(), "a.db")}
	p.connection = connect(t, p.path, false)
	p.exec(t, "PRAGMA page_size=512")
	p.exec(t, "PRAGMA journal_mode=WAL")
	p.exec(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	_, err := p.Exec(`WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO t SELECT i, zeroblob(?) FROM n`,
		[]driver.Value{int64(pagedRows), int64(pagedBlob)})
	require.NoError(t, err)
	p.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	p.index, err = p.MapIndex()
	require.NoError(t, err)
	p.walFile, err = os.OpenFile(p.path+"-wal", os.O_RDWR, 0) // SQLite has no locks on it
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.walFile.Close() })
	p.findRows(t)
	p.reader = connect(t, p.path, false)
	return p
}

// findRows finds the page of each row: a leaf of the table's tree with one cell.
// https://www.sqlite.org/fileformat2.html#b_tree_pages
func (p *paged) findRows(t *testing.T) {
	t.Helper()
	size, err := p.FileSize()
	require.NoError(t, err)
	p.pages = uint32(size / pagedPageSize)
	p.pageOf, p.images = make([]uint32, pagedRows), make([][]byte, pagedRows)
	p.versionAt, p.versions = make([]int, pagedRows), make([]uint32, pagedRows)
	found := 0
	for page := uint32(2); page <= p.pages; page++ {
		image := make([]byte, pagedPageSize)
		require.NoError(t, p.ReadFile(image, int64(page-1)*pagedPageSize))
		if image[0] != 13 || binary.BigEndian.Uint16(image[3:]) != 1 {
			continue
		}
		at := int(binary.BigEndian.Uint16(image[8:]))
		payload, n := varint(image[at:])
		id, m := varint(image[at+n:])
		p.pageOf[id-1], p.images[id-1] = page, image
		p.versionAt[id-1] = at + n + m + payload - 4
		found++
	}
	require.Equal(t, pagedRows, found)
}

// varint reads a number of at most three bytes. https://www.sqlite.org/fileformat2.html#varint
func varint(b []byte) (value, length int) {
	for {
		value = value<<7 | int(b[length]&0x7f)
		length++
		if b[length-1] < 0x80 {
			return value, length
		}
	}
}

// some chooses rows to write, by one of several ways: some by chance, a run of them, the same few
// again and again, or such whose pages want the same slot of the hash table.
func (p *paged) some(count int) []int {
	rows := make([]int, count)
	first, way := p.random.IntN(pagedRows), p.random.IntN(4)
	for i := range rows {
		switch way {
		case 0:
			rows[i] = p.random.IntN(pagedRows)
		case 1:
			rows[i] = (first + i) % pagedRows
		case 2:
			rows[i] = (first + p.random.IntN(3)) % pagedRows
		default:
			rows[i] = (first%200 + i/3 + i%3*regionSlots) % pagedRows
		}
	}
	return rows
}

// frames encodes a transaction behind the last one. When the WAL is empty it gets its header first.
func (p *paged) frames(t *testing.T, rows []int) (encoded []byte, next State, versions []uint32) {
	t.Helper()
	state, err := p.index.Read()
	require.NoError(t, err)
	var head [wal.HeaderSize]byte
	if state.MaxFrame == 0 {
		header := wal.Header{PageSize: pagedPageSize, Salt: state.Salt,
			BigEndianChecksum: binary.NativeEndian.Uint16([]byte{0, 1}) == 1}
		_, err := p.walFile.WriteAt(header.Append(nil), 0)
		require.NoError(t, err)
	}
	_, err = p.walFile.ReadAt(head[:], 0)
	require.NoError(t, err)
	header, err := wal.ParseHeader(head[:])
	require.NoError(t, err)
	cursor := wal.Cursor{Frame: state.MaxFrame, Checksum: state.Checksum}
	if state.MaxFrame == 0 {
		cursor.Checksum = header.Checksum
	}
	for i, row := range rows {
		p.next++
		versions = append(versions, p.next)
		image := bytes.Clone(p.images[row])
		binary.BigEndian.PutUint32(image[p.versionAt[row]:], p.next)
		commit := uint32(0)
		if i == len(rows)-1 {
			commit = p.pages
		}
		encoded, cursor = wal.AppendFrame(encoded, header, cursor, p.pageOf[row], commit, image)
	}
	state.MaxFrame, state.Checksum, state.PageCount = cursor.Frame, cursor.Checksum, p.pages
	state.PageSize, state.Salt = pagedPageSize, header.Salt
	state.BigEndianChecksum = header.BigEndianChecksum
	return encoded, state, versions
}

func (p *paged) pagesOf(rows []int) (pages []uint32) {
	for _, row := range rows {
		pages = append(pages, p.pageOf[row])
	}
	return pages
}

// commit writes rows past SQLite and publishes them.
func (p *paged) commit(t *testing.T, rows []int) {
	t.Helper()
	p.exec(t, "BEGIN IMMEDIATE")
	before, err := p.index.Read()
	require.NoError(t, err)
	encoded, next, versions := p.frames(t, rows)
	_, err = p.walFile.WriteAt(encoded, wal.FrameOffset(before.MaxFrame+1, pagedPageSize))
	require.NoError(t, err)
	require.NoError(t, p.AppendIndex(before.MaxFrame, p.pagesOf(rows)))
	change, err := p.Publish(next)
	require.NoError(t, err)
	p.exec(t, "COMMIT")
	now, err := p.index.Read()
	require.NoError(t, err)
	require.Equal(t, before.Change+1, change)
	next.Change, next.Backfilled = change, now.Backfilled
	require.Equal(t, next, now)
	for i, row := range rows {
		p.versions[row] = versions[i]
	}
}

// abort writes frames and entries that are never published: all but the last one with the commit
// mark, as a writer leaves them that dies or gives up.
func (p *paged) abort(t *testing.T, rows []int) {
	t.Helper()
	p.exec(t, "BEGIN IMMEDIATE")
	before, err := p.index.Read()
	require.NoError(t, err)
	encoded, _, _ := p.frames(t, rows)
	encoded = encoded[:len(encoded)-pagedPageSize-wal.FrameHeaderSize]
	_, err = p.walFile.WriteAt(encoded, wal.FrameOffset(before.MaxFrame+1, pagedPageSize))
	require.NoError(t, err)
	require.NoError(t, p.AppendIndex(before.MaxFrame, p.pagesOf(rows)))
	p.exec(t, "ROLLBACK")
	now, err := p.index.Read()
	require.NoError(t, err)
	require.Equal(t, before, now)
}

// commitThroughSQLite changes one row by a statement.
func (p *paged) commitThroughSQLite(t *testing.T, c *connection, row int) {
	t.Helper()
	p.next++
	blob := make([]byte, pagedBlob)
	binary.BigEndian.PutUint32(blob[pagedBlob-4:], p.next)
	_, err := c.Exec("UPDATE t SET x = ? WHERE id = ?", []driver.Value{blob, int64(row + 1)})
	require.NoError(t, err)
	p.versions[row] = p.next
}

// requireVersions reads all rows, and with them every page.
func requireVersions(t *testing.T, c *connection, want []uint32) {
	t.Helper()
	rows, err := c.Query("SELECT id, x FROM t ORDER BY id", nil)
	require.NoError(t, err)
	row := make([]driver.Value, 2)
	for i, version := range want {
		require.NoError(t, rows.Next(row))
		require.EqualValues(t, i+1, row[0])
		blob := row[1].([]byte)
		if got := binary.BigEndian.Uint32(blob[pagedBlob-4:]); got != version {
			t.Fatalf("row %d has version %d, want %d", i+1, got, version)
		}
	}
	require.ErrorIs(t, rows.Next(row), io.EOF)
	require.NoError(t, rows.Close())
}

func requireIntegrity(t *testing.T, c *connection) {
	t.Helper()
	rows, err := c.Query("PRAGMA integrity_check", nil)
	require.NoError(t, err)
	row := make([]driver.Value, 1)
	require.NoError(t, rows.Next(row))
	require.Equal(t, "ok", row[0])
	require.NoError(t, rows.Close())
}

// requireRecovered copies database and WAL, by another process, and opens the copy: SQLite builds
// the wal-index anew, must show the same rows, and have the very entries that were made by hand.
func (p *paged) requireRecovered(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	copied := filepath.Join(folder, "a.db")
	require.NoError(t, exec.Command("cp", p.path, p.path+"-wal", folder).Run())
	c := connect(t, copied, false)
	requireVersions(t, c, p.versions)
	requireIntegrity(t, c)
	index, err := c.MapIndex()
	require.NoError(t, err)
	recovered, err := index.Read()
	require.NoError(t, err)
	state, err := p.index.Read()
	require.NoError(t, err)
	recovered.Change, recovered.Backfilled = state.Change, state.Backfilled
	require.Equal(t, state, recovered)
	ours, theirs := readIndex(t, p.path), readIndex(t, copied)
	regions := 1 + int(state.MaxFrame+regionFrames-firstRegionFrames-1)/regionFrames
	length := regions * regionBytes
	require.GreaterOrEqual(t, len(ours), length)
	require.GreaterOrEqual(t, len(theirs), length)
	for i := regionHeaderBytes; i < length; i++ {
		if ours[i] != theirs[i] {
			t.Fatalf("byte %d of region %d differs from SQLite's: %d, %d",
				i%regionBytes, i/regionBytes, ours[i], theirs[i])
		}
	}
	c.close(t)
}

// readIndex copies the wal-index, by another process: closing it here would drop SQLite's locks.
func readIndex(t *testing.T, path string) []byte {
	t.Helper()
	to := filepath.Join(t.TempDir(), "index")
	require.NoError(t, exec.Command("cp", path+"-shm", to).Run())
	content, err := os.ReadFile(to)
	require.NoError(t, err)
	return content
}

func (p *paged) maxFrame(t *testing.T) int {
	t.Helper()
	state, err := p.index.Read()
	require.NoError(t, err)
	return int(state.MaxFrame)
}

// fillTo commits transactions of many sizes until the WAL has exactly that many frames. Some of
// them are first begun and given up; between some SQLite commits a row, on one connection or
// another.
func (p *paged) fillTo(t *testing.T, frames int) {
	t.Helper()
	for {
		left := frames - p.maxFrame(t)
		if left == 0 {
			return
		}
		size := 1 + p.random.IntN(min(left, 1+p.random.IntN(900)))
		switch p.random.IntN(4) {
		case 0:
			p.abort(t, p.some(1+p.random.IntN(2*size)))
		case 1:
			if left > 20 {
				c := []*connection{p.connection, p.reader}[p.random.IntN(2)]
				p.commitThroughSQLite(t, c, p.random.IntN(pagedRows))
				continue
			}
		}
		p.commit(t, p.some(size))
	}
}

// TestPublish publishes transactions up to, at and behind the end of each region of the wal-index,
// over rests of ones that were given up, with pages that repeat and pages that want the same slot.
// At each of these places SQLite reads what was written, on a connection that was open before and
// on a new one; a reader that began before sees what it saw; and a recovery comes to the same.
func TestPublish(t *testing.T) {
	p := openPaged(t)
	old := connect(t, p.path, false)
	places := []int{1, 2, 700, firstRegionFrames - 1, firstRegionFrames, firstRegionFrames + 1,
		firstRegionFrames + regionFrames - 1, firstRegionFrames + regionFrames,
		firstRegionFrames + regionFrames + 1,
		firstRegionFrames + 2*regionFrames, firstRegionFrames + 2*regionFrames + 300}
	if testing.Short() {
		places = places[4:9]
	}
	for _, frames := range places {
		old.exec(t, "BEGIN")
		before := append([]uint32(nil), p.versions...)
		requireVersions(t, old, before)
		p.fillTo(t, frames)
		requireVersions(t, p.reader, p.versions)
		requireVersions(t, old, before)
		old.exec(t, "COMMIT")
		fresh := connect(t, p.path, false)
		requireVersions(t, fresh, p.versions)
		requireIntegrity(t, fresh)
		fresh.close(t)
		p.requireRecovered(t)
	}
	requireVersions(t, p.connection, p.versions)
}

// TestPublishLargeTransaction publishes one transaction that fills more than two regions, over the
// rest of a larger one that was given up, in an index that was used before the WAL was emptied.
func TestPublishLargeTransaction(t *testing.T) {
	p := openPaged(t)
	for round := range 3 {
		p.commit(t, p.some(50))
		p.abort(t, p.some(firstRegionFrames+2*regionFrames))
		requireVersions(t, p.reader, p.versions)
		p.commit(t, p.some(firstRegionFrames+regionFrames+100*round))
		requireVersions(t, p.reader, p.versions)
		requireIntegrity(t, p.reader)
		p.requireRecovered(t)
		p.abort(t, p.some(900))
		p.reader.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
		require.Zero(t, p.maxFrame(t), "round %d", round)
		requireVersions(t, p.reader, p.versions)
	}
}

// TestPublishBesideCheckpoints lets SQLite copy published frames to the database file between the
// transactions: everything of them, or what a reader leaves it. The WAL is gone on with, or begun
// anew by SQLite's own next writer, whose frames are gone on behind.
func TestPublishBesideCheckpoints(t *testing.T) {
	p := openPaged(t)
	old := connect(t, p.path, false)
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		p.commit(t, p.some(1+p.random.IntN(400)))
		pinned := p.random.IntN(2) == 0
		before := append([]uint32(nil), p.versions...)
		if pinned {
			old.exec(t, "BEGIN")
			requireVersions(t, old, before)
			p.commit(t, p.some(1+p.random.IntN(400)))
		}
		mode := []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}[p.random.IntN(4)]
		p.reader.exec(t, "PRAGMA busy_timeout = 0")
		p.reader.exec(t, "PRAGMA wal_checkpoint("+mode+")")
		requireVersions(t, p.reader, p.versions)
		if p.random.IntN(3) == 0 {
			p.commitThroughSQLite(t, p.reader, p.random.IntN(pagedRows))
		}
		p.commit(t, p.some(1+p.random.IntN(400)))
		requireVersions(t, p.reader, p.versions)
		if pinned {
			requireVersions(t, old, before)
			old.exec(t, "COMMIT")
		}
	}
	requireIntegrity(t, p.reader)
	p.requireRecovered(t)
}

// TestAppendIndexEnds damages the hash table so that no slot is free: an entry is refused, and not
// looked for without end. With the table repaired everything goes on.
func TestAppendIndexEnds(t *testing.T) {
	p := openPaged(t)
	p.commit(t, p.some(10))
	slots := (*[regionSlots]uint16)(unsafe.Add(p.index.region, regionBytes/2))
	kept := *slots
	p.exec(t, "BEGIN IMMEDIATE")
	for i := range slots {
		slots[i] = 1
	}
	var failure *ResultError
	require.ErrorAs(t, p.AppendIndex(10, []uint32{5}), &failure)
	require.EqualValues(t, sqlite3.ErrCorrupt, failure.Code)
	*slots = kept
	require.NoError(t, p.AppendIndex(10, nil))
	p.exec(t, "ROLLBACK")
	p.commit(t, p.some(10))
	requireVersions(t, p.reader, p.versions)
	p.requireRecovered(t)
}

// TestPublishChangesTheSize writes to one database through SQLite, and publishes its frames in a
// copy of it: the copy grows and shrinks with it, and is the same in the end.
func TestPublishChangesTheSize(t *testing.T) {
	p := openPaged(t)
	source := filepath.Join(t.TempDir(), "source.db")
	require.NoError(t, exec.Command("cp", p.path, source).Run())
	c := connect(t, source, false)
	c.exec(t, "INSERT INTO t SELECT id + 100000, x FROM t LIMIT 500")
	c.exec(t, "DELETE FROM t WHERE id % 3 <> 0")
	c.exec(t, "VACUUM")
	c.exec(t, "INSERT INTO t SELECT id + 200000, x FROM t LIMIT 300")
	content, err := os.ReadFile(source + "-wal")
	require.NoError(t, err)
	header, err := wal.ParseHeader(content)
	require.NoError(t, err)
	frames := wal.NewReader(bytes.NewReader(content), header, wal.Cursor{Checksum: header.Checksum})
	frames.KeepData()
	sizes := map[uint32]bool{}
	var some []wal.Frame
	for {
		frame, err := frames.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if some = append(some, frame); frame.Commit != 0 {
			p.copyFrames(t, some)
			some = some[:0]
			sizes[frame.Commit] = true
			require.Equal(t, int64(frame.Commit), integer(t, p.reader, "PRAGMA page_count"))
		}
	}
	require.Len(t, sizes, 3)
	requireIntegrity(t, p.reader)
	for _, query := range []string{"SELECT count(*) FROM t", "SELECT sum(id) FROM t"} {
		require.Equal(t, integer(t, c, query), integer(t, p.reader, query))
	}
	for _, one := range []*connection{p.connection, c} {
		one.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
		one.close(t)
	}
	p.reader.close(t)
	a, err := os.ReadFile(source)
	require.NoError(t, err)
	b, err := os.ReadFile(p.path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(a, b), "%d and %d bytes", len(a), len(b))
}

// copyFrames publishes another database's transaction.
func (p *paged) copyFrames(t *testing.T, frames []wal.Frame) {
	t.Helper()
	p.exec(t, "BEGIN IMMEDIATE")
	_, next, _ := p.frames(t, nil)
	before := next
	header := wal.Header{PageSize: pagedPageSize, Salt: next.Salt,
		BigEndianChecksum: next.BigEndianChecksum}
	cursor := wal.Cursor{Frame: next.MaxFrame, Checksum: next.Checksum}
	var encoded []byte
	var pages []uint32
	for _, frame := range frames {
		encoded, cursor = wal.AppendFrame(encoded, header, cursor, frame.PageNo, frame.Commit,
			frame.Data)
		pages, next.PageCount = append(pages, frame.PageNo), frame.Commit
	}
	next.MaxFrame, next.Checksum = cursor.Frame, cursor.Checksum
	_, err := p.walFile.WriteAt(encoded, wal.FrameOffset(before.MaxFrame+1, pagedPageSize))
	require.NoError(t, err)
	require.NoError(t, p.AppendIndex(before.MaxFrame, pages))
	_, err = p.Publish(next)
	require.NoError(t, err)
	p.exec(t, "COMMIT")
}

// integer reads one number.
func integer(t *testing.T, c *connection, query string) int64 {
	t.Helper()
	rows, err := c.Query(query, nil)
	require.NoError(t, err)
	row := make([]driver.Value, 1)
	require.NoError(t, rows.Next(row))
	require.NoError(t, rows.Close())
	return row[0].(int64)
}
