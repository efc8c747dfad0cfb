package mylibsql_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The limits that the whole tree keeps. A line's tab counts as four columns.
const (
	functionLinesMax = 70
	fileLinesMax     = 400
	testFileLinesMax = 600
	lineColumnsMax   = 100
	blobBytesMax     = 256 << 10
)

const (
	modulePath = "github.com/mylibsql/mylibsql"
	sqlitePath = "github.com/mattn/go-sqlite3"
)

// exemptions maps "rule subject", as a finding prints them, to the reason why it may stand. One
// that no longer matches anything fails the test too.
var exemptions = map[string]string{}

// importRule says what the packages in and below one folder may import from this module, beside
// what lies below that folder itself. Tests may import what they need.
type importRule struct {
	ours   []string
	sqlite bool
}

// system stands for the operating system, below the leaves.
var system = []string{"internal/disk", "internal/crashpoint"}

// importRules holds the edges of the house plan; the longest folder that fits decides. The leaves
// import nothing of ours, engine and checkpoint never meet, and few know go-sqlite3.
var importRules = map[string]importRule{
	".":                      {ours: []string{"checkpoint", "dsn", "engine"}, sqlite: true},
	"checkpoint":             {ours: append([]string{"engine/translog"}, system...)},
	"dsn":                    {},
	"engine":                 {ours: system, sqlite: true},
	"engine/framelog":        {ours: append([]string{"engine/translog"}, system...)},
	"engine/internal/sqlite": {sqlite: true},
	"engine/translog":        {ours: system},
	"internal/crashpoint":    {},
	"internal/disk":          {},
	"engine/wal":             {},
	"internal/dbtest":        {ours: []string{"checkpoint", "engine/translog"}, sqlite: true},
	"examples":               {ours: []string{".", "checkpoint"}},
}

var (
	// Spelled in halves, so that this file passes its own test.
	openMarker  = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	structTag   = regexp.MustCompile("`[a-z0-9_]+:\"")
	emptyName   = regexp.MustCompile(`(util|utils|helper|helpers|manager|managers)$`)
	executables = [][]byte{[]byte("\x7fELF"), []byte("\xcf\xfa\xed\xfe"), []byte("MZ\x90\x00")}
)

// A finding is one place where the tree breaks one rule.
type finding struct {
	rule    string
	subject string // a path, or path:name of a declaration
	line    int    // 0: the whole file
	message string
}

func (f finding) key() string { return f.rule + " " + f.subject }

func (f finding) String() string {
	name, _, _ := strings.Cut(f.subject, ":")
	return fmt.Sprintf("%s:%d: %s (%s)", name, max(f.line, 1), f.message, f.key())
}

// Goal: the tree keeps the project's rules of size, naming, documentation and imports.
// Method: every file that git knows or would add is read and judged; see the rules above.
func TestTidy(t *testing.T) {
	var found []finding
	for _, name := range projectFiles(t) {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if errors.Is(err, fs.ErrNotExist) || isFolder(name) {
			continue // deleted and not yet committed, or a link to a folder
		}
		require.NoError(t, err)
		found = append(found, judgeFile(name, text)...)
	}
	used := map[string]bool{}
	for _, f := range found {
		if exemptions[f.key()] != "" {
			used[f.key()] = true
			continue
		}
		t.Error(f)
	}
	for key, reason := range exemptions {
		require.NotEmpty(t, reason, "the exemption %q needs a reason", key)
		require.True(t, used[key], "the exemption %q matches nothing any more", key)
	}
}

// lines returns count line ends.
func lines(count int) string { return strings.Repeat("\n", count) }

// importing returns a file that imports one package.
func importing(what string) string { return "package x\n\nimport _ \"" + what + "\"\n" }

// tidyRows are small files, each with the rules that it breaks, in order.
var tidyRows = []struct {
	name, path, text string
	want             []string
}{
	{"file at its limit", "a.go", "package a" + lines(400), nil},
	{"file too long", "a.go", "package a" + lines(401), []string{"file-length"}},
	{"test file at its limit", "a_test.go", "package a" + lines(600), nil},
	{"test file too long", "a_test.go", "package a" + lines(601), []string{"file-length"}},
	{"C file too long", "a.c", lines(401), []string{"file-length"}},
	{"line at its limit", "a.go", "package a // " + strings.Repeat("é", 87), nil},
	{"line too long", "a.go", "package a // " + strings.Repeat("é", 88),
		[]string{"line-length"}},
	{"tab counts four", "a.go", "package a\n\t//" + strings.Repeat("x", 95),
		[]string{"line-length"}},
	{"line with an address", "a.go", "package a // https://" + strings.Repeat("x", 99), nil},
	{"open marker", "a.go", "package a // FIX" + "ME", []string{"open-marker"}},
	{"function at its limit", "a.go", "package a\nfunc f() {" + lines(69) + "}", nil},
	{"function too long", "a.go", "package a\nfunc f() {" + lines(70) + "}",
		[]string{"function-length"}},
	{"literal too long", "a.go", "package a\nvar f = func() {" + lines(70) + "}",
		[]string{"function-length"}},
	{"bare function", "a.go", "package a\nfunc F() {}", []string{"doc-comment"}},
	{"bare method", "a.go", "package a\n// T is.\ntype T int\nfunc (*T) M() {}",
		[]string{"doc-comment"}},
	{"bare generic method", "a.go",
		"package a\n// T is.\ntype T[K any] int\nfunc (T[K]) M() {}", []string{"doc-comment"}},
	{"method of a private type", "a.go", "package a\ntype t int\nfunc (t) M() {}", nil},
	{"bare type", "a.go", "package a\ntype T int", []string{"doc-comment"}},
	{"bare interface method", "a.go", "package a\n// I is.\ntype I interface{ M() }",
		[]string{"doc-comment"}},
	{"variable without its own", "a.go", "package a\n// Errors.\nvar (\n\tE int\n)",
		[]string{"doc-comment"}},
	{"constants under one comment", "a.go", "package a\n// Roles.\nconst (\n\tA = 1\n)", nil},
	{"bare constant", "a.go", "package a\nconst A = 1", []string{"doc-comment"}},
	{"directive is no comment", "a.go", "package a\n\n//go:noinline\nfunc F() {}",
		[]string{"doc-comment"}},
	{"test file needs no comments", "a_test.go", "package a\nfunc F() {}", nil},
	{"empty name", "a.go", "package testutil", []string{"package-name"}},
	{"broken file", "a.go", "package", []string{"syntax"}},
	{"engine to checkpoint", "engine/a.go", importing(modulePath + "/checkpoint"),
		[]string{"import-edge"}},
	{"engine to translog", "engine/a.go", importing(modulePath + "/engine/translog"), nil},
	{"checkpoint to engine", "checkpoint/a.go", importing(modulePath + "/engine"),
		[]string{"import-edge"}},
	{"checkpoint to translog", "checkpoint/a.go",
		importing(modulePath + "/engine/translog"), nil},
	{"framelog to translog", "engine/framelog/a.go",
		importing(modulePath + "/engine/translog"), nil},
	{"framelog to wal", "engine/framelog/a.go", importing(modulePath + "/engine/wal"),
		[]string{"import-edge"}},
	{"leaf to root", "dsn/a.go", importing(modulePath), []string{"import-edge"}},
	{"leaf to go-sqlite3", "engine/wal/a.go", importing(sqlitePath), []string{"import-edge"}},
	{"leaf's test to go-sqlite3", "engine/wal/a_test.go", importing(sqlitePath), nil},
	{"engine to go-sqlite3", "engine/a.go", importing(sqlitePath), nil},
	{"command to go-sqlite3", "cmd/x/a.go", importing(sqlitePath), []string{"import-edge"}},
	{"example to root", "examples/x/a.go", importing(modulePath), nil},
	{"example to engine", "examples/x/a.go", importing(modulePath + "/engine"),
		[]string{"import-edge"}},
	{"blob at its limit", "a.bin", strings.Repeat("x", blobBytesMax), nil},
	{"blob too large", "a.bin", strings.Repeat("x", blobBytesMax+1), []string{"blob"}},
	{"executable", "a", "\x7fELF\x02", []string{"blob"}},
}

// Goal: every rule fires on what it forbids and stays silent on what is just allowed.
// Method: small files in memory; see tidyRows.
func TestTidyRulesFire(t *testing.T) {
	for _, row := range tidyRows {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, f := range judgeFile(row.path, []byte(row.text)) {
				got = append(got, f.rule)
			}
			require.Equal(t, row.want, got)
		})
	}
}

// projectFiles lists the files that git knows or would add, by slash paths from the root; without
// git, as in an unpacked release, all files outside hidden folders.
func projectFiles(t *testing.T) []string {
	listing, err := exec.Command("git", "ls-files", "-z", "--cached", "--others",
		"--exclude-standard").Output()
	names := strings.FieldsFunc(string(listing), func(r rune) bool { return r == 0 })
	if err == nil && len(names) > 0 {
		slices.Sort(names)
		return slices.Compact(names) // a file in a merge conflict is listed more than once
	}
	names = nil
	err = filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.Type().IsRegular():
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	require.NoError(t, err)
	return names
}

func isFolder(name string) bool {
	info, err := os.Stat(filepath.FromSlash(name))
	return err == nil && info.IsDir()
}

// judgeFile applies every rule that fits the file's kind.
func judgeFile(name string, text []byte) []finding {
	found := judgeBlob(name, text)
	switch path.Ext(name) {
	case ".c", ".h":
		return append(found, judgeLines(name, text)...)
	case ".go":
		found = append(found, judgeLines(name, text)...)
	default:
		return found
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments)
	if err != nil {
		return append(found, finding{"syntax", name, 0, err.Error()})
	}
	if emptyName.MatchString(strings.TrimSuffix(file.Name.Name, "_test")) {
		found = append(found, finding{"package-name", name, 0,
			"package " + file.Name.Name + " does not say what it is for"})
	}
	found = append(found, judgeFunctions(name, files, file)...)
	if strings.HasSuffix(name, "_test.go") {
		return found
	}
	found = append(found, judgeImports(name, files, file)...)
	return append(found, judgeComments(name, files, file)...)
}

func judgeBlob(name string, text []byte) []finding {
	var found []finding
	if len(text) > blobBytesMax {
		found = append(found, finding{"blob", name, 0,
			fmt.Sprintf("%d bytes, at most %d", len(text), blobBytesMax)})
	}
	for _, magic := range executables {
		if bytes.HasPrefix(text, magic) {
			found = append(found, finding{"blob", name, 0, "an executable"})
		}
	}
	return found
}

func judgeLines(name string, text []byte) []finding {
	var found []finding
	linesMax := fileLinesMax
	if strings.HasSuffix(name, "_test.go") {
		linesMax = testFileLinesMax
	}
	if count := bytes.Count(text, []byte("\n")); count > linesMax {
		found = append(found, finding{"file-length", name, 0,
			fmt.Sprintf("%d lines, at most %d", count, linesMax)})
	}
	number := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		number++
		columns := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
		if columns > lineColumnsMax && !strings.Contains(line, "://") &&
			!structTag.MatchString(line) {
			found = append(found, finding{"line-length", name, number,
				fmt.Sprintf("%d columns, at most %d", columns, lineColumnsMax)})
		}
		if marker := openMarker.FindString(line); marker != "" {
			found = append(found, finding{"open-marker", name, number,
				marker + " belongs in an issue"})
		}
	}
	return found
}

// judgeFunctions measures declarations and literals, signature and braces included.
func judgeFunctions(name string, files *token.FileSet, file *ast.File) []finding {
	var found []finding
	for node := range ast.Preorder(file) {
		subject := name + ":func"
		switch node := node.(type) {
		case *ast.FuncDecl:
			subject = name + ":" + node.Name.Name
		case *ast.FuncLit:
		default:
			continue
		}
		first := files.Position(node.Pos()).Line
		if declaration, ok := node.(*ast.FuncDecl); ok {
			first = files.Position(declaration.Type.Func).Line
		}
		if count := files.Position(node.End()).Line - first + 1; count > functionLinesMax {
			found = append(found, finding{"function-length", subject, first,
				fmt.Sprintf("%d lines, at most %d", count, functionLinesMax)})
		}
	}
	return found
}

func judgeImports(name string, files *token.FileSet, file *ast.File) []finding {
	var found []finding
	folder, rule, ruled := ruleFor(path.Dir(name))
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if allowed(imported, folder, rule, ruled) {
			continue
		}
		found = append(found, finding{"import-edge", name + ":" + imported,
			files.Position(spec.Pos()).Line, path.Dir(name) + " must not import " + imported})
	}
	return found
}

// ruleFor finds the rule of the nearest folder upwards; the root's own holds for the root alone.
func ruleFor(folder string) (string, importRule, bool) {
	for at := folder; at != "." || folder == "."; at = path.Dir(at) {
		if rule, ok := importRules[at]; ok || at == "." {
			return at, rule, ok
		}
	}
	return "", importRule{}, false
}

func allowed(imported, folder string, rule importRule, ruled bool) bool {
	if imported == sqlitePath {
		return rule.sqlite
	}
	if imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") || !ruled {
		return true
	}
	ours := path.Clean(strings.TrimPrefix(strings.TrimPrefix(imported, modulePath), "/"))
	if ours == folder || strings.HasPrefix(ours, folder+"/") {
		return true
	}
	for _, folder := range rule.ours {
		if ours == folder || folder != "." && strings.HasPrefix(ours, folder+"/") {
			return true
		}
	}
	return false
}

// judgeComments asks for a comment on every exported name, interface methods included. A group of
// constants may share one; every variable, above all every error value, has its own.
func judgeComments(name string, files *token.FileSet, file *ast.File) []finding {
	var found []finding
	ask := func(id *ast.Ident, comments ...*ast.CommentGroup) {
		for _, comment := range comments {
			if strings.TrimSpace(comment.Text()) != "" {
				return
			}
		}
		if id.IsExported() {
			found = append(found, finding{"doc-comment", name + ":" + id.Name,
				files.Position(id.Pos()).Line, id.Name + " is exported and has no comment"})
		}
	}
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if receiverIsExported(declaration) {
				ask(declaration.Name, declaration.Doc)
			}
		case *ast.GenDecl:
			askGroup(declaration, ask)
		}
	}
	return found
}

func askGroup(group *ast.GenDecl, ask func(*ast.Ident, ...*ast.CommentGroup)) {
	shared := group.Doc
	if group.Lparen.IsValid() && group.Tok != token.CONST {
		shared = nil
	}
	for _, spec := range group.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, id := range spec.Names {
				ask(id, spec.Doc, spec.Comment, shared)
			}
		case *ast.TypeSpec:
			ask(spec.Name, spec.Doc, spec.Comment, shared)
			contract, ok := spec.Type.(*ast.InterfaceType)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			for _, method := range contract.Methods.List {
				for _, id := range method.Names {
					ask(id, method.Doc, method.Comment)
				}
			}
		}
	}
}

// receiverIsExported is true of functions, and of methods that a user of the package can reach.
func receiverIsExported(declaration *ast.FuncDecl) bool {
	if declaration.Recv == nil {
		return true
	}
	receiver := declaration.Recv.List[0].Type
	for {
		switch inner := receiver.(type) {
		case *ast.StarExpr:
			receiver = inner.X
		case *ast.ParenExpr:
			receiver = inner.X
		case *ast.IndexExpr:
			receiver = inner.X
		case *ast.IndexListExpr:
			receiver = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}
