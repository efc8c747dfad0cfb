package dsn

import "time"

// booleans are go-sqlite3's words for them.
const booleans = "0 1 false true no yes off on"

// driverDefinitions are go-sqlite3's parameters, see its doc.go and README, and those of
// ours that it has under the same name with another default.
var driverDefinitions = []definition{
	{
		Parameter: Parameter{
			Name: txLockName, Default: TxLockImmediate,
			Takes: "immediate, deferred or exclusive",
			Doc: "What BeginTx opens; go-sqlite3's own default, and that of readers, is " +
				"deferred.",
		},
		emptyIsAbsent: true,
		check:         oneOf(TxLockImmediate, TxLockDeferred, TxLockExclusive),
		set:           func(c *Config, v string) { c.TxLock = v },
	},
	{
		Parameter: Parameter{
			Name: busyTimeoutName, Aliases: []string{"_timeout"}, Default: "5000",
			Takes: "at most 2147483647 milliseconds, 0 or less not to wait",
			Doc:   "How long a write waits for its turn.",
		},
		emptyIsAbsent: true,
		check:         busyTimeout,
		set: func(c *Config, v string) {
			c.BusyTimeout = time.Duration(number(v)) * time.Millisecond
		},
	},
	{
		Parameter: Parameter{
			Name: stmtCacheSizeName, Default: "64", Takes: "0 to 65536 statements",
			Doc: "How many prepared statements each connection keeps; go-sqlite3's own " +
				"default is 0.",
		},
		emptyIsAbsent: true,
		check:         integer(0, StmtCacheSizeMax),
		set:           func(c *Config, v string) { c.StmtCacheSize = int(number(v)) },
	},
	{
		Parameter: Parameter{
			Name: synchronousName, Aliases: []string{"_sync"}, Default: "NORMAL",
			Takes: "0 OFF 1 NORMAL 2 FULL 3 EXTRA",
			Doc:   "When SQLite waits for the disk.",
		},
		emptyIsAbsent: true,
		check:         synchronous,
		set:           func(c *Config, v string) { c.Synchronous = v },
	},
	passed("_journal_mode", []string{"_journal"}, "WAL",
		"WAL: commits are captured from the write-ahead log",
		"The journal mode, which cannot be another.", oneOf("wal")),
	passed("_locking_mode", []string{"_locking"}, "NORMAL",
		"NORMAL: the write-ahead log's index must be in shared memory",
		"The locking mode, which cannot be another.", oneOf("normal")),
	passed("_foreign_keys", []string{"_fk"}, "", booleans,
		"Whether foreign keys are enforced.", boolean),
	passed("_defer_foreign_keys", []string{"_defer_fk"}, "", booleans,
		"Whether foreign keys are enforced at the commit only.", boolean),
	passed("_auto_vacuum", []string{"_vacuum"}, "", "0 none 1 full 2 incremental",
		"Whether a new file gives free pages back.", autoVacuum),
	passed("_cache_size", nil, "", "an integer: pages, or KiB when negative",
		"The size of each connection's page cache.", anyInteger),
	passed("_case_sensitive_like", []string{"_cslike"}, "", booleans,
		"Whether LIKE tells upper from lower case.", boolean),
	passed("_ignore_check_constraints", nil, "", booleans,
		"Whether CHECK constraints are ignored.", boolean),
	passed("_loc", nil, "", "auto (the local time zone) or the name of a time zone",
		"The time zone of the times that are read.", timeZone),
	passed("_mutex", nil, "full", "no or full",
		"SQLite's threading mode.", oneOf("no", "full")),
	passed("_query_only", nil, "", booleans,
		"Whether connections refuse to write.", boolean),
	passed("_recursive_triggers", []string{"_rt"}, "", booleans,
		"Whether triggers fire triggers.", boolean),
	passed("_secure_delete", nil, "", booleans+" fast",
		"Whether deleted content is overwritten.", secureDelete),
	passed("_writable_schema", nil, "", booleans,
		"Whether the schema table can be written to.", boolean),
}

// passed defines a parameter that go-sqlite3 acts upon and nobody else.
func passed(name string, aliases []string, byDefault, takes, doc string,
	check func(string) (string, bool),
) definition {
	return definition{
		Parameter: Parameter{
			Name: name, Aliases: aliases, Default: byDefault, Takes: takes, Doc: doc,
		},
		emptyIsAbsent: true,
		check:         check,
	}
}

// authDefinitions are of SQLite's user authentication, which go-sqlite3 has under a build
// tag.
var authDefinitions = []definition{
	{
		Parameter: Parameter{
			Name: "_auth", Takes: "any value or none",
			Doc: "Creates the user as an administrator, with build tag sqlite_userauth.",
		},
		check: anything, secret: true,
	},
	secret("_auth_user", "a user's name", "The user, with build tag sqlite_userauth."),
	secret("_auth_pass", "a password", "The user's password."),
	secret(authSaltName, "a salt", "The salt of the password's encoding."),
	passed(authCryptName, nil, "SHA1",
		"SHA1 SHA256 SHA384 SHA512, or with _auth_salt: SSHA1 SSHA256 SSHA384 SSHA512",
		"How the password is encoded.",
		oneOf("sha1", "ssha1", "sha256", "ssha256", "sha384", "ssha384", "sha512", "ssha512")),
}

func secret(name, takes, doc string) definition {
	d := passed(name, nil, "", takes, doc, anything)
	d.secret = true
	return d
}
