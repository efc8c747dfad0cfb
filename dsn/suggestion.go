package dsn

import (
	"slices"
	"strings"
)

// shortenedBytesMin is the length from which the beginning of a name is taken for that
// name.
const shortenedBytesMin = 4

// suggestion names the known parameter that is nearest to an unknown one; "" when none is
// near.
func suggestion(unknown string) string {
	unknown = strings.ToLower(unknown)
	if len(unknown) > shownBytesMax {
		return ""
	}
	nearest, fewest := "", max(3, len(unknown)/3)+1
	for _, known := range knownNames() {
		edits := distance(unknown, known)
		if len(unknown) >= shortenedBytesMin && strings.HasPrefix(known, unknown) {
			edits = 1
		}
		if edits < fewest {
			nearest, fewest = known, edits
		}
	}
	if nearest == "" {
		return ""
	}
	return ", perhaps " + nearest
}

// knownNames is in a fixed order, so that the same mistake always gets the same answer.
func knownNames() []string {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// distance counts the single-byte edits between two names (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edits := diagonal
			if a[i] != b[j] {
				edits++
			}
			diagonal = row[j+1]
			row[j+1] = min(edits, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
