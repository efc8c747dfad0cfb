//go:build cgo

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// lengthMin is the shortest play: every scene needs its turn.
const lengthMin = time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeVerb {
		os.Exit(nodeMain(os.Args[2:]))
	}
	length := flag.Duration("for", 10*time.Second, "how long to go on, at least 1s")
	keep := flag.String("keep", "", "keep all files in this `folder`, which must be new or empty")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: follow [-for 10s] [-keep DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *length < lengthMin {
		flag.Usage()
		os.Exit(2)
	}
	// An interrupt ends the run like an error: the nodes are ended, and nothing is left
	// behind then either.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := follow(ctx, os.Stdout, *length, *keep)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted:
		fmt.Fprintln(os.Stderr, "follow: interrupted before the end")
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1)
	}
}

// follow runs everything in keep, or in a temporary folder when keep is empty. When it
// returns no process of it is left.
func follow(ctx context.Context, out io.Writer, length time.Duration, keep string) (err error) {
	folder := keep
	if keep == "" {
		folder, err = os.MkdirTemp("", "mylibsql-follow-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	} else if err := makeEmpty(folder); err != nil {
		return err
	}
	if err := perform(ctx, out, length, folder); err != nil {
		return err
	}
	if keep == "" {
		_, err = fmt.Fprintln(out, "\nnothing is left behind; -keep DIR keeps the files")
		return err
	}
	_, err = fmt.Fprintf(out, "\nkept in %s: %s, %s and %s, and their logs in %s/\n", folder,
		databaseName(alpha), databaseName(beta), databaseName(gamma), storeName)
	return err
}

// makeEmpty makes a folder, and refuses one that holds something: what an earlier run has
// left there has other roles by now.
func makeEmpty(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: -keep wants a new folder or an empty one", folder)
	}
	return err
}
