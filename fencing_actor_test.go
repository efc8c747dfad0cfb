//go:build cgo

package mylibsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
)

// fencingActor is one machine: a folder with a database, and a handle of its own on the store
// that all share. It dies by going on with a copy of its files, while what it was stays open.
type fencingActor struct {
	world   *fencingWorld
	name    string
	folder  string // of its files now, empty before its first step
	folders int
	replica bool // as its state says

	store  *checkpoint.Directory
	faults checkpoint.Store    // store behind one layer for each fault so far
	layers []*faultstore.Store // of faults: a late request waits in its layer

	db       *sql.DB // nil while it is closed
	lib      *mylibsql.Connector
	dead     []*sql.DB
	out      error // what told it that another primary went on: it must not save any more
	followed bool  // it took what was not saved
	rows     int
}

// fencingRow is a row that somebody tried to write. Whose it is and its number make it unique.
type fencingRow struct {
	who       string
	id        int
	ack       *mylibsql.Ack
	lib       *mylibsql.Connector // of the life that wrote it
	committed bool
	afterOut  bool // its writer had been told that another primary went on
	acked     bool
	failed    error // why it will never be acked
}

func (r *fencingRow) String() string { return fencingKey(r.who, r.id) }

func fencingKey(who string, id int) string { return who + strconv.Itoa(id) }

// fencingLog is a log whose save returned nil.
type fencingLog struct {
	who          string
	follows, end mylibsql.Position
}

// fencingFaults are the steps that write a row and save, with what goes wrong. A late request
// arrives before its sender's next one, a lagging one when it is told to.
var fencingFaults = map[string]faultstore.Fault{
	"save":  {},
	"lost":  {Kind: faultstore.LoseAnswer},
	"fail":  {Kind: faultstore.Fail},
	"late":  {Kind: faultstore.Late},
	"lag":   {Kind: faultstore.Late, After: 1 << 20},
	"twice": {Kind: faultstore.Duplicate},
	"torn":  {Kind: faultstore.Tear},
}

// do is one step. Its error is a violation; what a fence or a fault may answer is none.
func (a *fencingActor) do(what string) error {
	if fault, ok := fencingFaults[what]; ok {
		if err := a.open(true); err != nil || a.db == nil || a.replica {
			return err
		}
		return errors.Join(a.write(), a.save(fault))
	}
	switch what {
	case "open":
		return errors.Join(a.close(), a.open(true))
	case "blind":
		return errors.Join(a.close(), a.open(false))
	case "close":
		return a.close()
	case "write":
		if err := a.open(true); err != nil || a.db == nil || a.replica {
			return err
		}
		return a.write()
	case "die":
		return a.die()
	case "arrive":
		return a.flush()
	case "anew":
		return a.makeAnew()
	case "catchup":
		return a.catchUp()
	case "follow":
		return a.follow(a.world.actors[0])
	case "promote":
		return a.promote()
	}
	return fmt.Errorf("no such step: %s", what)
}

func (a *fencingActor) path() string { return filepath.Join(a.folder, "app.db") }

func (a *fencingActor) nextFolder() string {
	a.folders++
	return filepath.Join(a.world.folder, fencingKey(a.name, a.folders))
}

// addLayer lets the next calls go wrong as a script says. What is late already waits below.
func (a *fencingActor) addLayer(script faultstore.Script) {
	layer := faultstore.Scripted(a.faults, script)
	a.faults, a.layers = layer, append(a.layers, layer)
}

// flush lets every late request arrive, the oldest first.
func (a *fencingActor) flush() error {
	for _, layer := range a.layers {
		if err := layer.Flush(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// open opens the database, unless it is open. With sees the store, if it is read at all, answers:
// then who was told once that another primary went on must be told again.
func (a *fencingActor) open(sees bool) error {
	if a.db != nil {
		return nil
	}
	if a.folder == "" {
		a.folder = a.nextFolder()
		if err := copyFolder(a.world.image(a.name), a.folder); err != nil {
			return err
		}
	}
	reads := a.world.setting.reads
	options := &mylibsql.Options{Logger: slog.New(slog.DiscardHandler)}
	if reads {
		if !sees && !a.replica {
			a.addLayer(faultstore.Script{Records: []faultstore.Fault{{Kind: faultstore.Fail}}})
		}
		options.Store = a.faults
	}
	// A process that is being started has this one's locks for a moment: see die.
	connector, err := mylibsql.NewConnector("file:"+a.path()+"?_lock_timeout=1m", options)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	if err := db.Ping(); err != nil {
		_ = db.Close()
		told := errors.Is(err, mylibsql.ErrBehind) || errors.Is(err, mylibsql.ErrFenced)
		if !told || !reads || !sees {
			return fmt.Errorf("%s does not open: %w", a.name, err)
		}
		a.learn(err)
		return nil
	}
	a.db, a.lib = db, connector
	if a.out != nil && reads && sees {
		return fmt.Errorf("%s opens again although %w", a.name, a.out)
	}
	return nil
}

// learn notes what tells the actor that another primary went on.
func (a *fencingActor) learn(err error) {
	if a.out != nil {
		return
	}
	a.out = err
	if errors.Is(err, mylibsql.ErrBehind) {
		a.world.counts.behind++
	} else {
		a.world.counts.fenced++
	}
}

// close closes the database in order; what is unsaved is kept for the next open.
func (a *fencingActor) close() error {
	if a.db == nil {
		return nil
	}
	db := a.db
	a.db = nil
	if err := db.Close(); err != nil && !errors.Is(err, mylibsql.ErrUnsaved) {
		return fmt.Errorf("%s does not close: %w", a.name, err)
	}
	return nil
}

// die leaves what a killed process leaves, and lets the actor come back with that. Another process
// copies, for closing the files here would drop SQLite's locks.
func (a *fencingActor) die() error {
	if err := a.open(true); err != nil || a.db == nil {
		return err
	}
	next := a.nextFolder()
	if output, err := exec.Command("cp", "-a", a.folder, next).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	a.dead = append(a.dead, a.db)
	a.db, a.folder = nil, next
	return nil
}

// write rolls one row back and commits another.
func (a *fencingActor) write() error {
	insert := "INSERT INTO t_" + a.name + " VALUES(?, ?)"
	tx, err := a.db.Begin()
	if err == nil {
		_, err = tx.Exec(insert, fencingUndone+a.rows, "rolled back")
		err = errors.Join(err, tx.Rollback())
	}
	a.rows++
	ctx, ack := mylibsql.WithAck(context.Background())
	row := &fencingRow{who: a.name, id: a.rows, ack: ack, lib: a.lib, afterOut: a.out != nil}
	_, writeErr := a.db.ExecContext(ctx, insert, row.id, a.world.content(row))
	row.committed = writeErr == nil
	a.world.rows = append(a.world.rows, row)
	switch fenced := a.world.fencedLives[a.lib]; {
	case fenced && errors.Is(err, mylibsql.ErrFenced) && errors.Is(writeErr, mylibsql.ErrFenced):
		return nil
	case fenced:
		return fmt.Errorf("%s is fenced, and writes: %w", a.name, errors.Join(err, writeErr))
	}
	return errors.Join(err, writeErr)
}

// save offers what is unsaved to the store.
func (a *fencingActor) save(fault faultstore.Fault) error {
	before, asked, saved := a.faults, false, false
	if fault.Kind != faultstore.None {
		a.addLayer(faultstore.Script{Save: []faultstore.Fault{fault}})
	}
	var offered fencingLog
	_, err := a.lib.Checkpoint(context.Background(),
		func(ctx context.Context, log *mylibsql.Log) error {
			offered = fencingLog{who: a.name, follows: log.Follows(), end: log.End()}
			err := a.faults.Save(ctx, log)
			asked, saved = true, err == nil
			return err
		})
	w := a.world
	if !asked {
		a.faults = before // nothing is left for later
	}
	if asked && fault.Kind == faultstore.LoseAnswer {
		w.counts.lost++
	}
	if saved {
		w.counts.saves++
		w.logs = append(w.logs, offered)
		if a.out != nil {
			return fmt.Errorf("%w: %v is saved although %w", errFencingFork, offered, a.out)
		}
	}
	switch {
	case errors.Is(err, mylibsql.ErrFenced):
		a.learn(err)
		w.fencedLives[a.lib] = true
	case errors.Is(err, faultstore.ErrInjected) && fault.Kind != faultstore.None:
	case errors.Is(err, mylibsql.ErrGap) && a.name == "C": // the first save after a promotion
	case err != nil:
		return fmt.Errorf("%s does not save: %w", a.name, err)
	}
	return w.checkAcks()
}

// settle lets an actor that thinks that it is the primary save all that it has.
func (a *fencingActor) settle() error {
	if err := a.open(true); err != nil || a.db == nil {
		return err
	}
	if err := errors.Join(a.save(faultstore.Fault{}), a.write()); err != nil {
		return err
	}
	const tries = 4 // a lost answer, a gap, and a snapshot behind each
	for range tries {
		if err := a.save(faultstore.Fault{}); err != nil {
			return err
		}
		if stats := a.lib.Stats(); a.out == nil && stats.Saved == stats.Committed {
			return nil
		}
	}
	if a.out == nil {
		return fmt.Errorf("%s neither saves everything nor is fenced", a.name)
	}
	return nil
}

// catchUp takes what the store has and the replica has not.
func (a *fencingActor) catchUp() error {
	if err := a.open(true); err != nil || !a.replica {
		return err
	}
	ctx := context.Background()
	for record, err := range a.store.Records(ctx, a.lib.Stats().Saved) {
		if err != nil {
			return err
		}
		log, err := a.store.Open(ctx, record)
		if err != nil {
			return err
		}
		err = errors.Join(a.lib.Replicate(ctx, log), log.Close())
		if errors.Is(err, mylibsql.ErrChecksum) && a.followed {
			return nil // what it followed is not what was saved: it must be made anew
		}
		if err != nil {
			return fmt.Errorf("%s does not catch up: %w", a.name, err)
		}
	}
	return nil
}

// follow takes what a primary has committed, saved or not, by its live stream.
func (a *fencingActor) follow(primary *fencingActor) error {
	if err := a.open(true); err != nil || !a.replica || primary.db == nil || primary.replica {
		return err
	}
	ctx := context.Background()
	position, err := a.lib.Position(ctx)
	if err != nil {
		return err
	}
	frames, err := primary.lib.Frames(ctx, position)
	if err != nil {
		return nil // fenced, or of another history by now
	}
	for {
		batch, ok, err := frames.TryNext()
		if err != nil || !ok {
			return errors.Join(err, frames.Close())
		}
		log, err := batch.Log(mylibsql.BuildOptions{})
		if err != nil {
			return err
		}
		a.followed = true
		err = errors.Join(a.lib.Replicate(ctx, log), log.Close())
		if errors.Is(err, mylibsql.ErrChecksum) && a.world.setting.twins {
			return frames.Close() // Frames took the one for the other, Replicate did not
		}
		if err != nil {
			return errors.Join(err, frames.Close())
		}
	}
}

// promote makes the replica a primary, if the store is not ahead of it.
func (a *fencingActor) promote() error {
	if err := a.open(true); err != nil || !a.replica {
		return err
	}
	err := a.lib.Promote(context.Background())
	switch told := errors.Is(err, mylibsql.ErrBehind) || errors.Is(err, mylibsql.ErrFenced); {
	case err == nil:
		a.replica = false
		return nil
	case told && a.world.setting.reads:
		a.world.counts.refused++
		return nil // as a replica it may take what it lacks
	}
	return fmt.Errorf("%s is not promoted: %w", a.name, err)
}

// makeAnew forgets the actor's files and makes others from the store.
func (a *fencingActor) makeAnew() error {
	if err := a.close(); err != nil {
		return err
	}
	a.folder, a.world.remade = a.nextFolder(), true
	a.out, a.followed, a.replica = nil, false, a.name == "C"
	return restoreActor(a.store, a.path(), a.replica)
}
