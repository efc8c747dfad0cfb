//go:build cgo

package mylibsql_test

import (
	"cmp"
	"flag"
	"fmt"
	"hash/crc32"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	fencingSeed = flag.Uint64("fencing.seed", 0, "seed of the random fencing test, 0 for a new one")
	fencingTime = flag.Duration("fencing.time", 5*time.Second, "length of it")
	fencingMax  = flag.Int("fencing.length", 0, "steps of the exhaustive one, 0 for the default")
	fencingOnly = flag.String("fencing.steps", "", "the steps to choose from, if not from all")
	fencingIn   = flag.String("fencing.settings", "",
		"settings, with commas between, in all of which each sequence runs; else in one of four")
	fencingOne = flag.String("fencing.sequence", "", "one more regression, as a failure prints it")
)

// fencingSteps are the steps of the exhaustive test, as actor.what. A and B are primaries with one
// history, B by an image of A; C is a replica that can be promoted; P prunes the store.
var fencingSteps = strings.Fields("A.open A.save A.lost A.fail A.late A.die " +
	"B.open B.save B.lost B.fail B.late B.die " +
	"C.open C.catchup C.promote C.save C.lost C.fail C.late C.die P.head P.part")

// fencingMoreSteps are those of the random test on top.
var fencingMoreSteps = strings.Fields("A.blind A.close A.write A.lag A.twice A.torn A.arrive " +
	"A.anew B.blind B.close B.write B.lag B.twice B.torn B.arrive B.anew " +
	"C.close C.write C.lag C.twice C.torn C.arrive C.anew C.follow")

// fencingSetting is what is the same during a sequence.
type fencingSetting struct {
	reads   bool // Options.Store is set: the head of the store is read at open and promotion
	running bool // B is an image of the running A, else of the closed one
	twins   bool // everybody writes the same bytes, each to a table of its own
	lags    bool // late requests that nobody waited for arrive at the very end
}

func (s fencingSetting) String() string {
	var words []string
	for _, option := range []struct {
		on   bool
		word string
	}{{s.reads, "reads"}, {s.running, "running"}, {s.twins, "twins"}, {s.lags, "lags"}} {
		if option.on {
			words = append(words, option.word)
		}
	}
	return strings.Join(words, " ")
}

// fencingCase is one sequence.
type fencingCase struct {
	setting fencingSetting
	steps   []string
}

func (c fencingCase) String() string {
	return fmt.Sprintf("%v: %s", c.setting, strings.Join(c.steps, " "))
}

// parseFencingCase reads what String writes.
func parseFencingCase(text string) fencingCase {
	setting, steps, _ := strings.Cut(text, ":")
	return fencingCase{parseFencingSetting(setting), strings.Fields(steps)}
}

func parseFencingSetting(text string) fencingSetting {
	words := strings.Fields(text)
	has := func(word string) bool { return slices.Contains(words, word) }
	return fencingSetting{
		reads: has("reads"), running: has("running"), twins: has("twins"), lags: has("lags"),
	}
}

// isSensible leaves out the sequences that do what another one does: a replica takes no writes, a
// first step opens the database anyway, and of two steps in a row that do not see each other the
// order does not matter.
func (c fencingCase) isSensible() bool {
	promoted, begun, last := false, "", ""
	for _, step := range c.steps {
		who, what, _ := strings.Cut(step, ".")
		lastWho, lastWhat, _ := strings.Cut(last, ".")
		_, writes := fencingFaults[what]
		switch {
		case who == "C" && !promoted && (writes || what == "write"),
			who == lastWho && lastWhat == "open" && strings.Count(begun, who) == 1,
			who != lastWho && last > step && c.commute(last, step, promoted):
			return false
		}
		if who == "C" && (what == "promote" || what == "anew") {
			promoted = what == "promote"
		}
		begun, last = begun+who, step
	}
	return true
}

// commute reports whether two steps of different actors do the same in either order: they do
// unless one changes the store and the other one looks at it.
func (c fencingCase) commute(a, b string, promoted bool) bool {
	changes, looks := [2]bool{}, [2]bool{}
	for i, step := range []string{a, b} {
		switch who, what, _ := strings.Cut(step, "."); {
		case step == "":
		case what == "follow":
			return false // it looks at A
		case slices.Contains([]string{"open", "fail", "late", "die", "promote", "write"}, what):
			looks[i] = c.setting.reads && (who != "C" || promoted || what == "promote")
		case what == "catchup":
			looks[i] = true
		default:
			changes[i], looks[i] = true, true
		}
	}
	return !(changes[0] && looks[1] || changes[1] && looks[0])
}

// exhaustive yields every sensible sequence of up to so many steps, short ones first: in all of
// some settings, or in the one of them that its text chooses.
func exhaustive(
	steps []string, stepsMax int, settings []fencingSetting, all bool,
) iter.Seq[fencingCase] {
	return func(yield func(fencingCase) bool) {
		for length := 1; length <= stepsMax; length++ {
			digits := make([]int, length)
			for more := true; more; more = increment(digits, len(steps)) {
				c := fencingCase{steps: make([]string, length)}
				for i, digit := range digits {
					c.steps[i] = steps[digit]
				}
				chosen := settings
				if !all {
					sum := crc32.ChecksumIEEE([]byte(strings.Join(c.steps, " ")))
					index := int(sum>>8) % len(settings)
					chosen = settings[index : index+1]
				}
				for _, c.setting = range chosen {
					if c.isSensible() && !yield(c) {
						return
					}
				}
			}
		}
	}
}

// increment counts on, with the last digit as the fastest. It reports false behind the end.
func increment(digits []int, base int) bool {
	for i := range slices.Backward(digits) {
		if digits[i]++; digits[i] < base {
			return true
		}
		digits[i] = 0
	}
	return false
}

// randomly yields longer sequences until the time is over.
func randomly(steps []string, settings []fencingSetting, seed uint64, length time.Duration,
) iter.Seq[fencingCase] {
	return func(yield func(fencingCase) bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		for end := time.Now().Add(length); time.Now().Before(end); {
			c := fencingCase{setting: settings[random.IntN(len(settings))]}
			c.setting.lags = random.IntN(2) == 0
			for range 8 + random.IntN(7) {
				c.steps = append(c.steps, steps[random.IntN(len(steps))])
			}
			if !yield(c) {
				return
			}
		}
	}
}

// runFencing runs sequences in two goroutines until the first violations, which it shortens.
func runFencing(t *testing.T, cases iter.Seq[fencingCase]) {
	const goroutines, violationsMax = 2, 3
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much is allocated, and little kept
	template := newFencingTemplate(t)
	begin := time.Now()
	queue := make(chan fencingCase)
	var group sync.WaitGroup
	var mutex sync.Mutex
	var total fencingCounts
	violations := 0
	for range goroutines {
		group.Go(func() {
			for c := range queue {
				counts, err := runFencingCase(template, c)
				mutex.Lock()
				total.add(counts)
				if err != nil {
					violations++
				}
				mutex.Unlock()
				if err != nil {
					shorter, why := shorten(template, c, err)
					t.Errorf("%v\n\t%v\n\tfound in: %v", shorter, why, c)
				}
			}
		})
	}
	for c := range cases {
		mutex.Lock()
		enough := violations >= violationsMax
		mutex.Unlock()
		if enough {
			break
		}
		queue <- c
	}
	close(queue)
	group.Wait()
	t.Logf("%v; in %v", total, time.Since(begin).Round(time.Millisecond))
}

// shorten leaves out every step without which a sequence fails, too.
func shorten(template *fencingTemplate, c fencingCase, why error) (fencingCase, error) {
	for i := 0; i < len(c.steps); {
		shorter := fencingCase{c.setting, slices.Concat(c.steps[:i], c.steps[i+1:])}
		if _, err := runFencingCase(template, shorter); err != nil {
			c, why, i = shorter, err, 0
			continue
		}
		i++
	}
	return c, why
}

// Goal: of two primaries and a promoted replica on one store exactly one history survives, in
// whatever order they open, write, save, die and come back, with answers that get lost, requests
// that fail or come late, and prunes in between: every row that anybody was told to be saved is in
// it, and who was told that another primary went on saves nothing any more.
// Method: every sequence of a few steps; then everybody who thinks that it is the primary saves;
// then the chain, a restore, the survivor's file and all acks are compared.
func TestFencingInEveryOrder(t *testing.T) {
	length := *fencingMax
	if length == 0 && testing.Short() {
		length = 2
	}
	settings, all := chosenSettings()
	runFencing(t, exhaustive(chosenSteps(fencingSteps), cmp.Or(length, 3), settings, all))
}

// chosenSteps are those of the flag, if it names any.
func chosenSteps(steps []string) []string {
	if *fencingOnly != "" {
		return strings.Fields(*fencingOnly)
	}
	return steps
}

// chosenSettings are those of the flag, all of which each sequence is to run in, or else four.
func chosenSettings() (settings []fencingSetting, all bool) {
	if *fencingIn == "" {
		return []fencingSetting{
			{}, {reads: true}, {running: true}, {reads: true, running: true},
		}, false
	}
	for text := range strings.SplitSeq(*fencingIn, ",") {
		settings = append(settings, parseFencingSetting(text))
	}
	return settings, true
}

// Goal and oracle as in TestFencingInEveryOrder. Method: random sequences, longer and with more
// kinds of steps.
func TestFencingInRandomOrder(t *testing.T) {
	seed := cmp.Or(*fencingSeed, rand.Uint64())
	length := *fencingTime
	if testing.Short() {
		length = min(length, time.Second)
	}
	t.Logf("-fencing.seed=%d", seed)
	settings, _ := chosenSettings()
	steps := chosenSteps(slices.Concat(fencingSteps, fencingMoreSteps))
	runFencing(t, randomly(steps, settings, seed, length))
}

type fencingRegression struct{ name, sequence string }

// fencingRegressions are sequences that once failed, and some that others are too short for.
var fencingRegressions = []fencingRegression{
	{"a replica that followed is promoted behind another's log",
		": A.write A.write C.follow B.anew B.save C.promote C.save C.save"},
	{"a replica that followed is promoted before another's log",
		": A.write A.write C.follow C.promote B.anew B.save C.save C.save"},
	{"a replica that followed looks at another's log",
		"reads: A.write A.write C.follow B.anew B.save C.promote C.save"},
	{"an image makes the same change to another table", "running twins: A.save B.save"},
	{"what a replica followed is another change",
		": A.write C.follow C.promote B.anew B.save C.save"},
	{"a replica makes the same change to another table", "twins: C.promote A.save C.save"},
	{"a place that was pruned", "running: A.save A.save P.head B.save B.die B.save"},
}

// TestFencingRegressions runs single sequences.
func TestFencingRegressions(t *testing.T) {
	template, rows := newFencingTemplate(t), fencingRegressions
	if *fencingOne != "" {
		rows = append(rows, fencingRegression{"the flag", *fencingOne})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := runFencingCase(template, parseFencingCase(row.sequence))
			require.NoError(t, err, row.sequence)
		})
	}
}
