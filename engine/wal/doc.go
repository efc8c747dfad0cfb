// Package wal reads and writes SQLite's write-ahead log file.
//
// The file is a header of 32 bytes and frames: a header of 24 bytes and the image of one
// page. Each frame carries the salts of the file header and a checksum that runs over everything
// before it, so a frame is valid only as part of an unbroken chain from the start.
// A frame whose header holds a database size ends a commit.
//
// The format is that of https://www.sqlite.org/fileformat2.html#walformat .
package wal
