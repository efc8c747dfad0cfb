// Command follow shows a primary and two replicas, each in a process of its own.
//
//	go run ./examples/follow [-for 10s] [-keep DIR]
//
// It starts itself three times: alpha, the primary, takes writes, and beta and gamma
// follow it over plain HTTP on 127.0.0.1. A writer goes on only once a replica has its
// transaction: the replicas acknowledge what they applied. Meanwhile alpha checkpoints
// into a directory store, which all three can read. Then gamma is killed, and comes back
// later: it takes the store's logs up to where alpha's live frames begin, and then
// those. Last, beta is promoted, and alpha follows it. At the end the three files are
// compared byte by byte.
//
// One node is in node.go, its part as a primary in lead.go and serve.go, as a replica in
// receive.go and catchup.go, and the change between both in roles.go. What they say to
// each other is in wire.go. The rest (play.go, process.go) starts and stops nodes, and
// shows what they do.
//
// Every node answers whoever can reach its port, which is good enough for a show on one
// machine: a program of your own authenticates its replicas.
package main
