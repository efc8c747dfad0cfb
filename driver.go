//go:build cgo

package mylibsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"

	sqlite3 "github.com/mattn/go-sqlite3"
)

func init() {
	sql.Register("mylibsql", &Driver{})
}

// Driver is a database/sql driver. The zero value is registered as "mylibsql"; one with a
// hook or extensions can be registered under another name, as is done with go-sqlite3:
//
//	sql.Register("app", &mylibsql.Driver{ConnectHook: hook})
type Driver struct {
	// ConnectHook is called with every new connection before it is used.
	ConnectHook func(*sqlite3.SQLiteConn) error
	// Extensions are shared libraries that every connection loads.
	Extensions []string
	// Logger gets warnings and errors; nil means slog.Default().
	Logger *slog.Logger

	connector *Connector // set on what Connector.Driver returns
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

// OpenConnector parses a DSN. It has no side effect on disk, and makes a new connector
// whatever the Driver is bound to.
func (d *Driver) OpenConnector(dataSourceName string) (driver.Connector, error) {
	return NewConnector(dataSourceName, &Options{
		ConnectHook: d.ConnectHook, Extensions: d.Extensions, Logger: d.Logger,
	})
}

// Open opens a single connection, which keeps the database open.
func (d *Driver) Open(dataSourceName string) (driver.Conn, error) {
	connector, err := d.OpenConnector(dataSourceName)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(context.Background())
	_ = connector.(*Connector).Close()
	return conn, err
}
