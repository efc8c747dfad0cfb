//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A step is one statement of the script, on one of two connections.
type step struct {
	query    string
	args     []any
	rows     bool // through Query, not Exec
	prepared bool // through Prepare
	firstRow bool // only the first row is read
	fail     bool // an error is expected
	second   bool // on the second connection
}

func run(query string, args ...any) step { return step{query: query, args: args} }
func ask(query string, args ...any) step { return step{query: query, args: args, rows: true} }

func (s step) viaPrepare() step { s.prepared = true; return s }
func (s step) oneRow() step     { s.firstRow = true; return s }
func (s step) fails() step      { s.fail = true; return s }
func (s step) onSecond() step   { s.second = true; return s }

// An outcome is all that a program can see of a step.
type outcome struct {
	columns  []string
	types    []string
	rows     []string
	inserted string
	affected string
	err      string
}

// TestDifferential runs one script of statements through go-sqlite3 and through this driver, on
// two connections each, and compares for every statement what a program sees of it: columns and
// their types, the type and value of every field, the result's numbers, and errors by type, by code
// and by text. It does so with a plain and with a cancellable context, which go-sqlite3
// serves on different ways, and with and without its statement cache.
func TestDifferential(t *testing.T) {
	require.GreaterOrEqual(t, len(script()), 200)
	for _, params := range []string{"", "&_stmt_cache_size=64"} {
		for _, cancellable := range []bool{false, true} {
			name := fmt.Sprintf("cancellable=%t%s", cancellable, params)
			t.Run(name, func(t *testing.T) {
				ctx := context.Background()
				if cancellable {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
				}
				compareScript(ctx, t, params)
			})
		}
	}
}

func compareScript(ctx context.Context, t *testing.T, params string) {
	plain := newScriptRun(ctx, t, "sqlite3", params)
	ours := newScriptRun(ctx, t, "mylibsql", params)
	for i, s := range script() {
		want, got := plain.step(ctx, s), ours.step(ctx, s)
		if s.fail != (want.err != "") {
			t.Errorf("step %d: %s: go-sqlite3 answers %q", i, s.query, want.err)
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("step %d: %s\ngo-sqlite3: %q\nmylibsql:   %q", i, s.query, want, got)
		}
	}
}

// scriptRun is one driver's side.
type scriptRun struct {
	folder string
	conns  [2]*sql.Conn
}

func newScriptRun(ctx context.Context, t *testing.T, driverName, params string) *scriptRun {
	t.Helper()
	r := &scriptRun{folder: t.TempDir()}
	db := openPool(t, driverName, "file:"+filepath.Join(r.folder, "app.db")+
		"?_journal_mode=WAL&_busy_timeout=20&_loc=UTC"+params)
	for i := range r.conns {
		var err error
		r.conns[i], err = db.Conn(ctx)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.conns[i].Close()) })
	}
	return r
}

// step runs a statement; FOLDER in it, or in an argument, is the run's own folder.
func (r *scriptRun) step(ctx context.Context, s step) (o outcome) {
	conn := r.conns[0]
	if s.second {
		conn = r.conns[1]
	}
	query := strings.ReplaceAll(s.query, "FOLDER", r.folder)
	args := slices.Clone(s.args)
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = strings.ReplaceAll(text, "FOLDER", r.folder)
		}
	}
	execute, askRows := conn.ExecContext, conn.QueryContext
	if s.prepared {
		prepared, err := conn.PrepareContext(ctx, query)
		if err != nil {
			return outcome{err: "prepare: " + r.describe(err)}
		}
		defer func() {
			if err := prepared.Close(); err != nil {
				o.err += " close: " + r.describe(err)
			}
		}()
		execute = func(ctx context.Context, _ string, args ...any) (sql.Result, error) {
			return prepared.ExecContext(ctx, args...)
		}
		askRows = func(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
			return prepared.QueryContext(ctx, args...)
		}
	}
	if !s.rows {
		result, err := execute(ctx, query, args...)
		return r.result(result, err)
	}
	rows, err := askRows(ctx, query, args...)
	if err != nil {
		return outcome{err: r.describe(err)}
	}
	return r.read(rows, s.firstRow)
}

func (r *scriptRun) result(result sql.Result, err error) outcome {
	if err != nil {
		return outcome{err: r.describe(err)}
	}
	inserted, insertedErr := result.LastInsertId()
	affected, affectedErr := result.RowsAffected()
	return outcome{
		inserted: fmt.Sprint(inserted, insertedErr), affected: fmt.Sprint(affected, affectedErr),
	}
}

func (r *scriptRun) read(rows *sql.Rows, firstRow bool) (o outcome) {
	var err error
	o.columns, err = rows.Columns()
	o.types = columnTypes(rows)
	for err == nil && rows.Next() {
		fields, pointers := make([]any, len(o.columns)), make([]any, len(o.columns))
		for i := range fields {
			pointers[i] = &fields[i]
		}
		err = rows.Scan(pointers...)
		o.rows = append(o.rows, r.format(fields))
		if firstRow {
			break
		}
		o.types = append(o.types, columnTypes(rows)...)
	}
	err = errors.Join(err, rows.Err(), rows.Close())
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, each := range joined.Unwrap() {
			o.err += r.describe(each) + "; "
		}
	}
	return o
}

func columnTypes(rows *sql.Rows) (described []string) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return []string{err.Error()}
	}
	for _, c := range types {
		nullable, nullableKnown := c.Nullable()
		length, lengthKnown := c.Length()
		precision, scale, decimal := c.DecimalSize()
		described = append(described, fmt.Sprint(c.Name(), " ", c.DatabaseTypeName(), " ",
			nullable, nullableKnown, " ", length, lengthKnown, " ", precision, scale, decimal, " ",
			c.ScanType()))
	}
	return described
}

// format tells type and value of each field, floats to the last bit.
func (r *scriptRun) format(fields []any) string {
	var b strings.Builder
	for _, field := range fields {
		if f, ok := field.(float64); ok {
			field = fmt.Sprintf("float64 %x", math.Float64bits(f))
		}
		fmt.Fprintf(&b, "%T %#v|", field, field)
	}
	return strings.ReplaceAll(b.String(), r.folder, "FOLDER")
}

// describe tells all of an error: programs compare it by type and codes, GORM by its JSON, people
// read the text.
func (r *scriptRun) describe(err error) string {
	fields, jsonErr := json.Marshal(err)
	if jsonErr != nil {
		fields = []byte(jsonErr.Error())
	}
	text := fmt.Sprintf("%T %s %s", err, fields, err)
	return strings.ReplaceAll(text, r.folder, "FOLDER")
}
