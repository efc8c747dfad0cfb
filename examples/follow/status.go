//go:build cgo

package main

import (
	"slices"
	"sync"
	"time"

	"github.com/mylibsql/mylibsql"
)

// status is what a node tells about itself.
type status struct {
	Role      mylibsql.Role
	Committed mylibsql.FrameNo
	Saved     mylibsql.FrameNo
	counts
	AckMedian time.Duration // from commit to ack, since the last status
	LagWorst  time.Duration // from a row's INSERT until it can be read here, likewise
}

// counts are those of a process, since its begin.
type counts struct {
	Written   int   // transactions committed here
	LiveLogs  int   // taken from the stream
	LiveBytes int64 // of these
	StoreLogs int   // taken from the store
}

// status reads the meter and sets its times back.
func (n *node) status() status {
	stats := n.lib.Stats()
	s := status{Role: stats.Role, Committed: stats.Committed, Saved: stats.Saved}
	n.meter.read(&s)
	return s
}

// meter counts what a node does.
type meter struct {
	mutex sync.Mutex
	counts
	acks     []time.Duration
	lagWorst time.Duration
}

func (m *meter) add(more counts) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.Written += more.Written
	m.LiveLogs += more.LiveLogs
	m.LiveBytes += more.LiveBytes
	m.StoreLogs += more.StoreLogs
}

func (m *meter) acked(after time.Duration) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.acks = append(m.acks, after)
}

func (m *meter) lagged(by time.Duration) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.lagWorst = max(m.lagWorst, by)
}

func (m *meter) read(s *status) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	s.counts = m.counts
	if len(m.acks) > 0 {
		slices.Sort(m.acks)
		s.AckMedian = m.acks[len(m.acks)/2]
	}
	s.LagWorst = m.lagWorst
	m.acks, m.lagWorst = m.acks[:0], 0
}
