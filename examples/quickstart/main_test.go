//go:build cgo

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: the quickstart ends well on its own database and leaves nothing behind.
// Method: run it with the temporary folder in a folder of the test.
func TestQuickstartLeavesNothingBehind(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var out bytes.Buffer
	require.NoError(t, quickstart(context.Background(), &out, "", ""))
	require.Contains(t, out.String(), "identical")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Goal: a second run in a kept folder continues the first one's database and store, and both files
// are there afterwards. Method: run twice; the second one must find the first one's rows.
func TestQuickstartRunsTwiceInAKeptFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a folder #1", "100%")
	var first, second bytes.Buffer
	require.NoError(t, quickstart(context.Background(), &first, "", folder))
	require.NotContains(t, first.String(), "as the last run left it")
	require.NoError(t, quickstart(context.Background(), &second, "", folder))
	require.Contains(t, second.String(), "as the last run left it")
	require.Contains(t, second.String(), "nothing new")
	require.NotContains(t, second.String(), "snapshot")
	require.FileExists(t, filepath.Join(folder, "shop.db"))
	require.FileExists(t, filepath.Join(folder, "shop-restored.db"))
	require.DirExists(t, filepath.Join(folder, "shop-store", "ltx", "chain"))
}

// Goal: a real database passes, and is itself left alone.
// Method: the Chinook sample, where it is present.
func TestQuickstartOnChinook(t *testing.T) {
	chinook := filepath.Join("..", "..", "..", "shared", "data", "chinook", "Chinook_Sqlite.sqlite")
	before, err := os.ReadFile(chinook)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the Chinook database is not there")
	}
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, quickstart(context.Background(), &out, chinook, ""))
	require.Contains(t, out.String(), "identical")
	after, err := os.ReadFile(chinook)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after))
}

// Goal: what is not a database, or not there, is an error, and nothing is left of it.
// Method: run on a text file and on a missing one in a kept folder, which must stay empty.
func TestQuickstartRefusesWhatIsNoDatabase(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.db")
	require.NoError(t, os.WriteFile(text, []byte("this is not a database\n"), 0o600))
	for _, file := range []string{text, text + ".missing"} {
		folder := t.TempDir()
		require.Error(t, quickstart(context.Background(), &bytes.Buffer{}, file, folder))
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}
