package faultstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/checkpoint/storetest"
)

// The first answer gets lost, although the log was saved. The saver cannot know, repeats, and
// learns that all is well.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	directory, err := checkpoint.OpenDirectory(filepath.Join(folder, "store"))
	if err != nil {
		log.Fatal(err)
	}
	first, err := storetest.NewHistory(1, 0).Log(5)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()

	faults := faultstore.Scripted(directory, faultstore.Script{
		Save: []faultstore.Fault{{Kind: faultstore.LoseAnswer}},
	})
	for range 3 {
		err := faults.Save(ctx, first)
		fmt.Println(err, errors.Is(err, faultstore.ErrInjected))
		if err == nil {
			break
		}
	}
	if err := faults.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	for record := range directory.Records(ctx, 0) {
		fmt.Println("saved up to", record.Last)
	}
	fmt.Println(faults)
	// Output:
	// faultstore: injected fault: lose answer of Save true
	// <nil> false
	// saved up to 5
	// faultstore scripted: none 1, lose answer 1
}
