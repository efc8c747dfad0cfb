// Package engine runs one open SQLite database. A primary lets writers in one at a time,
// sees what they commit, reads it out of the write-ahead log (WAL) into logs and live
// streams, and resolves acks once it is saved or acknowledged. A replica applies such logs
// and serves reads meanwhile. Either becomes the other in place.
//
// # Goals and limits
//
// A commit costs what it costs in SQLite: nothing is written twice, and what this package
// does at a commit is one look at the wal-index header under a mutex. Everything else
// happens when a log is sealed. The database stays an ordinary file in WAL mode, which
// other programs may read and write while it is open here; their commits are captured
// too. One process at a time has the database, as primary or as replica. Attached and
// temporary databases are not captured.
//
// # Positions
//
// Every frame that SQLite commits to the WAL has a number, its position in the history of
// the database. One frame of the WAL with its position is known, and the others count from
// there; that frame moves when SQLite restarts the WAL. On a replica a log, however few
// its frames, leads to the position that it ends at. The wal-index header tells the last
// committed frame. It is asked after every step, reset and close of a statement that may
// write, while the gate is held, for SQLite's own hook misses commits that end in a reset.
//
// # What must hold
//
//  1. Guard. On a primary one read transaction of the engine is always open, except inside
//     a reset, where SQLite's write lock is held instead. While it is open, nobody can let SQLite
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
//  5. The saved position moves only after save returned nil, or after the log that stands in
//     an offered log's place turned out to be ours. One thing moves it back: the first offer
//     after a promotion, when the store ends before what the replica had taken.
//  6. The frames of a log are fsynced before save is called, and its end and NodeID are in the
//     state. Should the answer be lost, they tell that the log in the store was ours. After a
//     power cut that took the state back, the WAL tells what the content was there; for that,
//     the first offer after a restart of the WAL is fsynced in the state.
//  7. What others wrote is never continued. Each open of a primary and each promotion draws a
//     NodeID of its own, the state remembers whose logs were taken up to which position, and a
//     log of the store by anybody else is another history (ErrFenced), whatever its checksum.
//  8. An ack's position is that of the WAL after its commit, read before the gate is let
//     go. A commit of somebody else in between makes it wait for more, never for less.
//  9. A replica shows what a log ends in, or what it showed before. Everything that can be
//     wrong with a log is found before the frame that carries the commit mark is written.
//  10. A stream delivers every transaction from its position on, in order, or ends with an
//     error. A reset hands it what it has not read before the frames leave the WAL.
//  11. A role is durable before it takes effect, and changes only while nobody commits and
//     everything is saved.
//
// # What is assumed
//
//   - fsync of a file makes what was written before it durable, fsync of a folder its names, or
//     it fails. After a failure nothing is known: the engine refuses to go on (ErrPoisoned),
//     and the next open starts from what is there. Another fsync is never tried in its place.
//   - Until then any part of what was written may be durable: sectors of 512 bytes in any
//     order, one of them torn, names in any order.
//   - What a process has written survives its end, with or without an fsync.
//   - SQLite keeps its promises: https://www.sqlite.org/atomiccommit.html and
//     https://www.sqlite.org/wal.html . It syncs the WAL before it copies it, the database file
//     before it begins the WAL anew, and the header of the new WAL before any frame.
//   - flock keeps two processes apart. Nobody in this process opens and closes the database file
//     by path, which would drop SQLite's POSIX locks.
//   - Whoever copies, replaces or restores files while the database is closed does it with
//     whole files.
//
// # The sidecar folder
//
// What the engine has to remember lies beside the database, in <file>-mylibsql:
//
//	lock      flocked while the database is open; tells the process
//	state     the record, in two slots: the one that was fsynced last, and the newest
//	outbox/   sealed logs that are not saved and whose frames may leave the WAL
//
// The record holds the role; the committed position with the frame of the WAL that it ends
// at (anchor); what the database file looked like when it last held a position alone
// (file), that position (file_holds), and the contents that it has held before (earlier); the
// saved position, and the one that live streams acknowledged; the ends of the logs whose save
// has an unknown outcome (offered); that the next log must be a snapshot (snapshot); the NodeID
// of its logs, which tells history and writer (history_id), and those of the writers before
// (writers); after a promotion the position that counts as saved although the store may lack
// it (inherited); and on a replica the log that is being applied (intent), and the place that
// was fsynced (durable).
//
// A record is written over the older one of the two that is not the one fsynced last. A crash
// after "state: record written" leaves it, or the one before, or, after a power cut, a torn slot
// beside the one that was fsynced: then that counts, as if the write had not been. After
// "state: record synced" it is the durable one, and its slot is not written until the
// next one is.
//
// The outbox is created only after the state was fsynced. So an outbox without a state is
// the mark of a state that was lost, and the database is refused (ErrState); a folder with
// neither is one that a crash left before the database was ever used.
//
// # Crash states
//
// What follows names, for every operation, its steps in their order, and in quotes the points
// at which the crash lab (internal/crashlab) lets a process die and cuts its power. At each of
// them: what is there, and what the next open makes of it.
//
// # A commit
//
//  1. SQLite appends the frames, the last with the commit mark, and publishes them.
//  2. "commit: seen": the position moves, acks get theirs, the gate is let go.
//  3. If SQLite began the WAL anew for it: the state names the new WAL, without an fsync,
//     "commit: restart noted".
//
// A crash of the process before the commit mark leaves no commit; after it, one that nobody was
// told of. A power cut takes any number of the last commits: none of them was acknowledged,
// for that comes after an fsync of the WAL. After 3 a killed process finds the frame that
// the state names. A power cut that takes the state of 3 leaves the one that the reset has
// fsynced, and either the old WAL, whole, with its frame, or the beginning of the new one over
// a database file that is what that state noted.
//
// # A seal and a checkpoint
//
//  1. Frames are read and checked, pages and checksums make a log: "seal: log encoded", or for
//     the first one "seal: snapshot encoded". It is in memory, or in a file without a name.
//  2. fsync of the WAL, "offer: WAL synced": no log leaves this machine before its commits
//     are durable here.
//  3. The log's end goes to the state (offered), "offer: noted in the state". For the first offer
//     in a WAL that is fsynced.
//  4. save, "offer: saved": the store has the log, or not, or nobody knows.
//  5. The saved position moves, and acks resolve: "offer: acks gone".
//  6. The log leaves the outbox: "offer: outbox cleared".
//  7. The state, fsynced: "offer: recorded".
//
// Up to 3 a crash leaves commits that no log holds, or logs in the outbox: they are offered
// again. From 4 on the store may have a log of which the state does not know that it is
// saved. The next offer finds its place taken, by a log with an end that was offered from
// here (state), or with the very content that the database had there (WAL, after a power cut took
// the state of 3), and counts it as saved. A log that is missing in the outbox, and
// needed, because the power cut came between 6 and 7 and took 7: its frames are in the WAL, or
// the next log is a snapshot.
//
// # The outbox
//
//  1. A file with the log, fsynced: "outbox: log written".
//  2. fsync of the folder: "outbox: folder synced".
//  3. When logs that wait must be merged: the merged one as 1, "outbox: merged log written", then
//     as 2, and only then the others are removed.
//
// Up to 2 the frames are still in the WAL, and the state does not count on the file. An open
// reads the files that continue the saved position one by one, verifies them, and removes every
// other: a torn one, what 3 has left, and what a power cut brought back. Where one is missing
// the frames after it are sealed again from the WAL, and when they have left it, the next
// log is a snapshot.
//
// # A reset, step by step
//
// The WAL is moved into the database file once it has passed its limit:
//
//  1. Without the gate: seal, write what is pending to the outbox, fsynced, and fsync the
//     WAL, so that little is left to do inside.
//  2. Take the gate, then BEGIN IMMEDIATE, which keeps foreign writers out: "reset: write lock
//     taken".
//  3. Seal the rest. fsync the WAL; the outbox; the state, which names them: "reset: WAL, outbox
//     and state durable".
//  4. End the guard, "reset: guard ended"; PASSIVE checkpoint, "reset: WAL copied"; begin the
//     guard, "reset: guard begun".
//  5. If all of the WAL is in the database file, note in the state, fsynced, what the file
//     looks like and which position it holds: "reset: file noted in the state". ROLLBACK.
//
// A crash before 4 leaves the WAL whole: the state's frame is in it. A crash in or after
// 4 leaves the WAL whole too, for only a later write restarts it. A restart is noted in
// the state by the first commit after it; a crash in between leaves another WAL, and a
// database file that is what step 5 noted.
//
// # Opening
//
// After "open: connected" SQLite has recovered the WAL. This is a primary; for a replica see
// below. The state counts when the WAL holds the very frame that it names (its salts and
// running checksum); or when there is another WAL or none, the database file is what it noted
// (device, inode, size and times), and file_holds is the position of that frame; or, after a
// copy, when the whole database has the content that the file held there. Then positions go on.
// Anything else was changed from outside: the history starts over with a snapshot, at a position
// that jumps by 2^32, and a warning says so. A database that holds less than was saved from it or
// acknowledged, or a content that it had before, is refused (ErrBehind). Without a state a
// database is adopted: its first log is a snapshot.
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
// After "open: position found" the head of the store is compared, where there is one to ask
// (head.go): a store that has gone on without this database is ErrBehind or ErrFenced, and
// nothing has been written. Then the WAL and a record of where the open has found the database
// are fsynced, "open: recorded". A crash before that leaves what was there.
//
// # Closing
//
// The last close does what a reset does, under the same locks, and notes in the state what the
// database file looks like before the WAL goes: "close: all durable", "close: WAL copied",
// "close: file noted in the state", "close: write lock let go". SQLite removes the WAL with its
// last connection, "close: WAL removed". When a foreign writer is busy, or committed since, the
// WAL stays as it is, and the next open finds the state's frame in it. A power cut may bring
// the WAL back, whole: all of it is in the file already.
//
// # A replica, step by step
//
// A log is applied by writing past SQLite to its WAL, under its write lock (apply.go has the
// steps): "apply: frames written", "apply: index written", "apply: intent noted", "apply:
// commit mark written", "apply: published", "apply: lock let go". A crash leaves one of
// these, by what the WAL's last commit is at the next open:
//
//  1. before the commit mark was written: the frame of the anchor. The log was not applied;
//     what is behind the frame is overwritten by the next one.
//  2. after it: the frame of the intent. SQLite's recovery has published the log. When other
//     processes kept the wal-index alive there is no recovery, and it is as in 1: should they
//     be gone at a later open, the intent is still in the state.
//  3. after the WAL was copied to the database file: the state noted what that looks like.
//  4. a power cut took back some of the WAL or of the state, or somebody wrote to the closed
//     replica: the whole database is read, and is at a position of the state if it has that
//     one's checksum. Else it goes back to where it was last synced (durable, in the state),
//     by a transaction that gives the pages their old content, "back: earlier place found" and
//     "back: gone back": at the latest that is where the WAL was last copied to the database
//     file. When that content is not there either, the replica serves its readers, takes no log
//     (ErrDiverged), and waits for a snapshot.
//
// The WAL is copied to the file under the write lock: fsync of the WAL and the state, "copy:
// WAL and state synced"; PASSIVE, "copy: WAL copied"; the file goes to the state, fsynced,
// "copy: file noted in the state"; TRUNCATE, "copy: WAL emptied". Up to the last the WAL is whole.
//
// A replica that is made of a snapshot and logs gets its file last, "restore: file has its
// name", and its state after it, "seed: state written". A crash between leaves a file that would
// be adopted as a database of its own: whoever makes a replica removes what an earlier try left.
//
// A replica has no guard: everything in its WAL is saved elsewhere. A foreign checkpoint does
// no harm, a foreign commit is found by the commit counter of the wal-index.
//
// # Live streams
//
// A stream reads the frames behind its position from the WAL when its reader asks, carries
// the sums of all pages through them, and so knows the checksum at each commit. Where a
// page's sum is not known, the page is read from the database file, which holds nothing
// newer than the stream's position: a reset hands over first. A stream that opens at an
// earlier position takes back what the WAL has behind it, and compares the checksum.
//
// An acknowledgement is fsync of the WAL, "stream ack: WAL synced", the state without an fsync,
// "stream ack: recorded", and the acks. A power cut may take what was delivered and not
// acknowledged, and the replica may have it: then it is ahead, its position is refused by
// Frames (ErrGap, ErrChecksum), and it has to be made anew.
//
// # A change of role
//
// Promote and Demote take sealing, then SQLite's write lock; Demote takes the gate and
// checkpointing before. So nobody commits, and everything is sealed and saved. Then:
//
//  1. fsync the WAL, "role: WAL synced". Promote has asked the store for its head before, and
//     begins the guard; Demote knows the sums of all pages.
//  2. fsync the state with the new role, "role: recorded". A crash before leaves the old role,
//     after it the new.
//  3. Sealer, position and role change in memory, "role: switched". Demote then ends the streams
//     and the guard.
//
// Promote notes its position as inherited: it counts as saved, and the store may lack it. When
// the head said so, that is unsaved. If the first save answers with a gap, the next log is a
// snapshot that continues the store's end.
package engine
