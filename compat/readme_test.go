//go:build cgo

package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goLines finds the blocks of Go in the README.
var goLines = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// Goal: the lines that the README shows for GORM and for a tracing wrapper compile.
// Method: put them into a function and vet it.
func TestReadmeLinesForWrappersCompile(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil || testing.Short() {
		t.Skip("builds programs with the go command: ", err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	programs := map[string]string{"gorm.": gormProgram, "otelsql.": tracingProgram}
	for _, match := range goLines.FindAllStringSubmatch(string(readme), -1) {
		for name, program := range programs {
			if strings.HasPrefix(match[1], "package ") || !strings.Contains(match[1], name) {
				continue
			}
			path := filepath.Join(t.TempDir(), "main.go")
			text := fmt.Sprintf(program, match[1])
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			output, err := exec.Command("go", "vet", path).CombinedOutput()
			require.NoError(t, err, "%s", output)
			delete(programs, name)
		}
	}
	require.Empty(t, programs, "not in the README")
}

const gormProgram = `package main

import (
	"context"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/mylibsql/mylibsql"
)

func main() {
	ctx := context.Background()
	%s
	_, _ = lib, err
}
`

const tracingProgram = `package main

import (
	"context"

	"github.com/XSAM/otelsql"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

func main() {
	ctx := context.Background()
	var store *checkpoint.Directory
	%s
	_, _, _ = db, saved, err
}
`
