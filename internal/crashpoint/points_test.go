package crashpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: every point is a moment of its own that the product passes.
// Method: read the constants, and every file that is not a test; each name is used once.
func TestEveryPointIsReachedInOnePlace(t *testing.T) {
	names := pointNames(t)
	require.Len(t, All(), len(names))
	used := map[string]int{}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				if from, ok := selector.X.(*ast.Ident); ok && from.Name == "crashpoint" {
					used[selector.Sel.Name]++
				}
			}
			return true
		})
		return nil
	}))
	for _, name := range names {
		require.Equal(t, 1, used[name], name)
	}
}

// Goal: the crash states that the documentation argues about are those that the lab tries.
// Method: every point's name stands in the package comment of engine or of checkpoint.
func TestEveryPointIsDocumented(t *testing.T) {
	var text strings.Builder
	for _, name := range []string{"engine", "checkpoint"} {
		content, err := os.ReadFile(filepath.Join("..", "..", name, "doc.go"))
		require.NoError(t, err)
		for line := range strings.Lines(string(content)) {
			text.WriteString(strings.TrimSpace(strings.TrimPrefix(line, "//")) + " ")
		}
	}
	for _, point := range All() {
		require.Contains(t, text.String(), `"`+string(point)+`"`)
	}
}

// pointNames are the names of the constants.
func pointNames(t *testing.T) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "points.go", nil, 0)
	require.NoError(t, err)
	seen := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		require.False(t, seen[text], text)
		require.Contains(t, All(), Point(text))
		seen[text] = true
		names = append(names, spec.Names[0].Name)
		return true
	})
	return names
}
