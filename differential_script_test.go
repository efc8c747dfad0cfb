//go:build cgo

package mylibsql_test

import (
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"
)

// script is what TestDifferential runs. Later parts use the tables of earlier ones.
func script() []step {
	return slices.Concat(scriptOfValues, scriptOfTimes, scriptOfStatements, scriptOfReturning,
		scriptOfTexts, scriptOfTransactions, scriptOfErrors, scriptOfBusy, scriptOfDatabases,
		scriptOfPragmas, scriptOfSchema)
}

var scriptOfValues = []step{
	run("CREATE TABLE v(id INTEGER PRIMARY KEY, i INTEGER, b BIGINT, r REAL, d DOUBLE, f FLOAT," +
		" n NUMERIC, dec DECIMAL(10,5), t TEXT, c VARCHAR(20), cl CLOB, bl BLOB, bo BOOLEAN," +
		" da DATE, dt DATETIME, ts TIMESTAMP, x)"),
	run("INSERT INTO v(i, b, r, d, f, n, dec) VALUES(1, 2, 3.5, 4.25, 5, 6, 7.125)"),
	run("INSERT INTO v(i, b, r, d, f, n, dec, t, c, cl, bl, bo, x)"+
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		1, int64(math.MaxInt64), 1.5, math.Copysign(0, -1), math.MaxFloat64, "12", "1.50", "text",
		"chars", "clob", []byte("blob"), true, nil),
	run("INSERT INTO v(i, x) VALUES(?, ?)", int64(math.MinInt64), math.Inf(1)),
	run("INSERT INTO v(r, x) VALUES(?, ?)", math.Inf(-1), math.NaN()),
	run("INSERT INTO v(t, bl) VALUES(?, ?)", "", []byte{}),
	run("INSERT INTO v(t, bl) VALUES(?, ?)", nil, []byte(nil)),
	run("INSERT INTO v(t, bl) VALUES(?, ?)", "a\x00b", []byte("a\x00b")),
	run("INSERT INTO v(t, bl) VALUES(?, ?)", "naïve 漢字 🙂", []byte{0xff, 0xfe, 0x00}),
	run("INSERT INTO v(t, bl) VALUES(?, ?)", "\xff\xfe", []byte("text as blob")),
	run("INSERT INTO v(bo) VALUES(?), (?), (2), ('yes'), (NULL)", true, false),
	run("INSERT INTO v(i, r, t) VALUES('12', '1.5', 12), ('abc', 'abc', 1.5), (1.5, 2, X'41')"),
	run("INSERT INTO v(x) VALUES(1), (1.0), ('1'), (X'31'), (NULL)"),
	run("INSERT INTO v(x) VALUES(?)", strings.Repeat("long ", 5000)),
	run("INSERT INTO v(bl) VALUES(?)", make([]byte, 70000)),
	run("INSERT INTO v(x) VALUES(?)", sql.NullString{String: "set", Valid: true}),
	run("INSERT INTO v(x) VALUES(?)", sql.NullInt64{}),
	run("INSERT INTO v(x) VALUES(?)", uint8(200)),
	run("INSERT INTO v(x) VALUES(?)", uint64(math.MaxInt64)),
	run("INSERT INTO v(x) VALUES(?)", uint64(math.MaxUint64)).fails(),
	run("INSERT INTO v(x) VALUES(?)", struct{ a int }{1}).fails(),
	run("INSERT INTO v(x) VALUES(?)", []int{1}).fails(),
	run("INSERT INTO v(x) VALUES(?)", float32(0.1)),
	run("INSERT INTO v(x) VALUES(?)", 'x'),
	ask("SELECT * FROM v ORDER BY id"),
	ask("SELECT * FROM v ORDER BY id").viaPrepare(),
	ask("SELECT * FROM v ORDER BY id").oneRow(),
	ask("SELECT id, typeof(i), typeof(b), typeof(r), typeof(t), typeof(bl), typeof(x) FROM v"),
	ask("SELECT 1, 1.5, 'text', X'00ff', NULL, TRUE, 1 = 1"),
	ask("SELECT 1 AS a, 2 AS a, 3 AS \"a b\", 4 AS ''"),
	ask("SELECT i + 1, r * 2, t || 'x', bo AND 1, -x FROM v ORDER BY id"),
	ask("SELECT CAST(i AS TEXT), CAST(t AS INTEGER), CAST(x AS BLOB), CAST(r AS BOOLEAN) FROM v"),
	ask("SELECT count(*), sum(i), total(r), avg(b), min(t), max(bl), group_concat(id) FROM v" +
		" WHERE id < 3"),
	ask("SELECT sum(i) FROM v WHERE i = 9223372036854775807 OR b = 9223372036854775807"),
	ask("SELECT abs(-9223372036854775808)").fails(),
	ask("SELECT ?, ?, ?, ?, ?", 1, 1.5, "x", []byte("y"), nil),
	ask("SELECT ?, ?", true, int32(7)).viaPrepare(),
	ask("SELECT * FROM v WHERE 0"),
	ask("VALUES(1, 'a'), (2, 'b')"),
	ask("SELECT zeroblob(5), hex(zeroblob(2)), length(zeroblob(100))"),
	ask("SELECT json('{\"a\": [1, 2]}'), json_extract('{\"a\": 1.5}', '$.a')"),
	ask("SELECT key, value, type FROM json_each('[1, \"x\", null, 2.5, true]')"),
	ask("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)" +
		" SELECT i, i * i FROM n"),
	ask("SELECT id, row_number() OVER (ORDER BY id DESC) FROM v ORDER BY id"),
}

// at is a moment with a fraction, in a zone that is not UTC.
var at = time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.FixedZone("X", -(5*3600+1800)))

var scriptOfTimes = []step{
	run("DELETE FROM v"),
	run("INSERT INTO v(id, da, dt, ts, t, x) VALUES(1, ?, ?, ?, ?, ?)", at, at, at, at, at),
	run("INSERT INTO v(id, da, dt, ts, x) VALUES(2, ?, ?, ?, ?)",
		at.UTC(), time.Time{}, time.Unix(0, 0), time.Unix(1, 1).UTC()),
	run("INSERT INTO v(id, da, dt, ts) VALUES(3, '2024-02-29', '2024-02-29 12:34:56'," +
		" '2024-02-29T12:34:56.789Z')"),
	run("INSERT INTO v(id, da, dt, ts) VALUES(4, '2024-02-29 12:34', '12:34', 'no time')"),
	run("INSERT INTO v(id, da, dt, ts) VALUES(5, 0, 1709210096, 1709210096123)"),
	run("INSERT INTO v(id, da, dt, ts) VALUES(6, 1.5, -1, 99999999999999)"),
	run("INSERT INTO v(id, da, dt, ts) VALUES(7, NULL, '', X'323032342d30312d3031')"),
	run("INSERT INTO v(id, dt) VALUES(8, ?)", sql.NullTime{Time: at, Valid: true}),
	run("INSERT INTO v(id, dt) VALUES(9, CURRENT_TIMESTAMP)"),
	ask("SELECT id, da, dt, ts, t, x FROM v WHERE id < 9 ORDER BY id"),
	ask("SELECT id, da, dt, ts FROM v WHERE id < 9 ORDER BY id").viaPrepare(),
	ask("SELECT id, typeof(da), typeof(dt), typeof(ts) FROM v ORDER BY id"),
	ask("SELECT max(dt), datetime(ts), date(da) FROM v WHERE id < 4"),
	ask("SELECT dt > '2000', dt IS NOT NULL FROM v ORDER BY id"),
	ask("SELECT id FROM v WHERE ts = ?", at),
	ask("SELECT bo, da FROM v WHERE id = 3 UNION ALL SELECT 1, '2024-01-01'"),
}

var scriptOfStatements = []step{
	run("CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL," +
		" size INT CHECK(size >= 0), parent INT REFERENCES a(id))"),
	run("CREATE TABLE w(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID"),
	run("INSERT INTO a(name, size) VALUES('one', 1)"),
	run("INSERT INTO a(name, size) VALUES('two', 2), ('three', 3)"),
	run("INSERT INTO a(name, size) VALUES(?, ?)", "four", 4).viaPrepare(),
	run("INSERT INTO a(name, size) VALUES(?2, ?1)", 5, "five"),
	run("INSERT INTO a(name, size) VALUES(:name, :size)",
		sql.Named("name", "six"), sql.Named("size", 6)),
	run("INSERT INTO a(name, size) VALUES(@name, $size)",
		sql.Named("size", 7), sql.Named("name", "seven")),
	run("INSERT INTO a(name, size) VALUES(:name, :name || 1)", sql.Named("name", "8")).viaPrepare(),
	run("INSERT INTO a(name, size) VALUES(:name, ?)", 9, sql.Named("name", "nine")),
	run("INSERT INTO a(name, size) VALUES(:name, :missing)", sql.Named("name", "ten")).fails(),
	run("INSERT INTO a(name) VALUES(:name)", sql.Named("other", "ten")).fails(),
	run("INSERT OR IGNORE INTO a(name, size) VALUES('one', 1), ('eleven', 11)"),
	run("INSERT OR REPLACE INTO a(name, size) VALUES('one', 100)"),
	run("REPLACE INTO a(name, size) VALUES('two', 200)"),
	run("INSERT INTO a(name, size) VALUES('three', 1) ON CONFLICT(name) DO UPDATE SET" +
		" size = size + excluded.size"),
	run("INSERT INTO a(name, size) VALUES('three', 1) ON CONFLICT DO NOTHING"),
	run("INSERT INTO a(name, size) SELECT name || ' copy', size FROM a WHERE size > 100"),
	run("INSERT INTO w VALUES('k', 'v'), ('l', 'w')"),
	run("UPDATE a SET size = size + 1 WHERE size < 5"),
	run("UPDATE a SET size = size WHERE 0"),
	run("UPDATE a SET size = (SELECT max(size) FROM a AS b) WHERE name = ?", "five").viaPrepare(),
	run("UPDATE a SET parent = b.id FROM a AS b WHERE b.name = 'five' AND a.size < 10"),
	run("DELETE FROM a WHERE name LIKE '%copy'"),
	run("DELETE FROM w").viaPrepare(),
	run("WITH big AS (SELECT id FROM a WHERE size > 150) DELETE FROM a WHERE id IN big"),
	run("-- a comment\nINSERT INTO a(name) /* another */ VALUES('commented') -- and more"),
	run("   \n\t INSERT INTO a(name) VALUES('spaces')  ;  ;; \n"),
	run("insert into a(name) values('lower')"),
	run("InSeRt InTo a(name) VALUES('with; semicolon')"),
	run("EXPLAIN QUERY PLAN DELETE FROM a"),
	run("SELECT * FROM a"),
	run("SELECT * FROM a").viaPrepare(),
	run(""),
	run(" ; ; "),
	run("-- nothing but a comment"),
	ask(""),
	ask("-- nothing"),
	ask("INSERT INTO a(name) VALUES('through query')"),
	ask("UPDATE a SET size = 0 WHERE name = ?", "lower").viaPrepare(),
	ask("SELECT last_insert_rowid(), changes(), total_changes() > 20"),
	ask("SELECT * FROM a ORDER BY id"),
	ask("SELECT * FROM a WHERE name = :name", sql.Named("name", "six")),
	ask("SELECT :a, @a, $a", sql.Named("a", "same")).fails(),
	ask("SELECT :a, :a || '!'", sql.Named("a", "same")),
	ask("SELECT ?3, ?1", 1, 2, 3),
	ask("SELECT a.*, b.name FROM a LEFT JOIN a AS b ON b.id = a.parent ORDER BY a.id LIMIT 5"),
	ask("EXPLAIN QUERY PLAN SELECT * FROM a WHERE name = 'x'"),
	ask("SELECT * FROM sqlite_sequence"),
}

var scriptOfReturning = []step{
	ask("INSERT INTO a(name, size) VALUES('r1', 1) RETURNING id, name, size * 2 AS twice"),
	ask("INSERT INTO a(name, size) VALUES('r2', 2), ('r3', 3), ('r4', 4) RETURNING *"),
	ask("INSERT INTO a(name) VALUES('r5'), ('r6'), ('r7') RETURNING name").oneRow(),
	ask("INSERT INTO a(name) VALUES(?) RETURNING id", "r8").viaPrepare(),
	ask("UPDATE a SET size = 70 WHERE name LIKE 'r%' RETURNING name, size"),
	ask("UPDATE a SET size = 70 WHERE 0 RETURNING name, size"),
	ask("DELETE FROM a WHERE name IN ('r1', 'r2') RETURNING id, name"),
	run("INSERT INTO a(name) VALUES('r9'), ('r10') RETURNING id"),
	run("INSERT INTO a(name) VALUES('r11') RETURNING id").viaPrepare(),
	run("DELETE FROM a WHERE name = 'r11' RETURNING id"),
	ask("INSERT INTO a(name) VALUES('r9') RETURNING id").fails(),
	ask("INSERT INTO a(name) VALUES('r12'), ('r9') RETURNING id").fails(),
	run("INSERT OR FAIL INTO a(name) VALUES('r13'), ('r9'), ('r14')").fails(),
	ask("INSERT OR FAIL INTO a(name) VALUES('r15'), ('r9'), ('r16') RETURNING name").fails(),
	ask("INSERT INTO v(dt, bo, bl) VALUES(?, ?, ?) RETURNING dt, bo, bl", at, true, []byte("x")),
	ask("SELECT name, size FROM a WHERE name LIKE 'r%' ORDER BY name").onSecond(),
}

var scriptOfTexts = []step{
	run("CREATE TABLE m(i); INSERT INTO m VALUES(1); INSERT INTO m VALUES(2), (3)"),
	run("INSERT INTO m VALUES(?); INSERT INTO m VALUES(?), (?);", 4, 5, 6),
	run("INSERT INTO m VALUES(?); INSERT INTO m VALUES(?)", 4).fails(),
	run("INSERT INTO m VALUES(7); INSERT INTO m VALUES(NULL, 1); INSERT INTO m VALUES(8)").fails(),
	run("INSERT INTO m VALUES(9); not a statement; INSERT INTO m VALUES(10)").fails(),
	run("BEGIN; INSERT INTO m VALUES(11); COMMIT"),
	run("BEGIN; INSERT INTO m VALUES(12); ROLLBACK"),
	run("BEGIN IMMEDIATE; INSERT INTO m VALUES(13); SAVEPOINT s; DELETE FROM m; ROLLBACK TO s;" +
		" RELEASE s; COMMIT"),
	run("SELECT 1; SELECT 2; -- the end"),
	run("DELETE FROM m WHERE i = 1; UPDATE m SET i = i WHERE i > 5;"),
	ask("INSERT INTO m VALUES(20); SELECT * FROM m ORDER BY i"),
	ask("SELECT * FROM m; SELECT count(*) FROM m"),
	ask("SELECT i FROM m WHERE i = ?; SELECT i FROM m WHERE i > ?", 2, 10),
	ask("CREATE TABLE m2(x); INSERT INTO m2 VALUES('a') RETURNING x; SELECT x FROM m2"),
	ask("INSERT INTO m VALUES(21); SELECT * FROM missing").fails(),
	ask("; ; SELECT 1"),
	ask("SELECT i FROM m ORDER BY i; -- only a comment follows"),
	run("INSERT INTO m VALUES(22); INSERT INTO m VALUES(23)").viaPrepare(),
	ask("SELECT 1; SELECT 2").viaPrepare(),
	run("CREATE TRIGGER tr AFTER INSERT ON m WHEN new.i > 100 BEGIN" +
		" INSERT INTO m2 VALUES(new.i); DELETE FROM m WHERE i = new.i; END;" +
		" INSERT INTO m VALUES(101)"),
	ask("SELECT x FROM m2").onSecond(),
	ask("SELECT i FROM m ORDER BY i").onSecond(),
}
