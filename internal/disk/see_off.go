//go:build !crashlab

package disk

import "os"

// Outside the crash lab nobody keeps book of what is durable.
type sight struct{}

func seeFile(*os.File) (sight, error) { return sight{}, nil }
func seeFolder(string) (sight, error) { return sight{}, nil }
func (sight) durable() error          { return nil }
