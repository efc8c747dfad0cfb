//go:build cgo

// Package dbtest looks at the databases of a test when the test ends: each file must be
// sound, and where something was saved a restore of it must be that file, byte for byte.
//
// Whoever opens a database calls [Watch], through the helper of its package: openDatabase
// in the tests of the root package, openNew and openAt in those of engine. A file may be
// opened many times, at once or one after the other; it is looked at once, when the last
// of its lives has ended, for a file must not be opened by path while the process has it
// open (https://www.sqlite.org/howtocorrupt.html, section 2.2).
//
//   - integrity_check, by plain go-sqlite3, says "ok".
//   - Restored from all logs that were kept, and from every store, it is the file. Where
//     commits were left unsaved at the close, the file is opened once more, the rest is
//     saved into a copy of those logs and stores, and that is compared.
//   - Where nothing was kept, nothing must count as saved.
//
// A test for which one of these cannot hold says why: see [Life.Unsound] and
// [Life.Unrestored]. A test that has failed is left alone, for what failed may hold the
// database open.
//
// The package imports neither the root nor engine, whose own tests need it; pooltest
// stands above it for whoever has a pool.
package dbtest
