package faultstore

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mylibsql/mylibsql/checkpoint"
)

// Script lists the faults of each method's calls, in the order in which the calls begin.
// Calls beyond the end of a list have no fault.
type Script struct {
	// Save, Records, Open and Prune are the faults of those methods. A listing is a call each
	// time that it is ranged over.
	Save, Records, Open, Prune []Fault
}

// Scripted returns a store in which the calls of store have the faults of a script.
func Scripted(store checkpoint.Store, script Script) *Store {
	lists := [callCount][]Fault{script.Save, script.Records, script.Open, script.Prune}
	return &Store{store: store, name: "scripted", next: func(call call) Fault {
		if len(lists[call]) == 0 {
			return Fault{}
		}
		fault := lists[call][0]
		lists[call] = lists[call][1:]
		return fault
	}}
}

// Odds gives the probability of kinds of faults, each from 0 to 1. What is missing from a
// sum of 1 is the probability of no fault; when the sum is greater the later kinds happen
// more seldom.
type Odds map[Kind]float64

// Mix says how faults are drawn.
type Mix struct {
	// Save, Records, Open and Prune are the odds for the calls of those methods.
	Save, Records, Open, Prune Odds
	// DelayMax bounds the time of a Delay, 0 is 2 milliseconds.
	DelayMax time.Duration
	// AfterMax bounds [Fault.After], 0 is 3.
	AfterMax int
}

// Defaults of a Mix.
const (
	delayMaxDefault = 2 * time.Millisecond
	afterMaxDefault = 3
)

// Seeded returns a store in which the calls of store have faults that are drawn by a mix.
// The n-th call of a method has the same fault for the same seed; when several goroutines
// call at the same time, which of them makes the n-th call is up to them.
func Seeded(store checkpoint.Store, seed uint64, mix Mix) *Store {
	if mix.DelayMax <= 0 {
		mix.DelayMax = delayMaxDefault
	}
	if mix.AfterMax <= 0 {
		mix.AfterMax = afterMaxDefault
	}
	odds := [callCount]Odds{mix.Save, mix.Records, mix.Open, mix.Prune}
	var randoms [callCount]*rand.Rand
	for call := range randoms {
		randoms[call] = rand.New(rand.NewPCG(seed, uint64(call)))
	}
	name := fmt.Sprint("seed ", seed)
	return &Store{store: store, name: name, next: func(call call) Fault {
		random := randoms[call]
		// All are drawn for each call, so that one fault does not change the next ones.
		kind, wait, after := random.Float64(), random.Int64N(int64(mix.DelayMax)),
			random.IntN(mix.AfterMax+1)
		return Fault{Kind: odds[call].pick(kind), Wait: time.Duration(wait), After: after}
	}}
}

// pick finds the kind in whose share a number from 0 to 1 falls.
func (o Odds) pick(number float64) Kind {
	for index := range kindNames {
		kind := Kind(index)
		if number < o[kind] {
			return kind
		}
		number -= o[kind]
	}
	return None
}
