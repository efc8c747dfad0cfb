//go:build crashlab

package crashlab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/checkpoint/faultstore"
	"github.com/mylibsql/mylibsql/engine/translog"
)

// job is one kind of work, with how often it is done.
type job struct {
	name   string
	weight int
	do     func(c *child) error
}

func jobs() []job {
	return []job{
		{"write", 10, (*child).write},
		{"checkpoint", 10, (*child).checkpoint},
		{"reset", 4, (*child).reset},
		{"reopen", 1, (*child).reopen},
		{"outage", 1, (*child).outage},
		{"follow", 5, (*child).follow},
		{"stream", 3, (*child).stream},
		{"copy", 2, (*child).copyReplica},
		{"rebuild", 1, (*child).rebuild},
		{"prune", 2, (*child).prune},
		{"handover", 1, (*child).handOver},
	}
}

// focusFactor is how much more often a child does the work that it is focused on.
const focusFactor = 20

// work does one job. Errors that the faults of the store explain are part of it.
func (c *child) work() error {
	total, list := 0, jobs()
	for i := range list {
		if list[i].name == c.Focus {
			list[i].weight *= focusFactor
		}
		total += list[i].weight
	}
	number := c.random.IntN(total)
	for _, job := range list {
		if number -= job.weight; number >= 0 {
			continue
		}
		err := job.do(c)
		if errors.Is(err, faultstore.ErrInjected) || errors.Is(err, checkpoint.ErrPruned) {
			say("fault", 0)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", job.name, err)
		}
		return nil
	}
	return nil
}

// write commits some rows in a transaction, or rolls them back, and changes the pages between.
func (c *child) write() error {
	ctx, ack := mylibsql.WithAck(context.Background())
	tx, err := c.primary.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	rollBack := c.random.IntN(8) == 0
	say("begin", c.nextID)
	var ids []int64
	for range 1 + c.random.IntN(4) {
		id := c.nextID
		c.nextID++
		ids = append(ids, id)
		if rollBack {
			say("never", id)
		} else {
			say("maybe", id)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO rows VALUES(?, ?)", id, content(id))
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	for range c.random.IntN(4) {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO churn VALUES(?, randomblob(?), ?)",
			c.random.IntN(60), c.random.IntN(9000), c.random.IntN(1000))
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if c.random.IntN(6) == 0 {
		if _, err := tx.ExecContext(ctx, "DELETE FROM churn WHERE y % 3 = 0"); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if rollBack {
		return tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	c.pending = append(c.pending, pendingAck{ack, ids})
	if c.random.IntN(40) == 0 {
		_, err = c.primary.db.Exec("VACUUM")
	}
	return err
}

// checkpoint writes and saves.
func (c *child) checkpoint() error {
	if err := c.write(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stay)
	defer cancel()
	_, err := c.primary.lib.Checkpoint(ctx, c.faulty.Save)
	if errors.Is(err, mylibsql.ErrGap) && !c.gapSeen {
		c.gapSeen = true // a promoted primary with more than the store: it offers a snapshot next
		return nil
	}
	return err
}

// saveAll saves until nothing is left, past the faults.
func (c *child) saveAll() error {
	if err := c.faulty.Flush(context.Background()); err != nil {
		return err
	}
	for range 5 {
		_, err := c.primary.lib.Checkpoint(context.Background(), c.store.Save)
		if err != nil && !errors.Is(err, mylibsql.ErrGap) {
			return err
		}
		if stats := c.primary.lib.Stats(); stats.Saved == stats.Committed {
			c.tellAcks()
			return nil
		}
	}
	return errors.New("not everything is saved")
}

func (c *child) reset() error {
	if err := c.write(); err != nil {
		return err
	}
	_, err := c.primary.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// reopen closes a node, or both, and opens it again. Acks of a closed database are never told.
func (c *child) reopen() error {
	c.tellAcks()
	c.pending = nil
	if err := c.faulty.Flush(context.Background()); err != nil {
		return err
	}
	if c.replica.db != nil {
		if err := errors.Join(c.end(&c.replica), c.open(&c.replica)); err != nil {
			return err
		}
	}
	return errors.Join(c.end(&c.primary), c.open(&c.primary))
}

// outage writes for a while without a store, until the outbox is merged or given up.
func (c *child) outage() error {
	down := func(context.Context, *mylibsql.Log) error { return faultstore.ErrInjected }
	rounds := 5
	if c.Focus == "outage" && c.random.IntN(4) == 0 {
		rounds = 150 // many more than are remembered
	}
	for range rounds {
		if err := c.write(); err != nil {
			return err
		}
		_, err := c.primary.lib.Checkpoint(context.Background(), down)
		if err != nil && !errors.Is(err, faultstore.ErrInjected) {
			return fmt.Errorf("checkpoint without a store: %w", err)
		}
		say("fault", 0)
		if c.random.IntN(3) == 0 {
			_, err := c.primary.db.Exec("PRAGMA wal_checkpoint")
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// needReplica makes the replica if there is none.
func (c *child) needReplica() error {
	if c.replica.db != nil {
		return nil
	}
	return c.rebuild()
}

// rebuild makes the replica anew from the store, as on another machine.
func (c *child) rebuild() error {
	if err := c.saveAll(); err != nil {
		return err
	}
	if err := c.end(&c.replica); err != nil {
		return err
	}
	say("rebuilt", 0)
	if err := os.RemoveAll(filepath.Dir(c.replica.path)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.replica.path), 0o755); err != nil {
		return err
	}
	snapshot, rest, err := c.logs()
	if err != nil {
		return err
	}
	defer func() {
		for _, log := range rest {
			_ = log.Close()
		}
		_ = snapshot.Close()
	}()
	db, err := mylibsql.OpenReplica(context.Background(), "file:"+c.replica.path+"?"+c.Params,
		snapshot, rest...)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	say("following", 0)
	return c.open(&c.replica)
}

// logs opens the newest snapshot of the store and all behind it.
func (c *child) logs() (snapshot *mylibsql.Snapshot, rest []*mylibsql.Log, err error) {
	for record, err := range c.store.Records(context.Background(), 0) {
		if err != nil {
			return nil, nil, err
		}
		log, err := c.store.Open(context.Background(), record)
		if err != nil {
			return nil, nil, err
		}
		rest = append(rest, log)
	}
	if len(rest) == 0 {
		return nil, nil, fs.ErrNotExist
	}
	snapshot, err = translog.AsSnapshot(rest[0])
	return snapshot, rest[1:], err
}

// follow saves some logs, and lets the replica take them.
func (c *child) follow() error {
	if err := c.needReplica(); err != nil {
		return err
	}
	for range c.random.IntN(4) {
		if err := c.checkpoint(); err != nil {
			return err
		}
	}
	return c.catchUp()
}

// catchUp lets the replica take what the store has.
func (c *child) catchUp() error {
	at := c.replica.lib.Stats().Committed
	for record, err := range c.faulty.Records(context.Background(), at) {
		if err != nil {
			return err
		}
		log, err := c.faulty.Open(context.Background(), record)
		if err != nil {
			return err
		}
		err = c.replica.lib.Replicate(context.Background(), log)
		_ = log.Close()
		if torn := log.Verify(); err != nil && torn != nil && c.Faults &&
			errors.Is(err, mylibsql.ErrFormat) {
			return faultstore.ErrInjected // the second half could not be read
		}
		if err != nil {
			return fmt.Errorf("replicate %v: %w", log, err)
		}
	}
	return nil
}

// copyReplica lets the replica move its WAL into its file.
func (c *child) copyReplica() error {
	if err := c.follow(); err != nil {
		return err
	}
	_, err := c.replica.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// stream follows commit by commit, and acknowledges what is durable at the replica.
func (c *child) stream() error {
	if err := c.follow(); err != nil {
		return err
	}
	ctx := context.Background()
	position, err := c.replica.lib.Position(ctx)
	if err != nil {
		return err
	}
	frames, err := c.primary.lib.Frames(ctx, position)
	if errors.Is(err, mylibsql.ErrLagged) {
		return c.rebuild() // unsaved commits that left the WAL
	}
	if err != nil {
		return fmt.Errorf("frames from %v: %w", position, err)
	}
	defer func() { _ = frames.Close() }()
	for range 1 + c.random.IntN(5) {
		if err := c.write(); err != nil {
			return err
		}
		for {
			batch, more, err := frames.TryNext()
			if errors.Is(err, mylibsql.ErrLagged) {
				return nil
			}
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if err := c.take(batch); err != nil {
				return err
			}
		}
		if err := c.replica.lib.Sync(ctx); err != nil {
			return err
		}
		if err := frames.AckReplicated(c.replica.lib.Stats().Committed); err != nil {
			return err
		}
		c.tellStreamed()
	}
	return nil
}

// take lets the replica take one transaction.
func (c *child) take(batch *mylibsql.Batch) error {
	log, err := batch.Log(mylibsql.BuildOptions{})
	if err != nil {
		return err
	}
	return errors.Join(c.replica.lib.Replicate(context.Background(), log), log.Close())
}

// tellStreamed says which rows are acknowledged, and not known to be saved.
func (c *child) tellStreamed() {
	saved := c.primary.lib.Stats().Saved
	left := c.pending[:0]
	for _, p := range c.pending {
		if p.ack.Err() != nil {
			left = append(left, p)
			continue
		}
		word := "streamed"
		if p.ack.FrameNo() <= saved {
			word = "acked"
		}
		for _, id := range p.ids {
			say(word, id)
		}
	}
	c.pending = left
}

// prune forgets the beginning of the store, or all but its end.
func (c *child) prune() error {
	if err := c.checkpoint(); err != nil {
		return err
	}
	saved := c.primary.lib.Stats().Saved
	upTo := saved
	if c.random.IntN(2) == 0 {
		upTo = saved - min(saved, mylibsql.FrameNo(c.random.IntN(40)))
	}
	return c.faulty.Prune(context.Background(), upTo)
}

// handOver makes the replica the primary and the primary the replica, losing nothing.
func (c *child) handOver() error {
	if err := c.follow(); err != nil {
		return err
	}
	if err := c.faulty.Flush(context.Background()); err != nil {
		return err
	}
	if err := c.saveAll(); err != nil {
		return err
	}
	ctx := context.Background()
	if err := c.primary.lib.CheckpointAndDemote(ctx, c.store.Save); err != nil {
		return err
	}
	c.tellAcks()
	faulty := c.faulty
	c.faulty = faultstore.Seeded(c.store, c.Seed, faultstore.Mix{})
	err := c.catchUp()
	c.faulty = faulty
	if err != nil {
		return err
	}
	if err := c.replica.lib.Promote(ctx); err != nil {
		return err
	}
	c.primary, c.replica = c.replica, c.primary
	say("primary-"+c.primary.name, 0)
	return nil
}
