package dsn

import "slices"

// Parameter describes one parameter for documentation.
type Parameter struct {
	Name    string
	Aliases []string
	// Default is what holds without the parameter; "" when that is left to SQLite.
	Default string
	// Takes names the legal values, with their unit.
	Takes string
	// Doc says in one sentence what it does.
	Doc string
	// Ours is true for a parameter of this driver, false for one of go-sqlite3 or SQLite.
	Ours bool
}

// Parameters returns every parameter that Parse knows: ours, then go-sqlite3's, then
// those of SQLite's own that are checked. Others of SQLite's own, without an underscore,
// are handed down.
func Parameters() []Parameter {
	list := make([]Parameter, 0, len(definitions))
	for _, d := range definitions {
		parameter := d.Parameter
		parameter.Aliases = slices.Clone(parameter.Aliases)
		list = append(list, parameter)
	}
	return list
}

// definition is a parameter with what Parse does about it.
type definition struct {
	Parameter
	// check returns the value in its one canonical form, and whether it is legal.
	check func(value string) (canonical string, ok bool)
	// set stores a canonical value in its field; nil: the value stays in Config.SQLite.
	set func(c *Config, canonical string)
	// emptyIsAbsent: go-sqlite3 takes an empty value for none.
	emptyIsAbsent bool
	// secret values appear in no error and not in what Redacted returns.
	secret bool
}

var definitions = slices.Concat(ownDefinitions, driverDefinitions, authDefinitions,
	sqliteDefinitions)

// byName finds a definition by its name or an alias. Names are told apart by case, as
// go-sqlite3 and SQLite do.
var byName = indexDefinitions()

func indexDefinitions() map[string]*definition {
	index := make(map[string]*definition)
	for i := range definitions {
		d := &definitions[i]
		index[d.Name] = d
		for _, alias := range d.Aliases {
			index[alias] = d
		}
	}
	return index
}

// The names that more than one place needs.
const (
	roleName          = "_role"
	walLimitName      = "_wal_limit_frames"
	pageSizeName      = "_page_size"
	lockTimeoutName   = "_lock_timeout"
	replicaAcksName   = "_replica_acks"
	busyTimeoutName   = "_busy_timeout"
	txLockName        = "_txlock"
	stmtCacheSizeName = "_stmt_cache_size"
	synchronousName   = "_synchronous"
	authCryptName     = "_auth_crypt"
	authSaltName      = "_auth_salt"
	modeName          = "mode"
	cacheName         = "cache"
	readOnlyShmName   = "readonly_shm"
)

// The values that more than one place needs.
const (
	modeReadOnly = "ro"
	modeMemory   = "memory"
	cacheShared  = "shared"
)

var ownDefinitions = []definition{
	{
		Parameter: Parameter{
			Name: roleName, Takes: "primary or replica", Ours: true,
			Doc: "What a new database is; later it must agree with what the database is.",
		},
		check: oneOf("primary", "replica"),
		set:   func(c *Config, v string) { c.Role = Role(v) },
	},
	{
		Parameter: Parameter{
			Name: walLimitName, Default: "4000", Takes: "100 to 1000000000 frames", Ours: true,
			Doc: "The length of the write-ahead log from which it is reset.",
		},
		check: integer(WALLimitFramesMin, WALLimitFramesMax),
		set: func(c *Config, v string) {
			c.WALLimitFrames, c.walLimitGiven = int(number(v)), true
		},
	},
	{
		Parameter: Parameter{
			Name: pageSizeName, Takes: "a power of two from 512 to 65536 (bytes)", Ours: true,
			Doc: "The page size of a new file; SQLite's default is 4096.",
		},
		check: powerOfTwo,
		set:   func(c *Config, v string) { c.PageSize = int(number(v)) },
	},
	{
		Parameter: Parameter{
			Name: lockTimeoutName, Default: "0", Ours: true,
			Takes: "0 to 24h, as a Go duration such as 2s, or in milliseconds",
			Doc:   "How long to wait for another process that has the database open.",
		},
		check: duration,
		set: func(c *Config, v string) {
			c.LockTimeout, c.lockTimeoutGiven = parsedDuration(v), true
		},
	},
	{
		Parameter: Parameter{
			Name: replicaAcksName, Default: "1", Takes: "1 to 64 live streams", Ours: true,
			Doc: "How many live streams must acknowledge a position before acks up to it resolve.",
		},
		check: integer(ReplicaAcksMin, ReplicaAcksMax),
		set: func(c *Config, v string) {
			c.ReplicaAcks, c.replicaAcksGiven = int(number(v)), true
		},
	},
}
