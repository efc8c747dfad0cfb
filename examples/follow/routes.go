//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mylibsql/mylibsql"
)

// routes are the two requests of a replica, and the orders of the play.
func (n *node) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /frames", n.serveFrames)
	mux.HandleFunc("POST /acks", n.takeAck)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, n.status(), nil)
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, n.wait(r.Context(), r.FormValue("position")))
	})
	order := func(pattern string, obey func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			n.turn.Lock()
			defer n.turn.Unlock()
			result, err := obey(r)
			answer(w, result, err)
		})
	}
	order("POST /write", func(*http.Request) (any, error) { return nil, n.startWriters() })
	order("POST /rest", func(r *http.Request) (any, error) { return n.rest(r.Context()) })
	order("POST /demote", func(r *http.Request) (any, error) { return n.demote(r.Context()) })
	order("POST /promote", func(r *http.Request) (any, error) {
		return nil, n.promote(r.Context(), r.FormValue("position"))
	})
	order("POST /follow", func(r *http.Request) (any, error) {
		n.startFollowing(r.FormValue("primary"))
		return nil, nil
	})
	return mux
}

// answer writes a result, or the error as a sentence.
func answer(w http.ResponseWriter, result any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result) // who asked has gone when this fails
}

// waitMax is how long a node may need to reach a position.
const waitMax = 30 * time.Second

// wait returns once a reader of this node sees a position. It is a read as any other, with
// the position as the token of a session that wrote elsewhere.
func (n *node) wait(ctx context.Context, text string) error {
	position, err := mylibsql.ParsePosition(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	_, err = n.newestRow(mylibsql.WithMinFrame(ctx, position.FrameNo))
	return err
}
