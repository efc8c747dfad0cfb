package dsn_test

import (
	"net/url"
	"time"

	"github.com/mylibsql/mylibsql/dsn"
)

// goodRow is a data source name with what it says beyond the defaults.
type goodRow struct {
	dsn  string
	want func(*dsn.Config)
}

func path(p string) func(*dsn.Config) { return func(c *dsn.Config) { c.Path = p } }

func memory(name string) func(*dsn.Config) {
	return func(c *dsn.Config) { c.Memory, c.MemoryName, c.Mode = true, name, "memory" }
}

// with changes a Config whose path is a.db.
func with(change func(*dsn.Config)) func(*dsn.Config) {
	return func(c *dsn.Config) {
		c.Path = "a.db"
		change(c)
	}
}

// passes expects parameters to be handed down as they are.
func passes(namesAndValues ...string) func(*dsn.Config) {
	return with(func(c *dsn.Config) {
		for i := 0; i < len(namesAndValues); i += 2 {
			c.SQLite.Set(namesAndValues[i], namesAndValues[i+1])
		}
	})
}

var goodRows = []goodRow{
	// Paths. https://www.sqlite.org/uri.html#the_uri_path
	{"a.db", path("a.db")},
	{"a.db?", path("a.db")},
	{"/x/a.db", path("/x/a.db")},
	{"//x/a.db", path("//x/a.db")},
	{"a#b%20c.db", path("a#b%20c.db")},
	{"FILE:a.db", path("FILE:a.db")},
	{"file:a.db", path("a.db")},
	{"file:./a.db", path("./a.db")},
	{"file:/x/a.db", path("/x/a.db")},
	{"file:///x/a.db", path("/x/a.db")},
	{"file:////x/a.db", path("//x/a.db")},
	{"file://localhost/x/a.db", path("/x/a.db")},
	{"file:a%20b%23c%3Fd%25e.db", path("a b#c?d%e.db")},
	{"file:100%.db", path("100%.db")},
	{"file:%zz%4.db", path("%zz%4.db")},
	{"file:caf%C3%A9%ff.db", path("café\xff.db")},
	{"file:a.db#fragment", path("a.db")},
	{"file:a.db?_fk=1#fragment?_fk=0", passes("_fk", "1")},

	// In-memory databases. https://www.sqlite.org/inmemorydb.html
	{":memory:", memory("")},
	{"", memory("")},
	{"file:", memory("")},
	{"file::memory:", memory("")},
	{"file:%3Amemory%3A", memory("")},
	{":memory:?cache=shared", memory("")},
	{"file::memory:?cache=shared", memory(":memory:")},
	{"file::memory:?mode=memory&cache=shared", memory(":memory:")},
	{"file::memory:?mode=rwc&cache=private", memory("")},
	{"file:x?mode=memory", memory("")},
	{"file:x?mode=memory&cache=private", memory("")},
	{"file:x?mode=memory&cache=shared", memory("x")},
	{"file:/x%20y?cache=shared&mode=memory", memory("/x y")},
	{"file:?mode=memory&cache=shared", memory("")},

	// Parameters of ours.
	{"a.db?_role=primary", with(func(c *dsn.Config) { c.Role = dsn.RolePrimary })},
	{"a.db?_role=Replica", with(func(c *dsn.Config) { c.Role = dsn.RoleReplica })},
	{"a.db?_wal_limit_frames=100", with(func(c *dsn.Config) { c.WALLimitFrames = 100 })},
	{"a.db?_page_size=512", with(func(c *dsn.Config) { c.PageSize = 512 })},
	{"a.db?_page_size=65536", with(func(c *dsn.Config) { c.PageSize = 65536 })},
	{"a.db?_lock_timeout=2s", with(func(c *dsn.Config) { c.LockTimeout = 2 * time.Second })},
	{"a.db?_replica_acks=2", with(func(c *dsn.Config) { c.ReplicaAcks = 2 })},
	{"a.db?_lock_timeout=1500",
		with(func(c *dsn.Config) { c.LockTimeout = 1500 * time.Millisecond })},

	// Parameters of go-sqlite3 with a field.
	{"a.db?_busy_timeout=0", with(func(c *dsn.Config) { c.BusyTimeout = 0 })},
	{"a.db?_timeout=250", with(func(c *dsn.Config) { c.BusyTimeout = 250 * time.Millisecond })},
	{"a.db?_timeout=-1", with(func(c *dsn.Config) { c.BusyTimeout = 0 })},
	{"a.db?_timeout=", path("a.db")},
	{"a.db?_timeout=7&_busy_timeout=007",
		with(func(c *dsn.Config) { c.BusyTimeout = 7 * time.Millisecond })},
	{"a.db?_txlock=DEFERRED", with(func(c *dsn.Config) { c.TxLock = "deferred" })},
	{"a.db?_txlock=exclusive", with(func(c *dsn.Config) { c.TxLock = "exclusive" })},
	{"a.db?_stmt_cache_size=0", with(func(c *dsn.Config) { c.StmtCacheSize = 0 })},
	{"a.db?_sync=2", with(func(c *dsn.Config) { c.Synchronous = "FULL" })},
	{"a.db?_synchronous=extra", with(func(c *dsn.Config) { c.Synchronous = "EXTRA" })},
	{"a.db?mode=ro", with(func(c *dsn.Config) {
		c.Mode, c.ReadOnly, c.TxLock = "ro", true, "deferred"
	})},
	{"file:a.db?mode=ro&_txlock=immediate", with(func(c *dsn.Config) {
		c.Mode, c.ReadOnly = "ro", true
	})},
	{"a.db?mode=rw", with(func(c *dsn.Config) { c.Mode = "rw" })},
	{"file:a.db?mode=rwc", with(func(c *dsn.Config) { c.Mode = "rwc" })},

	// Parameters that are handed down.
	{"a.db?_fk=true&_foreign_keys=ON", passes("_fk", "true", "_foreign_keys", "ON")},
	{"a.db?_fk=1&_fk=1", passes("_fk", "1")},
	{"a.db?_journal_mode=wal", passes("_journal_mode", "wal")},
	{"a.db?_journal=WAL", passes("_journal", "WAL")},
	{"a.db?_locking=normal", passes("_locking", "normal")},
	{"a.db?_loc=auto", passes("_loc", "auto")},
	{"a.db?_loc=UTC", passes("_loc", "UTC")},
	{"a.db?_mutex=NO", passes("_mutex", "NO")},
	{"a.db?_vacuum=incremental", passes("_vacuum", "incremental")},
	{"a.db?_auto_vacuum=1&_vacuum=FULL", passes("_auto_vacuum", "1", "_vacuum", "FULL")},
	{"a.db?_secure_delete=fast", passes("_secure_delete", "fast")},
	{"a.db?_cache_size=-2000", passes("_cache_size", "-2000")},
	{"a.db?_cslike=off&_rt=yes&_defer_fk=no",
		passes("_cslike", "off", "_rt", "yes", "_defer_fk", "no")},
	{"a.db?_query_only=1&_writable_schema=0&_ignore_check_constraints=0", passes(
		"_query_only", "1", "_writable_schema", "0", "_ignore_check_constraints", "0")},
	{"a.db?_auth&_auth_user=u&_auth_pass=p+%26", passes(
		"_auth", "", "_auth_user", "u", "_auth_pass", "p &")},
	{"a.db?_auth_crypt=SSHA256&_auth_salt=s", passes("_auth_crypt", "SSHA256", "_auth_salt", "s")},
	{"a.db?vfs=unix&cache=private&psow=1&immutable=0&nolock=off", passes(
		"vfs", "unix", "cache", "private", "psow", "1", "immutable", "0", "nolock", "off")},
	{"a.db?modeof=/x/a+b&&=ignored&x=%20", passes("modeof", "/x/a+b", "x", " ")},
	{"a.db?mode=ro&readonly_shm=1", with(func(c *dsn.Config) {
		c.Mode, c.ReadOnly, c.TxLock = "ro", true, "deferred"
		c.SQLite = url.Values{"readonly_shm": {"1"}}
	})},
}

// badRow is a data source name with the parameter that its error names, and the value that it
// shows.
type badRow struct{ dsn, name, value string }

var badRows = []badRow{
	{"file://host/a.db", "path", ""},
	{"file://localhost", "path", ""},
	{"file://?mode=memory", "path", ""},
	{"file:a#b?_fk=1", "path", ""},
	{"file:a%00b", "path", ""},
	{"a\x00b", "path", ""},
	{"?_fk=1", "path", ""},
	{"?", "path", ""},

	{"a.db?_role=leader", "_role", "leader"},
	{"a.db?_role=", "_role", ""},
	{"a.db?_wal_limit_frames=99", "_wal_limit_frames", "99"},
	{"a.db?_wal_limit_frames=1000000001", "_wal_limit_frames", "1000000001"},
	{"a.db?_wal_limit_frames=1e3", "_wal_limit_frames", "1e3"},
	{"a.db?_page_size=256", "_page_size", "256"},
	{"a.db?_page_size=1000", "_page_size", "1000"},
	{"a.db?_page_size=131072", "_page_size", "131072"},
	{"a.db?_lock_timeout=-1s", "_lock_timeout", "-1s"},
	{"a.db?_lock_timeout=25h", "_lock_timeout", "25h"},
	{"a.db?_lock_timeout=9223372036854775807", "_lock_timeout", "9223372036854775807"},
	{"a.db?_lock_timeout=soon", "_lock_timeout", "soon"},

	{"a.db?_busy_timeout=1s", "_busy_timeout", "1s"},
	{"a.db?_timeout=2147483648", "_timeout", "2147483648"},
	{"a.db?_txlock=now", "_txlock", "now"},
	{"a.db?_stmt_cache_size=-1", "_stmt_cache_size", "-1"},
	{"a.db?_stmt_cache_size=65537", "_stmt_cache_size", "65537"},
	{"a.db?_sync=4", "_sync", "4"},
	{"a.db?_fk=2", "_fk", "2"},
	{"a.db?_loc=Mars/Base", "_loc", "Mars/Base"},
	{"a.db?_mutex=half", "_mutex", "half"},
	{"a.db?_vacuum=3", "_vacuum", "3"},
	{"a.db?_secure_delete=slow", "_secure_delete", "slow"},
	{"a.db?_cache_size=2MB", "_cache_size", "2MB"},
	{"a.db?_auth_crypt=md5", "_auth_crypt", "md5"},
	{"a.db?_auth_crypt=ssha1", "_auth_crypt", "ssha1"},

	{"a.db?_journal_mode=DELETE", "_journal_mode", "DELETE"},
	{"a.db?_journal=off", "_journal", "off"},
	{"a.db?_locking_mode=EXCLUSIVE", "_locking_mode", "EXCLUSIVE"},
	{"a.db?cache=shared", "cache", "shared"},
	{"file:a.db?cache=shared&mode=rwc", "cache", "shared"},
	{"file:a.db?cache=SHARED", "cache", "SHARED"},
	{"file:a.db?cache=", "cache", ""},
	{"file:a.db?immutable=1", "immutable", "1"},
	{"file:a.db?immutable=true&mode=ro", "immutable", "true"},
	{"file:a.db?immutable=0x1", "immutable", "0x1"},
	{"file:a.db?nolock=yes", "nolock", "yes"},
	{"file:a.db?psow=0", "psow", "0"},
	{"file:a.db?psow=OFF", "psow", "OFF"},
	{"file:a.db?8_3_names=1", "8_3_names", "1"},
	{"file:a.db?readonly_shm=1", "readonly_shm", "1"},
	{"file:a.db?vfs=unix-none", "vfs", "unix-none"},
	{"file:a.db?vfs=unix-excl", "vfs", "unix-excl"},
	{"file:/a?vfs=memdb", "vfs", "memdb"},
	{"file:a.db?vfs=", "vfs", ""},
	{"file:a.db?mode=RO", "mode", "RO"},
	{"file:a.db?mode=", "mode", ""},
	{"a.db?mode=memory", "mode", "memory"},
	{"file::memory:?mode=ro", "mode", "ro"},
	{":memory:?mode=ro&cache=shared", "mode", "ro"},
	{"file::memory:?_role=replica", "_role", "replica"},
	{"a.db?mode=ro&_role=primary", "_role", "primary"},
	{"a.db?_page_size=4096&mode=ro", "_page_size", "4096"},

	{"a.db?_fk=1&_fk=0", "_fk", "0"},
	{"a.db?_fk=1&_foreign_keys=off", "_foreign_keys", "off"},
	{"a.db?_timeout=1&_busy_timeout=2", "_busy_timeout", "2"},
	{"a.db?_timeout=1&_busy_timeout=", "_busy_timeout", ""},
	{"a.db?mode=ro&mode=rw", "mode", "rw"},
	{"a.db?x=1&x=2", "x", ""},

	{"a.db?_store=dir", "_store", ""},
	{"a.db?_FK=1", "_FK", ""},
	{"a.db?_fk=%zz", "_fk", ""},
	{"a.db?_fk=1;_rt=1", "_fk", ""},
	{"a.db?_fk;x=1", "_fk", ""},
	{"a.db?_fk%z=1", "_fk", ""},
	{"a.db?_fk=1%00", "_fk", ""},
}
