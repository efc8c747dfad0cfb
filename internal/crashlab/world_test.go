//go:build crashlab

package crashlab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// lifeEnv carries a life, as JSON, to the process that lives it.
const lifeEnv = "MYLIBSQL_CRASHLAB_LIFE"

// world is a folder with two nodes and their store, and what must be in them.
type world struct {
	folder  string
	random  *rand.Rand
	params  string
	primary string
	lives   int64
	oracle  *oracle
	broken  bool   // the replica was being made anew, or has to be
	lost    string // node that was given up, and may hold what nobody else does
	chain   chain
	head    mylibsql.FrameNo // of the primary at the last check
}

func newWorld(folder string, random *rand.Rand) (*world, error) {
	w := &world{folder: folder, random: random, primary: "a", oracle: newOracle()}
	pageSizes := []int{512, 1024, 4096, 4096, 4096, 65536}
	w.params = fmt.Sprintf("_page_size=%d&_wal_limit_frames=%d",
		pageSizes[random.IntN(len(pageSizes))], []int{100, 100, 300, 2000}[random.IntN(4)])
	return w, os.MkdirAll(filepath.Join(folder, "journal"), 0o755)
}

func (w *world) path(node string) string { return filepath.Join(w.folder, node, "app.db") }

func (w *world) other() string { return map[string]string{"a": "b", "b": "a"}[w.primary] }

// death is how a child ended.
type death struct {
	point  crashpoint.Point // where it died, empty for a random moment
	killed bool             // not by itself
	whole  bool             // it did all its work, and gave everything back
	faults int              // of the store, that it met
	acked  int
}

// wholeLifeMax is how long a life may take that nobody ends: more is a hang.
const wholeLifeMax = 2 * time.Minute

// run lets a child live until it dies at a point, or after a while, or, when that is zero, its
// work is done.
func (w *world) run(point crashpoint.Point, visit int, after time.Duration) (death, error) {
	l := w.nextLife(focusOf(point, w.random))
	text, err := json.Marshal(l)
	if err != nil {
		return death{}, err
	}
	command := exec.Command(os.Args[0])
	journal := filepath.Join(w.folder, "journal")
	command.Env = append(os.Environ(), lifeEnv+"="+string(text), disk.JournalEnv+"="+journal)
	if point != "" {
		command.Env = append(command.Env, fmt.Sprintf("%s=%s,%d", crashpoint.Env, point, visit))
	}
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.StdoutPipe()
	if err != nil {
		return death{}, err
	}
	if err := command.Start(); err != nil {
		return death{}, err
	}
	// One that nobody is to kill is asked for its stacks if it does not come to its end.
	end := syscall.SIGKILL
	if after == 0 {
		after, end = wholeLifeMax, syscall.SIGQUIT
	}
	timer := time.AfterFunc(after, func() { _ = command.Process.Signal(end) })
	defer timer.Stop()
	var d death
	for lines := bufio.NewScanner(output); lines.Scan(); {
		w.hear(lines.Text(), &d)
	}
	var exit *exec.ExitError
	err = command.Wait()
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		d.killed = true
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("the child failed: %w\n%s", err, complaint.String())
	}
	d.whole = true
	return d, nil
}

// leaveReplicaBehind lets a child follow, not long, and cuts the power: some of the replica's WAL
// is lost then, and the next open may have to go back.
func (w *world) leaveReplicaBehind() error {
	d, err := w.run(crashpoint.ApplyCommitted, 4+w.random.IntN(12), time.Second)
	if err != nil || !d.killed {
		return err
	}
	return w.cutPower()
}

// nextLife decides what the next child is told.
func (w *world) nextLife(focus string) life {
	w.lives++
	l := life{
		Folder: w.folder, Seed: w.random.Uint64(), Primary: w.primary, Params: w.params,
		Focus: focus, FirstID: w.lives * 100_000, Faults: w.random.IntN(3) > 0,
		Work: 5 + w.random.IntN(40),
	}
	if w.broken {
		_ = os.RemoveAll(filepath.Join(w.folder, w.other()))
		w.broken = false
	}
	w.removeLost()
	_, err := os.Stat(w.path(w.other()) + "-mylibsql/state")
	l.Promote = err == nil && w.random.IntN(12) == 0 &&
		(len(w.oracle.streamed) == 0 || !w.oracle.rebuilt)
	if l.Promote {
		w.lost = w.primary
	}
	return l
}

// removeLost removes a primary that was lost, once the other one has its role: it may hold what
// nobody else does.
func (w *world) removeLost() {
	if w.lost != "" && w.lost != w.primary {
		_ = os.RemoveAll(filepath.Join(w.folder, w.lost))
	}
	w.lost = ""
}

// hear takes note of what a child said.
func (w *world) hear(line string, d *death) {
	if point, died := crashpoint.Died(line); died {
		d.point = point
		return
	}
	var word string
	var id int64
	if _, err := fmt.Sscan(line, &word, &id); err != nil {
		return // a line that was cut off
	}
	switch word {
	case "fault":
		d.faults++
	case "acked":
		d.acked++
	case "primary-a", "primary-b":
		w.primary = strings.TrimPrefix(word, "primary-")
	case "rebuilt":
		w.broken = true
	case "following":
		w.broken = false
	}
	w.oracle.hear(word, id)
}

// focusOf is the kind of work that passes a point most.
func focusOf(point crashpoint.Point, random *rand.Rand) string {
	area, _, _ := strings.Cut(string(point), ":")
	switch area {
	case "apply":
		return "follow"
	case "copy":
		return "copy"
	case "back":
		return "follow"
	case "stream ack":
		return "stream"
	case "role":
		return "handover"
	case "seed", "restore":
		return "rebuild"
	case "prune":
		return "prune"
	case "reset", "commit":
		return "reset"
	case "outbox", "seal":
		return "outage"
	case "open", "close":
		return "reopen"
	case "store", "offer":
		return "checkpoint"
	}
	// A life of outages alone would take minutes.
	list := slices.DeleteFunc(jobs(), func(j job) bool { return j.name == "outage" })
	return list[random.IntN(len(list))].name
}
