package faultstore

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrInjected is returned by a call that a fault lets fail. Only the error in hand says
// which fault that was, and only to people: the user of a store cannot tell either.
var ErrInjected = errors.New("faultstore: injected fault")

// Kind is what goes wrong with one call.
type Kind int

// The kinds of faults, as Save knows them. Records and Open know Delay, Fail, Tear and Hang,
// Prune knows Delay, Fail, LoseAnswer and Hang: there Overrun is Hang, and every other kind
// is Fail. A kind that is none of these is None.
const (
	// None performs the request.
	None Kind = iota

	// Delay performs the request after a while. When the context ends before, it does not,
	// and the error is the context's.
	Delay

	// Fail does not perform the request. The error is ErrInjected.
	Fail

	// Tear breaks the transfer in the middle. Save hands a log to the store of which only
	// the first half can be read, and returns ErrInjected; nothing of it can be seen
	// afterwards. Records lists some records, then ErrInjected. Open returns a log without
	// an error, of which only the first half can be read.
	Tear

	// LoseAnswer performs the request and returns ErrInjected, whatever the answer was.
	LoseAnswer

	// Late returns ErrInjected at once, and performs the request later, when others have
	// been performed that were made after it. Nobody gets the answer.
	Late

	// Duplicate performs the request twice, one after the other, and returns the second
	// answer.
	Duplicate

	// Hang does not perform the request and returns when the context has ended, with its
	// error and ErrInjected. When the context cannot end it returns at once.
	Hang

	// Overrun performs the request when the context has ended, and then returns as Hang
	// does. When the context cannot end it performs the request at once.
	Overrun

	// SuccessWithoutSaving returns nil without performing the request. It breaks the
	// contract: confirmed data is lost. It is for tests of those who verify a store.
	SuccessWithoutSaving
)

// kindNames are in the order of the kinds.
var kindNames = [...]string{
	"none", "delay", "fail", "tear", "lose answer", "late", "duplicate", "hang", "overrun",
	"success without saving",
}

// String returns the kind in words.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// Fault is what happens to one call. It is a plain value.
type Fault struct {
	// Kind is what goes wrong.
	Kind Kind
	// Wait is how long Delay takes.
	Wait time.Duration
	// After is, for Late, how many further calls of Save are performed first: 0 means that
	// the request takes effect before the next one. For Tear of a listing it is the number
	// of records listed before the error.
	After int
	// Err is wrapped by the returned error, beside ErrInjected, for users that look for a
	// cause. It may be nil.
	Err error
}

// failure is the error that the call returns, matched by ErrInjected and by every cause.
func (f Fault) failure(call call, causes ...error) error {
	text, values := "%w: %v of %v", []any{ErrInjected, f.Kind, call}
	for _, cause := range append(causes, f.Err) {
		if cause != nil {
			text, values = text+": %w", append(values, cause)
		}
	}
	return fmt.Errorf(text, values...)
}

// call is a method of the store.
type call int

const (
	saveCall call = iota
	recordsCall
	openCall
	pruneCall
	callCount
)

// String returns the method's name.
func (c call) String() string { return [...]string{"Save", "Records", "Open", "Prune"}[c] }

// fit gives a kind the meaning that it has for a call.
func (f Fault) fit(call call) Fault {
	known := f.Kind > None && int(f.Kind) < len(kindNames)
	switch {
	case !known:
		f.Kind = None
	case call == saveCall:
	case f.Kind == Overrun:
		f.Kind = Hang
	case call == pruneCall && f.Kind == LoseAnswer:
	case call == pruneCall && f.Kind == Tear:
		f.Kind = Fail
	case f.Kind != Delay && f.Kind != Tear && f.Kind != Hang:
		f.Kind = Fail
	}
	return f
}

// counts says how often each kind happened, for people.
func (c *counts) String() string {
	var parts []string
	for kind, count := range c {
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%v %d", Kind(kind), count))
		}
	}
	if len(parts) == 0 {
		return "no calls"
	}
	return strings.Join(parts, ", ")
}

// counts has a number for each kind.
type counts [len(kindNames)]int
