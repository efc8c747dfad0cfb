package checkpoint

import "errors"

// ErrEmpty is returned when a store that should be restored holds no log at all.
var ErrEmpty = errors.New("checkpoint: the store holds no log")

// ErrPruned is returned by a listing, and by Open, when the record that comes next was pruned
// since the listing began. A new listing has the snapshot that stands for it.
var ErrPruned = errors.New("checkpoint: record was pruned meanwhile")

// ErrClash is returned by Save and OpenDirectory when a file that is not the record holds
// the name that the record should have in Litestream's folders. The record itself is
// safe; somebody must move the foreign file away.
var ErrClash = errors.New("checkpoint: a foreign file holds the name of a saved log")
