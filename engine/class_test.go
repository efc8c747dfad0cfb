//go:build cgo

package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// classRows are texts with the class that they must get. They run against classSchema.
var classRows = []struct {
	text string
	want Class
}{
	{"", Read},
	{";", Read},
	{"-- nothing", Read},
	{"/* nothing", Read},
	{"SELECT 1", Read},
	{"select a from t", Read},
	{"\n\t SeLeCt 1 ;\n", Read},
	{"/* a */ -- b\n SELECT 1", Read},
	{"/**/SELECT 1", Read},
	{"--\nSELECT 1;;;", Read},
	{"\xef\xbb\xbfSELECT 1", Read},
	{"SELECT 1; -- the end", Read},
	{"SELECT 'a;b'", Read},
	{"VALUES (1),(2)", Read},
	{"WITH x(n) AS (SELECT 1) SELECT n FROM x", Read},
	{"WITH RECURSIVE x(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM x WHERE n<9) SELECT n FROM x",
		Read},
	{"EXPLAIN DELETE FROM t", Write},
	{"EXPLAIN QUERY PLAN DELETE FROM t", Write},
	{"SELECT * FROM pragma_table_info('t')", Read},
	{"SELECT * FROM f WHERE f MATCH 'x'", Read},
	{"SELECT optimize(f) FROM f LIMIT 1", Write},
	{"SELECT * FROM pragma_optimize", Write},
	{"SELECT * FROM pragma_optimize(0x10002)", Write},
	{"WITH x AS (SELECT * FROM \"PRAGMA_Optimize\") SELECT * FROM x", Write},
	{"SELECT optimized FROM t", Read},
	{"INSERT INTO t VALUES(1,2)", Write},
	{"insert or replace into t values(1,2)", Write},
	{"INSERT INTO t VALUES(1,2) RETURNING a", Write},
	{"REPLACE INTO t VALUES(1,2)", Write},
	{"UPDATE t SET b=1", Write},
	{"DELETE FROM t", Write},
	{"WITH x AS (SELECT 1) INSERT INTO t(a, b) SELECT 1,2 FROM x", Write},
	{"WITH x AS (SELECT 1) DELETE FROM t", Write},
	{"WITH x AS (SELECT 1) UPDATE t SET b=2", Write},
	{"CREATE TABLE u(x)", Write},
	{"CREATE TABLE IF NOT EXISTS t(x)", Write},
	{"CREATE TABLE u AS SELECT * FROM t", Write},
	{"CREATE INDEX j ON t(b)", Write},
	{"CREATE VIEW w AS SELECT 1", Write},
	{"CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", Write},
	{"CREATE VIRTUAL TABLE g USING fts4(x)", Write},
	{"CREATE TEMP TABLE u(x)", Write},
	{"DROP TABLE t", Write},
	{"DROP TABLE IF EXISTS nowhere", Write},
	{"ALTER TABLE t ADD COLUMN c", Write},
	{"ALTER TABLE t RENAME TO u", Write},
	{"REINDEX", Write},
	{"REINDEX t", Write},
	{"ANALYZE", Write},
	{"ANALYZE t", Write},
	{"VACUUM", Write},
	{"VACUUM INTO '/nowhere/x'", Write},
	{"BEGIN", Control},
	{"begin deferred", Control},
	{"BEGIN TRANSACTION", Control},
	{"BEGIN DEFERRED TRANSACTION;", Control},
	{"BEGIN IMMEDIATE", Write},
	{"BEGIN /* now */ immediate TRANSACTION", Write},
	{"BEGIN -- x\n EXCLUSIVE", Write},
	{"COMMIT", Control},
	{"COMMIT TRANSACTION", Control},
	{"END", Control},
	{"end transaction;", Control},
	{"ROLLBACK", Control},
	{"ROLLBACK TO a", Control},
	{"SAVEPOINT a", Control},
	{"RELEASE a", Control},
	{"RELEASE SAVEPOINT a", Control},
	{"EXPLAIN COMMIT", Control},
	{"SELECT 1; SELECT 2", Control},
	{"SELECT 1; DELETE FROM t", Several},
	{"BEGIN; DELETE FROM t; COMMIT", Several},
	{";SELECT 1", Read},
	{"; DELETE FROM t", Write},
	{"SELECT ';'; DELETE FROM t", Several},
	{"SELECT 1 /* ; */", Read},
	{"SELECT 1;\x00DELETE FROM t", Several},
	{"ATTACH ':memory:' AS m", Attach},
	{"attach database '/nowhere' as n", Attach},
	{"DETACH m", Read},
	{"PRAGMA wal_checkpoint", Checkpoint},
	{"PRAGMA wal_checkpoint(TRUNCATE)", Checkpoint},
	{"PRAGMA main.wal_checkpoint = RESTART", Checkpoint},
	{"PRAGMA temp.wal_checkpoint", Write},
	{"PRAGMA wal_autocheckpoint", Read},
	{"PRAGMA wal_autocheckpoint=5", Read},
	{"PRAGMA journal_mode", Read},
	{"PRAGMA journal_mode=wal", Write},
	{"PRAGMA journal_mode=DELETE", Broken},
	{"PRAGMA locking_mode=EXCLUSIVE", Broken},
	{"PRAGMA user_version", Read},
	{"PRAGMA user_version=7", Write},
	{"PRAGMA application_id(7)", Write},
	{"PRAGMA optimize", Write},
	{"PRAGMA optimize(0x10002)", Write},
	{"PRAGMA main.optimize", Write},
	{"PRAGMA incremental_vacuum", Write},
	{"PRAGMA incremental_vacuum(5)", Write},
	{"PRAGMA foreign_keys=on", Read},
	{"PRAGMA no_such_pragma", Write},
	{"EXPLAIN PRAGMA optimize", Write},
	{"SELECT * FROM nothing", Read},
	{"WITH x AS (SELECT 1) SELECT * FROM nothing", Broken},
	{"nonsense", Broken},
	{"SELEC 1", Broken},
}

// openClassed opens a database with something for every pragma to change: no statistics, an index,
// free pages and a full-text table with several segments.
func openClassed(t testing.TB) *opened {
	t.Helper()
	db := openNew(t, Options{})
	for _, text := range []string{
		"PRAGMA auto_vacuum=2", "VACUUM",
		"CREATE TABLE t(a, b, optimized DEFAULT 1)", "CREATE INDEX i ON t(b)",
		`WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 900)
			INSERT INTO t(a,b) SELECT i, randomblob(300) FROM n`,
		"CREATE VIRTUAL TABLE f USING fts4(x)",
		"INSERT INTO f VALUES('x one')", "INSERT INTO f VALUES('x two')",
		"DELETE FROM t WHERE rowid > 300",
	} {
		db.exec(t, text)
	}
	return db
}

// TestClassOfTexts pins the class of each text, and that what counts as Read is read-only by
// SQLite's own word and leaves the counter of commits alone when it runs.
func TestClassOfTexts(t *testing.T) {
	require.GreaterOrEqual(t, len(classRows), 80)
	db := openClassed(t)
	for _, row := range classRows {
		t.Run(row.text, func(t *testing.T) {
			require.Equal(t, row.want, db.session.Classify(row.text))
			require.Equal(t, row.want, db.session.Classify(row.text), "asked again")
			requireReads(t, db, row.text)
		})
	}
}

// requireReads runs a text that counts as Read past the engine and requires that nothing was
// committed by it.
func requireReads(t testing.TB, db *opened, text string) {
	t.Helper()
	if db.session.Classify(text) != Read {
		return
	}
	if a := db.session.handle.Ask(text); !a.Failed && a.Pragma == "" {
		require.True(t, a.Readonly, "SQLite says that %q writes", text)
	}
	before := db.change(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = db.drain(ctx, text)
	require.Equal(t, before, db.change(t), "%q counts as Read and committed", text)
	require.True(t, db.session.conn.AutoCommit(), "%q counts as Read and began", text)
}

// pragmaValues are what a pragma is given instead of 1, which would harm the whole process.
var pragmaValues = map[string]string{
	"hard_heap_limit": "1099511627776", "soft_heap_limit": "1099511627776",
}

// TestPragmaClasses goes through every pragma that SQLite has, with and without a value, each on a
// connection of its own: what counts as Read must not commit anything.
func TestPragmaClasses(t *testing.T) {
	db := openClassed(t)
	names, err := pragmaNames(db)
	require.NoError(t, err)
	require.Greater(t, len(names), 60)
	reads := 0
	for _, name := range names {
		value := pragmaValues[name]
		if value == "" {
			value = "1"
		}
		for _, text := range []string{
			"PRAGMA " + name, "PRAGMA " + name + "=" + value,
			"PRAGMA main." + name + "(" + value + ")",
			"PRAGMA " + strings.ToUpper(name), "SELECT * FROM pragma_" + name,
			"SELECT * FROM pragma_" + name + "(" + value + ")",
		} {
			db.Hold() // for the session
			session, err := db.Connect(ConnectOptions{DSN: "file:" + db.path})
			require.NoError(t, err)
			one := &opened{DB: db.DB, session: session}
			requireReads(t, one, text)
			if session.Classify(text) == Read {
				reads++
			}
			require.NoError(t, session.Close())
		}
	}
	t.Logf("%d pragmas, %d texts that read", len(names), reads)
	for name := range connectionPragmas {
		require.NotContains(t, readingPragmas, name)
	}
}

func pragmaNames(db *opened) (names []string, err error) {
	rows, err := db.session.conn.Query("PRAGMA pragma_list", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return columnOf(rows)
}

// TestClassCacheIsBounded asks for more texts than the cache holds, and for texts whose answer can
// change, which it must not hold.
func TestClassCacheIsBounded(t *testing.T) {
	db := openClassed(t)
	for i := range 3 * classCacheEntries {
		text := "WITH x AS (SELECT " + strings.Repeat("1+", i%700) + "1) SELECT * FROM x"
		require.Equal(t, Read, db.session.Classify(text))
		require.LessOrEqual(t, len(db.session.classes), classCacheEntries)
	}
	late := "WITH x AS (SELECT 1) SELECT * FROM late, x"
	require.Equal(t, Broken, db.session.Classify(late), "does not compile yet")
	db.exec(t, "CREATE TABLE late(x)")
	require.Equal(t, Read, db.session.Classify(late))
	require.NotContains(t, db.session.classes, "SELECT 1; SELECT 2")
}

// TestClassOnAFreshConnection asks for statements that use a full-text table first of all: SQLite
// then connects the table, which runs a PRAGMA of its own while the statement is prepared.
func TestClassOnAFreshConnection(t *testing.T) {
	db := openClassed(t)
	for text, want := range map[string]Class{
		"WITH x AS (SELECT 'y') INSERT INTO f SELECT * FROM x": Write,
		"WITH x AS (SELECT 'y') DELETE FROM f":                 Write,
		"WITH x AS (SELECT 'y') SELECT * FROM f, x":            Read,
		"SELECT optimize(f) FROM f":                            Write,
		"PRAGMA table_info(f)":                                 Read,
		"PRAGMA journal_mode":                                  Read,
		"\xef\xbb\xbfPRAGMA optimize":                          Write,
	} {
		db.Hold() // for the session
		session, err := db.Connect(ConnectOptions{DSN: "file:" + db.path})
		require.NoError(t, err)
		require.Equal(t, want, session.Classify(text), text)
		require.NoError(t, session.Close())
	}
}

// FuzzClassify classifies any text: it never panics, and a text that commits is never a Read.
func FuzzClassify(f *testing.F) {
	for _, row := range classRows {
		f.Add(row.text)
	}
	db := openClassed(f)
	f.Fuzz(func(t *testing.T, text string) {
		lower := strings.ToLower(text)
		if strings.Contains(lower, "heap_limit") || strings.Contains(lower, "_store_directory") {
			t.Skip("would harm the whole process")
		}
		db.Hold() // for the session
		session, err := db.Connect(ConnectOptions{DSN: "file:" + db.path})
		require.NoError(t, err)
		defer func() { require.NoError(t, session.Close()) }()
		requireReads(t, &opened{DB: db.DB, session: session}, text)
	})
}
