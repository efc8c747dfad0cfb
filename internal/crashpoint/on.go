//go:build crashlab

package crashpoint

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// Env arms a point in a process of the crash lab: its name, a comma, and the visit at which
// the process dies, counted from 1.
const Env = "MYLIBSQL_CRASHLAB_POINT"

// deathPrefix begins the line that a dying process leaves on its standard output.
const deathPrefix = "died at "

var (
	armed  Point
	visit  int64
	visits atomic.Int64
)

func init() {
	text := os.Getenv(Env)
	comma := strings.LastIndexByte(text, ',')
	if comma < 0 {
		return
	}
	number := text[comma+1:]
	armed = Point(text[:comma])
	if _, err := fmt.Sscan(number, &visit); err != nil {
		panic("crashpoint: " + Env + ": " + err.Error())
	}
}

// OnReach is called at every point, for tests that act at one in the same process.
var OnReach atomic.Pointer[func(Point)]

// Reach lets the process die as by SIGKILL when this is the visit that the point is armed for.
func Reach(point Point) {
	if act := OnReach.Load(); act != nil {
		(*act)(point)
	}
	if point != armed || visits.Add(1) != visit {
		return
	}
	_, _ = os.Stdout.WriteString(deathPrefix + string(point) + "\n")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// Died tells the point at which a process died, from a line of its output.
func Died(line string) (Point, bool) {
	name, found := strings.CutPrefix(line, deathPrefix)
	return Point(name), found
}
