//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mylibsql/mylibsql"
)

// The nodes. Alpha is the primary at the beginning.
const (
	alpha = "alpha"
	beta  = "beta"
	gamma = "gamma"
)

// play is the show: it starts the nodes, tells them what to do, and prints how they are.
type play struct {
	folder string
	length time.Duration
	group  *errgroup.Group // owns the processes
	table  *table

	alpha, beta, gamma *process // gamma is nil while it is dead
	primary            *process // one of them, once they are started
	written            int      // transactions of all primaries
}

// perform runs the play, and compares the files that it leaves.
func perform(ctx context.Context, out io.Writer, length time.Duration, folder string) error {
	group, inner := errgroup.WithContext(ctx)
	p := &play{folder: folder, length: length, group: group, table: newTable(out)}
	group.Go(func() error { return p.run(inner) })
	if err := group.Wait(); err != nil {
		return err
	}
	return compare(ctx, out, folder, p.written)
}

func (p *play) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, p.end()) }()
	if err := p.begin(ctx); err != nil {
		return err
	}
	if err := p.scenes(ctx); err != nil {
		return err
	}
	return p.finish(ctx)
}

// end ends every node that is alive, whatever has happened. The primary comes last: a
// replica whose stream is cut off would ask it for another one.
func (p *play) end() (err error) {
	for _, last := range []bool{false, true} {
		for _, node := range []*process{p.gamma, p.beta, p.alpha} {
			if node != nil && (node == p.primary) == last {
				err = errors.Join(err, node.end())
			}
		}
	}
	return err
}

// begin starts all three, and the writing.
func (p *play) begin(ctx context.Context) (err error) {
	for _, node := range []struct {
		process    **process
		name, role string
	}{{&p.alpha, alpha, "primary"}, {&p.beta, beta, "replica"}, {&p.gamma, gamma, "replica"}} {
		*node.process, err = startProcess(ctx, p.group, p.folder, node.name, node.role)
		if err != nil {
			return err
		}
	}
	p.primary = p.alpha
	p.table.begin()
	for _, replica := range []*process{p.beta, p.gamma} {
		if _, err := replica.order(ctx, "/follow", "primary", p.alpha.url); err != nil {
			return err
		}
	}
	_, err = p.alpha.order(ctx, "/write", "", "")
	return err
}

// scene is what happens at a part of the play's length.
type scene struct {
	at  float64
	act func(context.Context) (text string, err error)
}

// rowCount is how many rows the table gets.
const rowCount = 20

// scenes prints a row at every tick, and lets happen what is due.
func (p *play) scenes(ctx context.Context) error {
	coming := []scene{{0.2, p.killGamma}, {0.45, p.bringBackGamma}, {0.7, p.promoteBeta}}
	ticker := time.NewTicker(p.length / rowCount)
	defer ticker.Stop()
	begun := time.Now()
	for len(coming) > 0 || time.Since(begun) < p.length {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.row(ctx); err != nil {
			return err
		}
		if len(coming) == 0 || time.Since(begun).Seconds() < coming[0].at*p.length.Seconds() {
			continue
		}
		text, err := coming[0].act(ctx)
		if err != nil {
			return err
		}
		p.table.event(text)
		coming = coming[1:]
	}
	return nil
}

// row asks all nodes at the same time, and prints what they say.
func (p *play) row(ctx context.Context) error {
	all := []*process{p.alpha, p.beta, p.gamma}
	answers := make([]*status, len(all))
	group, ctx := errgroup.WithContext(ctx)
	for i, node := range all {
		if node == nil {
			continue
		}
		group.Go(func() error {
			s, err := node.status(ctx)
			answers[i] = &s
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p.table.row(answers)
	return nil
}

func (p *play) killGamma(context.Context) (string, error) {
	killed := p.gamma
	p.gamma = nil
	return "gamma is killed; the others go on", killed.kill()
}

// bringBackGamma starts it again on what the killed one left.
func (p *play) bringBackGamma(ctx context.Context) (string, error) {
	begun := time.Now()
	before, err := p.alpha.status(ctx)
	if err != nil {
		return "", err
	}
	p.gamma, err = startProcess(ctx, p.group, p.folder, gamma, "replica")
	if err != nil {
		return "", err
	}
	opened, err := p.gamma.status(ctx)
	if err != nil {
		return "", err
	}
	if _, err := p.gamma.order(ctx, "/follow", "primary", p.alpha.url); err != nil {
		return "", err
	}
	target := mylibsql.Position{FrameNo: before.Committed}
	if err := p.gamma.waitFor(ctx, target.String()); err != nil {
		return "", err
	}
	took := time.Since(begun)
	now, err := p.gamma.status(ctx)
	return fmt.Sprintf("gamma is back at %s; %d logs from the store, then live: reached %s in %s",
		number(opened.Committed), now.StoreLogs, number(before.Committed),
		milliseconds(took)), err
}

// promoteBeta changes the roles: no write is lost by it, and none is made twice.
func (p *play) promoteBeta(ctx context.Context) (string, error) {
	if _, err := p.alpha.order(ctx, "/rest", "", ""); err != nil {
		return "", err
	}
	before, err := p.alpha.status(ctx)
	if err != nil {
		return "", err
	}
	begun := time.Now()
	position, err := p.alpha.order(ctx, "/demote", "", "")
	if err != nil {
		return "", err
	}
	if _, err := p.beta.order(ctx, "/promote", "position", position); err != nil {
		return "", err
	}
	for _, replica := range []*process{p.alpha, p.gamma} {
		if _, err := replica.order(ctx, "/follow", "primary", p.beta.url); err != nil {
			return "", err
		}
	}
	took := time.Since(begun)
	p.primary, p.written = p.beta, before.Written
	if _, err := p.beta.order(ctx, "/write", "", ""); err != nil {
		return "", err
	}
	return fmt.Sprintf("alpha is demoted at %s, beta promoted, both replicas follow it, in %s",
		number(before.Committed), milliseconds(took)), nil
}

// finish ends the writing, and lets the replicas reach the end.
func (p *play) finish(ctx context.Context) error {
	position, err := p.primary.order(ctx, "/rest", "", "")
	if err != nil {
		return err
	}
	for _, replica := range []*process{p.alpha, p.gamma} {
		if err := replica.waitFor(ctx, position); err != nil {
			return err
		}
	}
	last, err := p.primary.status(ctx)
	if err != nil {
		return err
	}
	p.written += last.Written
	p.table.event(fmt.Sprintf("beta is not written to any more, and the others have reached %s",
		number(last.Committed)))
	return nil
}
