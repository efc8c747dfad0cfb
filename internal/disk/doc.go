// Package disk makes files and names durable. Everything that this module fsyncs itself goes
// through here, in one place, so that the crash lab can tell what a power cut leaves:
// what was synced, and any part of what was written since. SQLite's own fsyncs are in C and
// not seen.
//
// After an error of SyncFile or SyncFolder it is not known what is durable: the kernel may have
// dropped what it could not write. Nobody may sync again and go on as if nothing had
// happened.
package disk
