//go:build cgo

package mylibsql_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/dsn"
)

// fenced finds the blocks of code in a Markdown text, each with its language.
var fenced = regexp.MustCompile("(?ms)^```(go|text|sh)\n(.*?)^```$")

type block struct{ language, text string }

func readmeBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, match := range fenced.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{match[1], match[2]})
	}
	return blocks
}

// Goal: every program in the README compiles, and prints what the README says.
// Method: vet, build and run them, one after the other in one folder, as a reader would. The block
// after a program that prints is its output.
func TestReadmeProgramsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	working := t.TempDir()
	blocks := readmeBlocks(t)
	programs := 0
	for i, b := range blocks {
		if b.language != "go" || !strings.HasPrefix(b.text, "package main\n") {
			continue
		}
		programs++
		source, binary := writeProgram(t, b.text), filepath.Join(t.TempDir(), "program")
		goCommand(t, "vet", source)
		goCommand(t, "build", "-o", binary, source)
		command := exec.Command(binary)
		command.Dir = working
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
		if strings.Contains(b.text, "fmt.Print") {
			require.Equal(t, block{"text", string(output)}, blocks[i+1])
		}
	}
	require.Equal(t, 2, programs)
	require.FileExists(t, filepath.Join(working, "app.db"))
	require.DirExists(t, filepath.Join(working, "app.db-mylibsql"))
	require.NoFileExists(t, filepath.Join(working, "app.db-wal"))
}

// Goal: the lines that the README shows for sqlx compile.
// Method: put them into a function and vet it. Those for GORM and for tracing need heavier
// modules: the module in compat/ has the same test for them.
func TestReadmeLinesForSqlxCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	for _, b := range readmeBlocks(t) {
		if b.language == "go" && strings.Contains(b.text, "sqlx.") {
			goCommand(t, "vet", writeProgram(t, fmt.Sprintf(sqlxProgram, b.text)))
			return
		}
	}
	t.Fatal("the README has no lines for sqlx")
}

const sqlxProgram = `package main

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/mylibsql/mylibsql"
)

func main() {
	ctx := context.Background()
	%s
	_, _ = lib, err
}
`

// writeProgram writes a main file into a folder of its own, outside the module: the go command
// resolves its imports by the module that it is started in.
func writeProgram(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func goCommand(t *testing.T, arguments ...string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command: ", err)
	}
	output, err := exec.Command("go", arguments...).CombinedOutput()
	require.NoError(t, err, "go %v: %s", arguments, output)
}

// Goal: the package documentation is a complete manual of the DSN.
// Method: it must name each parameter that dsn knows, with its aliases and its default.
func TestDocumentationNamesEveryParameter(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	manual := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "\n//", "\n")), " ")
	_, manual, _ = strings.Cut(manual, "# The DSN")
	manual, _, _ = strings.Cut(manual, "# Differences")
	entries := strings.Split(manual, " - ")[1:]
	for _, parameter := range dsn.Parameters() {
		entry := entryOf(entries, parameter.Name)
		require.NotEmpty(t, entry, "%s has no entry", parameter.Name)
		names, rest, _ := strings.Cut(entry, ": ")
		for _, alias := range parameter.Aliases {
			require.Contains(t, strings.Split(names, ", "), alias)
		}
		if parameter.Default != "" && !strings.Contains(names, ",") {
			require.Contains(t, rest, parameter.Default, parameter.Name)
		}
	}
}

// entryOf finds the entry whose list of names, before the colon, has the name.
func entryOf(entries []string, name string) string {
	for _, entry := range entries {
		names, _, _ := strings.Cut(strings.ReplaceAll(entry, ", and ", ", "), ":")
		for candidate := range strings.SplitSeq(names, ", ") {
			if candidate == name {
				return entry
			}
		}
	}
	return ""
}
