//go:build cgo

package mylibsql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
)

// go-sqlite3 runs a text of several statements one after the other, and ends each of them
// without a look at the error. So a text that may return rows of what it writes, which is
// committed by that end, is taken apart here.

// execEach runs every statement of a text. The result is that of the last one.
func (c *Conn) execEach(ctx context.Context, text string, args []driver.NamedValue) (
	driver.Result, error,
) {
	last, args, err := c.execLeading(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return c.execOne(ctx, last, args)
}

// queryLast runs every statement of a text, and returns the rows of the last one.
func (c *Conn) queryLast(ctx context.Context, text string, args []driver.NamedValue) (
	driver.Rows, error,
) {
	last, args, err := c.execLeading(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return c.query(ctx, c.session.Classify(last), last, func() (driver.Rows, error) {
		return c.sqlite.QueryContext(ctx, last, args)
	})
}

// execLeading runs all statements of a text but the last, which it returns with its arguments.
func (c *Conn) execLeading(ctx context.Context, text string, args []driver.NamedValue) (
	last string, left []driver.NamedValue, err error,
) {
	for start := 0; ; {
		rest := c.session.Tail(text)
		if rest == "" || rest == text || ctx.Err() != nil {
			return text, argumentsOf(args, start, len(args)), ctx.Err()
		}
		first := text[:len(text)-len(rest)]
		count, err := c.countParameters(ctx, first)
		if err != nil {
			return "", nil, err
		}
		if len(args)-start < count {
			// In go-sqlite3's words.
			return "", nil, fmt.Errorf("not enough args to execute query: want %d got %d",
				count, len(args)-start)
		}
		_, err = c.execOne(ctx, first, argumentsOf(args, start, start+count))
		if err != nil {
			return "", nil, err
		}
		text, start = rest, start+count
	}
}

func (c *Conn) execOne(ctx context.Context, text string, args []driver.NamedValue) (
	driver.Result, error,
) {
	return c.exec(ctx, c.session.Classify(text), text, func() (driver.Result, error) {
		return c.sqlite.ExecContext(context.Background(), text, args)
	})
}

func (c *Conn) countParameters(ctx context.Context, text string) (int, error) {
	statement, err := c.sqlite.PrepareContext(ctx, text)
	if err != nil {
		return 0, c.session.Explain(err)
	}
	return statement.NumInput(), statement.Close()
}

// argumentsOf are the arguments of one of several statements: those from start to end, and
// behind them the others that have a name, which all statements share.
func argumentsOf(args []driver.NamedValue, start, end int) []driver.NamedValue {
	own := slices.Clone(args[start:end])
	for i, arg := range args {
		if (i < start || i >= end) && arg.Name != "" {
			own = append(own, arg)
		}
	}
	for i := range own {
		own[i].Ordinal = i + 1
	}
	return own
}
