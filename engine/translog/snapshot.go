package translog

import "io"

// Snapshot is a log that holds every page of a database. It is safe for concurrent use,
// as [Log] is.
type Snapshot struct{ *Log }

// AsSnapshot returns the log as a snapshot, the same handle: closing either closes both.
// A log whose First is not 1 is a [*FormatError].
func AsSnapshot(log *Log) (*Snapshot, error) {
	if !log.IsSnapshot() {
		return nil, &FormatError{Field: "snapshot", Got: log, Want: "a log that begins at 1"}
	}
	return &Snapshot{Log: log}, nil
}

// OpenSnapshot is [OpenLog] for a snapshot. Any other log is a [*FormatError].
func OpenSnapshot(path string) (*Snapshot, error) { return keepSnapshot(OpenLog(path)) }

// ReadSnapshot is [ReadLog] for a snapshot. Any other log is a [*FormatError].
func ReadSnapshot(r io.Reader, dir string) (*Snapshot, error) {
	return keepSnapshot(ReadLog(r, dir))
}

// keepSnapshot closes a log that is none.
func keepSnapshot(log *Log, err error) (*Snapshot, error) {
	if err != nil {
		return nil, err
	}
	snapshot, err := AsSnapshot(log)
	if err != nil {
		_ = log.Close()
	}
	return snapshot, err
}

// Append returns a snapshot of the database as it is after the logs, by [Merge]: logs at
// or before the snapshot's end are skipped, a later snapshot among them replaces
// everything. Large results go to a temporary file in the folder that the snapshot was
// read or built with ([os.TempDir] when it was opened from a file). The original is
// unchanged, and both are to be closed.
func (s *Snapshot) Append(logs ...*Log) (*Snapshot, error) {
	all := append([]*Log{s.Log}, logs...)
	return keepSnapshot(Merge(s.handle.content.dir, all...))
}
