//go:build crashlab

package crashlab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// watchSyncs tells what is synced during some work, in order, each by its name.
func watchSyncs(t *testing.T, name func(path string) string) func(work func() error) []string {
	var trace []string
	watch := func(path string) error {
		trace = append(trace, name(path))
		return nil
	}
	disk.Fault.Store(&watch)
	t.Cleanup(func() { disk.Fault.Store(nil) })
	return func(work func() error) []string {
		t.Helper()
		trace = nil
		require.NoError(t, work())
		return trace
	}
}

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

	var ack *mylibsql.Ack
	during := watchSyncs(t, func(path string) string {
		name := strings.TrimPrefix(path, folder+"/")
		if strings.HasPrefix(name, "store/ltx/tmp/") {
			name = "store/ltx/tmp/*"
		}
		said := "pending"
		if err := ack.Err(); !errors.Is(err, mylibsql.ErrPending) {
			said = fmt.Sprint(err)
		}
		return name + " " + said
	})
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

// Goal: the same for an open, a replica that is made, and a restore.
// Method: every sync, by the name of what is synced below the test's folder.
func TestSyncsOfAnOpenAndARestore(t *testing.T) {
	folder := t.TempDir()
	random := regexp.MustCompile(`\.[A-Z2-7]{26}\.restore$`)
	during := watchSyncs(t, func(path string) string {
		name := strings.TrimPrefix(strings.TrimPrefix(path, folder), "/")
		return random.ReplaceAllString(name, ".*.restore")
	})
	path := filepath.Join(folder, "app.db")
	var db *sql.DB
	open := func() (err error) {
		db, err = sql.Open("mylibsql", "file:"+path)
		return errors.Join(err, db.Ping())
	}
	state := "app.db-mylibsql/state"
	require.Equal(t, []string{
		"app.db-wal", state, state, "app.db-mylibsql", // the outbox is made behind that
	}, during(open))
	_, err := db.Exec("CREATE TABLE t(x)")
	require.NoError(t, err)
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	require.NoError(t, err)
	lib, err := mylibsql.From(t.Context(), db)
	require.NoError(t, err)
	var saved *mylibsql.Log
	_, err = lib.Checkpoint(t.Context(), func(ctx context.Context, log *mylibsql.Log) (err error) {
		saved, err = log.Clone()
		return errors.Join(err, store.Save(ctx, log))
	})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.Equal(t, []string{"app.db-wal", state, state}, during(open))
	require.NoError(t, db.Close())

	require.Equal(t, []string{"restored.db.*.restore", ""}, during(func() error {
		_, err := checkpoint.Restore(t.Context(), store, filepath.Join(folder, "restored.db"))
		return err
	})[1:], "behind the chain's folder")
	snapshot, err := translog.AsSnapshot(saved)
	require.NoError(t, err)
	replicaState := "replica.db-mylibsql/state"
	require.Equal(t, []string{
		"replica.db.*.restore", "", replicaState, replicaState, "replica.db-mylibsql",
		"replica.db-wal", replicaState, replicaState, "replica.db-mylibsql",
	}, during(func() (err error) {
		db, err = mylibsql.OpenReplica(t.Context(), "file:"+filepath.Join(folder, "replica.db"),
			snapshot)
		return err
	}))
	require.NoError(t, db.Close())
}

// Goal: the same for a replica and for changes of role.
// Method: as above; the primary and the replica are told apart by the name.
func TestSyncsOfAReplica(t *testing.T) {
	folder, ctx := t.TempDir(), t.Context()
	var logs []*mylibsql.Log
	keep := func(_ context.Context, log *mylibsql.Log) error {
		clone, err := log.Clone()
		logs = append(logs, clone)
		return err
	}
	open := func(name string) (*sql.DB, *mylibsql.Connector) {
		connector, err := mylibsql.NewConnector("file:"+filepath.Join(folder, name), nil)
		require.NoError(t, err)
		db := sql.OpenDB(connector)
		t.Cleanup(func() { _ = db.Close() })
		return db, connector
	}
	db, primary := open("a.db")
	commit := func() {
		_, err := db.Exec("CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1)")
		require.NoError(t, err)
	}
	save := func() { commit(); _, err := primary.Checkpoint(ctx, keep); require.NoError(t, err) }
	for range 4 {
		save()
	}
	other, replica := open("b.db?_role=replica")
	require.NoError(t, other.Ping())
	require.NoError(t, replica.Replicate(ctx, logs[0]))

	during := watchSyncs(t, func(path string) string {
		return strings.TrimPrefix(path, folder+"/")
	})
	wal, state := "b.db-wal", "b.db-mylibsql/state"
	for _, step := range []struct {
		name string
		work func() error
		want []string
	}{
		{"a log", func() error { return replica.Replicate(ctx, logs[1]) }, nil},
		{"Sync", func() error { return replica.Sync(ctx) }, []string{wal, state}},
		{"copy", func() error {
			_, err := other.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
			return err
		}, []string{wal, state, state}},
		{"the first log of a WAL", func() error { return replica.Replicate(ctx, logs[2]) },
			[]string{wal}},
		{"Promote", func() error { return replica.Promote(ctx) }, []string{wal, state}},
		{"Demote", func() error { return replica.Demote(ctx) }, []string{wal, state}},
	} {
		require.Equal(t, step.want, during(step.work), step.name)
	}

	frames, err := primary.Frames(ctx, mylibsql.Position{})
	require.NoError(t, err)
	commit()
	_, err = frames.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a.db-wal"}, during(func() error {
		return frames.AckReplicated(primary.Stats().Committed)
	}))
	require.NoError(t, frames.Close())
}
