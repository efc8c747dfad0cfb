package translog

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
)

// DefaultMemoryBytes is how much of a log is held in memory before it moves to a
// temporary file, unless [BuildOptions] says otherwise.
const DefaultMemoryBytes = 4 << 20

// Sizes of the buffers between us and files or writers, in bytes.
const (
	writeBufferBytes = 256 << 10
	readBufferBytes  = 64 << 10
)

// spool collects bytes in memory, and moves them to a temporary file when they become
// many. The file has no name (where the system allows that), so nothing is left behind by
// a crash.
type spool struct {
	dir         string // for the file; "" is os.TempDir
	memoryBytes int
	bytes       []byte
	file        *os.File
	name        string // of a file that could not be unlinked while open
	buffer      *bufio.Writer
	size        int64
}

func newSpool(dir string, memoryBytes int) *spool {
	if memoryBytes <= 0 {
		memoryBytes = DefaultMemoryBytes
	}
	return &spool{dir: dir, memoryBytes: memoryBytes}
}

// folder is where temporary files go.
func (s *spool) folder() string {
	if s.dir == "" {
		return os.TempDir()
	}
	return s.dir
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.bytes)+len(p) > s.memoryBytes {
		if err := s.moveToFile(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.bytes = append(s.bytes, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	n, err := s.buffer.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("translog: write temporary file: %w", err)
	}
	return n, nil
}

func (s *spool) moveToFile() error {
	file, err := os.CreateTemp(s.dir, ".translog-*.tmp")
	if err != nil {
		return fmt.Errorf("translog: create temporary file: %w", err)
	}
	s.file = file
	if err := os.Remove(file.Name()); err != nil {
		s.name = file.Name() // Not every system unlinks open files: it goes at close.
	}
	s.buffer = bufio.NewWriterSize(file, writeBufferBytes)
	if _, err := s.buffer.Write(s.bytes); err != nil {
		return fmt.Errorf("translog: write temporary file: %w", err)
	}
	s.bytes = nil
	return nil
}

// finish hands the bytes over, with one count. After an error the spool still wants
// discard.
func (s *spool) finish() (*content, error) {
	if s.file != nil {
		if err := s.buffer.Flush(); err != nil {
			return nil, fmt.Errorf("translog: write temporary file: %w", err)
		}
	}
	if spare := cap(s.bytes) - len(s.bytes); spare > len(s.bytes)/4 {
		s.bytes = slices.Clone(s.bytes) // Logs may be kept for long, doubled buffers not.
	}
	c := &content{bytes: s.bytes, file: s.file, name: s.name, size: s.size, dir: s.dir}
	c.users.Store(1)
	*s = spool{}
	return c, nil
}

// discard drops everything. After finish it does nothing.
func (s *spool) discard() error {
	file, name := s.file, s.name
	*s = spool{}
	if file == nil {
		return nil
	}
	err := file.Close()
	if name != "" {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
