//go:build crashlab

package crashlab

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// holding is what a process must give back when its databases are closed.
type holding struct{ goroutines, files int }

// warmUp opens what the runtime opens once, and keeps, when it first waits for a file.
func warmUp() {
	if read, write, err := os.Pipe(); err == nil {
		_, _ = read.Close(), write.Close()
	}
}

// held counts. Where /proc is missing no files are counted.
func held() holding {
	files, _ := os.ReadDir("/proc/self/fd")
	return holding{runtime.NumGoroutine(), len(files)}
}

// requireSame waits a little, for goroutines that are about to end.
func (h holding) requireSame() error {
	deadline := time.Now().Add(stay)
	for now := held(); ; now = held() {
		if now.goroutines <= h.goroutines && now.files <= h.files {
			return nil
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return fmt.Errorf("%d goroutines and %d files instead of %d and %d\n%s",
				now.goroutines, now.files, h.goroutines, h.files, stacks)
		}
		runtime.Gosched()
	}
}
