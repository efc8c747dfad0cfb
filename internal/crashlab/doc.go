// Package crashlab proves that an ack is a promise. It holds nothing but tests, under the
// build tag crashlab, which also arms the points of crashpoint and the journal of disk:
//
//	go test -tags crashlab ./internal/crashlab -args -lab.time=20m
//
// A world is a folder with two databases of one history, a primary and its replica, and the
// store of their logs. A child process lives in it: it writes, rolls back, checkpoints with
// a store that fails in every way, resets, closes and opens, follows by logs and by live
// frames, prunes, and hands the role over. It dies by SIGKILL, at a random moment or at a
// named point. Before it commits a row it says so, and again once the row's ack has
// resolved, on its standard output, which outlives it.
//
// The parent keeps an oracle: a row that was never committed must never be seen, one that
// was about to be may be, one whose ack resolved must be, in the primary's file and in a restore
// of the store, with its own content. After every death it checks that on copies of the files or
// in place: integrity_check, every row, the chain of logs with its checksums, that what is saved
// next restores to the very file, that the replica follows to the very file, and that nothing is
// left over. Now and then the machine loses power: then what was written and not fsynced
// is dropped, kept or torn, sector by sector and name by name.
//
// What the lab cannot see: SQLite does its own I/O in C. Its database file is taken as it
// is, its WAL is cut as if only this module's fsyncs counted, except for the header that
// SQLite syncs itself when it restarts the WAL.
package crashlab
