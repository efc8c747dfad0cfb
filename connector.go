//go:build cgo

package mylibsql

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"sync"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/dsn"
	"github.com/mylibsql/mylibsql/engine"
)

// Options are what a DSN cannot say. The zero value is ready to use.
type Options struct {
	// ConnectHook is called with every new connection before it is used.
	ConnectHook func(*sqlite3.SQLiteConn) error
	// Extensions are shared libraries that every connection loads.
	Extensions []string
	// Store is where the application saves the logs, if the driver is to look there itself:
	// when a primary opens and before a replica is promoted, whether the store's chain has
	// gone on without it (ErrBehind, ErrFenced). A store that does not answer at an open is
	// a warning; at a promotion it is an error. Nil: nobody looks before the first save.
	Store checkpoint.Store
	// CloseTimeout lets Close save what is unsaved in Store, for as long as this. Zero: Close
	// saves nothing, and reports ErrUnsaved.
	CloseTimeout time.Duration
	// Logger gets warnings and errors; nil means slog.Default(). A healthy program is
	// silent.
	Logger *slog.Logger
}

// Connector opens the connections of one pool, for [database/sql.OpenDB]. The methods of
// [Database] that it embeds open the database if no connection has yet, and work behind
// any wrapper of the pool. Safe for concurrent use.
type Connector struct {
	*Database
	config  *dsn.Config
	options Options

	mu     sync.Mutex
	engine *engine.DB // held from the first need to Close
	path   string     // of engine
	closed bool
}

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// NewConnector parses a DSN; options may be nil. Nothing on disk is touched before the
// first connection. It returns a *ParamError for a parameter that is unknown,
// contradictory or out of range.
func NewConnector(dataSourceName string, options *Options) (*Connector, error) {
	config, err := dsn.Parse(dataSourceName)
	if err != nil {
		return nil, err
	}
	c := &Connector{config: config}
	if options != nil {
		c.options = *options
	}
	c.Database = &Database{connector: c}
	return c, nil
}

// Connect opens a connection, and the database if this is the first one. It returns
// ErrClosed after Close and ErrReplaced when another file stands at the path by now; the
// database refuses to open with ErrInUse, ErrState, ErrBehind and ErrFenced (by what
// Options.Store holds, too), ErrHardLink, ErrRole, ErrSettings, ErrVersion, fs.ErrNotExist
// (mode=rw) or an error of SQLite's own. After an error of a first connection the database
// may stay open until Close.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.config.ReadOnly {
		return c.connectReader()
	}
	db, path, err := c.open(ctx, true)
	if err != nil {
		return nil, hideBadConn(err)
	}
	session, err := db.Connect(engine.ConnectOptions{
		DSN:         c.config.SQLiteDSN(path, url.Values{"mode": {"rw"}}),
		BusyTimeout: c.config.BusyTimeout,
		Extensions:  c.options.Extensions,
		ConnectHook: c.options.ConnectHook,
	})
	if err != nil {
		return nil, errors.Join(err, db.Release())
	}
	return &Conn{
		Database: &Database{engine: db},
		sqlite:   session.SQLite(), session: session, txLock: c.config.TxLock,
	}, nil
}

// connectReader opens a plain connection without engine, lock or sidecar.
func (c *Connector) connectReader() (driver.Conn, error) {
	d := &sqlite3.SQLiteDriver{
		Extensions: c.options.Extensions, ConnectHook: c.options.ConnectHook,
	}
	conn, err := d.Open(c.config.SQLiteDSN(c.config.Path, url.Values{"mode": {"ro"}}))
	if err != nil {
		return nil, err
	}
	return &Conn{Database: &Database{}, sqlite: conn.(*sqlite3.SQLiteConn)}, nil
}

// open returns the engine of the connector's file, opening it at the first call. With hold
// it is held for a connection, which releases it.
func (c *Connector) open(ctx context.Context, hold bool) (*engine.DB, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, "", ErrClosed
	}
	if c.engine != nil {
		if !c.engine.Current(c.path) {
			return nil, "", ErrReplaced
		}
		if hold {
			c.engine.Hold()
		}
		return c.engine, c.path, nil
	}
	var err error
	if c.config.Memory {
		c.engine, c.path, err = openMemory(ctx, c.config.MemoryName, c.engineOptions())
	} else {
		c.path = c.config.Path
		c.engine, err = engine.Acquire(ctx, c.path, c.engineOptions())
	}
	if err == nil && hold {
		c.engine.Hold()
	}
	return c.engine, c.path, err
}

func (c *Connector) engineOptions() engine.Options {
	return engine.Options{
		Role:           engine.Role(c.config.Role),
		ReplicaAcks:    c.config.ReplicaAcks,
		WALLimitFrames: c.config.WALLimitFrames,
		PageSize:       c.config.PageSize,
		AutoVacuum:     cmp.Or(c.config.SQLite.Get("_auto_vacuum"), c.config.SQLite.Get("_vacuum")),
		LockTimeout:    c.config.LockTimeout,
		MustExist:      c.config.Mode == "rw",
		Temporary:      c.config.Memory,
		ReadHead:       readHead(c.options.Store),
		Logger:         c.options.Logger,
		Settings:       c.config,
		Agree: func(open, joining any) error {
			return dsn.SameDatabaseSettings(open.(*dsn.Config), joining.(*dsn.Config))
		},
	}
}

// Driver returns a Driver that is bound to the connector: From finds the engine by it.
func (c *Connector) Driver() driver.Driver {
	return &Driver{
		ConnectHook: c.options.ConnectHook,
		Extensions:  c.options.Extensions,
		Logger:      c.options.Logger,
		connector:   c,
	}
}

// Close is called by sql.DB.Close. The database closes when the last connection does: a
// transaction that is open now can still commit. With Options.CloseTimeout the rest is saved
// first. It returns ErrUnsaved when commits are not saved, where something was ever saved,
// and the store's error, or context.DeadlineExceeded, when the final checkpoint fails.
// Whatever it returns the Connector is closed, and what is unsaved is kept. A second Close
// returns nil.
func (c *Connector) Close() error {
	c.mu.Lock()
	wasClosed := c.closed
	c.closed = true
	c.mu.Unlock()
	if wasClosed || c.engine == nil {
		return nil // nobody sets it any more
	}
	return hideBadConn(errors.Join(c.saveRest(), c.engine.Release()))
}

// saveRest is the final Checkpoint of a primary.
func (c *Connector) saveRest() error {
	if c.options.Store == nil || c.options.CloseTimeout <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.options.CloseTimeout)
	defer cancel()
	for try := 1; ; try++ {
		if stats := c.engine.Stats(); stats.Role != RolePrimary || stats.Saved == stats.Committed {
			return nil
		}
		_, err := c.engine.Checkpoint(ctx, c.options.Store.Save)
		if err != nil && (try == finalCheckpointTries || !errors.Is(err, ErrGap)) {
			return fmt.Errorf("mylibsql: final checkpoint: %w", err)
		}
		if try == finalCheckpointTries {
			return nil
		}
	}
}

// finalCheckpointTries is how often Close saves: a lost answer, or a store that ends before a
// promotion, each take another try.
const finalCheckpointTries = 3
