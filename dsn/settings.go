package dsn

import "strconv"

// SameDatabaseSettings returns a *ParamError when two pools that open the same database
// ask for different things: a is what the database is open with, b what came second.
// Compared are the settings of a database rather than of a connection (_wal_limit_frames,
// _page_size, _lock_timeout and _replica_acks), each where both name it, or differ from the
// default in a changed Config. _role is not among them: it changes while a database is open.
func SameDatabaseSettings(a, b *Config) error {
	settings := []struct {
		name   string
		inA, b string // "" where it is not given
	}{
		{walLimitName, a.givenWALLimit(), b.givenWALLimit()},
		{pageSizeName, a.givenPageSize(), b.givenPageSize()},
		{lockTimeoutName, a.givenLockTimeout(), b.givenLockTimeout()},
		{replicaAcksName, a.givenReplicaAcks(), b.givenReplicaAcks()},
	}
	for _, s := range settings {
		if s.inA != "" && s.b != "" && s.inA != s.b {
			return paramError(s.name, s.b, s.inA+", with which the database is open")
		}
	}
	return nil
}

func (c *Config) givenWALLimit() string {
	if !c.walLimitGiven && c.WALLimitFrames == WALLimitFramesDefault {
		return ""
	}
	return strconv.Itoa(c.WALLimitFrames)
}

func (c *Config) givenPageSize() string {
	if c.PageSize == 0 {
		return ""
	}
	return strconv.Itoa(c.PageSize)
}

func (c *Config) givenLockTimeout() string {
	if !c.lockTimeoutGiven && c.LockTimeout == 0 {
		return ""
	}
	return c.LockTimeout.String()
}

func (c *Config) givenReplicaAcks() string {
	if !c.replicaAcksGiven && c.ReplicaAcks == ReplicaAcksDefault {
		return ""
	}
	return strconv.Itoa(c.ReplicaAcks)
}
