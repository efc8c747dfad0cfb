package dsn

import (
	"maps"
	"net/url"
	"strconv"
)

// redacted stands for a secret, in as many letters as any other.
const redacted = "xxxxx"

// String returns the canonical data source name: a file: URI, parameters in order,
// defaults left out unless they were given. Parsing it gives an equal Config. It holds
// secrets: see Redacted.
func (c *Config) String() string { return c.uri(c.ownValues()) }

// Redacted is String for logs: secrets are "xxxxx", and so is the value of every
// parameter that is neither ours nor go-sqlite3's nor a known one of SQLite, for it may
// be an encryption key.
func (c *Config) Redacted() string {
	values := c.ownValues()
	for name := range values {
		if d, ok := byName[name]; !ok || d.secret {
			values.Set(name, redacted)
		}
	}
	return c.uri(values)
}

// SQLiteDSN returns what go-sqlite3 takes for a connection of this configuration to the
// file at path: a file: URI with go-sqlite3's and SQLite's parameters, and none of ours.
// What extra holds replaces what it would contain under the same names. It holds secrets.
// Neither mode=memory nor a shared cache is in it: path is a file, also for an in-memory
// database.
func (c *Config) SQLiteDSN(path string, extra url.Values) string {
	values := maps.Clone(c.SQLite)
	if values == nil {
		values = make(url.Values)
	}
	if c.Mode != "" && c.Mode != modeMemory {
		values.Set(modeName, c.Mode)
	}
	if c.TxLock != "" {
		values.Set(txLockName, c.TxLock)
	}
	if c.Synchronous != "" {
		values.Set(synchronousName, c.Synchronous)
	}
	values.Set(busyTimeoutName, strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10))
	values.Set(stmtCacheSizeName, strconv.Itoa(c.StmtCacheSize))
	maps.Copy(values, extra)
	return uri(path, values)
}

// uri is the canonical one with these parameters.
func (c *Config) uri(values url.Values) string {
	path := c.Path
	switch {
	case c.Memory && c.MemoryName != "":
		path = c.MemoryName
		values.Set(modeName, modeMemory)
		values.Set(cacheName, cacheShared)
	case c.Memory:
		path = memoryPath
	case c.Mode != "":
		values.Set(modeName, c.Mode)
	}
	return uri(path, values)
}

// ownValues is a copy of all parameters other than mode and cache.
func (c *Config) ownValues() url.Values {
	values := maps.Clone(c.SQLite)
	if values == nil {
		values = make(url.Values)
	}
	set := func(name, value string, needed bool) {
		if needed {
			values.Set(name, value)
		}
	}
	txLock := TxLockImmediate
	if c.ReadOnly {
		txLock = TxLockDeferred
	}
	set(roleName, string(c.Role), c.Role != RoleUnset)
	set(walLimitName, strconv.Itoa(c.WALLimitFrames),
		c.walLimitGiven || c.WALLimitFrames != WALLimitFramesDefault)
	set(pageSizeName, strconv.Itoa(c.PageSize), c.PageSize != 0)
	set(lockTimeoutName, c.LockTimeout.String(), c.lockTimeoutGiven || c.LockTimeout != 0)
	set(replicaAcksName, strconv.Itoa(c.ReplicaAcks),
		c.replicaAcksGiven || c.ReplicaAcks != ReplicaAcksDefault)
	set(busyTimeoutName, strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10),
		c.BusyTimeout != BusyTimeoutDefault)
	set(txLockName, c.TxLock, c.TxLock != txLock)
	set(stmtCacheSizeName, strconv.Itoa(c.StmtCacheSize), c.StmtCacheSize != StmtCacheSizeDefault)
	set(synchronousName, c.Synchronous, c.Synchronous != "")
	return values
}
