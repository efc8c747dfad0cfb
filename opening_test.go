package mylibsql_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openers are the calls that open a database, by the folder of the tests. Plain go-sqlite3 is
// asked for as sql.Open("sqlite3", ...), which is none of them.
var openers = map[string][]string{
	".": {"sql.Open", "sql.OpenDB", "connector.Connect", "mylibsql.Init", "mylibsql.OpenPrimary",
		"mylibsql.OpenReplica"},
	"engine": {"sql.Open", "Acquire", "acquire", "open"},
	"compat": {"sql.Open", "sql.OpenDB", "connector.Connect", "otelsql.Open", "otelsql.OpenDB",
		"gorm.Open"},
}

// openingFile has the helper of a folder, which alone may call the openers.
const openingFile = "open_test.go"

// watchers are what a function calls that opens in a way of its own, and has the file looked at all
// the same.
var watchers = []string{"pooltest.Watch", "acktest.Run"}

const (
	refused     = "no pool comes of it"
	killedChild = "a child that is killed; its parent opens the file"
	openedNext  = "the helper opens next what is made here"
)

// openedElsewhere maps "file function" to the reason why it may call an opener. One that no longer
// matches anything in its file fails the test too.
var openedElsewhere = map[string]string{
	"compat/otelsql_test.go TestOtelsqlReportsParameters":      refused,
	"driver_connector_test.go TestOpenConnectorTouchesNothing": refused,

	"driver_open_test.go TestChildOpens":     "a child, beside its parent's open database",
	"driver_open_test.go TestNotADatabase":   "the file is no database, and stays none",
	"fencing_actor_test.go open":             "checkStore compares who survives with the store",
	"full_disk_new_test.go creations":        "requireSound looks at what comes to be",
	"full_disk_open_test.go openWhileFull":   "the helper has opened it before, or does so next",
	"reopen_bench_test.go TestReopenProcess": "a child, whose files a benchmark puts back",

	"checkpoint_test.go TestInitAndOpenPrimary": openedNext,
	"idle_test.go TestChildIsIdle":              killedChild,
	"kill_test.go writeUntilKilled":             killedChild,
	"rust_scenario_test.go newTailScenario":     openedNext,

	"full_disk_new_test.go TestFullDiskAndAnOrdinaryDatabase": openedNext,
}

// Goal: every database of a test is looked at when the test ends; see internal/dbtest.
// Method: parse the tests, and find the calls that open a database past the helper of their folder.
func TestDatabasesAreOpenedThroughTheHelper(t *testing.T) {
	used := map[string]bool{}
	for folder, calls := range openers {
		if folder == "compat" && !isFolder(folder) {
			continue // a module of its own, which is not there when this one was downloaded
		}
		names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, names, folder)
		for _, name := range names {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, name, nil, 0)
			require.NoError(t, err)
			if filepath.Base(name) == openingFile {
				continue
			}
			for _, found := range findOpenings(file, calls) {
				key := filepath.ToSlash(name) + " " + found.function
				if openedElsewhere[key] != "" {
					used[key] = true
					continue
				}
				t.Errorf("%v: %s opens a database past the helper in %s (%s)",
					files.Position(found.at), found.call, openingFile, key)
			}
		}
	}
	for key, reason := range openedElsewhere {
		require.NotEmpty(t, reason, "the exemption %q needs a reason", key)
		name, _, _ := strings.Cut(key, " ")
		if _, err := os.Stat(filepath.FromSlash(name)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.True(t, used[key], "the exemption %q matches nothing any more", key)
	}
}

// Goal: the rule fires on what it forbids and stays silent on what is just allowed.
// Method: functions in memory.
func TestOpeningsAreFound(t *testing.T) {
	for text, want := range map[string][]string{
		`func f() { sql.Open("mylibsql", path) }`:                     {"f sql.Open"},
		`func f() { sql.Open(name, path) }`:                           {"f sql.Open"},
		`func f() { sql.Open("sqlite3", path) }`:                      nil,
		`func (x) f() { go func() { sql.OpenDB(c) }() }`:              {"f sql.OpenDB"},
		`func f() { _ = sql.OpenDB(c); pooltest.Watch(t, path, db) }`: nil,
		`func ExampleF() { sql.OpenDB(c) }`:                           nil,
		`var jobs = map[string]func(){"a": func() { sql.OpenDB(c) }}`: {"jobs sql.OpenDB"},
		`func f() { Acquire(ctx, path) }`:                             {"f Acquire"},
		`func f() { db.sealing.Acquire(ctx, 1) }`:                     nil,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package x\n"+text, 0)
		require.NoError(t, err)
		var got []string
		for _, found := range findOpenings(file, []string{"sql.Open", "sql.OpenDB", "Acquire"}) {
			got = append(got, found.function+" "+found.call)
		}
		require.Equal(t, want, got, text)
	}
}

// An opening is a call that opens a database.
type opening struct {
	function, call string
	at             token.Pos
}

// findOpenings finds the calls of openers in a file. Left out are functions that have the file
// looked at themselves, and Examples, which show what a program does and have no *testing.T.
func findOpenings(file *ast.File, calls []string) (all []opening) {
	for _, declaration := range file.Decls {
		name := nameOf(declaration)
		var found []opening
		watched := strings.HasPrefix(name, "Example")
		for node := range ast.Preorder(declaration) {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				continue
			}
			called := callName(call)
			watched = watched || slices.Contains(watchers, called)
			if slices.Contains(calls, called) && !opensPlain(called, call) {
				found = append(found, opening{name, called, call.Pos()})
			}
		}
		if !watched {
			all = append(all, found...)
		}
	}
	return all
}

// nameOf is the name of a function, or the first one that a group declares.
func nameOf(declaration ast.Decl) string {
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		return declaration.Name.Name
	case *ast.GenDecl:
		for _, spec := range declaration.Specs {
			if values, ok := spec.(*ast.ValueSpec); ok {
				return values.Names[0].Name
			}
		}
	}
	return ""
}

// opensPlain reports whether a call opens a pool of plain go-sqlite3.
func opensPlain(called string, call *ast.CallExpr) bool {
	if called != "sql.Open" || len(call.Args) == 0 {
		return false
	}
	driver, ok := call.Args[0].(*ast.BasicLit)
	return ok && driver.Value == `"sqlite3"`
}

// callName is how a call is written: name, or name.name.
func callName(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.Ident:
		return function.Name
	case *ast.SelectorExpr:
		if of, ok := function.X.(*ast.Ident); ok {
			return of.Name + "." + function.Sel.Name
		}
	}
	return ""
}
