// Package dsn reads and writes data source names, and is the only place that knows a
// parameter's name. A data source name is what go-sqlite3 takes: a path or a "file:" URI
// (https://www.sqlite.org/uri.html), with parameters after a question mark.
//
//	app.db
//	app.db?_busy_timeout=2000
//	file:/var/lib/app/app.db?_role=primary&_fk=1
//	file:name?mode=memory&cache=shared
//
// Parse finds out everything that can be wrong with it without a look at the database:
// parameters that do not exist, values that go-sqlite3 or SQLite would refuse at the
// first connection, and what contradicts the capture of commits from the write-ahead log.
// Parameters lists what there is.
//
// Three things differ from go-sqlite3. SQLite's own parameters (mode, cache, vfs and so
// on) count behind a plain path too, where go-sqlite3 drops them. Two values for one
// parameter are an error, where go-sqlite3 takes one of them. And a parameter that starts
// with an underscore and is not known is an error, where go-sqlite3 ignores it: a
// misspelled _busy_timeout should not pass.
//
// No error and nothing that Redacted returns holds the value of a secret.
package dsn
