//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "follow: SQLite is compiled with cgo: "+
		"install a C compiler and build with CGO_ENABLED=1")
	os.Exit(1)
}
