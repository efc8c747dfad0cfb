// Package translog holds what every part of mylibsql shares: positions in the history of
// a database, logs of its changed pages, snapshots of all of them, and their encoding as
// LTX files.
//
// A [Log] is a set of pages, one image each, that brings a database from the position
// before First to the position Last. A log whose First is 1 holds every page and is a
// [Snapshot]. Logs are ordinary LTX files of version 3
// (https://github.com/superfly/ltx#file-format): the LTX transaction ids are our
// positions, the header and trailer carry the rolling checksum of the whole database
// before and after the log.
//
// # What is verified
//
// Bytes from outside are never trusted. [OpenLog] reads header and trailer only;
// everything that reads pages ([Log.Pages], [Log.Verify], [ReadLog], [Merge],
// [Snapshot.Append], [Snapshot.Restore]) verifies the file's checksum, the order and
// range of its pages, and of a snapshot also that it is complete and has the checksum it
// claims. The file's checksum covers the pages and not their compressed form, so a flip in
// that which decodes to the same page goes unnoticed, and does no harm. A damaged file is a
// [*FormatError], never a panic, and a header cannot make
// anybody allocate memory for pages that are not there.
//
// The rolling checksum is the exclusive or of all page sums. It proves lineage, not
// identity: two pages that change in the same way leave it as it was.
//
// # Memory
//
// Logs are held in memory up to [DefaultMemoryBytes], larger ones in temporary files
// without a name, which are gone with the process whatever happens to it. All operations
// stream; none holds a log's pages in memory.
package translog
