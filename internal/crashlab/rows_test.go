//go:build crashlab

package crashlab

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"

	_ "github.com/mattn/go-sqlite3"
)

// rowBytesMax bounds the content of a row.
const rowBytesMax = 1500

// content is what a row holds, from its id alone, so that a wrong byte is seen.
func content(id int64) []byte {
	random := rand.New(rand.NewPCG(uint64(id), 0))
	text := make([]byte, random.IntN(rowBytesMax))
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	return text
}

// oracle knows of every row what may have become of it.
type oracle struct {
	maybe map[int64]bool // was about to be committed
	never map[int64]bool // was rolled back
	acked map[int64]bool // saved, as its ack said
	// streamed were acknowledged through a live stream and not saved: the primary has them,
	// and the replica that acknowledged.
	streamed map[int64]bool
	rebuilt  bool // the replica was made anew since: it may lack them

	transactions map[int64][]int64 // rows of each, by the id of the first
	open         int64             // the transaction whose rows come
}

func newOracle() *oracle {
	return &oracle{maybe: map[int64]bool{}, never: map[int64]bool{}, acked: map[int64]bool{},
		streamed: map[int64]bool{}, transactions: map[int64][]int64{}}
}

// hear takes note of a line that the child said.
func (o *oracle) hear(word string, id int64) {
	switch word {
	case "begin":
		o.open = id
	case "maybe":
		o.maybe[id] = true
		o.transactions[o.open] = append(o.transactions[o.open], id)
	case "never":
		o.never[id] = true
	case "acked":
		o.acked[id] = true
		delete(o.streamed, id)
	case "streamed":
		if !o.acked[id] {
			o.streamed[id] = true
		}
	case "rebuilt":
		o.rebuilt = true
	case "following":
		o.rebuilt = false
	}
}

// rowsOf reads a database file through plain go-sqlite3, and checks it and each row's content.
func rowsOf(path string) (map[int64]bool, error) {
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	var sound string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil {
		return nil, err
	}
	if sound != "ok" {
		return nil, fmt.Errorf("integrity_check of %s: %s", path, sound)
	}
	found := map[int64]bool{}
	var tables int
	err = db.QueryRow("SELECT count(*) FROM sqlite_master WHERE name = 'rows'").Scan(&tables)
	if err != nil || tables == 0 {
		return found, err // it died before it had made the table
	}
	rows, err := db.Query("SELECT id, x FROM rows")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var x []byte
		if err := rows.Scan(&id, &x); err != nil {
			return nil, err
		}
		if !bytes.Equal(x, content(id)) {
			return nil, fmt.Errorf("%s: row %d has another content", path, id)
		}
		found[id] = true
	}
	return found, rows.Err()
}

// judge compares the rows of a database with what must be there: transactions as a whole. It
// returns the rows that are lost.
func (o *oracle) judge(found map[int64]bool, must ...map[int64]bool) (lost []int64, err error) {
	for _, rows := range must {
		for id := range rows {
			if !found[id] {
				lost = append(lost, id)
			}
		}
	}
	for id := range found {
		if !o.maybe[id] || o.never[id] {
			return lost, fmt.Errorf("row %d was never committed", id)
		}
	}
	for _, rows := range o.transactions {
		for _, id := range rows {
			if found[id] != found[rows[0]] {
				return lost, fmt.Errorf("the transaction of the rows %v is torn", rows)
			}
		}
	}
	return lost, nil
}
