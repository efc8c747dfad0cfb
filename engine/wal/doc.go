// Package wal reads and encodes SQLite's write-ahead log file: a header of 32 bytes, then
// frames, each a header of 24 bytes and one page image. It follows
// https://www.sqlite.org/fileformat2.html#walformat to the byte.
//
// What it takes on trust is nothing: a Reader returns a frame only when the frame's salts
// are those of the file header and the running checksum, which covers every byte from the
// file header on, is right. What it does not know is which frames are committed; that is
// the last frame before the end whose Commit is not zero, or whatever the wal-index says.
//
// SQLite takes no POSIX lock on the -wal file, so it is safe to open and close it by path
// while a database is in use, which is not so for the database file itself. Frames up to
// the wal-index's mxFrame do not change until the WAL restarts; later ones may be
// half-written, so a reader beside a live writer sets a Limit.
package wal
