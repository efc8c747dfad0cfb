//go:build cgo

package mylibsql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
)

// TestPoolsOfOneFileMustAgree opens a second pool on a file that is open: one that names another
// value for a setting of the database, or another role, is refused; one that names none joins.
func TestPoolsOfOneFileMustAgree(t *testing.T) {
	db := openDatabase(t, "_wal_limit_frames=500")
	for params, want := range map[string]error{
		"":                                    nil,
		"_wal_limit_frames=500":               nil,
		"_wal_limit_frames=600":               mylibsql.ErrSettings,
		"_role=primary":                       nil,
		"_role=replica":                       mylibsql.ErrRole,
		"_role=primary&_wal_limit_frames=600": mylibsql.ErrSettings,
	} {
		require.ErrorIs(t, tryOpen(t, "file:"+db.path+"?"+params), want, params)
	}
}
