// Command quickstart shows what mylibsql does, on a copy of a real database.
//
//	go run ./examples/quickstart [-keep DIR] [FILE.sqlite]
//
// It copies FILE (or makes a small shop of its own), opens the copy as a primary, writes
// to it from many goroutines through database/sql and sqlx, saves its logs in a directory
// store, restores the store into a second file and compares both. FILE itself is only
// read. Everything happens in a temporary folder that is removed at the end, or in DIR,
// which is kept: a second run with the same DIR goes on where the first one ended.
package main
