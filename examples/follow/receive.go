//go:build cgo

package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mylibsql/mylibsql"
)

// errGone is returned when the primary's live frames begin after this node's position.
var errGone = errors.New("the frames are gone")

// startFollowing makes the node follow a primary, and no other one.
func (n *node) startFollowing(primary string) {
	n.follower.stop()
	n.follower = n.tasks.begin(func(ctx context.Context) error {
		if err := n.follow(ctx, primary); err != nil {
			return fmt.Errorf("follow %s: %w", primary, err)
		}
		return nil
	})
}

// follow takes what a primary commits, until that one gives up its role. From wherever the
// node is: the store leads to where the live frames begin.
func (n *node) follow(ctx context.Context, primary string) error {
	for {
		err := n.receive(ctx, primary)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGone):
			err = n.catchUp(ctx)
		case errors.Is(err, errCut):
			// A primary that has died refuses the next request, which ends this node
			// here. Yours would ask again after a while, and follow whoever comes next.
			err = nil
		}
		if err != nil {
			return err
		}
	}
}

// receive takes one stream to its end, and acknowledges each log that it applied.
func (n *node) receive(ctx context.Context, primary string) error {
	position, err := n.lib.Position(ctx)
	if err != nil {
		return err
	}
	after := url.Values{"after": {position.String()}}
	response, err := request(ctx, http.MethodGet, primary+"/frames", after)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		return errGone
	default:
		return sentence(response)
	}
	seen, err := n.newestRow(ctx)
	if err != nil {
		return err
	}
	stream := response.Header.Get(streamHeader)
	body := bufio.NewReader(response.Body)
	for {
		log, err := readLog(body)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = n.lib.Replicate(ctx, log)
		if err == nil {
			err = n.lib.Sync(ctx) // an acknowledgement is to mean a power cut too
		}
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
		if err := acknowledge(ctx, primary, stream, log.End()); err != nil {
			return err
		}
		if seen, err = n.measureLag(ctx, seen); err != nil {
			return err
		}
		n.meter.add(counts{LiveLogs: 1, LiveBytes: log.Size()})
	}
}

// acknowledge tells the primary that this node has everything up to a position.
func acknowledge(ctx context.Context, primary, stream string, has mylibsql.Position) error {
	query := url.Values{"stream": {stream}, "position": {has.String()}}
	response, err := request(ctx, http.MethodPost, primary+"/acks", query)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		_, err := io.Copy(io.Discard, response.Body) // so that the connection is used again
		return err
	case http.StatusNotFound:
		return nil // the stream has ended meanwhile, so nobody waits for this any more
	}
	return sentence(response)
}

// newestRow is the newest row that can be read here.
func (n *node) newestRow(ctx context.Context) (id int64, err error) {
	err = n.db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM notes").Scan(&id)
	return id, err
}

// measureLag tells how old the oldest row was that can be read here since a moment ago. The
// clock is that of the primary, for it is the same machine.
func (n *node) measureLag(ctx context.Context, seen int64) (newest int64, err error) {
	var id, writtenAt sql.NullInt64
	err = n.db.QueryRowContext(ctx, "SELECT max(id), min(written_at) FROM notes WHERE id > ?",
		seen).Scan(&id, &writtenAt)
	if err != nil || !id.Valid {
		return seen, err
	}
	n.meter.lagged(time.Since(time.Unix(0, writtenAt.Int64)))
	return id.Int64, nil
}
