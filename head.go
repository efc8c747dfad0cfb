//go:build cgo

package mylibsql

import (
	"context"

	"github.com/mylibsql/mylibsql/checkpoint"
	"github.com/mylibsql/mylibsql/engine"
)

// readHead tells the engine what a store holds at a position, and where it ends.
func readHead(store checkpoint.Store) func(context.Context, FrameNo) (engine.Head, error) {
	if store == nil {
		return nil
	}
	return func(ctx context.Context, at FrameNo) (head engine.Head, err error) {
		after := at - min(at, 1) // so that the record that ends there is listed, too
		for record, err := range store.Records(ctx, after) {
			if err != nil {
				return engine.Head{}, err
			}
			if record.Last == at {
				head.At = record.End
			}
			head.End, head.NodeID = record.End, record.NodeID
		}
		if !head.End.IsZero() || after == 0 {
			return head, nil
		}
		for record, err := range store.Records(ctx, 0) { // it ends before
			if err != nil {
				return engine.Head{}, err
			}
			head.End, head.NodeID = record.End, record.NodeID
		}
		return head, nil
	}
}
