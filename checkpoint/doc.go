// Package checkpoint keeps the logs of a database where they are safe, and makes a
// database out of them again.
//
// [Store] is the contract of a place for logs, [Directory] is such a place on a file
// system, and [Restore] writes a database file from whatever a store holds. The package
// knows logs ([translog.Log]) and nothing of the engine that makes them.
//
// # The chain
//
// A store holds one history: a chain of records, each a whole log in LTX format
// (https://github.com/superfly/ltx). The record's key is the position after the one that
// the log continues, so the first record has key 1 and the record after one that ends at
// 41 has key 42. Saving is one exclusive creation under that key: of two writers that
// continue the same position only one can succeed, however many positions each of them
// wants to save. The other one learns who was there by a [translog.TakenError].
//
// A log with First == 1 is a snapshot: it holds every page and can stand anywhere in the
// chain. Its key still is the position after the record before it, so it too competes for
// its place.
//
// Pruning makes one snapshot of the oldest records, the base, which then is the record of key
// 1, and raises the floor: the key after it. What stands under a smaller key does not count.
// A writer whose record was pruned finds its place free, so it looks at the floor once it has
// created its record: below it the record is none.
//
// # The folders of a Directory
//
//	<root>/ltx/chain/<key>                   the records; key and positions have 16 hex digits
//	<root>/ltx/chain/floor                   the key below which records do not count
//	<root>/ltx/chain/base-<last>             the snapshot of what was pruned, up to floor-1
//	<root>/ltx/0/<first>-<last>.ltx          a second name (hard link) of every record
//	<root>/ltx/9/<first>-<last>.ltx          a third name of every snapshot
//	<root>/ltx/tmp/<key>-<random>            logs that are being written
//
// The names below 0 and 9 are those of Litestream's file replica (https://litestream.io),
// and a file's modification time is the log's time, as Litestream has it. So
//
//	litestream restore -o out.db file:///<root>
//
// restores the newest saved position, and its -timestamp works. The folder chain is what
// counts here: a log without a record does not exist, and names that a crash left out are
// added when the store is opened.
//
// # What is assumed
//
// The file system supports hard links, link(2) fails with EEXIST when the name exists,
// and a folder can be synced. fsync of a file or folder that returned nil survives a
// power cut.
//
// # Crash states
//
// In quotes stand the points at which the crash lab (internal/crashlab) lets a process die. A
// crash of the process or the machine during Save leaves one of these:
//
//  1. Up to "store: log written" and "store: log synced": a file in tmp and nothing else. The
//     log is not saved. The file is removed by the next OpenDirectory, because nobody holds
//     its lock any more.
//  2. After "store: record created": a record that may or may not survive a power cut. Save
//     had not returned. Whoever meets the record (Save, Records, OpenDirectory) syncs the
//     folder before relying on it.
//  3. After "store: chain synced": a durable record without all of its other names. The log
//     is saved. The next OpenDirectory, or the repeated Save, adds the names.
//  4. After "store: names added": a durable record, all names, and a leftover in tmp: as 1
//     and 3 together.
//
// A crash during Prune leaves one of these; a flock on the folder chain keeps others out:
//
//  5. After "prune: base made" and "prune: floor written": a base, durable or not, and the
//     old floor. Nothing was pruned. The next Prune or OpenDirectory removes the base.
//  6. After "prune: floor renamed" and "prune: floor raised": the new floor. Who reads it finds
//     the base, which was durable before it. A power cut that brings back the old floor brings
//     back no loss, for whoever removes records syncs the folder first.
//  7. After "prune: record removed": some of the records below the floor are gone, the oldest
//     first. The next Prune or OpenDirectory removes the rest. A power cut may bring some
//     back, which do not count.
package checkpoint
