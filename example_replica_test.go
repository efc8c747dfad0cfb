//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/mylibsql/mylibsql"
)

// openBoth opens a primary with a table, and an empty replica, for the examples below.
func openBoth() (primary, replica *mylibsql.Connector, remove func()) {
	folder, err := os.MkdirTemp("", "mylibsql-example-")
	check(err)
	primary, err = mylibsql.NewConnector("file:"+filepath.Join(folder, "primary.db"), nil)
	check(err)
	replica, err = mylibsql.NewConnector(
		"file:"+filepath.Join(folder, "replica.db")+"?_role=replica", nil)
	check(err)
	return primary, replica, func() { check(os.RemoveAll(folder)) }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A replica takes the logs of a primary, from wherever they were saved, and serves reads.
func ExampleDatabase_Replicate() {
	primary, replica, remove := openBoth()
	defer remove()
	db, copied := sql.OpenDB(primary), sql.OpenDB(replica)
	ctx := context.Background()

	_, err := db.Exec("CREATE TABLE notes(body TEXT); INSERT INTO notes VALUES('hello')")
	check(err)
	_, err = primary.Checkpoint(ctx, func(ctx context.Context, log *mylibsql.Log) error {
		return replica.Replicate(ctx, log) // and store it somewhere, in earnest
	})
	check(err)

	var body string
	check(copied.QueryRow("SELECT body FROM notes").Scan(&body))
	_, err = copied.Exec("INSERT INTO notes VALUES('mine')")
	fmt.Println(body, errors.Is(err, mylibsql.ErrReadOnly))
	check(copied.Close())
	check(db.Close())
	// Output: hello true
}

// A live stream carries every commit to a replica, and what the replica has is acknowledged: the
// ack resolves without a checkpoint.
func ExampleDatabase_Frames() {
	primary, replica, remove := openBoth()
	defer remove()
	db, copied := sql.OpenDB(primary), sql.OpenDB(replica)
	ctx := context.Background()
	_, err := db.Exec("CREATE TABLE notes(body TEXT)")
	check(err)
	_, err = primary.Checkpoint(ctx, replica.Replicate)
	check(err)

	position, err := replica.Position(ctx)
	check(err)
	frames, err := primary.Frames(ctx, position)
	check(err)
	followed := make(chan error)
	go func() {
		for batch, err := range frames.All(ctx) {
			if err == nil {
				err = follow1(ctx, replica.Database, frames, batch)
			}
			if err != nil {
				followed <- err
				return
			}
		}
		followed <- nil // the primary was closed
	}()

	write, ack := mylibsql.WithAck(ctx)
	_, err = db.ExecContext(write, "INSERT INTO notes VALUES('hello')")
	check(err)
	check(ack.Wait(ctx))
	read := mylibsql.WithMinFrame(ctx, ack.FrameNo()) // there already: the replica has acked it
	var body string
	check(copied.QueryRowContext(read, "SELECT body FROM notes").Scan(&body))
	stats := primary.Stats()
	fmt.Println(body, stats.Acknowledged == ack.FrameNo(), stats.Saved < ack.FrameNo())

	fmt.Println(errors.Is(db.Close(), mylibsql.ErrUnsaved)) // no store has it
	check(<-followed)
	check(frames.Close())
	check(copied.Close())
	// Output:
	// hello true true
	// true
}

// follow1 applies one batch and acknowledges it.
func follow1(
	ctx context.Context, replica *mylibsql.Database, frames *mylibsql.Frames, batch *mylibsql.Batch,
) error {
	log, err := batch.Log(mylibsql.BuildOptions{})
	if err != nil {
		return err
	}
	defer func() { check(log.Close()) }()
	if err := replica.Replicate(ctx, log); err != nil {
		return err
	}
	return frames.AckReplicated(log.Last())
}

// Two databases change places while their pools stay open.
func ExampleDatabase_Promote() {
	primary, replica, remove := openBoth()
	defer remove()
	a, b := sql.OpenDB(primary), sql.OpenDB(replica)
	ctx := context.Background()
	_, err := a.Exec("CREATE TABLE notes(body TEXT)")
	check(err)

	_, err = primary.Checkpoint(ctx, replica.Replicate) // everything is saved
	check(err)
	check(primary.Demote(ctx))
	check(replica.Promote(ctx))

	_, err = b.Exec("INSERT INTO notes VALUES('written on the new primary')")
	check(err)
	_, err = replica.Checkpoint(ctx, primary.Replicate) // now in the other direction
	check(err)
	var body string
	check(a.QueryRow("SELECT body FROM notes").Scan(&body))
	fmt.Println(body)
	check(b.Close())
	check(a.Close())
	// Output: written on the new primary
}

// A read waits for what was written elsewhere, as long as its context lasts.
func ExampleWithMinFrame() {
	primary, replica, remove := openBoth()
	defer remove()
	db, copied := sql.OpenDB(primary), sql.OpenDB(replica)
	ctx, ack := mylibsql.WithAck(context.Background())
	_, err := db.ExecContext(ctx, "CREATE TABLE notes(body TEXT)")
	check(err)

	read := mylibsql.WithMinFrame(context.Background(), ack.FrameNo())
	read, cancel := context.WithTimeout(read, 10*time.Millisecond)
	defer cancel()
	_, err = copied.ExecContext(read, "SELECT count(*) FROM notes")
	fmt.Println(errors.Is(err, mylibsql.ErrStale), errors.Is(err, context.DeadlineExceeded))
	check(copied.Close())
	check(db.Close())
	// Output: true true
}

// A replica is made from a snapshot and logs, and goes on from the last of them.
func ExampleOpenReplica() {
	primary, _, remove := openBoth()
	defer remove()
	db := sql.OpenDB(primary)
	ctx := context.Background()
	_, err := db.Exec("CREATE TABLE notes(body TEXT); INSERT INTO notes VALUES('hello')")
	check(err)
	reader, writer := io.Pipe()
	go func() {
		_, err := primary.WriteSnapshot(ctx, writer) // to another machine, say
		_ = writer.CloseWithError(err)
	}()
	snapshot, err := mylibsql.ReadSnapshot(reader)
	check(err)

	folder, err := os.MkdirTemp("", "mylibsql-example-")
	check(err)
	defer func() { check(os.RemoveAll(folder)) }()
	replica, err := mylibsql.OpenReplica(ctx, "file:"+filepath.Join(folder, "r.db"), snapshot)
	check(err)
	var body string
	check(replica.QueryRow("SELECT body FROM notes").Scan(&body))
	fmt.Println(body)
	check(snapshot.Close())
	check(replica.Close())
	check(db.Close())
	// Output: hello
}
