//go:build cgo

package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
	"github.com/mylibsql/mylibsql/internal/disk"
)

// record is what the state file says: a position, where in which WAL it lies, what the
// database file looked like, and what was saved. See doc.go for when it counts.
type record struct {
	Generation uint64            `json:"generation"` // of the record itself
	Role       Role              `json:"role"`
	PageSize   int               `json:"page_size"`
	Anchor     anchor            `json:"anchor"`
	File       *fileStat         `json:"file,omitempty"`
	FileHolds  translog.FrameNo  `json:"file_holds,omitempty"` // position of File
	Saved      translog.Position `json:"saved"`
	Offered    []offeredLog      `json:"offered,omitempty"`
	Snapshot   bool              `json:"snapshot,omitempty"` // the next log must be one

	HistoryID    uint64           `json:"history_id,omitempty"`   // NodeID of the logs
	Acknowledged translog.FrameNo `json:"acknowledged,omitempty"` // through live streams
	Inherited    translog.FrameNo `json:"inherited,omitempty"`    // position of the promotion
	Intent       *anchor          `json:"intent,omitempty"`       // what a replica is about to apply
	Durable      *anchor          `json:"durable,omitempty"`      // of a replica: fsynced, as is this
	Diverged     bool             `json:"diverged,omitempty"`     // of a replica: not at Anchor

	FileContent translog.Checksum `json:"file_content,omitempty"` // of File, 0: unknown

	Writers []writer            `json:"writers,omitempty"` // before this one, the newest last
	Earlier []translog.Position `json:"earlier,omitempty"` // that the file alone has held
}

// offeredLog is a log whose save has an unknown outcome.
type offeredLog struct {
	translog.Position        // its end
	NodeID            uint64 `json:"node,omitempty"`
}

// writer is somebody who wrote a part of the history, up to a position.
type writer struct {
	NodeID uint64           `json:"node"`
	UpTo   translog.FrameNo `json:"up_to"`
}

// What the state remembers of the past.
const (
	writersMax = 16
	earlierMax = 32
)

// vouchedFor is the position up to which somebody else relies on what the database holds.
func (r record) vouchedFor() translog.FrameNo { return max(r.Saved.FrameNo, r.Acknowledged) }

// anchor ties a position to a frame of the WAL.
type anchor struct {
	Position translog.FrameNo  `json:"position"`
	Content  translog.Checksum `json:"content,omitempty"` // of the database there, 0: unknown
	Salt     [2]uint32         `json:"salt"`
	Frame    uint32            `json:"frame"`
	Checksum [2]uint32         `json:"checksum"` // running checksum of that frame
}

// fileStat is what the database file looked like after the last reset, when it alone held
// a position.
type fileStat struct {
	Device     uint64 `json:"device"`
	Inode      uint64 `json:"inode"`
	SizeBytes  int64  `json:"size_bytes"`
	ModifiedNs int64  `json:"modified_ns"`
	ChangedNs  int64  `json:"changed_ns"`
}

// The state file has two slots. One holds the record that was fsynced last, and is not
// touched until another one was: every other record goes to the other slot, one over the
// other. So a torn or lost write leaves what is durable. A slot is: magic, length and CRC-32C
// of the JSON text, the text.
const (
	stateSlotBytes   = 32 << 10
	stateHeaderBytes = 16
	stateMagic       = "mylibst1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeSlot(r record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("engine: state: %w", err)
	}
	if len(text) > stateSlotBytes-stateHeaderBytes {
		return nil, fmt.Errorf("engine: state of %d bytes does not fit its slot", len(text))
	}
	slot := make([]byte, stateHeaderBytes, stateSlotBytes)
	copy(slot, stateMagic)
	binary.BigEndian.PutUint32(slot[8:], uint32(len(text)))
	binary.BigEndian.PutUint32(slot[12:], crc32.Checksum(text, castagnoli))
	return append(slot, text...), nil
}

func decodeSlot(slot []byte) (record, bool) {
	var r record
	if len(slot) < stateHeaderBytes || string(slot[:8]) != stateMagic {
		return r, false
	}
	length := int(binary.BigEndian.Uint32(slot[8:]))
	if length > len(slot)-stateHeaderBytes {
		return r, false
	}
	text := slot[stateHeaderBytes : stateHeaderBytes+length]
	if crc32.Checksum(text, castagnoli) != binary.BigEndian.Uint32(slot[12:]) {
		return r, false
	}
	return r, json.Unmarshal(text, &r) == nil
}

// decodeState returns the records that are whole, the newest first, and the slot of that
// one. An empty file is that of a database that was created and not used.
func decodeState(content []byte) (records []record, newestSlot int, err error) {
	if len(content) == 0 {
		return nil, 0, nil
	}
	for slot := range 2 {
		start := min(slot*stateSlotBytes, len(content))
		r, ok := decodeSlot(content[start:min(start+stateSlotBytes, len(content))])
		switch {
		case !ok:
		case len(records) > 0 && records[0].Generation >= r.Generation:
			records = append(records, r)
		default:
			records, newestSlot = append([]record{r}, records...), slot
		}
	}
	if len(records) == 0 {
		return nil, 0, ErrState
	}
	return records, newestSlot, nil
}

// readState reads the records of a database, the newest first: none for a new one.
func (s *sidecar) readState() ([]record, error) {
	file, err := os.Open(s.statePath())
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(file, 2*stateSlotBytes))
		_ = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("engine: state: %w", err)
	}
	records, newestSlot, err := decodeState(content)
	s.durableSlot = newestSlot // see openState
	if err == nil && len(records) == 0 && s.hasOutbox() {
		err = ErrState
	}
	if err != nil {
		err = fmt.Errorf("%w: %s: move the folder %s away to start a new history with a snapshot",
			err, s.statePath(), s.folder)
	}
	return records, err
}

// openState opens the state file for writing. What was read from it is made durable first,
// so that the newest record may be relied on while the other slot is written.
func (s *sidecar) openState() error {
	file, err := os.OpenFile(s.statePath(), os.O_CREATE|os.O_WRONLY, s.mode)
	if err != nil {
		return err
	}
	if err := disk.SyncFile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	s.state = file
	return nil
}

// writeState writes the next record, durably when sync is set. After an error the old
// record or the new one counts. The file stays open until release.
func (s *sidecar) writeState(r record, sync bool) error {
	slot, err := encodeSlot(r)
	if err != nil {
		return err
	}
	if s.state == nil {
		err = s.openState()
	}
	other := 1 - s.durableSlot
	if err == nil {
		_, err = s.state.WriteAt(slot, int64(other)*stateSlotBytes)
	}
	crashpoint.Reach(crashpoint.StateWritten)
	if err == nil && sync {
		if err = disk.SyncFile(s.state); err == nil {
			s.durableSlot = other
		}
		crashpoint.Reach(crashpoint.StateSynced)
	}
	if err != nil {
		return fmt.Errorf("engine: state: %w", err)
	}
	return nil
}
