//go:build cgo

package mylibsql

import "context"

// WithMinFrame returns a context whose statements wait until the database has reached a
// position, on a replica by applying logs: a session that wrote on the primary, and has
// the position of its [Ack] as a token, reads its own writes wherever it reads. It takes
// one atomic load where the position is reached already; nothing is polled. Below another
// WithMinFrame the higher position counts.
//
// When the context ends first the statement fails with a *StaleError, which matches
// ErrStale and the context's error: give it a deadline. Inside a transaction whose snapshot
// is older it fails at once, so give the context to BeginTx already. A plain reader
// (mode=ro) has no positions and fails with ErrNoEngine.
func WithMinFrame(ctx context.Context, position FrameNo) context.Context {
	c := carriedBy(ctx)
	c.minFrame = max(c.minFrame, position)
	return context.WithValue(ctx, carriedKey{}, &c)
}
