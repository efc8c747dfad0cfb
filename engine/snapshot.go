//go:build cgo

package engine

import (
	"context"
	"errors"
	"io"

	"github.com/mylibsql/mylibsql/engine/translog"
	"github.com/mylibsql/mylibsql/engine/wal"
	"github.com/mylibsql/mylibsql/internal/crashpoint"
)

// WriteSnapshot writes the whole database, as it is at one committed position, to w as an
// LTX file with First 1, and returns that position. Writers go on; the WAL is not reset
// meanwhile. It saves nothing: acks do not move.
//
// It returns ErrEmpty when nothing was ever committed, and ErrDiverged on a replica that
// somebody else wrote to. After an error w has received an
// incomplete file.
func (db *DB) WriteSnapshot(ctx context.Context, w io.Writer) (_ translog.FrameNo, err error) {
	v, err := db.openView(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if v.at.position == 0 {
		return 0, ErrEmpty
	}
	if db.isDiverged() {
		return 0, ErrDiverged // its content is not that of its position
	}
	encoder, err := translog.NewEncoder(w, v.spec(translog.Position{}), db.sidecar.folder)
	if err != nil {
		return 0, err
	}
	total := translog.EmptyChecksum
	err = v.each(ctx, func(page translog.PageNo, data []byte) error {
		total = total.Replace(0, translog.PageSum(page, data))
		return encoder.WritePage(page, data)
	})
	if err != nil {
		encoder.Abort()
		return 0, err
	}
	if _, err := encoder.Close(total); err != nil {
		return 0, err
	}
	return v.at.position, nil
}

// beginHistory makes a snapshot the first pending log. From here on commits are sealed.
func (db *DB) beginHistory(ctx context.Context) (err error) {
	db.sealsAll.Store(true)
	defer db.sealsAll.Store(false)
	v, err := db.openView(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if v.at.position == 0 {
		return nil
	}
	builder, err := translog.NewBuilder(v.spec(db.Saved()), db.buildOptions())
	if err != nil {
		return err
	}
	all, total, err := v.sum(ctx, builder.WritePage)
	if err != nil {
		builder.Abort()
		return err
	}
	log, err := builder.Finish(total)
	if err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.SealWhole)
	db.sealer = sealer{
		begun: true, end: log.End(), salt: v.at.salt, sums: all,
		cursor:  wal.Cursor{Frame: v.at.frame, Checksum: wal.Checksum(v.at.checksum)},
		pending: []pendingLog{{log: log}},
	}
	return nil
}
