//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestFullDiskBeforeTheFirstSave fills the disk under a database that was just created: its state
// file has not got all of its blocks yet. What it cannot note it does not save.
func TestFullDiskBeforeTheFirstSave(t *testing.T) {
	onSmallDisk(t, []string{placeState, placeSQLite}, func(t *testing.T, disk *smallDisk) {
		disk.each(t, 64, 4, func(t *testing.T, freeKB int) {
			p := openFullPrimary(t, disk, disk.folder(t), t.TempDir(), fullSettings, newLedger())
			disk.fill(t, freeKB)
			if _, err := p.Exec(createLedger); err != nil {
				disk.requireNoSpace(t, err)
				disk.makeRoom(t)
				p.exec(t, createLedger)
				disk.fill(t, freeKB)
			}
			p.work(t, rand.New(rand.NewPCG(1, uint64(freeKB))), 6)
			if freeKB%8 == 0 {
				disk.requireClosesFull(t, p.DB)
				p.requireReopens(t)
				return
			}
			p.requireRecovers(t)
		})
	})
}

// TestFullDiskAndAChangeOfRole promotes and demotes where there is no room. The role changes, or
// stays what it was and changes once there is room.
func TestFullDiskAndAChangeOfRole(t *testing.T) {
	onSmallDisk(t, []string{placeState}, func(t *testing.T, disk *smallDisk) {
		store := openStore(t)
		disk.each(t, 8, 4, func(t *testing.T, freeKB int) {
			r := openReplicaAt(t, filepath.Join(disk.folder(t), "app.db"), fullReplicaSettings)
			t.Cleanup(func() { disk.makeRoom(t) })
			change := func(from, to mylibsql.Role, change func(context.Context) error) {
				disk.fill(t, freeKB)
				require.Equal(t, from, r.lib.Stats().Role)
				if err := change(t.Context()); err != nil {
					disk.requireNoSpace(t, err)
					require.Equal(t, from, r.lib.Stats().Role)
					disk.makeRoom(t)
					require.NoError(t, change(t.Context()))
				}
				require.Equal(t, to, r.lib.Stats().Role)
				disk.makeRoom(t)
			}
			change(mylibsql.RoleReplica, mylibsql.RolePrimary, r.lib.Promote)
			change(mylibsql.RolePrimary, mylibsql.RoleReplica, r.lib.Demote)
			change(mylibsql.RoleReplica, mylibsql.RolePrimary, r.lib.Promote)
			_, err := r.Exec(createLedger)
			require.NoError(t, err)
			if freeKB == 0 {
				_, err = r.lib.Checkpoint(t.Context(), store.Save)
				require.NoError(t, err)
				change(mylibsql.RolePrimary, mylibsql.RoleReplica, r.lib.Demote)
			}
		})
	})
}
