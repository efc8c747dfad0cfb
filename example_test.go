//go:build cgo

package mylibsql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// A database is opened as with go-sqlite3, by another driver name. The application decides when
// its writes are saved, and where.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	db, err := sql.Open("mylibsql", "file:"+filepath.Join(folder, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	ackContext, ack := mylibsql.WithAck(ctx)
	_, err = db.ExecContext(ackContext, "INSERT INTO notes VALUES(?)", "hello")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("committed:", ack.Err())

	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := lib.Checkpoint(ctx, store.Save); err != nil {
		log.Fatal(err)
	}
	if err := ack.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("saved:", ack.Err())
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// committed: engine: not saved yet
	// saved: <nil>
}

// The logs of a directory store become a database again.
func Example_restore() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		log.Fatal(err)
	}

	db, err := sql.Open("mylibsql", "file:"+filepath.Join(folder, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE notes(body TEXT)", "INSERT INTO notes VALUES('hello')",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			log.Fatal(err)
		}
		if _, err := lib.Checkpoint(ctx, store.Save); err != nil {
			log.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}

	restored := filepath.Join(folder, "restored.db")
	end, err := checkpoint.Restore(ctx, store, restored)
	if err != nil {
		log.Fatal(err)
	}
	original, err := os.ReadFile(filepath.Join(folder, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	copied, err := os.ReadFile(restored)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("position", end.FrameNo, "identical:", bytes.Equal(original, copied))
	// Output: position 3 identical: true
}

// An ack goes where its context goes: through transactions, sqlx, GORM or generated code.
func ExampleWithAck() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}

	ackContext, ack := mylibsql.WithAck(ctx)
	tx, err := db.BeginTx(ackContext, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec("CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("open:", errors.Is(ack.Wait(ctx), mylibsql.ErrUncommitted))
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("committed:", errors.Is(ack.Err(), mylibsql.ErrPending))
	save := func(context.Context, *mylibsql.Log) error { return nil } // pretends to have saved
	if _, err := lib.Checkpoint(ctx, save); err != nil {
		log.Fatal(err)
	}
	fmt.Println("saved:", ack.Wait(ctx))
	// Output:
	// open: true
	// committed: true
	// saved: <nil>
}

// What an ack can be asked.
func ExampleAck() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}

	ackContext, ack := mylibsql.WithAck(ctx)
	fmt.Println("before any statement:", errors.Is(ack.Err(), mylibsql.ErrAckUnused))
	if _, err := db.ExecContext(ackContext, "CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	pending := errors.Is(ack.Err(), mylibsql.ErrPending)
	fmt.Println("committed at", ack.FrameNo(), "pending:", pending)
	select {
	case <-ack.Done():
		fmt.Println("done too early")
	default:
	}
	save := func(context.Context, *mylibsql.Log) error { return nil } // pretends to have saved
	if _, err := lib.Checkpoint(ctx, save); err != nil {
		log.Fatal(err)
	}
	<-ack.Done()
	fmt.Println("saved:", ack.Err())
	// Output:
	// before any statement: true
	// committed at 2 pending: true
	// saved: <nil>
}

// A layer in between, such as an HTTP middleware, finds the ack that its caller put there.
func ExampleAckFrom() {
	ctx, ack := mylibsql.WithAck(context.Background())
	found, ok := mylibsql.AckFrom(ctx)
	fmt.Println(ok, found == ack)
	_, ok = mylibsql.AckFrom(context.Background())
	fmt.Println(ok)
	// Output:
	// true true
	// false
}

// From takes no connection, so it works while a small pool is busy.
func ExampleFrom() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx) // the only one
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lib.Stats().Role)
	// Output: primary
}

// The application saves each log where it likes. A save that fails loses nothing.
func ExampleDatabase_Checkpoint() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}

	bucket := map[string][]byte{} // stands for an object store
	save := func(_ context.Context, log *mylibsql.Log) error {
		var body bytes.Buffer
		if _, err := log.WriteTo(&body); err != nil {
			return err
		}
		bucket[log.Name()] = body.Bytes()
		return nil
	}
	saved, err := lib.Checkpoint(ctx, save)
	fmt.Println("saved up to", saved, err)

	if _, err := db.Exec("INSERT INTO notes VALUES('hello')"); err != nil {
		log.Fatal(err)
	}
	saved, err = lib.Checkpoint(ctx, func(context.Context, *mylibsql.Log) error {
		return errors.New("bucket not reachable")
	})
	fmt.Println("saved up to", saved, err)
	saved, err = lib.Checkpoint(ctx, save)
	fmt.Println("saved up to", saved, err)

	for _, name := range []string{
		"0000000000000001-0000000000000002.ltx", "0000000000000003-0000000000000003.ltx",
	} {
		entry, err := mylibsql.ReadLog(bytes.NewReader(bucket[name]))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.First(), "to", entry.Last(), "snapshot:", entry.IsSnapshot())
		if err := entry.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// saved up to 2 <nil>
	// saved up to 2 bucket not reachable
	// saved up to 3 <nil>
	// 1 to 2 snapshot: true
	// 3 to 3 snapshot: false
}

// Whoever knows a position can wait for it, in place of an ack.
func ExampleDatabase_WaitSaved() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}

	position := lib.Stats().Committed
	saved := make(chan error, 1)
	go func() {
		_, err := lib.Checkpoint(ctx, func(context.Context, *mylibsql.Log) error { return nil })
		saved <- err
	}()
	fmt.Println(lib.WaitSaved(ctx, position))
	fmt.Println(<-saved)
	// Output:
	// <nil>
	// <nil>
}

// A snapshot is a backup of one moment, taken while writers go on.
func ExampleDatabase_WriteSnapshot() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}

	var backup bytes.Buffer
	position, err := lib.WriteSnapshot(ctx, &backup)
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := mylibsql.ReadSnapshot(&backup)
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	fmt.Println("position", position, "with", snapshot.Commit(), "pages of", snapshot.PageSize())
	// Output: position 2 with 2 pages of 4096
}

// Stats is what an operator watches: how much is committed and not yet saved.
func ExampleDatabase_Stats() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	show := func() {
		s := lib.Stats()
		fmt.Println(s.Role, "committed", s.Committed, "saved", s.Saved,
			"pending acks", s.PendingAcks, "unsaved bytes", s.UnsavedBytes)
	}

	ackContext, _ := mylibsql.WithAck(ctx)
	if _, err := db.ExecContext(ackContext, "CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	show()
	save := func(context.Context, *mylibsql.Log) error { return nil } // pretends to have saved
	if _, err := lib.Checkpoint(ctx, save); err != nil {
		log.Fatal(err)
	}
	show()
	// Output:
	// primary committed 2 saved 0 pending acks 1 unsaved bytes 8192
	// primary committed 2 saved 2 pending acks 0 unsaved bytes 0
}

// Init makes a new database and its first snapshot, which is the first log too.
func ExampleInit() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	path := filepath.Join(folder, "app.db")
	fill := func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "CREATE TABLE notes(body TEXT)")
		return err
	}
	snapshot, err := mylibsql.Init(ctx, "file:"+path, fill)
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	if err := snapshot.WriteFile(filepath.Join(folder, snapshot.Name()), 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Name())
	// Output: 0000000000000001-0000000000000002.ltx
}

// OpenPrimary makes a database of a snapshot and the logs after it, on a new machine perhaps, and
// goes on writing to it. Here they come from files that a save function wrote.
func ExampleOpenPrimary() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	db, err := sql.Open("mylibsql", "file:"+filepath.Join(folder, "old.db"))
	if err != nil {
		log.Fatal(err)
	}
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	var paths []string
	save := func(_ context.Context, log *mylibsql.Log) error {
		path := filepath.Join(folder, log.Name())
		paths = append(paths, path)
		return log.WriteFile(path, 0o600)
	}
	for _, statement := range []string{
		"CREATE TABLE notes(body TEXT)", "INSERT INTO notes VALUES('hello')",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			log.Fatal(err)
		}
		if _, err := lib.Checkpoint(ctx, save); err != nil {
			log.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}

	snapshot, err := mylibsql.OpenSnapshot(paths[0])
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	entry, err := mylibsql.OpenLog(paths[1])
	if err != nil {
		log.Fatal(err)
	}
	defer entry.Close()
	db, err = mylibsql.OpenPrimary(ctx, "file:"+filepath.Join(folder, "new.db"), snapshot, entry)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var body string
	if err := db.QueryRowContext(ctx, "SELECT body FROM notes").Scan(&body); err != nil {
		log.Fatal(err)
	}
	lib, err = mylibsql.From(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(body, "at", lib.Stats().Saved)
	// Output: hello at 3
}

// A Connector has the methods of Database too, and keeps them when a tracing driver
// wraps it, where From cannot look inside.
func ExampleNewConnector() {
	ctx := context.Background()
	connector, err := mylibsql.NewConnector(":memory:", &mylibsql.Options{
		ConnectHook: func(conn *sqlite3.SQLiteConn) error {
			return conn.RegisterFunc("answer", func() int { return 42 }, true)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector) // or of what wraps the connector
	defer db.Close()
	var answer int
	if err := db.QueryRowContext(ctx, "SELECT answer()").Scan(&answer); err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}
	save := func(context.Context, *mylibsql.Log) error { return nil } // pretends to have saved
	saved, err := connector.Checkpoint(ctx, save)
	fmt.Println(answer, saved, err)
	// Output: 42 2 <nil>
}

// A parameter that does not exist is an error that names it, not a setting that is ignored.
func ExampleParamError() {
	_, err := mylibsql.NewConnector("file:app.db?_wal_limit_frame=1000", nil)
	var wrong *mylibsql.ParamError
	fmt.Println(errors.As(err, &wrong), wrong.Name)
	// Output: true _wal_limit_frame
}

// Whoever holds a single connection reaches the same methods through Raw, inside a
// transaction too.
func ExampleConn() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE notes(body TEXT)"); err != nil {
		log.Fatal(err)
	}

	err = conn.Raw(func(driverConn any) error {
		c := driverConn.(*mylibsql.Conn)
		saved, err := c.Checkpoint(ctx, func(_ context.Context, log *mylibsql.Log) error {
			fmt.Println("saving", log.Name())
			return nil // pretends to have saved
		})
		fmt.Println("saved up to", saved)
		return err
	})
	fmt.Println(err)
	// Output:
	// saving 0000000000000001-0000000000000002.ltx
	// saved up to 2
	// <nil>
}

// SQLite is the go-sqlite3 connection, for what database/sql has no words for.
func ExampleConn_SQLite() {
	ctx := context.Background()
	db, err := sql.Open("mylibsql", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) error {
		sqlite := driverConn.(*mylibsql.Conn).SQLite()
		before := sqlite.GetLimit(sqlite3.SQLITE_LIMIT_ATTACHED)
		sqlite.SetLimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
		fmt.Println(before, "then", sqlite.GetLimit(sqlite3.SQLITE_LIMIT_ATTACHED))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = conn.ExecContext(ctx, "ATTACH ':memory:' AS other")
	fmt.Println(err)
	// Output:
	// 10 then 0
	// too many attached databases - max 0
}
