// Package faultstore makes a [checkpoint.Store] misbehave, so that a test can see what its
// user does then: the way an application, a background saver or a whole database takes
// requests that fail, hang, tear, come twice or too late, and answers that get lost.
//
// A [Store] wraps another one and stays within the contract: a log is saved whole or not at
// all, nil means saved, and an error may mean either. Whoever follows the contract gets
// along with it. One fault breaks the contract, for testing those who check on a store, and
// says so in its name: [SuccessWithoutSaving].
//
// [Scripted] takes the faults one by one from a list, for a test of one situation.
// [Seeded] draws them, for a test of many; its String names the seed, and the same seed
// gives the same faults again.
//
// # Late requests
//
// A network may deliver a request after its sender has given up, and after other requests
// that were sent later ([Late]). Such requests are kept by the Store, which starts no
// goroutine: they are performed inside later calls of Save, and by [Store.Flush], which a
// test calls before it looks at the outcome. It also frees what they hold.
package faultstore
