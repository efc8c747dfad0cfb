//go:build cgo

package mylibsql

import (
	"context"

	"github.com/mylibsql/mylibsql/engine"
)

// carriedKey is the context key under which a context carries what this package hands
// through database/sql.
type carriedKey struct{}

// carried is all of it, so that a statement looks for it once. It is never changed.
type carried struct {
	ack      *Ack    // of WithAck, nil when there is none
	minFrame FrameNo // of WithMinFrame
}

// carriedBy is what a context carries: the zero value when that is nothing.
func carriedBy(ctx context.Context) carried {
	if c, ok := ctx.Value(carriedKey{}).(*carried); ok {
		return *c
	}
	return carried{}
}

// WithAck returns a context that carries an ack through database/sql, sqlx or GORM: every
// statement that runs under it joins the ack, in whatever transaction it runs. Below
// another WithAck it feeds both.
func WithAck(ctx context.Context) (context.Context, *Ack) {
	c := carriedBy(ctx)
	c.ack = engine.NewAck(c.ack)
	return context.WithValue(ctx, carriedKey{}, &c), c.ack
}

// AckFrom returns the innermost ack of a context.
func AckFrom(ctx context.Context) (*Ack, bool) {
	ack := carriedBy(ctx).ack
	return ack, ack != nil
}
