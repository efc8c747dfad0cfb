//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
)

// catchUp takes what the store holds after the node's position. An empty node begins with
// the snapshot there.
func (n *node) catchUp(ctx context.Context) error {
	position, err := n.lib.Position(ctx)
	if err != nil {
		return err
	}
	found := 0
	for record, err := range n.store.Records(ctx, position.FrameNo) {
		if err != nil {
			return err
		}
		log, err := n.store.Open(ctx, record)
		if err != nil {
			return err
		}
		err = n.lib.Replicate(ctx, log)
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
		found++
	}
	n.meter.add(counts{StoreLogs: found})
	if found == 0 {
		return fmt.Errorf("the primary has no frames after %s, and the store no log", position)
	}
	return nil
}
