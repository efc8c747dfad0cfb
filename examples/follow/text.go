//go:build cgo

package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// number writes thousands with commas.
func number[N ~int | ~int64 | ~uint64](n N) string {
	digits := strconv.FormatUint(uint64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// milliseconds writes a time, which is 0 when there was none.
func milliseconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// uriPath escapes a path for a "file:" URI.
func uriPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
