package dsn

// sqliteDefinitions are those of SQLite's own parameters that have to be right for
// commits to be captured. https://www.sqlite.org/uri.html#recognized_query_parameters
var sqliteDefinitions = []definition{
	{
		Parameter: Parameter{
			Name: modeName, Default: "rwc", Takes: "ro, rw, rwc, or in a file: URI memory",
			Doc: "ro is a plain reader without lock or sidecar directory; rw wants the file " +
				"to exist.",
		},
		check: exactly(modeReadOnly, "rw", "rwc", modeMemory),
		set:   func(c *Config, v string) { c.Mode = v },
	},
	{
		Parameter: Parameter{
			Name: cacheName, Default: "private",
			Takes: "private, or for an in-memory database shared",
			Doc:   "Whether pools share the in-memory database of that name.",
		},
		check: exactly("private", cacheShared),
	},
	{
		Parameter: Parameter{
			Name: "vfs", Default: "unix",
			Takes: "unix: others lack the shared memory or the locks of a write-ahead log",
			Doc:   "SQLite's operating system layer.",
		},
		check: exactly("unix"),
	},
	{
		Parameter: Parameter{
			Name: "immutable", Default: "0", Takes: "0: the database changes while it is open",
			Doc: "Whether SQLite takes the file for one that nobody writes to.",
		},
		check: uriBoolean(false),
	},
	{
		Parameter: Parameter{
			Name: "nolock", Default: "0", Takes: "0: without locks commits cannot be captured",
			Doc: "Whether SQLite goes without locks.",
		},
		check: uriBoolean(false),
	},
	{
		Parameter: Parameter{
			Name: "psow", Default: "1", Takes: "1: frames are read as SQLite writes them " +
				"without padding",
			Doc: "Whether a power failure leaves neighbouring bytes as they are.",
		},
		check: uriBoolean(true),
	},
	{
		Parameter: Parameter{
			Name: readOnlyShmName, Default: "0",
			Takes: "0, or with mode=ro 1: a writer writes to the write-ahead log's index",
			Doc:   "Whether the index of the write-ahead log is opened for reading only.",
		},
		check: anything,
	},
	{
		Parameter: Parameter{
			Name: "8_3_names", Default: "0", Takes: "0: the write-ahead log must end in -wal",
			Doc: "Whether SQLite shortens the names of the files beside the database.",
		},
		check: uriBoolean(false),
	},
}
