//go:build !cgo

package mylibsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// errNoCgo is all that this package can do without cgo.
var errNoCgo = errors.New("mylibsql: built without cgo, which compiles SQLite: " +
	"install a C compiler (gcc or clang) and build with CGO_ENABLED=1")

func init() {
	sql.Register("mylibsql", missing{})
}

// missing stands for the driver in a program that was built without cgo.
type missing struct{}

var _ driver.DriverContext = missing{}

// Open returns an error that says what the build lacks.
func (missing) Open(string) (driver.Conn, error) { return nil, errNoCgo }

// OpenConnector makes sql.Open fail already, not only the first statement.
func (missing) OpenConnector(string) (driver.Connector, error) { return missing{}, errNoCgo }

// Connect returns the same error.
func (missing) Connect(context.Context) (driver.Conn, error) { return nil, errNoCgo }

// Driver returns the driver itself.
func (m missing) Driver() driver.Driver { return m }
