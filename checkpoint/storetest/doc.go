// Package storetest checks that a place for logs keeps what [checkpoint.Store] promises.
// It is for authors of stores: of one that keeps logs in object storage, in a message
// system, in another database. What passes can be trusted by a database that fences
// itself by its store, and by a restore.
//
// # Use
//
// A test of the store's own package hands over how an empty store is made:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Backend {
//			prefix := "test/" + rand.Text() // of its own, and empty
//			t.Cleanup(func() { removeAll(prefix) })
//			return storetest.Backend{
//				Open: func(t *testing.T) checkpoint.Store { return mine.Open(bucket, prefix) },
//			}
//		})
//	}
//
// Run it under the race detector, and against the real service at least once: an imitation
// of a service often creates less exclusively than the service does, or more.
//
// # What is checked
//
// Each promise is a subtest of its name: exclusive creation among many savers and handles,
// repeated saves, gaps, the order and content of listings, snapshots in mid-chain, what
// comes back from Open, ended contexts, logs that cannot be read to their end, large logs,
// page sizes, and that a restore gives the bytes of the database. With the hooks Remove
// and Replace of [Backend] also what a store says of damage. A power cut cannot be made
// from here: that what Save confirmed is durable remains for the author to prove.
//
// The databases are made up from fixed seeds ([History]), so a failure comes again, except
// where savers race. The suite offers about 600 logs, 35 MB in all, of which half are
// saved; -test.short makes fewer races and smaller logs (10 MB), for a service far away.
package storetest
