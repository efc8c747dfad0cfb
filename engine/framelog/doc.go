// Package framelog reads and writes logs of single frames: every page image that SQLite
// wrote to its write-ahead log, in the order of the commits. The files are those of the
// Rust crate mylibsql, Log version 2, bit for bit. They serve as the durable tail between
// two checkpoints, and for following or restoring what that crate wrote.
//
// # Format
//
// All numbers are little-endian. A file is a header of 48 bytes,
//
//	offset  size  field
//	0       8     "MYLIBSQL"
//	8       8     start checksum: of the frame before the first one, 0 where a chain begins
//	16      8     number of the first frame
//	24      8     count of frames
//	32      4     format version, 2
//	36      4     page size in bytes
//	40      8     library version that created the file, four 16-bit numbers
//
// and then the frames, each of 24 bytes and a page:
//
//	offset  size  field
//	0       8     number of the frame
//	8       8     checksum
//	16      4     page number
//	20      4     database size in pages after the commit that the frame ends, else 0
//	24      -     page
//
// The numbers count from 0, ours from 1: FrameNo is the number in the file plus one. They
// follow each other without a gap, so a history that jumps needs a new file (or
// [Log.TruncateHead]).
//
// A frame's checksum is the CRC-64/GO-ISO of its page with the checksum before it as the
// initial value. The Rust crate starts such a chain with 0 at each checkpoint, and a file
// that it collected from live frames can hold several: a frame whose checksum starts from
// 0 is sound as well.
//
// The checksum covers pages and nothing else. A damaged page number is beyond what the
// format can tell, and so is a count that became smaller. A damaged database size is
// found by [Log.Convert], as far as SQLite's own header in page 1 tells. Neither can the
// format tell two histories apart: Convert trusts its caller that the frames continue the
// base.
//
// When the Rust crate truncates a log it writes 0 as the start checksum, whatever the
// first frame that it kept was chained to. That frame cannot be verified, and reading it
// is a [*ChecksumError] as for any damage.
//
// The Rust crate knows pages of 4096 bytes only. The format has a field for the size, and
// this package takes every size that SQLite has, 512 to 65536; the crate cannot read the
// others.
//
// # What is durable, and what a crash leaves
//
// The count in the header is the commit mark. [Log.Append] writes frames past the count;
// [Log.Sync] syncs them, then writes the count, then syncs that. We believe of the file
// system that fsync stores what was written, that 8 bytes inside one sector are written
// whole, and that rename replaces a file in one step. Then a crash, of the process or of
// the machine, leaves:
//
//   - during Append or before the count is written: bytes past the counted frames. They were
//     promised to nobody. Reading ignores them, OpenAppend cuts them off; [Log.LeftoverBytes]
//     tells how many there were.
//   - while the count is written: the old count or the new one, and both are true.
//   - during TruncateHead: the old file or the new one, perhaps beside a file that ends in
//     ".truncate", which the next TruncateHead removes.
//   - during Create: no file, or one without frames, or one shorter than the header, which is a
//     [*TruncatedError] and holds nothing.
//
// A file that is shorter than its count says is therefore no crash but damage, and is
// refused with a [*TruncatedError]. Nothing repairs it in silence: what was synced may
// have been acknowledged.
//
// One [Log] at a time may append to a file. That is the caller's duty; the file is not
// locked.
package framelog
