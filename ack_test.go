//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/acktest"
)

// TestAckTable checks what an ack means, row by row, through database/sql and through sqlx. The
// rows are in internal/acktest, where the compat module takes them from for GORM.
func TestAckTable(t *testing.T) {
	openers := []struct {
		name   string
		client func(*sql.DB) acktest.Client
	}{
		{"database/sql", func(db *sql.DB) acktest.Client { return acktest.NewSQLClient(db) }},
		{"sqlx", func(db *sql.DB) acktest.Client {
			wrapped := sqlx.NewDb(db, "sqlite3") // the kind of placeholder, not the driver
			return sqlxClient{sqlxSession{wrapped}, wrapped}
		}},
	}
	for _, o := range openers {
		t.Run(o.name, func(t *testing.T) {
			acktest.Run(t, func(t *testing.T, path string) (
				acktest.Client, *sql.DB, *mylibsql.Database,
			) {
				db, err := sql.Open("mylibsql", path)
				require.NoError(t, err)
				handle, err := mylibsql.From(context.Background(), db)
				require.NoError(t, err)
				return o.client(db), db, handle
			})
		})
	}
}

// sqlxSession inserts by named parameters and reads rows as sqlx does.
type sqlxSession struct {
	on sqlx.ExtContext
}

type note struct {
	Text string `db:"text"`
}

func (s sqlxSession) Insert(ctx context.Context, text string) error {
	_, err := sqlx.NamedExecContext(ctx, s.on, "INSERT INTO notes(text) VALUES(:text)", note{text})
	return err
}

func (s sqlxSession) Exec(ctx context.Context, query string) error {
	_, err := s.on.ExecContext(ctx, query)
	return err
}

func (s sqlxSession) Returning(ctx context.Context) (acktest.Rows, error) {
	return s.on.QueryxContext(ctx, acktest.ReturningStatement)
}

type sqlxClient struct {
	sqlxSession
	db *sqlx.DB
}

func (c sqlxClient) Begin(ctx context.Context) (acktest.Transaction, error) {
	tx, err := c.db.BeginTxx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return acktest.Transact(sqlxSession{tx}, tx), nil
}

func (c sqlxClient) Connection(ctx context.Context, use func(acktest.Session) error) error {
	conn, err := c.db.Connx(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return use(acktest.SQLSession{On: conn})
}

func (c sqlxClient) Prepare(ctx context.Context) (acktest.Insert, func() error, error) {
	statement, err := c.db.PrepareNamedContext(ctx, "INSERT INTO notes(text) VALUES(:text)")
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, text string) error {
		_, err := statement.ExecContext(ctx, note{text})
		return err
	}, statement.Close, nil
}
