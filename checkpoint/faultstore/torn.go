package faultstore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
)

// torn copies a log, and cuts the copy in the middle behind the back of its handle: it says
// of itself what the whole one does, but reading it fails half-way, as it does when a
// connection breaks. The file has no name any more.
func torn(log *translog.Log) (*translog.Log, error) {
	file, err := os.CreateTemp("", ".faultstore-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("faultstore: tear log: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = log.WriteTo(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("faultstore: tear log: %w", err)
	}
	broken, err := translog.OpenLog(file.Name())
	if err != nil {
		return nil, fmt.Errorf("faultstore: tear log: %w", err)
	}
	if err := os.Truncate(file.Name(), log.Size()/2); err != nil {
		err = errors.Join(err, broken.Close())
		return nil, fmt.Errorf("faultstore: tear log: %w", err)
	}
	return broken.WithFollows(log.Follows()), nil
}

// saveTorn lets the store try to save a log that it cannot read to its end: what it does
// about its own half-written files is tested as well. The error says that there is no such
// log; the store's answer is lost.
func (s *Store) saveTorn(ctx context.Context, log *translog.Log) error {
	broken, err := torn(log)
	if err != nil {
		return err
	}
	defer func() { _ = broken.Close() }()
	_ = s.store.Save(ctx, broken)
	return nil
}
