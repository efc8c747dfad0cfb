//go:build cgo

package mylibsql

import (
	"context"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine"
)

// readHead is Options.ReadHead of the engine for a store, nil for none.
func readHead(store checkpoint.Store) func(context.Context, FrameNo) (engine.Head, error) {
	if store == nil {
		return nil
	}
	return func(ctx context.Context, at FrameNo) (engine.Head, error) {
		after := at - min(at, 1) // so that the record that ends at the position is listed, too
		head, err := headAfter(ctx, store, after, at)
		if err != nil || !head.End.IsZero() || after == 0 {
			return head, err
		}
		return headAfter(ctx, store, 0, at) // the chain ends before it
	}
}

// headAfter lists the records after a position.
func headAfter(ctx context.Context, store checkpoint.Store, after, at FrameNo) (
	head engine.Head, err error,
) {
	for record, err := range store.Records(ctx, after) {
		if err != nil {
			return engine.Head{}, err
		}
		if record.Last == at {
			head.At = record.End
		}
		head.End, head.NodeID = record.End, record.NodeID
	}
	return head, nil
}
