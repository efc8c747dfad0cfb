//go:build crashlab

package crashlab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// Goal: three fsyncs until an ack, and a lost one shows up in review.
// Method: every sync of a commit, a checkpoint, a reset and a close, in order, with what the ack
// says at that moment.
func TestSyncsOfACommit(t *testing.T) {
	folder := t.TempDir()
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	connector, err := mylibsql.NewConnector("file:"+filepath.Join(folder, "app.db"), nil)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	_, err = db.Exec("CREATE TABLE t(x)")
	require.NoError(t, err)
	_, err = connector.Checkpoint(t.Context(), store.Save)
	require.NoError(t, err)

	var trace []string
	var ack *mylibsql.Ack
	watch := func(path string) error {
		name := strings.TrimPrefix(path, folder+"/")
		if strings.HasPrefix(name, "store/ltx/tmp/") {
			name = "store/ltx/tmp/*"
		}
		said := "pending"
		if err := ack.Err(); !errors.Is(err, mylibsql.ErrPending) {
			said = fmt.Sprint(err)
		}
		trace = append(trace, name+" "+said)
		return nil
	}
	disk.Fault.Store(&watch)
	defer disk.Fault.Store(nil)
	during := func(work func() error) []string {
		trace = nil
		require.NoError(t, work())
		return trace
	}
	var ctx context.Context
	ctx, ack = mylibsql.WithAck(t.Context())
	insert := func() error { _, err := db.ExecContext(ctx, "INSERT INTO t VALUES(1)"); return err }
	save := func() error { _, err := connector.Checkpoint(ctx, store.Save); return err }
	reset := func() error { _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); return err }

	require.Empty(t, during(insert))
	require.Equal(t, []string{
		"app.db-wal pending",
		"store/ltx/tmp/* pending",
		"store/ltx/chain pending",
		"app.db-mylibsql/state <nil>",
	}, during(save))
	require.NoError(t, insert())
	require.Equal(t, []string{
		"app.db-wal pending",
		"app.db-mylibsql/outbox/0000000000000004-0000000000000004.ltx pending",
		"app.db-mylibsql/outbox pending",
		"app.db-mylibsql/state pending",
		"app.db-mylibsql/state pending",
	}, during(reset))
	require.Equal(t, []string{
		"app.db-wal pending",
		"app.db-mylibsql/state pending", // the first offer in a WAL
		"store/ltx/tmp/* pending",
		"store/ltx/chain pending",
		"app.db-mylibsql/state <nil>",
	}, during(func() error { return errors.Join(insert(), save()) }))
	require.Equal(t, []string{
		"app.db-wal <nil>",
		"app.db-mylibsql/state <nil>",
		"app.db-mylibsql/state <nil>",
	}, during(db.Close))
}
