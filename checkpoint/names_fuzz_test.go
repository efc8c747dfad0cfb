package checkpoint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// nameRows are names that can lie in a store, and whether they are a record's or a log's.
var nameRows = []struct {
	name     string
	key, log bool
}{
	{"0000000000000001", true, false},
	{"0000000000000002", true, false}, // inside the record of the fuzzed store
	{"0000000000000004", true, false}, // behind it
	{"00000000000000ff", true, false},
	{"7fffffffffffffff", true, false},
	{"ffffffffffffffff", true, false},
	{"0000000000000001-0000000000000003.ltx", false, true}, // that very record
	{"0000000000000001-0000000000000002.ltx", false, true},
	{"0000000000000004-0000000000000004.ltx", false, true},
	{"00000000000000ff-ffffffffffffffff.ltx", false, true},
	{"ffffffffffffffff-ffffffffffffffff.ltx", false, true},

	{"0000000000000000", false, false},
	{"000000000000000A", false, false},
	{"000000000000000g", false, false},
	{"000000000000001", false, false},
	{"00000000000000001", false, false},
	{"+000000000000001", false, false},
	{"-000000000000001", false, false},
	{"0x00000000000001", false, false},
	{"0000_0000_000001", false, false},
	{" 000000000000001", false, false},
	{"000000000000001\n", false, false},
	{"000000000000001\u0660", false, false}, // a digit, and none of ours
	{"0000000000000002.tmp", false, false},
	{"0000000000000002~", false, false},
	{"0000000000000000-0000000000000003.ltx", false, false},
	{"0000000000000003-0000000000000001.ltx", false, false},
	{"0000000000000001_0000000000000003.ltx", false, false},
	{"0000000000000001-000000000000000B.ltx", false, false},
	{"0000000000000001-0000000000000003.LTX", false, false},
	{"0000000000000001-0000000000000003.ltx.gz", false, false},
	{"0000000000000001-+000000000000003.ltx", false, false},
	{"1-3.ltx", false, false},
	{"README", false, false},
	{"Zo\u00eb", false, false},
	{"\xff\xfe", false, false},
	{"chain", false, false},
	{"..data", false, false},
	{"", false, false},
	{".", false, false},
	{"..", false, false},
	{"0/0000000000000001", false, false},
	{"0000000000000001\x00", false, false},

	{"0000000000000001-1234567890", false, false}, // as left behind in tmp
	{"0000000000000007-", false, false},
	{"0000000000000000-1234567890", false, false},
	{"000000000000000A-1234567890", false, false},
	{"note-1", false, false},
	{"-", false, false},

	{"floor", false, false}, // as Prune has them in chain
	{"base-0000000000000003", false, false},
	{"Floor", false, false},
	{"floor.tmp", false, false},
	{"base", false, false},
	{"base-camp", false, false},
	{"base-0000000000000000", false, false},
	{"base-000000000000000A", false, false},
	{"base-0000000000000003.tar", false, false},
}

// What the writers of names can write, said without their code.
var (
	keyPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
	logPattern = regexp.MustCompile(`^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$`)
	zeroDigits = strings.Repeat("0", 16)
)

func isKey(name string) bool { return keyPattern.MatchString(name) && name != zeroDigits }

func isLog(name string) bool {
	digits := logPattern.FindStringSubmatch(name)
	return digits != nil && digits[1] != zeroDigits && digits[1] <= digits[2]
}

// FuzzStoreNames's goal: a name is taken for a record or a log exactly when we could have written
// it, and no file that is not ours harms a store or is harmed by it.
// Method: patterns beside the parsers, and numbers through the writers and back. Then files with
// the name lie in every folder of a store that holds one log: it opens, lists that log and
// restores it, and the files stay as they are. There are three exceptions. What looks like a
// leftover goes: of a Save in tmp, of a Prune in chain. A file in chain that has the name of a
// record and is none stays, and the store opens, but listing and Restore fail, with ErrFormat or
// ErrGap. One that has the name of the floor and is none stays, and opening is ErrFormat.
func FuzzStoreNames(f *testing.F) {
	for i, row := range nameRows {
		require.Equal(f, row.key, isKey(row.name), "%q", row.name)
		require.Equal(f, row.log, isLog(row.name), "%q", row.name)
		f.Add(row.name, uint64(i), uint64(1)<<i)
	}
	f.Add("", uint64(1), ^uint64(0))
	f.Add("", ^uint64(0), ^uint64(0))
	s := newShelf(f)
	f.Fuzz(func(t *testing.T, name string, first, last uint64) {
		requireParsed(t, name)
		requireWritten(t, translog.FrameNo(first), translog.FrameNo(last))
		s.requireHarmless(t, name)
	})
}

// requireParsed compares the parsers with the patterns, and what they return with the name.
func requireParsed(t *testing.T, name string) {
	key, ok := parseKey(name)
	require.Equal(t, isKey(name), ok, "%q", name)
	if ok {
		require.Equal(t, name, keyName(key))
	}
	first, last, err := translog.ParseName(name)
	require.Equal(t, isLog(name), err == nil, "%q: %v", name, err)
	if err == nil {
		requireLogName(t, name, first, last)
		return
	}
	require.ErrorIs(t, err, translog.ErrFormat)
	require.Zero(t, first)
	require.Zero(t, last)
}

// requireWritten sends numbers through the writers of names and back.
func requireWritten(t *testing.T, first, last translog.FrameNo) {
	key, ok := parseKey(keyName(first))
	require.Equal(t, first != 0, ok)
	require.Equal(t, first, key)
	name := keyName(first) + "-" + keyName(last) + ".ltx"
	gotFirst, gotLast, err := translog.ParseName(name)
	if first == 0 || first > last {
		require.ErrorIs(t, err, translog.ErrFormat)
		return
	}
	require.NoError(t, err)
	require.Equal(t, []translog.FrameNo{first, last}, []translog.FrameNo{gotFirst, gotLast})
	requireLogName(t, name, first, last)
}

// requireLogName asks a log of that range for its name.
func requireLogName(t *testing.T, name string, first, last translog.FrameNo) {
	spec := translog.Spec{First: first, Last: last, PageSize: 512, Commit: 1}
	if first > 1 {
		spec.PreApply = translog.EmptyChecksum
	}
	builder, err := translog.NewBuilder(spec, translog.BuildOptions{})
	require.NoError(t, err)
	page := make([]byte, spec.PageSize)
	require.NoError(t, builder.WritePage(1, page))
	log, err := builder.Finish(translog.EmptyChecksum.Replace(0, translog.PageSum(1, page)))
	require.NoError(t, err)
	require.Equal(t, name, log.Name())
	require.NoError(t, log.Close())
}

// shelf is a store with one log, in which names are tried one after the other.
type shelf struct {
	root    string
	history *history
	record  Record
	own     []string // the names of its files
}

func newShelf(f *testing.F) *shelf {
	s := &shelf{root: filepath.Join(f.TempDir(), "store"), history: newHistory(f)}
	s.history.pageSize = 512
	store := open(f, s.root)
	require.NoError(f, store.Save(context.Background(), s.history.log(3)))
	for record, err := range store.Records(context.Background(), 0) {
		require.NoError(f, err)
		s.record = record
	}
	s.own = []string{
		filepath.Join("ltx", chainFolder, "0000000000000001"),
		filepath.Join("ltx", logFolder, "0000000000000001-0000000000000003.ltx"),
		filepath.Join("ltx", snapshotFolder, "0000000000000001-0000000000000003.ltx"),
	}
	return s
}

const foreignContent = "foreign"

// lay puts files with a name into every folder where none has it. It reports false when no file
// can have that name. The files go when the test ends.
func (s *shelf) lay(t *testing.T, name string) (laid []string, ok bool) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, false
	}
	for _, folder := range []string{chainFolder, logFolder, snapshotFolder, temporaryFolder} {
		short := filepath.Join("ltx", folder, name)
		path := filepath.Join(s.root, short)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue // our own
		}
		if err != nil {
			return nil, false // too long, or not UTF-8 where names must be
		}
		t.Cleanup(func() { _ = os.Remove(path) })
		_, err = file.WriteString(foreignContent)
		require.NoError(t, errors.Join(err, file.Close()))
		laid = append(laid, short)
	}
	return laid, true
}

// looksLeft reports whether a file is what a crash can leave, by its name below the root.
func looksLeft(short string) bool {
	folder, name := filepath.Split(strings.TrimPrefix(short, "ltx"+string(filepath.Separator)))
	prefix, rest, found := strings.Cut(name, "-")
	switch filepath.Clean(folder) {
	case temporaryFolder:
		return found && isKey(prefix)
	case chainFolder:
		return found && prefix == "base" && isKey(rest)
	}
	return false
}

// requireHarmless puts foreign files with a name beside ours, and uses the store.
func (s *shelf) requireHarmless(t *testing.T, name string) {
	laid, ok := s.lay(t, name)
	if !ok {
		return
	}
	inChain := slices.Contains(laid, filepath.Join("ltx", chainFolder, name))
	stay := slices.DeleteFunc(slices.Clone(laid), looksLeft)
	before := s.look(t, stay)
	switch store, err := OpenDirectory(s.root); {
	case inChain && name == floorName:
		require.ErrorIs(t, err, translog.ErrFormat)
	case inChain && isKey(name):
		require.NoError(t, err)
		s.requireFault(t, store)
	default:
		require.NoError(t, err)
		require.Equal(t, []Record{s.record}, records(t, store, 0))
		requireRestored(t, store, s.history)
	}
	require.ElementsMatch(t, slices.Concat(s.own, stay), names(t, s.root))
	for i, info := range s.look(t, stay) {
		require.True(t, os.SameFile(before[i], info), stay[i])
		require.Equal(t, before[i].ModTime(), info.ModTime(), stay[i])
		content, err := os.ReadFile(filepath.Join(s.root, stay[i]))
		require.NoError(t, err)
		require.Equal(t, foreignContent, string(content), stay[i])
	}
}

func (s *shelf) look(t *testing.T, shorts []string) (infos []fs.FileInfo) {
	for _, short := range shorts {
		info, err := os.Lstat(filepath.Join(s.root, short))
		require.NoError(t, err)
		infos = append(infos, info)
	}
	return infos
}

// requireFault expects that a record which is none is found, and nothing restored.
func (s *shelf) requireFault(t *testing.T, store *Directory) {
	_, err := recordsError(t, store)
	known := errors.Is(err, translog.ErrFormat) || errors.Is(err, translog.ErrGap)
	require.True(t, known, "%v", err)
	path := filepath.Join(t.TempDir(), "restored.db")
	_, restoreErr := Restore(t.Context(), store, path)
	require.EqualError(t, restoreErr, err.Error())
	require.NoFileExists(t, path)
}
