//go:build cgo

package mylibsql_test

import (
	"database/sql"
	"fmt"
	"log"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql"
)

func init() {
	sql.Register("app", &mylibsql.Driver{
		ConnectHook: func(conn *sqlite3.SQLiteConn) error {
			return conn.RegisterFunc("shout", strings.ToUpper, true)
		},
	})
}

// A Driver of one's own is registered as with go-sqlite3, when every connection needs a
// function, a collation or an extension.
func ExampleDriver() {
	db, err := sql.Open("app", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var answer string
	if err := db.QueryRow("SELECT shout('hello')").Scan(&answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
	// Output: HELLO
}
