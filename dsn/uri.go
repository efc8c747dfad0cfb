package dsn

import (
	"net/url"
	"slices"
	"strings"
)

// scheme makes a data source name a URI; SQLite compares it case by case.
const scheme = "file:"

// location is a data source name cut in two.
type location struct {
	path  string
	query string // still escaped
	isURI bool
}

// locate splits a data source name as go-sqlite3 and SQLite do.
// https://www.sqlite.org/uri.html
func locate(name string) (location, error) {
	if strings.ContainsRune(name, 0) {
		return location{}, paramError(pathName, "", "a name without zero bytes")
	}
	if rest, ok := strings.CutPrefix(name, scheme); ok {
		return locateURI(rest)
	}
	path, query, found := strings.Cut(name, "?")
	if path == "" && found {
		// go-sqlite3 takes all of it for the name of a file, which nobody means.
		return location{}, paramError(pathName, "", "a file, or :memory:, before the parameters")
	}
	return location{path: path, query: query}, nil
}

func locateURI(rest string) (location, error) {
	rest, fragment, _ := strings.Cut(rest, "#")
	path, query, found := strings.Cut(rest, "?")
	if !found && strings.Contains(fragment, "?") {
		// SQLite would ignore the parameters with the rest of the fragment.
		return location{}, paramError(pathName, "", "%23 for a '#' that belongs to the path")
	}
	if afterSlashes, ok := strings.CutPrefix(path, "//"); ok {
		// To SQLite an authority ends at a slash only, a question mark is part of it.
		authority, _, slash := strings.Cut(afterSlashes, "/")
		local := authority == "" || authority == "localhost"
		if !local || !slash && (authority != "" || found) {
			return location{}, paramError(pathName, "",
				"no host in a file: URI, or localhost: file:relative/path, file:///absolute/path")
		}
		path = afterSlashes[len(authority):]
	}
	path = unescapePath(path)
	if strings.ContainsRune(path, 0) {
		return location{}, paramError(pathName, "", "a path without zero bytes")
	}
	return location{path: path, query: query, isURI: true}, nil
}

// unescapePath decodes %HH. A '%' that two hexadecimal digits do not follow stands for
// itself.
func unescapePath(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := digit(s[i+1]), digit(s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// digit is the value of a hexadecimal digit, -1 for any other character.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// pair is one parameter as it was given.
type pair struct{ name, value string }

// pairs decodes a query. In the value of a parameter of go-sqlite3 or ours, all of which
// start with an underscore, '+' is a space; SQLite itself takes it for what it is.
func pairs(query string) ([]pair, error) {
	var all []pair
	for part := range strings.SplitSeq(query, "&") {
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.PathUnescape(rawName)
		if err != nil || strings.ContainsAny(name, "\x00;") {
			return nil, paramError(rawName, "", "a name without zero byte, ';' or stray '%'")
		}
		unescape := url.PathUnescape
		if strings.HasPrefix(name, "_") {
			unescape = url.QueryUnescape
		}
		value, err := unescape(rawValue)
		if err != nil || strings.ContainsRune(value, 0) || strings.Contains(rawValue, ";") {
			return nil, paramError(name, "",
				"'&' between parameters, and %HH for zero-free bytes that are not plain text")
		}
		if name != "" { // SQLite ignores those
			all = append(all, pair{name, value})
		}
	}
	return all, nil
}

// uri builds a URI that SQLite, go-sqlite3 and Parse read the same way.
func uri(path string, values url.Values) string {
	var b strings.Builder
	b.WriteString(scheme)
	if strings.HasPrefix(path, "/") {
		b.WriteString("//") // else a path that starts with two slashes would name a host
	}
	escape(&b, path, "-._~/:")
	separator := byte('?')
	for _, name := range sortedNames(values) {
		for _, value := range values[name] {
			b.WriteByte(separator)
			separator = '&'
			escape(&b, name, "-._~")
			b.WriteByte('=')
			escape(&b, value, "-._~/:")
		}
	}
	return b.String()
}

func escape(b *strings.Builder, s, plain string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if isAlphanumeric(rune(c)) || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}

func sortedNames(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
