package dsn

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// oneOf takes words in upper or lower case, given here in lower case.
func oneOf(words ...string) func(string) (string, bool) {
	return func(value string) (string, bool) {
		value = strings.ToLower(value)
		return value, slices.Contains(words, value)
	}
}

// exactly takes words as they are written.
func exactly(words ...string) func(string) (string, bool) {
	return func(value string) (string, bool) { return value, slices.Contains(words, value) }
}

func anything(value string) (string, bool) { return value, true }

func integer(low, high int64) func(string) (string, bool) {
	return func(value string) (string, bool) {
		n, err := strconv.ParseInt(value, 10, 64)
		return strconv.FormatInt(n, 10), err == nil && low <= n && n <= high
	}
}

func anyInteger(value string) (string, bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}

// number is the value of a canonical integer.
func number(canonical string) int64 {
	n, _ := strconv.ParseInt(canonical, 10, 64)
	return n
}

func powerOfTwo(value string) (string, bool) {
	canonical, ok := integer(PageSizeMin, PageSizeMax)(value)
	n := number(canonical)
	return canonical, ok && n&(n-1) == 0
}

// busyTimeout takes a negative number for 0, as SQLite does.
func busyTimeout(value string) (string, bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	n = max(n, 0)
	return strconv.FormatInt(n, 10), err == nil && n <= BusyTimeoutMax.Milliseconds()
}

func duration(value string) (string, bool) {
	wait, err := time.ParseDuration(value)
	if milliseconds, notInteger := strconv.ParseInt(value, 10, 64); notInteger == nil {
		if milliseconds > LockTimeoutMax.Milliseconds() {
			return "", false
		}
		wait, err = time.Duration(milliseconds)*time.Millisecond, nil
	}
	return wait.String(), err == nil && 0 <= wait && wait <= LockTimeoutMax
}

// parsedDuration is the value of a canonical duration.
func parsedDuration(canonical string) time.Duration {
	wait, _ := time.ParseDuration(canonical)
	return wait
}

func boolean(value string) (string, bool) {
	switch strings.ToLower(value) {
	case "0", "no", "false", "off":
		return "0", true
	case "1", "yes", "true", "on":
		return "1", true
	default:
		return "", false
	}
}

func secureDelete(value string) (string, bool) {
	if strings.EqualFold(value, "fast") {
		return "fast", true
	}
	return boolean(value)
}

func autoVacuum(value string) (string, bool) {
	return numbered(strings.ToLower(value), "none", "full", "incremental")
}

func synchronous(value string) (string, bool) {
	return numbered(strings.ToUpper(value), "OFF", "NORMAL", "FULL", "EXTRA")
}

// numbered takes one of some words, or its index.
func numbered(value string, words ...string) (string, bool) {
	for i, word := range words {
		if value == word || value == strconv.Itoa(i) {
			return word, true
		}
	}
	return "", false
}

func timeZone(value string) (string, bool) {
	if strings.EqualFold(value, "auto") {
		return "auto", true
	}
	_, err := time.LoadLocation(value)
	return value, err == nil
}

// uriBoolean takes what SQLite reads as want, which is also what it takes a word for that
// it does not know.
func uriBoolean(want bool) func(string) (string, bool) {
	return func(value string) (string, bool) { return value, sqliteBoolean(value, want) == want }
}

// sqliteBoolean reads a boolean of a URI as SQLite does, except that it goes by the safe
// side for numbers that SQLite could not represent.
// https://www.sqlite.org/c3ref/uri_boolean.html
func sqliteBoolean(value string, byDefault bool) bool {
	if value != "" && '0' <= value[0] && value[0] <= '9' {
		return strings.Trim(value, "0") != ""
	}
	switch strings.ToLower(value) {
	case "on", "yes", "true":
		return true
	case "off", "no", "false":
		return false
	default:
		return byDefault
	}
}
