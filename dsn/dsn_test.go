package dsn_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mylibsql/mylibsql/dsn"
)

// Goal: every good name says what it should, and means the same after String and Parse.
// Method: the table, compared field by field with the defaults changed as the row says.
func TestParseReadsWhatIsGiven(t *testing.T) {
	for _, row := range goodRows {
		t.Run(row.dsn, func(t *testing.T) {
			want := &dsn.Config{
				WALLimitFrames: 4000, ReplicaAcks: 1,
				BusyTimeout: 5 * time.Second, TxLock: "immediate",
				StmtCacheSize: 64, SQLite: url.Values{},
			}
			row.want(want)
			got, err := dsn.Parse(row.dsn)
			require.NoError(t, err)
			requireSameFields(t, want, got)
			requireRoundTrip(t, got)
		})
	}
}

// requireSameFields compares what a caller can see.
func requireSameFields(t *testing.T, want, got *dsn.Config) {
	t.Helper()
	require.Equal(t, want.SQLite, got.SQLite)
	require.Equal(t, want.Path, got.Path)
	require.Equal(t, want.Memory, got.Memory)
	require.Equal(t, want.MemoryName, got.MemoryName)
	require.Equal(t, want.ReadOnly, got.ReadOnly)
	require.Equal(t, want.Mode, got.Mode)
	require.Equal(t, want.Role, got.Role)
	require.Equal(t, want.WALLimitFrames, got.WALLimitFrames)
	require.Equal(t, want.ReplicaAcks, got.ReplicaAcks)
	require.Equal(t, want.PageSize, got.PageSize)
	require.Equal(t, want.LockTimeout, got.LockTimeout)
	require.Equal(t, want.BusyTimeout, got.BusyTimeout)
	require.Equal(t, want.TxLock, got.TxLock)
	require.Equal(t, want.StmtCacheSize, got.StmtCacheSize)
	require.Equal(t, want.Synchronous, got.Synchronous)
}

// requireRoundTrip checks what must hold of every Config that Parse returns.
func requireRoundTrip(t *testing.T, c *dsn.Config) {
	t.Helper()
	again, err := dsn.Parse(c.String())
	require.NoError(t, err, c.String())
	require.Equal(t, c, again, c.String())
	require.Equal(t, c.String(), again.String())

	handedDown := c.SQLiteDSN("/x/ä?#%.db", nil)
	below, err := dsn.Parse(handedDown)
	require.NoError(t, err, handedDown)
	require.Equal(t, "/x/ä?#%.db", below.Path)
	require.False(t, below.Memory)
	require.Equal(t, c.SQLite, below.SQLite)
	require.Equal(t, c.BusyTimeout, below.BusyTimeout)
	require.Equal(t, c.StmtCacheSize, below.StmtCacheSize)
	require.Equal(t, c.Synchronous, below.Synchronous)
	require.Equal(t, c.TxLock, below.TxLock)
	require.Empty(t, below.Role)
	_, query, _ := strings.Cut(handedDown, "?")
	given, err := url.ParseQuery(query)
	require.NoError(t, err, handedDown)
	for _, p := range dsn.Parameters() {
		if p.Ours {
			require.NotContains(t, given, p.Name)
		}
	}
}

// Goal: every bad name gets a typed error for the right parameter.
// Method: the table.
func TestParseNamesTheParameterThatIsWrong(t *testing.T) {
	for _, row := range badRows {
		t.Run(row.dsn, func(t *testing.T) {
			c, err := dsn.Parse(row.dsn)
			require.Nil(t, c)
			require.ErrorIs(t, err, dsn.ErrParam)
			var wrong *dsn.ParamError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, row.name, wrong.Name)
			require.Equal(t, row.value, wrong.Value)
			require.NotEmpty(t, wrong.Want)
			require.True(t, strings.HasPrefix(err.Error(), "dsn: "+wrong.Name))
		})
	}
}

// Goal: a misspelled parameter is answered with the right one, a strange one with none.
// Method: a table of mistakes.
func TestUnknownParameterGetsTheNearestName(t *testing.T) {
	for unknown, known := range map[string]string{
		"_rol": "_role", "_busytimeout": "_busy_timeout", "_FK": "_fk", "_Timeout": "_timeout",
		"_wal_limit": "_wal_limit_frames", "_pagesize": "_page_size", "_tx_lock": "_txlock",
		"_journalmode": "_journal_mode", "_something_else_entirely": "",
		"_" + strings.Repeat("x", 1000): "",
	} {
		_, err := dsn.Parse("a.db?" + unknown + "=1")
		var wrong *dsn.ParamError
		require.ErrorAs(t, err, &wrong)
		if known == "" {
			require.NotContains(t, wrong.Want, "_", unknown)
		} else {
			require.True(t, strings.HasSuffix(wrong.Want, " "+known), wrong.Want)
		}
	}
}

// Goal: no secret reaches an error or Redacted, whatever else is wrong with the name.
// Method: names with one word where a secret may stand, and mistakes around it.
func TestSecretsStayHidden(t *testing.T) {
	const word = "hunter2"
	for _, name := range []string{
		"a.db?_auth_pass=hunter2&_auth_pass=hunter2x",
		"a.db?_auth_pass=hunter2%zz",
		"a.db?_auth_user=u;_auth_pass=hunter2",
		"a.db?_fk=1;_auth_pass=hunter2",
		"a.db?_fk=1?_auth_pass=hunter2",
		"a.db?_fk=1%26_auth_pass=hunter2",
		"a.db?_auth_pass:hunter2",
		"a.db?_key=hunter2",
		"a.db?_pragma_key=hunter2",
		"a.db?key=hunter2&key=x",
		"a.db?key=x&key=hunter2",
		"a.db?_auth_passwd=hunter2",
		"file://u:hunter2@host/a.db",
		"file:a#b?_auth_pass=hunter2",
		"?_auth_pass=hunter2",
	} {
		_, err := dsn.Parse(name)
		require.ErrorIs(t, err, dsn.ErrParam, name)
		require.NotContains(t, err.Error(), word)
	}
	c, err := dsn.Parse("file:a.db?_auth=hunter2&_auth_user=hunter2&_auth_pass=hunter2" +
		"&_auth_crypt=ssha1&_auth_salt=hunter2&hexkey=hunter2&_fk=1&_role=primary&mode=rw")
	require.NoError(t, err)
	require.NotContains(t, c.Redacted(), word)
	require.Contains(t, c.Redacted(), "_auth_pass=xxxxx")
	for _, shown := range []string{
		"file:a.db?", "_fk=1", "_role=primary", "_auth_crypt=ssha1", "mode=rw",
	} {
		require.Contains(t, c.Redacted(), shown)
	}
	require.Contains(t, c.String(), word)
}

// Goal: what is handed down can be changed for one connection.
// Method: a mode over another one.
func TestSQLiteDSNTakesExtraParameters(t *testing.T) {
	c, err := dsn.Parse("file:a.db?mode=rwc&_role=primary&_fk=1")
	require.NoError(t, err)
	require.Equal(t,
		"file:b%20c.db?_busy_timeout=5000&_fk=1&_stmt_cache_size=64&_txlock=immediate&mode=rw",
		c.SQLiteDSN("b c.db", url.Values{"mode": {"rw"}}))
	require.Equal(t, url.Values{"_fk": {"1"}}, c.SQLite, "the Config is as it was")
}

// Goal: pools on one file must agree on what belongs to the database, where both say it.
// Method: pairs of names, in both orders.
func TestSameDatabaseSettings(t *testing.T) {
	for _, row := range []struct{ a, b, name string }{
		{"a.db", "a.db?_role=primary&_wal_limit_frames=500&_page_size=512&_lock_timeout=1s", ""},
		{"a.db?_fk=1&_timeout=1", "a.db?_fk=0&_timeout=2&_txlock=deferred", ""},
		{"a.db?_role=primary", "a.db?_role=replica", ""}, // a role changes while it is open
		{"a.db?_replica_acks=2", "a.db?_replica_acks=3", "_replica_acks"},
		{"a.db?_role=primary", "a.db?_role=primary", ""},
		{"a.db?_wal_limit_frames=4000", "a.db?_wal_limit_frames=5000", "_wal_limit_frames"},
		{"a.db", "a.db?_wal_limit_frames=5000", ""},
		{"a.db?_page_size=4096", "a.db?_page_size=8192", "_page_size"},
		{"a.db?_lock_timeout=0", "a.db?_lock_timeout=2s", "_lock_timeout"},
		{"a.db?_lock_timeout=2000", "a.db?_lock_timeout=2s", ""},
	} {
		a, err := dsn.Parse(row.a)
		require.NoError(t, err)
		b, err := dsn.Parse(row.b)
		require.NoError(t, err)
		for _, err := range []error{
			dsn.SameDatabaseSettings(a, b), dsn.SameDatabaseSettings(b, a),
		} {
			if row.name == "" {
				require.NoError(t, err)
				continue
			}
			var wrong *dsn.ParamError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, row.name, wrong.Name)
			require.NotEmpty(t, wrong.Value)
		}
	}
}

// Goal: the list for the documentation is complete in itself, and its defaults are true.
// Method: each name and alias once; a default given by name changes nothing.
func TestParametersAreDocumented(t *testing.T) {
	plain, err := dsn.Parse("a.db")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, p := range dsn.Parameters() {
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			require.False(t, seen[name], name)
			seen[name] = true
		}
		require.NotEmpty(t, p.Takes, p.Name)
		require.True(t, strings.HasSuffix(p.Doc, "."), p.Name)
		if p.Default == "" {
			continue
		}
		c, err := dsn.Parse("a.db?" + p.Name + "=" + p.Default)
		require.NoError(t, err, p.Name)
		c.SQLite, c.Mode, c.Synchronous = plain.SQLite, "", ""
		requireSameFields(t, plain, c)
	}
	list := dsn.Parameters()
	list[0].Name, list[6].Aliases[0] = "changed", "changed"
	require.NotEqual(t, list, dsn.Parameters())
	require.Equal(t, "_timeout", dsn.Parameters()[6].Aliases[0])
}

// Goal: no name makes Parse panic or returns a Config that does not mean the same again.
// Method: fuzzing, seeded by the tables.
func FuzzParse(f *testing.F) {
	for _, row := range goodRows {
		f.Add(row.dsn)
	}
	for _, row := range badRows {
		f.Add(row.dsn)
	}
	f.Fuzz(func(t *testing.T, name string) {
		c, err := dsn.Parse(name)
		if err != nil {
			var wrong *dsn.ParamError
			require.ErrorAs(t, err, &wrong)
			require.Nil(t, c)
			return
		}
		requireRoundTrip(t, c)
		_ = c.Redacted()
	})
}
