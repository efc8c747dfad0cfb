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

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func bytesText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// uriPath escapes a path for a "file:" URI.
func uriPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
