//go:build cgo

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/mylibsql/mylibsql"
)

// table prints how the nodes are, a row at a time.
type table struct {
	out     io.Writer
	begun   time.Time
	at      time.Duration // of the last row
	primary int           // of the last row, as an index of the nodes
	written int           // by that primary then
}

func newTable(out io.Writer) *table { return &table{out: out} }

func (t *table) begin() {
	fmt.Fprintf(t.out, "three processes; %d writers, each waits until a replica has its row "+
		"(ack: the median).\nA replica shows how many positions it is behind, and the worst "+
		"age of a row that came to it.\n\n", writerCount)
	t.print("time", "writes/s", "committed", "saved", "ack", alpha, beta, gamma)
	t.begun = time.Now()
}

func (t *table) elapsed() time.Duration { return time.Since(t.begun) }

// row prints the answers of the nodes; a dead one has none.
func (t *table) row(nodes []*status) {
	now := t.elapsed()
	var primary status
	for i, s := range nodes {
		if s == nil || s.Role != mylibsql.RolePrimary {
			continue
		}
		if primary = *s; i != t.primary {
			t.primary, t.written = i, 0
		}
	}
	rate := float64(primary.Written-t.written) / (now - t.at).Seconds()
	t.at, t.written = now, primary.Written
	cells := make([]string, len(nodes))
	for i, s := range nodes {
		cells[i] = cell(s, primary)
	}
	t.print(seconds(now), number(int(rate)), number(primary.Committed), number(primary.Saved),
		milliseconds(primary.AckMedian), cells...)
}

// cell tells how far a node is behind the primary. Within the life of one history, as here,
// the difference of two positions counts frames; elsewhere positions may jump.
func cell(s *status, primary status) string {
	switch {
	case s == nil:
		return "killed"
	case s.Role == mylibsql.RolePrimary:
		return string(mylibsql.RolePrimary)
	}
	behind := primary.Committed - min(s.Committed, primary.Committed)
	return number(behind) + ", " + milliseconds(s.LagWorst)
}

func (t *table) print(time, rate, committed, saved, ack string, nodes ...string) {
	fmt.Fprintf(t.out, "%7s %9s %10s %10s %9s", time, rate, committed, saved, ack)
	for _, node := range nodes {
		fmt.Fprintf(t.out, " %16s", node)
	}
	fmt.Fprintln(t.out)
}

// event prints something that happened.
func (t *table) event(text string) {
	fmt.Fprintf(t.out, "%7s %s\n", seconds(t.elapsed()), text)
}
