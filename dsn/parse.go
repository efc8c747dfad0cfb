package dsn

import (
	"net/url"
	"strconv"
	"strings"
)

// memoryPath is the path of an in-memory database, unless its name is given with
// mode=memory.
const memoryPath = ":memory:"

// Parse reads a data source name. It looks at nothing on disk but, for _loc, the time
// zones, and returns a *ParamError for all that is wrong with a name. Safe for concurrent
// use.
func Parse(name string) (*Config, error) {
	location, err := locate(name)
	if err != nil {
		return nil, err
	}
	given, err := pairs(location.query)
	if err != nil {
		return nil, err
	}
	c := &Config{
		Path:           location.path,
		WALLimitFrames: WALLimitFramesDefault,
		ReplicaAcks:    ReplicaAcksDefault,
		BusyTimeout:    BusyTimeoutDefault,
		StmtCacheSize:  StmtCacheSizeDefault,
		SQLite:         make(url.Values),
	}
	if err := c.take(given); err != nil {
		return nil, err
	}
	if err := c.settle(location.isURI); err != nil {
		return nil, err
	}
	if err := c.contradiction(); err != nil {
		return nil, err
	}
	return c, nil
}

// take stores every parameter, each right by itself.
func (c *Config) take(given []pair) error {
	type first struct{ name, canonical string }
	seen := make(map[string]first)
	for _, p := range given {
		d, err := define(p.name)
		if err != nil {
			return err
		}
		canonical, ok := p.value, true
		if !d.emptyIsAbsent || p.value != "" {
			canonical, ok = d.check(p.value)
		}
		shown := p.value
		if d.secret {
			shown = ""
		}
		if !ok {
			return paramError(p.name, shown, d.Takes)
		}
		if earlier, again := seen[d.Name]; !again {
			seen[d.Name] = first{p.name, canonical}
		} else if earlier.canonical != canonical {
			return paramError(p.name, shown,
				"one value, not also another one for "+shownName(earlier.name))
		}
		switch {
		case d.emptyIsAbsent && p.value == "":
		case d.set != nil:
			d.set(c, canonical)
		default:
			c.SQLite.Set(p.name, p.value)
		}
	}
	return nil
}

// define finds what a name stands for. A name without underscore that is not known is
// SQLite's or a VFS's business; what it holds may be a key.
func define(name string) (*definition, error) {
	if d, ok := byName[name]; ok {
		return d, nil
	}
	if strings.HasPrefix(name, "_") {
		return nil, paramError(name, "", "a parameter that exists"+suggestion(name))
	}
	return &definition{
		Parameter: Parameter{Name: name, Takes: "one value"}, check: anything, secret: true,
	}, nil
}

// settle works out what depends on several parameters: the kind of database, and
// defaults.
func (c *Config) settle(isURI bool) error {
	if c.Mode == modeMemory && !isURI && c.Path != "" && c.Path != memoryPath {
		// go-sqlite3 drops the mode behind a plain path and opens the file: not a thing
		// to change in silence, either way.
		return paramError(modeName, c.Mode, "a file: URI, such as file:name?mode=memory")
	}
	c.ReadOnly = c.Mode == modeReadOnly
	c.Memory = c.Mode == modeMemory || c.Path == "" || c.Path == memoryPath
	if c.TxLock == "" {
		c.TxLock = TxLockImmediate
		if c.ReadOnly {
			c.TxLock = TxLockDeferred
		}
	}
	if !c.Memory || c.ReadOnly {
		return nil
	}
	if isURI && c.SQLite.Get(cacheName) == cacheShared {
		c.MemoryName = c.Path
	}
	c.Path, c.Mode = "", modeMemory
	c.SQLite.Del(cacheName)
	return nil
}

// contradiction returns an error for parameters that are right by themselves, not
// together.
func (c *Config) contradiction() error {
	role := string(c.Role)
	switch {
	case c.Memory && c.ReadOnly:
		return paramError(modeName, c.Mode, "rwc or memory for an in-memory database")
	case c.Memory && c.Role == RoleReplica:
		return paramError(roleName, role, "primary for an in-memory database")
	case c.ReadOnly && c.Role != RoleUnset:
		return paramError(roleName, role, "a mode other than ro, which opens a plain reader")
	case c.ReadOnly && c.PageSize != 0:
		return paramError(pageSizeName, strconv.Itoa(c.PageSize),
			"a mode other than ro, which creates no file")
	case c.SQLite.Get(cacheName) == cacheShared:
		return paramError(cacheName, cacheShared, byName[cacheName].Takes)
	case !c.ReadOnly && sqliteBoolean(c.SQLite.Get(readOnlyShmName), false):
		return paramError(readOnlyShmName, c.SQLite.Get(readOnlyShmName),
			byName[readOnlyShmName].Takes)
	case strings.HasPrefix(strings.ToLower(c.SQLite.Get(authCryptName)), "ss") &&
		c.SQLite.Get(authSaltName) == "":
		return paramError(authCryptName, c.SQLite.Get(authCryptName), "_auth_salt with it")
	}
	return nil
}
