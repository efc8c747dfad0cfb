//go:build cgo

package engine

import "github.com/mylibsql/mylibsql/engine/translog"

// ackGroupsMax bounds the groups of an ackCount.
const ackGroupsMax = 64

// ackCount counts the acks that are not resolved, in groups by position. It is exact while
// there are few, and else within the size of a group; it allocates nothing. Guarded by
// DB.mu.
type ackCount struct {
	groups [ackGroupsMax]ackGroup // those in use, in the order of positions
	used   int
}

// ackGroup is the acks whose position is after the group before, up to last.
type ackGroup struct {
	last  translog.FrameNo
	count int
}

// add counts an ack at a position at or after all others.
func (c *ackCount) add(at translog.FrameNo) {
	if n := c.used; n > 0 && c.groups[n-1].last >= at {
		c.groups[n-1].count++
		return
	}
	if c.used == ackGroupsMax {
		c.halve()
	}
	c.groups[c.used] = ackGroup{last: at, count: 1}
	c.used++
}

// halve joins neighbours, so that there is room.
func (c *ackCount) halve() {
	for i := range ackGroupsMax / 2 {
		a, b := c.groups[2*i], c.groups[2*i+1]
		c.groups[i] = ackGroup{last: b.last, count: a.count + b.count}
	}
	c.used = ackGroupsMax / 2
}

// remove takes back an ack that was counted at a position.
func (c *ackCount) remove(at translog.FrameNo) {
	for i := range c.used {
		if c.groups[i].last >= at {
			c.groups[i].count = max(0, c.groups[i].count-1)
			return
		}
	}
}

// resolve drops what is counted up to a position.
func (c *ackCount) resolve(upTo translog.FrameNo) {
	gone := 0
	for gone < c.used && c.groups[gone].last <= upTo {
		gone++
	}
	c.used = copy(c.groups[:], c.groups[gone:c.used])
}

// total is how many acks are not resolved.
func (c *ackCount) total() (n int) {
	for _, group := range c.groups[:c.used] {
		n += group.count
	}
	return n
}

// countPending moves an ack from one position to a later one.
func (db *DB) countPending(from, to translog.FrameNo) {
	db.mu.Lock()
	defer db.mu.Unlock()
	resolved := db.resolvedLocked()
	if to <= resolved {
		return
	}
	if from > resolved {
		db.pendingAcks.remove(from)
	}
	db.pendingAcks.add(to)
}
