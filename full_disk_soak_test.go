//go:build linux && cgo

package mylibsql_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mylibsql/mylibsql"
	"github.com/mylibsql/mylibsql/checkpoint"
)

// squeeze leaves about that much free, whatever others take or give back meanwhile.
func (d *smallDisk) squeeze(freeKB int) {
	_ = os.Remove(d.ballast())
	var s unix.Statfs_t
	if unix.Statfs(d.root, &s) != nil {
		return
	}
	if file, err := os.Create(d.ballast()); err == nil {
		take := max(int64(s.Bfree)-int64(freeKB/diskBlockKB), 1)
		_ = unix.Fallocate(int(file.Fd()), 0, 0, take*diskBlockKB<<10)
		_ = file.Close()
	}
}

// fullLoad is what runs at once on a disk that is full from time to time.
type fullLoad struct {
	t       *testing.T
	disk    *smallDisk
	primary *fullPrimary
	replica *replica
	store   *checkpoint.Directory
	stop    atomic.Bool
	group   sync.WaitGroup

	mu   sync.Mutex
	kept map[int64]int
	acks []*mylibsql.Ack
}

// each runs a piece of the load again and again. A failure ends all of it.
func (l *fullLoad) each(step func(random *rand.Rand) error, seed uint64) {
	l.group.Go(func() {
		random := rand.New(rand.NewPCG(seed, 0))
		for !l.stop.Load() {
			err := step(random)
			if err != nil && (!saysNoSpace(err) || errors.Is(err, mylibsql.ErrPoisoned)) {
				assert.NoError(l.t, err)
				l.stop.Store(true)
			} else if err != nil {
				l.disk.struck.note(err.Error())
			}
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		}
	})
}

func (l *fullLoad) write(writer int64) func(*rand.Rand) error {
	id := writer << 32
	return func(random *rand.Rand) error {
		id++
		size := 1 + random.IntN(6000)
		ctx, ack := mylibsql.WithAck(context.Background())
		_, err := l.primary.ExecContext(ctx, "INSERT INTO t VALUES(?, randomblob(?))", id, size)
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.kept[id] = size
			l.acks = append(l.acks, ack)
		}
		return err
	}
}

func (l *fullLoad) save(*rand.Rand) error {
	_, err := l.primary.lib.Checkpoint(context.Background(), l.store.Save)
	return err
}

// read wants that every row of a writer is there that it had been told of.
func (l *fullLoad) read(*rand.Rand) error {
	l.mu.Lock()
	want := len(l.kept)
	l.mu.Unlock()
	var got int
	err := l.primary.QueryRow("SELECT count(*) FROM t").Scan(&got)
	if err == nil && got < want {
		err = fmt.Errorf("%d rows of %d", got, want)
	}
	if err == nil {
		err = l.replica.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&got)
	}
	if err != nil {
		return fmt.Errorf("read: %v", err) // whatever it is: nobody forgives it
	}
	return nil
}

// follow takes what the store has.
func (l *fullLoad) follow(*rand.Rand) error {
	ctx := context.Background()
	at, err := l.replica.lib.Position(ctx)
	if err != nil {
		return err
	}
	for record, err := range l.store.Records(ctx, at.FrameNo) {
		if err != nil {
			return err
		}
		log, err := l.store.Open(ctx, record)
		if err != nil {
			return err
		}
		err = l.replica.lib.Replicate(ctx, log)
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestFullDiskComesAndGoes writes, reads, saves and replicates at once, all on one disk that is
// full, nearly full and empty in turn. At the end all three copies are the same.
func TestFullDiskComesAndGoes(t *testing.T) {
	onDisk(t, largeDiskMB, nil, func(t *testing.T, disk *smallDisk) {
		seed := fullDiskSeed(t)
		folder := disk.folder(t)
		p := openFullPrimary(t, disk, folder, folder, "_wal_limit_frames=100", newLedger())
		p.exec(t, createLedger)
		r := openReplicaAt(t, filepath.Join(folder, "replica.db"), fullReplicaSettings)
		l := &fullLoad{t: t, disk: disk, primary: p, replica: r, store: p.store,
			kept: map[int64]int{}}
		for i, step := range []func(*rand.Rand) error{
			l.write(1), l.write(2), l.save, l.read, l.follow,
		} {
			l.each(step, seed+uint64(i))
		}
		duration := 800 * time.Millisecond
		if testing.Short() {
			duration /= 4
		}
		random := rand.New(rand.NewPCG(seed, 1))
		for end := time.Now().Add(duration); time.Now().Before(end) && !l.stop.Load(); {
			disk.squeeze([]int{0, 0, 8, 40, 400}[random.IntN(5)])
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		}
		l.stop.Store(true)
		l.group.Wait()
		disk.makeRoom(t)
		p.rows.Kept, p.acks, p.rows.Next = l.kept, l.acks, 1
		p.saveAll(t, p.store)
		require.NoError(t, l.follow(random))
		require.Equal(t, l.kept, p.rows.read(t, r.DB))
		p.requireRecovers(t)
		require.NoError(t, l.follow(random))
		require.NoError(t, r.DB.Close())
		requireSameFile(t, p.path, r.path)
		t.Log("full disk:", len(l.kept), "rows")
	})
}
