//go:build cgo

package compat

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/acktest"
	"github.com/mylibsql/mylibsql/internal/dbtest"
	"github.com/mylibsql/mylibsql/internal/pooltest"
)

// openGORM opens a database as GORM's documentation tells for another SQLite driver. The file is
// looked at in the end: what is saved must restore to it, so it is saved by the life's Save.
func openGORM(t *testing.T, path string) (
	*gorm.DB, *sql.DB, *mylibsql.Database, *dbtest.Life,
) {
	t.Helper()
	dialector := sqlite.Dialector{DriverName: "mylibsql", DSN: "file:" + path}
	db, err := gorm.Open(dialector, &gorm.Config{
		TranslateError: true,
		Logger:         logger.Discard, // failures are what some tests are about
	})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	lib, err := mylibsql.From(context.Background(), pool)
	require.NoError(t, err)
	file, _, _ := strings.Cut(path, "?")
	return db, pool, lib, pooltest.Watch(t, file, pool, lib)
}

// TestAckTableGORM checks what an ack means, row by row, through GORM: by its models where
// a user would take them, and by hand-written SQL.
func TestAckTableGORM(t *testing.T) {
	acktest.Run(t, func(t *testing.T, path string) (acktest.Client, *sql.DB, *mylibsql.Database) {
		db, pool, lib, _ := openGORM(t, path)
		return gormClient{gormSession{db}}, pool, lib
	})
}

// note is the model of acktest.Schema.
type note struct {
	ID   int64
	Text string
}

type gormSession struct{ db *gorm.DB }

func (s gormSession) Insert(ctx context.Context, text string) error {
	return s.db.WithContext(ctx).Create(&note{Text: text}).Error
}

func (s gormSession) Exec(ctx context.Context, query string) error {
	return s.db.WithContext(ctx).Exec(query).Error
}

func (s gormSession) Returning(ctx context.Context) (acktest.Rows, error) {
	return s.db.WithContext(ctx).Raw(acktest.ReturningStatement).Rows()
}

type gormClient struct{ gormSession }

type gormTransaction struct{ gormSession }

func (c gormClient) Begin(ctx context.Context) (acktest.Transaction, error) {
	tx := c.db.WithContext(ctx).Begin()
	return gormTransaction{gormSession{tx}}, tx.Error
}

func (x gormTransaction) Commit() error   { return x.db.Commit().Error }
func (x gormTransaction) Rollback() error { return x.db.Rollback().Error }

func (c gormClient) Connection(ctx context.Context, use func(acktest.Session) error) error {
	return c.db.WithContext(ctx).Connection(func(on *gorm.DB) error {
		// GORM wraps each write in a transaction of its own, which a BEGIN by hand is already.
		plain := on.Session(&gorm.Session{SkipDefaultTransaction: true, NewDB: true})
		return use(gormSession{plain})
	})
}

func (c gormClient) Prepare(ctx context.Context) (acktest.Insert, func() error, error) {
	prepared := c.db.WithContext(ctx).Session(&gorm.Session{PrepareStmt: true})
	statements, ok := prepared.Statement.ConnPool.(*gorm.PreparedStmtDB)
	if !ok {
		return nil, nil, gorm.ErrInvalidDB
	}
	return gormSession{prepared}.Insert, func() error {
		statements.Reset()
		return nil
	}, nil
}

// hooked is a model whose hook asks for the ack of the write it belongs to.
type hooked struct {
	ID      int64
	answers chan<- error
}

// AfterCreate runs inside the transaction that GORM opened for the write.
func (h *hooked) AfterCreate(tx *gorm.DB) error {
	ack, ok := mylibsql.AckFrom(tx.Statement.Context)
	if !ok {
		return gorm.ErrInvalidData
	}
	h.answers <- ack.Wait(tx.Statement.Context)
	return nil
}

// TestWaitInAHook waits for an ack in a hook, where blocking would hold the write gate for ever:
// the answer is ErrUncommitted at once, and the write goes on.
func TestWaitInAHook(t *testing.T) {
	db, _, lib, life := openGORM(t, filepath.Join(t.TempDir(), "app.db"))
	require.NoError(t, db.AutoMigrate(&hooked{}))
	ctx, ack := mylibsql.WithAck(context.Background())
	answers := make(chan error, 1)
	require.NoError(t, db.WithContext(ctx).Create(&hooked{answers: answers}).Error)
	require.ErrorIs(t, <-answers, mylibsql.ErrUncommitted)
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	_, err := lib.Checkpoint(ctx, life.Save)
	require.NoError(t, err)
	require.NoError(t, ack.Wait(ctx))
}

// TestTransactionBlocks runs GORM's own transactions, nested by savepoints, one of which fails.
func TestTransactionBlocks(t *testing.T) {
	db, _, lib, life := openGORM(t, filepath.Join(t.TempDir(), "app.db"))
	require.NoError(t, db.AutoMigrate(&note{}))
	ctx, ack := mylibsql.WithAck(context.Background())
	require.NoError(t, db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&note{Text: "outer"}).Error; err != nil {
			return err
		}
		err := tx.Transaction(func(inner *gorm.DB) error {
			require.NoError(t, inner.Create(&note{Text: "inner"}).Error)
			return gorm.ErrInvalidTransaction
		})
		require.ErrorIs(t, err, gorm.ErrInvalidTransaction)
		require.ErrorIs(t, ack.Wait(ctx), mylibsql.ErrUncommitted)
		return nil
	}))
	require.ErrorIs(t, ack.Err(), mylibsql.ErrPending)
	_, err := lib.Checkpoint(ctx, life.Save)
	require.NoError(t, err)
	require.NoError(t, ack.Wait(ctx))
	var texts []string
	require.NoError(t, db.Model(&note{}).Pluck("text", &texts).Error)
	require.Equal(t, []string{"outer"}, texts)

	// A block that fails saves nothing, so its ack has nothing to wait for.
	ctx, ack = mylibsql.WithAck(context.Background())
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&note{Text: "gone"}).Error)
		return gorm.ErrInvalidTransaction
	})
	require.ErrorIs(t, err, gorm.ErrInvalidTransaction)
	require.Zero(t, ack.FrameNo())
	require.NoError(t, ack.Wait(ctx))
}
