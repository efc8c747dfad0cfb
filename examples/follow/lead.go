//go:build cgo

package main

import (
	"context"
	"time"
)

const schema = `
CREATE TABLE IF NOT EXISTS notes(
	id INTEGER PRIMARY KEY, writer INTEGER NOT NULL, written_at INTEGER NOT NULL,
	note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS notes_writer ON notes(writer, id);
`

// beginHistory makes the first log, the snapshot from which every replica begins.
func (n *node) beginHistory(ctx context.Context) error {
	if _, err := n.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	if err := n.save(ctx); err != nil {
		return err
	}
	n.startCheckpointer()
	return nil
}

// save brings everything that is committed into the store.
func (n *node) save(ctx context.Context) error {
	_, err := n.lib.Checkpoint(ctx, n.store.Save)
	return err
}

// checkpointEvery is how much the machine may take with it in the worst case: what lives
// on no other one. Here, where all is on one machine, it bounds what a replica that was
// away has to take as one log.
const checkpointEvery = 250 * time.Millisecond

func (n *node) startCheckpointer() {
	n.checkpointer = n.tasks.begin(func(ctx context.Context) error {
		ticker := time.NewTicker(checkpointEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := n.save(ctx); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}
