//go:build cgo

package engine

import (
	"io/fs"
	"syscall"
)

func statOf(info fs.FileInfo) *fileStat {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return &fileStat{
		Device:     uint64(stat.Dev), // 32 bits wide on some platforms
		Inode:      stat.Ino,
		SizeBytes:  stat.Size,
		ModifiedNs: stat.Mtim.Nano(),
		ChangedNs:  stat.Ctim.Nano(),
	}
}
