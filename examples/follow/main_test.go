//go:build cgo

package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestMain lets the test's binary be a node, as the program is one when it starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeVerb {
		os.Exit(nodeMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// Goal: a replica that was killed catches up, roles change, and three equal files are there at the
// end. Method: the whole play in two seconds, in a folder whose name needs escapes.
func TestFollowEndsWithThreeEqualFiles(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a folder #1", "100%")
	var out bytes.Buffer
	err := follow(context.Background(), &out, 2*time.Second, folder)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	require.Contains(t, out.String(), "gamma is back")
	require.Contains(t, out.String(), "beta promoted")
	require.Contains(t, out.String(), "identical  3 files")
	first, err := os.ReadFile(filepath.Join(folder, "alpha.db"))
	require.NoError(t, err)
	for _, name := range []string{"beta.db", "gamma.db"} {
		other, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, other), name)
	}
	require.DirExists(t, filepath.Join(folder, "store", "ltx", "chain"))
	err = follow(context.Background(), io.Discard, time.Second, folder)
	require.ErrorContains(t, err, "is not empty")
}

// cancelAt ends a context once a text is written.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
}

// Write implements io.Writer.
func (c cancelAt) Write(text []byte) (int, error) {
	if strings.Contains(string(text), c.text) {
		c.cancel()
	}
	return len(text), nil
}

// Goal: an interrupt ends all processes, and leaves nothing behind. Method: cancel while one node
// is killed, with the temporary folder in a folder of the test. follow waits for its processes.
func TestFollowLeavesNothingBehindWhenInterrupted(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := follow(ctx, cancelAt{"gamma is killed", cancel}, 2*time.Second, "")
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Goal: a stream that is cut off anywhere is told from one that has ended.
// Method: cut a stream of one log after every byte.
func TestStreamCutAnywhere(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.db")
	snapshot, err := mylibsql.Init(ctx, "file:"+path+"?_page_size=512",
		func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, schema)
			return err
		})
	require.NoError(t, err)
	defer func() { require.NoError(t, snapshot.Close()) }()
	var stream bytes.Buffer
	require.NoError(t, writeLog(&stream, snapshot.Log))
	whole := stream.Len()
	require.Positive(t, whole)
	require.NoError(t, writeEnd(&stream))
	for n := range stream.Len() {
		r := bytes.NewReader(stream.Bytes()[:n])
		log, err := readLog(r)
		if n >= whole {
			require.NoError(t, err)
			require.NoError(t, log.Close())
			_, err = readLog(r)
		}
		require.ErrorIs(t, err, errCut, "after %d bytes", n)
	}
	r := bytes.NewReader(stream.Bytes())
	log, err := readLog(r)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	_, err = readLog(r)
	require.ErrorIs(t, err, io.EOF)
}
