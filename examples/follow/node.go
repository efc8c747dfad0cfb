//go:build cgo

package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// nodeVerb is the first argument of a process that is a node.
const nodeVerb = "node"

// storeName is the folder of the logs, which all nodes share.
const storeName = "store"

// parameters are those of every node. The write-ahead log is kept short, so that a replica
// need not be away for long until the frames after its position have left it.
const parameters = "?_wal_limit_frames=500"

func databaseName(node string) string { return node + ".db" }

// node is one process with one database. What it is, a primary or a replica, the database
// itself knows.
type node struct {
	db      *sql.DB
	lib     *mylibsql.Database
	store   *checkpoint.Directory
	tasks   *tasks
	streams streams
	meter   meter

	turn         sync.Mutex // one order of the play at a time; guards what follows
	checkpointer *task      // of a primary
	writers      *writers   // of a primary that is written to
	follower     *task      // of a replica
}

// nodeMain is a whole process: it says on standard output where it can be reached, and
// ends when its standard input does, so also when whoever started it has died.
func nodeMain(arguments []string) (exit int) {
	flags := flag.NewFlagSet(nodeVerb, flag.ExitOnError)
	name := flags.String("name", "", "the node's name")
	folder := flags.String("folder", "", "where its database and the store are")
	role := flags.String("role", "", "primary or replica")
	_ = flags.Parse(arguments) // exits by itself
	// A terminal sends its interrupt to every process; the one that started this node
	// ends it in its turn.
	signal.Ignore(os.Interrupt)
	ctx, end := context.WithCancel(context.Background())
	go func() { // ends with the process: nothing else can wake it
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	err := runNode(ctx, *name, *folder, *role, os.Stdout)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 0 // told to end before it had begun
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "follow: %s: %v\n", *name, err)
		return 1
	}
	return 0
}

// runNode opens the database, serves until ctx ends or something fails, and closes.
func runNode(ctx context.Context, name, folder, role string, ready io.Writer) (err error) {
	store, err := checkpoint.OpenDirectory(filepath.Join(folder, storeName))
	if err != nil {
		return err
	}
	path := filepath.Join(folder, databaseName(name))
	db, err := sql.Open("mylibsql", "file:"+uriPath(path)+parameters+"&_role="+role)
	if err != nil {
		return err
	}
	// Joined, for a close tells when something is not saved.
	defer func() { err = errors.Join(err, db.Close()) }()
	// By default a pool keeps two connections, and opens the others anew for every write.
	db.SetMaxIdleConns(writerCount)
	lib, err := mylibsql.From(ctx, db)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	n := &node{db: db, lib: lib, store: store, tasks: &tasks{ctx: ctx, group: group}}
	if lib.Stats().Role == mylibsql.RolePrimary {
		if err := n.beginHistory(ctx); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n.serve(ctx, group, listener)
	if _, err := fmt.Fprintf(ready, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	return errors.Join(group.Wait(), n.saveLast(ctx))
}

// saveLast saves what a primary has committed since its last checkpoint, when it ends.
func (n *node) saveLast(ctx context.Context) error {
	if n.lib.Stats().Role != mylibsql.RolePrimary {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	return n.save(ctx)
}

// shutdownPatience is how long a request may go on after the node's end.
const shutdownPatience = time.Second

// serve answers requests until ctx ends.
func (n *node) serve(ctx context.Context, group *errgroup.Group, listener net.Listener) {
	server := &http.Server{
		Handler: n.routes(),
		// A stream has no other end than this context's.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		patience, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		defer done()
		if server.Shutdown(patience) != nil {
			return server.Close() // a reader does not take what was written to it
		}
		return nil
	})
}
