// Package engine runs one open SQLite database: it lets writers in one at a time, sees
// what they commit, reads it out of the write-ahead log (WAL) into logs, and resolves
// acks when the application has saved them.
//
// # Goals and limits
//
// A commit costs what it costs in SQLite: nothing is written twice, and what this package
// does at a commit is one look at the wal-index header under a mutex. Everything else
// happens when a log is sealed. The database stays an ordinary file in WAL mode, which
// other programs may read and write while it is open here; their commits are captured
// too. One process at a time is primary. Attached and temporary databases are not
// captured.
//
// # Positions
//
// Every frame that SQLite commits to the WAL has a number, its position in the history of
// the database. Frame k of the WAL has position base+k; base moves when SQLite restarts
// the WAL. The wal-index header tells the last committed frame. It is asked after every
// step, reset and close of a statement that may write, while the gate is held, for
// SQLite's own hook misses commits that end in a reset.
//
// # What must hold
//
//  1. Guard. One read transaction of the engine is always open, except inside a reset,
//     where SQLite's write lock is held instead. While it is open, nobody can let SQLite
//     overwrite a frame that came after it: a checkpoint copies frames only up to the
//     oldest reader, and the WAL restarts only when all of it is copied. A guard that
//     SQLite lets read from the database file alone (read lock 0) keeps checkpoints from
//     copying anything.
//  2. The database file holds nothing newer than what is sealed, once a history has
//     begun: the guard begins only where everything before it is sealed. So the old
//     content of a page that was not sealed before is in the file.
//  3. A frame leaves the WAL only when it is in a saved log, or in a log that lies
//     fsynced in the outbox, or when no history has begun, for then the next log is a
//     snapshot.
//  4. A log carries the checksum of the whole database before and after it. The logs of a
//     history follow each other without a gap; a history that starts over does so with a
//     snapshot whose position has jumped, so no number stands for two contents.
//  5. The saved position moves only after save returned nil, or after the log that
//     stands in an offered log's place turned out to be one that was offered here. The
//     frames of a log, and its end in the state, are fsynced before save is called:
//     should the answer be lost, even with a power cut, the store tells by the log's end
//     that it was ours.
//  6. An ack's position is that of the WAL after its commit, read before the gate is let
//     go. A commit of somebody else in between makes it wait for more, never for less.
//
// # What is assumed
//
// fsync makes what was written before it durable, or fails, and after a failure nothing
// is known: the engine refuses to go on (ErrPoisoned). A sector of 512 bytes may be torn.
// SQLite's own promises hold: https://www.sqlite.org/atomiccommit.html and
// https://www.sqlite.org/wal.html . Nobody in this process opens and closes the database
// file by path, which would drop SQLite's POSIX locks.
//
// # The sidecar folder
//
// What the engine has to remember lies beside the database, in <file>-mylibsql:
//
//	lock      flocked while the database is open; tells the process
//	state     the record: two slots, written in turn, each with its own checksum
//	outbox/   sealed logs that are not saved and whose frames may leave the WAL
//
// The record holds the committed position with the frame of the WAL that it ends at
// (anchor); what the database file looked like when it last held a position alone (file),
// and that position (file_holds); the saved position; and the ends of the logs whose save
// has an unknown outcome (offered).
//
// The outbox is created only after the state was fsynced. So an outbox without a state is
// the mark of a state that was lost, and the database is refused (ErrState); a folder with
// neither is one that a crash left before the database was ever used.
//
// # A reset, step by step
//
// The WAL is moved into the database file once it has passed its limit:
//
//  1. Without the gate: seal, write what is pending to the outbox, fsynced, and fsync the
//     WAL, so that little is left to do inside.
//  2. Take the gate, then BEGIN IMMEDIATE, which keeps foreign writers out.
//  3. Seal the rest. fsync the WAL; the outbox; the state, which names them.
//  4. End the guard; PASSIVE checkpoint; begin the guard.
//  5. If all of the WAL is in the database file, note in the state what the file looks
//     like and which position it holds. ROLLBACK.
//
// A crash before 4 leaves the WAL whole: the state's frame is in it. A crash in or after
// 4 leaves the WAL whole too, for only a later write restarts it. A restart is noted in
// the state by the first commit after it; a crash in between leaves another WAL, and a
// database file that is what step 5 noted.
//
// # Opening
//
// The state counts when the WAL holds the very frame that it names (its salts and running
// checksum); or when there is another WAL or none, the database file is what it noted
// (device, inode, size and times), and file_holds is the position of that frame. Then
// positions go on. Anything else was changed from outside: the history starts over with a
// snapshot, at a position that jumps by 2^32, and a warning says so. A database that
// holds less than was saved from it is refused (ErrBehind). Without a state a database is
// adopted: its first log is a snapshot.
//
// The WAL may hold the frame, and the database file still not be what was noted: a
// checkpoint did not come to its end, or another file was put beside the same WAL. Then
// every page is read, and the checksum of the whole database must be that of the last
// sealed position (verify.go); if it is not, the history starts over.
//
// Commits that no log holds yet were either kept in the outbox at a reset or are in the
// WAL. Their pages' old checksums are not known when a foreign checkpoint may have copied
// them to the file meanwhile: the checksum of the whole database is computed once
// instead.
//
// # Closing
//
// The last close does what a reset does, under the same locks, and notes in the state what the
// database file looks like before the WAL goes. SQLite removes the WAL with its last
// connection. When a foreign writer is busy, or committed since, the WAL stays as it is, and
// the next open finds the state's frame in it.
package engine
