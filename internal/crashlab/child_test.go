//go:build crashlab

package crashlab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
)

// life is what a child is told: where it lives, and how.
type life struct {
	Folder  string // of the world
	Seed    uint64
	Primary string // name of the node that is the primary: a or b
	Focus   string // the kind of work that it does most
	FirstID int64  // of its rows
	Params  string // of its DSNs
	Promote bool   // the primary was lost: promote the replica first
	Faults  bool   // the store fails now and then
	Work    int    // how much it does before it ends by itself
}

// child is the process that dies.
type child struct {
	life
	random  *rand.Rand
	store   *checkpoint.Directory
	faulty  *faultstore.Store
	primary node
	replica node
	nextID  int64
	gapSeen bool
	pending []pendingAck
}

// pendingAck is an ack with the rows that it stands for.
type pendingAck struct {
	ack *mylibsql.Ack
	ids []int64
}

// node is one of the two databases, open in the child.
type node struct {
	name string
	path string
	db   *sql.DB
	lib  *mylibsql.Connector
}

// say writes a line that the parent gets, even if this process dies right behind it.
func say(word string, id int64) { _, _ = fmt.Fprintf(os.Stdout, "%s %d\n", word, id) }

// stay is how long the child waits for anything.
const stay = 20 * time.Second

var mix = faultstore.Mix{
	Save: faultstore.Odds{faultstore.Fail: .08, faultstore.LoseAnswer: .1, faultstore.Tear: .04,
		faultstore.Delay: .05, faultstore.Duplicate: .05, faultstore.Late: .05},
	Records: faultstore.Odds{faultstore.Fail: .02, faultstore.Tear: .02},
	Open:    faultstore.Odds{faultstore.Fail: .01, faultstore.Tear: .01},
	Prune:   faultstore.Odds{faultstore.Fail: .1, faultstore.LoseAnswer: .1},
}

// live is the whole life of a child that nobody kills.
func (l life) live() error {
	warmUp()
	before := held()
	c := &child{life: l, random: rand.New(rand.NewPCG(l.Seed, 7)), nextID: l.FirstID}
	other := map[string]string{"a": "b", "b": "a"}[l.Primary]
	c.primary, c.replica = c.nodeNamed(l.Primary), c.nodeNamed(other)
	var err error
	if c.store, err = checkpoint.OpenDirectory(filepath.Join(l.Folder, "store")); err != nil {
		return err
	}
	odds := faultstore.Mix{}
	if l.Faults {
		odds = mix
	}
	c.faulty = faultstore.Seeded(c.store, l.Seed, odds)
	if err := c.begin(); err != nil {
		return err
	}
	for range l.Work {
		if err := c.work(); err != nil {
			return err
		}
		c.tellAcks()
	}
	if err := c.faulty.Flush(context.Background()); err != nil {
		return err
	}
	if err := errors.Join(c.end(&c.replica), c.end(&c.primary)); err != nil {
		return err
	}
	return before.requireSame()
}

func (c *child) nodeNamed(name string) node {
	return node{name: name, path: filepath.Join(c.Folder, name, "app.db")}
}

// begin opens the primary, after a promotion if the old one was lost, and the replica.
func (c *child) begin() error {
	if c.Promote {
		if err := c.promoteTheReplica(); err != nil {
			return fmt.Errorf("promote the replica: %w", err)
		}
	} else if err := c.openPrimary(); err != nil {
		return fmt.Errorf("open the primary: %w", err)
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, x BLOB)",
		"CREATE TABLE IF NOT EXISTS churn(id INTEGER PRIMARY KEY, x BLOB, y)",
		"CREATE INDEX IF NOT EXISTS i ON churn(y)",
	} {
		if _, err := c.primary.db.Exec(statement); err != nil {
			return err
		}
	}
	return c.openReplica()
}

// openPrimary opens the primary. A child that died while it handed the role over may have left
// two replicas, or the other one as the primary.
func (c *child) openPrimary() error {
	if err := c.open(&c.primary); err != nil {
		return err
	}
	if c.primary.lib.Stats().Role == mylibsql.RolePrimary {
		return nil
	}
	if err := c.openReplica(); err != nil {
		return err
	}
	if c.replica.db != nil && c.replica.lib.Stats().Role == mylibsql.RolePrimary {
		c.primary, c.replica = c.replica, c.primary
		say("primary-"+c.primary.name, 0)
		return nil
	}
	return c.primary.lib.Promote(context.Background())
}

// openReplica opens the replica, if there is one: it is made by the work that needs it.
func (c *child) openReplica() error {
	if _, err := os.Stat(c.replica.path); c.replica.db != nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return c.open(&c.replica)
}

func (c *child) open(n *node) error {
	options := mylibsql.Options{Store: c.store, Logger: slog.New(slog.DiscardHandler)}
	if err := os.MkdirAll(filepath.Dir(n.path), 0o755); err != nil {
		return err
	}
	var err error
	if n.lib, err = mylibsql.NewConnector("file:"+n.path+"?"+c.Params, &options); err != nil {
		return err
	}
	n.db = sql.OpenDB(n.lib)
	return n.db.Ping()
}

// end closes a node as a program does that stops.
func (c *child) end(n *node) error {
	if n.db == nil {
		return nil
	}
	err := n.db.Close()
	n.db = nil
	if errors.Is(err, mylibsql.ErrUnsaved) {
		return nil
	}
	return err
}

// promoteTheReplica is what an operator does who has lost the primary: the replica takes what
// the store has, and becomes the primary.
func (c *child) promoteTheReplica() error {
	c.primary, c.replica = c.replica, c.primary
	lost := c.replica
	if err := c.open(&c.primary); err != nil {
		return err
	}
	c.replica = c.primary
	for tries := 0; c.primary.lib.Stats().Role == mylibsql.RoleReplica; tries++ {
		err := c.catchUp()
		if err == nil {
			break
		}
		if !errors.Is(err, faultstore.ErrInjected) || tries == 50 {
			return err
		}
	}
	say("primary-"+c.primary.name, 0) // it has all there is, whether or not it has the role
	if err := c.primary.lib.Promote(context.Background()); err != nil {
		return err
	}
	c.replica = lost
	// The node that was lost is not opened again: it may hold what nobody else does.
	return os.RemoveAll(filepath.Dir(lost.path))
}

// tellAcks says which rows are saved.
func (c *child) tellAcks() {
	left := c.pending[:0]
	for _, p := range c.pending {
		if p.ack.Err() != nil {
			left = append(left, p)
			continue
		}
		for _, id := range p.ids {
			say("acked", id)
		}
	}
	c.pending = left
}
