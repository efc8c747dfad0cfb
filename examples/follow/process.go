//go:build cgo

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// process is a node as the play sees it.
type process struct {
	name    string
	url     string
	command *exec.Cmd
	input   io.Closer   // the process ends with it
	ending  atomic.Bool // it ends because it was told to, or killed
	done    chan struct{}
}

// startProcess starts a node and waits until it can be reached. The group owns it; that it
// ends by itself is an error of the group. Whoever started it ends it.
func startProcess(ctx context.Context, group *errgroup.Group, folder, name, role string) (
	*process, error,
) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, nodeVerb, "-name", name, "-folder", folder, "-role", role)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, command: command, input: input, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = input.Close() })
	line, err := bufio.NewReader(output).ReadString('\n')
	stop()
	p.url = strings.TrimSpace(line)
	p.ending.Store(err != nil)
	group.Go(func() error {
		defer close(p.done)
		_ = command.Wait() // the state tells the same
		if p.ending.Load() {
			return nil
		}
		return fmt.Errorf("%s has ended by itself: %s", name, command.ProcessState)
	})
	if err != nil {
		_ = p.end()
		return nil, fmt.Errorf("%s did not start: %s", name, command.ProcessState)
	}
	return p, nil
}

// kill is what nobody can prepare for: SIGKILL.
func (p *process) kill() error {
	p.ending.Store(true)
	err := p.command.Process.Kill()
	<-p.done
	return err
}

// endPatience is how long a node may take to close its database.
const endPatience = 10 * time.Second

// end lets a node close its database, and returns when its process has ended.
func (p *process) end() error {
	p.ending.Store(true)
	_ = p.input.Close() // nothing to tell when it has ended already
	select {
	case <-p.done:
	case <-time.After(endPatience):
		_ = p.kill()
	}
	if state := p.command.ProcessState; !state.Success() {
		return fmt.Errorf("%s has ended with %s", p.name, state)
	}
	return nil
}

// status asks the node for it.
func (p *process) status(ctx context.Context) (s status, err error) {
	return s, p.call(ctx, http.MethodGet, "/status", nil, &s)
}

// order tells the node to do something, with at most one argument.
func (p *process) order(ctx context.Context, what, name, value string) (result string, err error) {
	query := url.Values{}
	if name != "" {
		query.Set(name, value)
	}
	return result, p.call(ctx, http.MethodPost, what, query, &result)
}

// waitFor returns once a reader on the node sees a position.
func (p *process) waitFor(ctx context.Context, position string) error {
	return p.call(ctx, http.MethodGet, "/wait", url.Values{"position": {position}}, new(any))
}

func (p *process) call(
	ctx context.Context, method, what string, query url.Values, result any,
) error {
	if err := call(ctx, method, p.url+what, query, result); err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, strings.TrimPrefix(what, "/"), err)
	}
	return nil
}
