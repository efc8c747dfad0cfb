//go:build cgo

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mylibsql/mylibsql"
)

// A stream is one log after the other, each behind its length as eight bytes. The length 0
// ends it: the primary has no more to give, and the replica has everything.
const lengthBytes = 8

// errCut is returned when a stream ends without saying so. Nothing is lost by that: the
// replica asks again, from the position that it has.
var errCut = errors.New("the stream was cut off")

func writeLog(w io.Writer, log *mylibsql.Log) error {
	if err := writeLength(w, log.Size()); err != nil {
		return err
	}
	_, err := log.WriteTo(w)
	return err
}

func writeEnd(w io.Writer) error { return writeLength(w, 0) }

func writeLength(w io.Writer, n int64) error {
	_, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return err
}

// readLog reads the next log. It returns io.EOF at the stream's end, and errCut when there
// was none.
func readLog(r io.Reader) (*mylibsql.Log, error) {
	var length [lengthBytes]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, cut(err)
	}
	n := int64(binary.BigEndian.Uint64(length[:]))
	switch {
	case n == 0:
		return nil, io.EOF
	case n < 0:
		return nil, fmt.Errorf("the length of a log is %x", length)
	}
	body := &io.LimitedReader{R: r, N: n}
	log, err := mylibsql.ReadLog(body)
	if err != nil {
		return nil, cut(err)
	}
	if body.N > 0 {
		err := fmt.Errorf("%d bytes follow the log %s", body.N, log.Name())
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}
