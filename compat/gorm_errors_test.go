//go:build cgo

package compat

import (
	"path/filepath"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
)

type account struct {
	ID    int64
	Email string `gorm:"uniqueIndex"`
}

type payment struct {
	ID        int64
	AccountID int64
	Account   account `gorm:"constraint:OnDelete:RESTRICT"`
}

// TestTranslatedErrors has GORM recognise SQLite's errors, which it does by the JSON of
// go-sqlite3's error value: they must come through this driver as they are.
func TestTranslatedErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, pool, _, _ := openGORM(t, path+"?_foreign_keys=on")
	require.NoError(t, db.AutoMigrate(&account{}, &payment{}))
	first := account{Email: "a@example.com"}
	require.NoError(t, db.Create(&first).Error)

	prepared := db.Session(&gorm.Session{PrepareStmt: true})
	plain := db.Session(&gorm.Session{SkipDefaultTransaction: true})
	for name, way := range map[string]*gorm.DB{
		"transaction": db, "prepared": prepared, "autocommit": plain,
	} {
		t.Run(name, func(t *testing.T) {
			err := way.Create(&account{Email: first.Email}).Error
			require.ErrorIs(t, err, gorm.ErrDuplicatedKey, "unique index")
			err = way.Create(&account{ID: first.ID, Email: "b@example.com"}).Error
			require.ErrorIs(t, err, gorm.ErrDuplicatedKey, "primary key")
			err = way.Select("AccountID").Create(&payment{AccountID: 12345}).Error
			require.ErrorIs(t, err, gorm.ErrForeignKeyViolated)
		})
	}

	// Without translation it is go-sqlite3's own value, unwrapped.
	const insert = "INSERT INTO accounts(email) VALUES(?)"
	require.ErrorIs(t, db.Exec(insert, first.Email).Error, gorm.ErrDuplicatedKey)
	_, err := pool.Exec(insert, first.Email)
	bare, ok := err.(sqlite3.Error) //nolint:errorlint // the point is that nothing wraps it
	require.True(t, ok, "%T", err)
	require.Equal(t, sqlite3.ErrConstraintUnique, bare.ExtendedCode)
}
