package checkpoint

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// tool finds a program of others, by an environment variable or in PATH. Versions that the test was
// made with: github.com/superfly/ltx/cmd/ltx@v0.5.3 and
// github.com/benbjohnson/litestream/cmd/litestream@v0.5.18.
func tool(t *testing.T, variable, name string) string {
	t.Helper()
	if os.Getenv("MYLIBSQL_INTEROP") != "1" {
		t.Skip("SKIP: MYLIBSQL_INTEROP=1 is not set; it needs the programs ltx and litestream")
	}
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIP: %s is neither in $%s nor in PATH", name, variable)
	}
	return path
}

func run(t *testing.T, program string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", program, arguments, output)
}

// Goal: operators can restore a store with Litestream and check it with the ltx tool, without us.
// Method: a real database is changed by growing, updating, shrinking and starting over; after each
// change litestream restores the store and the bytes are compared; at the end it restores each
// earlier moment too, and ltx verifies every file.
func TestInteropLitestreamAndLTXReadTheStore(t *testing.T) {
	litestream := tool(t, "MYLIBSQL_LITESTREAM", "litestream")
	ltxTool := tool(t, "MYLIBSQL_LTX", "ltx")
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(strconv.Itoa(pageSize), func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			store, h := open(t, root), newHistory(t)
			h.pageSize = pageSize
			database := filepath.Join(t.TempDir(), "source.db")
			moments := make(map[string][]byte)
			for step, script := range []string{
				`CREATE TABLE entry (id INTEGER PRIMARY KEY, body BLOB);
				 CREATE INDEX entry_body ON entry(body)`,
				fill(2000), `UPDATE entry SET body = randomblob(30) WHERE id % 7 = 0`, fill(2000),
				`DELETE FROM entry WHERE id > 500; VACUUM`, fill(50),
				`UPDATE entry SET body = randomblob(40)`, fill(300),
			} {
				log := h.execute(database, script, step == 5)
				require.NoError(t, store.Save(t.Context(), log))
				content := h.bytes()
				moments[timeJustAfter(log.Last())] = content

				restored := filepath.Join(t.TempDir(), "restored.db")
				run(t, litestream, "restore", "-o", restored, "file://"+root)
				requireSameBytes(t, content, restored)
				requireIntegrity(t, restored)
				requireRestored(t, store, h)
			}
			// Litestream refuses moments after the newest log.
			delete(moments, timeJustAfter(h.end.FrameNo))
			require.Len(t, moments, 7)
			for moment, content := range moments {
				restored := filepath.Join(t.TempDir(), "restored.db")
				run(t, litestream, "restore", "-timestamp", moment, "-o", restored, "file://"+root)
				requireSameBytes(t, content, restored)
			}
			for _, name := range names(t, root) {
				run(t, ltxTool, "verify", filepath.Join(root, name))
			}
		})
	}
}

// timeJustAfter is a moment at which the log that ends at the position was the newest one.
func timeJustAfter(position translog.FrameNo) string {
	return timeOf(position).Add(time.Millisecond).Format(time.RFC3339Nano)
}

func fill(rows int) string {
	return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` +
		strconv.Itoa(rows) + `) INSERT INTO entry (body) SELECT randomblob(20 + i % 100) FROM n`
}

// execute runs a script on a database in WAL mode and returns the log of what it changed, or a
// snapshot at a position that jumped.
func (h *history) execute(path, script string, startOver bool) *translog.Log {
	h.t.Helper()
	db, err := sql.Open("sqlite3", path)
	require.NoError(h.t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`PRAGMA page_size = ` + strconv.Itoa(h.pageSize) +
		`; PRAGMA journal_mode = WAL; ` + script + `; PRAGMA wal_checkpoint(TRUNCATE)`)
	require.NoError(h.t, err)
	require.NoError(h.t, db.Close())
	content, err := os.ReadFile(path)
	require.NoError(h.t, err)

	old, before := h.pages, h.end
	changed := make(map[translog.PageNo]bool)
	h.pages = nil
	for index := 0; index*h.pageSize < len(content); index++ {
		page := content[index*h.pageSize : (index+1)*h.pageSize]
		h.pages = append(h.pages, page)
		if index >= len(old) || !bytes.Equal(old[index], page) {
			changed[translog.PageNo(index+1)] = true
		}
	}
	h.end.Checksum = h.checksum()
	if startOver {
		h.end.FrameNo += 1 << 32
		return h.snapshot(before)
	}
	h.end.FrameNo += translog.FrameNo(len(changed))
	if before.FrameNo == 0 {
		return h.snapshot(translog.Position{})
	}
	return h.build(translog.Spec{
		First: before.FrameNo + 1, Last: h.end.FrameNo, Follows: before, PreApply: before.Checksum,
	}, changed)
}

func requireSameBytes(t *testing.T, want []byte, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, content), "%s differs: %d bytes, want %d", path,
		len(content), len(want))
}

func requireIntegrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro&immutable=1")
	require.NoError(t, err)
	var answer string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&answer))
	require.NoError(t, db.Close())
	require.Equal(t, "ok", answer)
}
