package dsn

import (
	"errors"
	"strings"
)

// ErrParam is returned when a parameter of a data source name is unknown, out of range,
// or contradicts another one or what this driver does. It comes as a *ParamError.
var ErrParam = errors.New("dsn: wrong parameter")

// ParamError says which parameter is wrong and what it takes. It matches ErrParam.
type ParamError struct {
	// Name is the parameter's name as given; "path" for what stands before the
	// parameters.
	Name string
	// Value is what was given; "" for a secret, and for all that might hold one.
	Value string
	// Want is what the parameter takes.
	Want string
}

// Error is "dsn: name=value: want ..."; "dsn: name: want ..." when the value is not to be
// shown.
func (e *ParamError) Error() string {
	if e.Value == "" {
		return "dsn: " + e.Name + ": want " + e.Want
	}
	return "dsn: " + e.Name + "=" + e.Value + ": want " + e.Want
}

// Is makes the error match ErrParam.
func (e *ParamError) Is(target error) bool { return target == ErrParam }

// pathName stands in a ParamError for what precedes the parameters.
const pathName = "path"

// unnamed stands for a name that does not begin like one.
const unnamed = "parameter"

// shownBytesMax bounds what an error repeats of its input.
const shownBytesMax = 64

// paramError shows a value only when nothing else can hide in it: a forgotten '&' must
// not carry the next parameter, perhaps a password, into a log.
func paramError(name, value, want string) error {
	if len(value) > shownBytesMax || strings.IndexFunc(value, hidesMore) >= 0 {
		value = ""
	}
	return &ParamError{Name: shownName(name), Value: value, Want: want}
}

func hidesMore(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("=;&?%:@", r)
}

// shownName is as much of a name as looks like one.
func shownName(name string) string {
	end := strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && !isAlphanumeric(r)
	})
	if end >= 0 {
		name = name[:end]
	}
	if name == "" {
		return unnamed
	}
	return name[:min(len(name), shownBytesMax)]
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
