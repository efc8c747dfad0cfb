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
	"path/filepath"
	"strings"
)

func main() {
	keep := flag.String("keep", "", "keep all files in this `folder`, and go on there next time")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: quickstart [-keep DIR] [FILE.sqlite]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 1 {
		flag.Usage()
		os.Exit(2)
	}
	// An interrupt ends the run like an error, so that nothing is left behind then
	// either.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := quickstart(ctx, os.Stdout, flag.Arg(0), *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// quickstart runs everything in keep, or in a temporary folder when keep is empty.
func quickstart(ctx context.Context, out io.Writer, file, keep string) (err error) {
	folder := keep
	if keep == "" {
		folder, err = os.MkdirTemp("", "mylibsql-quickstart-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	} else if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f := filesIn(folder, file)
	if err := f.prepare(ctx, file); err != nil {
		return err
	}
	if err := show(ctx, out, f); err != nil {
		return err
	}
	if keep == "" {
		fmt.Fprintln(out, "\nnothing is left behind; -keep DIR keeps the files")
		return nil
	}
	_, err = fmt.Fprintf(out, "\nkept in %s:\n  %-28s the primary\n  %-28s its logs\n"+
		"  %-28s restored from them\n", folder, filepath.Base(f.primary),
		filepath.Base(f.store)+"/", filepath.Base(f.restored))
	return err
}

// files are the names that one run uses.
type files struct {
	primary  string // the database that is written to
	store    string // the folder of its logs
	restored string // what was made of them
	resumed  bool   // the primary is that of an earlier run
}

// filesIn names them after the copied database, so that different ones can be kept in one
// folder.
func filesIn(folder, file string) files {
	base := sampleName
	if file != "" {
		base = filepath.Base(file)
	}
	extension := filepath.Ext(base)
	name := strings.TrimSuffix(base, extension)
	return files{
		primary:  filepath.Join(folder, base),
		store:    filepath.Join(folder, name+"-store"),
		restored: filepath.Join(folder, name+"-restored"+extension),
	}
}
