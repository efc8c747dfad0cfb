//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mylibsql/mylibsql"
)

// rest ends the writing, and returns the position that it leaves, which is saved.
func (n *node) rest(ctx context.Context) (text string, err error) {
	n.writers.stop()
	n.writers = nil
	if err := n.save(ctx); err != nil {
		return "", err
	}
	position, err := n.lib.Position(ctx)
	return position.String(), err
}

// demote makes the primary a replica, and returns the position that its successor must
// have. Streams end behind their last frame.
func (n *node) demote(ctx context.Context) (text string, err error) {
	if n.writers != nil {
		return "", errors.New("it is still written to")
	}
	n.checkpointer.stop()
	if err := n.save(ctx); err != nil {
		return "", err
	}
	if err := n.lib.Demote(ctx); err != nil {
		return "", err
	}
	position, err := n.lib.Position(ctx)
	return position.String(), err
}

// promote makes the replica the primary, at the position that the last one has left: at an
// earlier one it would lose what is between, and start a history of its own.
func (n *node) promote(ctx context.Context, text string) error {
	want, err := mylibsql.ParsePosition(text)
	if err != nil {
		return err
	}
	n.follower.stop()
	has, err := n.lib.Position(ctx)
	if err == nil && has != want {
		// Whatever the live frames did not bring is in the store.
		err = n.catchUp(ctx)
	}
	if err != nil {
		return err
	}
	if has, err = n.lib.Position(ctx); err != nil {
		return err
	}
	if has != want {
		return fmt.Errorf("it cannot become the primary at %s: it is at %s", want, has)
	}
	if err := n.lib.Promote(ctx); err != nil {
		return err
	}
	n.startCheckpointer()
	return nil
}
