//go:build cgo

package mylibsql

import (
	"context"

	"github.com/mylibsql/mylibsql/engine"
)

// ackKey is the context key under which WithAck puts an Ack.
type ackKey struct{}

// WithAck returns a context that carries an ack through database/sql, sqlx or GORM: every
// statement that runs under it joins the ack, in whatever transaction it runs. Below
// another WithAck it feeds both.
func WithAck(ctx context.Context) (context.Context, *Ack) {
	outer, _ := AckFrom(ctx)
	ack := engine.NewAck(outer)
	return context.WithValue(ctx, ackKey{}, ack), ack
}

// AckFrom returns the innermost ack of a context.
func AckFrom(ctx context.Context) (*Ack, bool) {
	ack, ok := ctx.Value(ackKey{}).(*Ack)
	return ack, ok
}

// ackOf is AckFrom for the driver: nil when there is none.
func ackOf(ctx context.Context) *Ack {
	ack, _ := ctx.Value(ackKey{}).(*Ack)
	return ack
}
