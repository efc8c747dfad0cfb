//go:build crashlab

package crashlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// report counts what happened.
type report struct {
	mutex     sync.Mutex
	begun     time.Time
	kills     int
	powerCuts int
	faults    int
	acked     int // rows, as the children were told
	whole     int // lives that came to their end
	lost      int
	forks     int
	checks    int
	hits      map[crashpoint.Point]int
	visits    map[crashpoint.Point]int // how deep a visit is still met
}

func newReport() *report {
	return &report{begun: time.Now(), hits: map[crashpoint.Point]int{},
		visits: map[crashpoint.Point]int{}}
}

// points are those that the run wants to hit.
func points() []crashpoint.Point {
	if *labOnly != "" {
		return []crashpoint.Point{crashpoint.Point(*labOnly)}
	}
	return crashpoint.All()
}

func (r *report) done() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, point := range points() {
		if r.hits[point] < *labVisits {
			return false
		}
	}
	return time.Since(r.begun) > *labTime && r.kills >= *labKills
}

// visitsDeepest is how late in a life a point is armed at the most.
const visitsDeepest = 8

// choose takes the point that was hit least, or a random moment.
func (r *report) choose(random *rand.Rand) (point crashpoint.Point, visit int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if random.IntN(4) == 0 && *labOnly == "" {
		return "", 0
	}
	list := points()
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, other := range list {
		if point == "" || r.hits[other] < r.hits[point] {
			point = other
		}
	}
	if r.visits[point] == 0 {
		r.visits[point] = visitsDeepest
	}
	return point, 1 + random.IntN(r.visits[point])
}

func (r *report) count(point crashpoint.Point, d death) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.faults += d.faults
	r.acked += d.acked
	if d.whole {
		r.whole++
	}
	if d.killed {
		r.kills++
	}
	if d.point != "" {
		r.hits[d.point]++
	} else if point != "" { // it lived on: the point is seldom met so often
		r.visits[point] = max(1, r.visits[point]/2)
	}
}

func (r *report) checked(lost []int64, cut bool, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, fork := range []error{
		mylibsql.ErrChecksum, mylibsql.ErrGap, mylibsql.ErrFenced, mylibsql.ErrBehind, errFork,
	} {
		if errors.Is(err, fork) {
			r.forks++
			break
		}
	}
	r.checks++
	r.lost += len(lost)
	if cut {
		r.powerCuts++
	}
}

// line is what the run was.
func (r *report) line(seed uint64) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	hit, least := 0, -1
	var rarest []crashpoint.Point
	for _, point := range points() {
		if r.hits[point] > 0 {
			hit++
		}
		if least < 0 || r.hits[point] < least {
			least, rarest = r.hits[point], nil
		}
		if r.hits[point] == least {
			rarest = append(rarest, point)
		}
	}
	return fmt.Sprintf("%d s, seed %d: %d kills, %d of %d points hit, each at least %d times, "+
		"%d power cuts, %d lives without a leak, %d storage faults, %d checks, "+
		"%d rows acked, %d lost, %d forks\n"+
		"hit %d times: %q", int(time.Since(r.begun).Seconds()), seed, r.kills, hit, len(points()),
		least, r.powerCuts, r.whole, r.faults, r.checks, r.acked, r.lost, r.forks, least, rarest)
}
