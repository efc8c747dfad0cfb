// Package mylibsql is a database/sql driver for SQLite that captures every commit, and
// leaves to the application when a write is durable, and where.
//
// It opens an ordinary SQLite file through [github.com/mattn/go-sqlite3], reads what was
// committed out of the write-ahead log (WAL), and hands it to a function of the
// application as one log at a time: to be stored on another disk, in a bucket, on another
// machine. A snapshot and the logs after it make the same database again, byte for byte.
//
// # Quick start
//
//	db, err := sql.Open("mylibsql", "file:app.db")   // in place of "sqlite3"
//
//	ctx, ack := mylibsql.WithAck(ctx)
//	_, err = db.ExecContext(ctx, "INSERT ...")       // committed here, visible at once
//
//	lib, err := mylibsql.From(ctx, db)               // what is behind the pool
//	store, err := checkpoint.OpenDirectory("/backup/app")
//	_, err = lib.Checkpoint(ctx, store.Save)         // or any func(ctx, *Log) error
//
//	err = ack.Wait(ctx)                              // nil: the write is saved
//
// The package checkpoint has the directory store and restores it into a file.
// [OpenPrimary] goes on from logs that are kept anywhere else.
//
// Two positions tell where a database stands: what is committed here, and what is saved
// there. A position is a [FrameNo]; it grows with every commit, never restarts, and may
// jump: compare, never subtract. [Database.Stats] shows both.
//
// # Guarantees
//
//   - A commit is captured whoever makes it: this pool, RETURNING, a statement that fails half
//     way, a hand-written COMMIT, the backup API, plain go-sqlite3 on the same file, another
//     process.
//   - Nothing is written twice at a commit. It costs and means what it does in SQLite: with
//     _synchronous=NORMAL it survives the end of the process, with FULL a power cut too.
//   - What is offered to a save function was fsynced here before. A save that fails loses
//     nothing: the next checkpoint offers the same pages again, with what came since.
//   - Frames leave the WAL only when they are in a log that is saved or lies fsynced in the
//     outbox, or when no log was ever saved, for then the next one is a snapshot.
//   - Logs are saved in order, without gaps. Each carries the checksum of the whole database
//     before and after it; what does not fit is an error ([ErrGap], [ErrChecksum], [ErrFormat]).
//   - An ack resolves after the save of its log, or after a live stream's reader has acknowledged
//     its position, and never before; when its fate can never be known any more it fails, and does
//     not hang.
//   - A database that was changed while it was closed goes on where its WAL still shows what
//     happened; else it starts over with a snapshot, and says so to the Logger. One that holds
//     less than was saved from it does not open ([ErrBehind]).
//   - One process at a time has the database open through this package ([ErrInUse] tells which
//     one has it). Plain readers and writers, such as the sqlite3 shell, are not kept out.
//
// Not covered: attached and temporary databases, which are not captured; and whoever
// opens and closes the database or its -shm file by path in this process, os.ReadFile
// being enough: that drops SQLite's locks (https://www.sqlite.org/howtocorrupt.html).
// Read these files after Close, or from another process.
//
// # Replicas
//
// A replica is a database with the role replica: a new file opened with _role=replica, or
// what [OpenReplica] makes from a snapshot and logs. It serves reads, refuses writes
// ([ErrReadOnly]), and takes logs:
//
//	replica, err := sql.Open("mylibsql", "file:replica.db?_role=replica")
//	lib, err := mylibsql.From(ctx, replica)
//	err = lib.Replicate(ctx, log)            // a snapshot first, then what continues it
//
// A log is verified as a whole, and so is the database that it leads to, before anything is
// touched. It becomes visible at once and completely; readers, in this process and in
// others, are never blocked and never see half of it. A log that does not fit leaves the
// replica as it was, with an error that tells both sides ([ErrGap], [ErrChecksum],
// [ErrForeign], [ErrFormat]); one that it has already changes nothing. Byte for byte, the
// replica is the primary.
//
// A snapshot replaces everything. One of another database is refused (the upper half of
// NodeID is the same in all logs of a history), and so is one with pages of another size. A
// replica that another program has written to has diverged: it goes on serving reads, and
// takes only a snapshot ([ErrDiverged]). Opened again, it goes back to what it was before
// where that is still there.
//
// What was applied survives the end of the process. After a power cut a replica is at least
// where [Database.Sync] or a checkpoint of its WAL last left it, and goes on from there.
//
// # Live frames
//
// Between two checkpoints a replica can follow commit by commit:
//
//	position, err := replica.Position(ctx)
//	frames, err := primary.Frames(ctx, position)
//	for batch, err := range frames.All(ctx) {        // one transaction each, in order
//		log, err := batch.Log(mylibsql.BuildOptions{})
//		err = replica.Replicate(ctx, log)
//		err = log.Close()
//		err = frames.AckReplicated(batch.End.FrameNo)
//	}
//
// [MergeBatches] makes one log of all that has queued up ([Frames.TryNext]), which is how a
// replica keeps pace with a fast primary. [Frames.AckReplicated] resolves acks without a
// checkpoint: it says that the reader has the position safely, whatever that means to it
// ([Database.Sync] first makes it mean a power cut). Acknowledge merged logs rather than
// single commits, and send the next log once the last one is acknowledged: what is committed
// meanwhile is merged then, and each acknowledgement costs an fsync here.
// The zero position is for who wants what comes next; an empty replica takes a snapshot
// first. One stream's word is enough, unless _replica_acks asks for more. A reader that falls
// behind by more than 64 MiB when the WAL is reset, or was away while it was, gets
// [ErrLagged]: it takes what was saved since, after a Checkpoint if that was not yet, and
// opens another stream from there.
//
// # Roles
//
// [Database.Promote] makes a replica the primary, [Database.Demote] a primary a replica, in
// place: pools stay open and follow at once, positions continue, nothing is copied. The role
// lives beside the database, not in the DSN. An orderly change of places loses nothing:
//
//	err = old.CheckpointAndDemote(ctx, save) // its writers get ErrReadOnly from here on
//	err = successor.Replicate(ctx, log)      // up to the last saved position
//	err = successor.Promote(ctx)
//
// A replica that is promoted because its primary is gone holds what it was given. When it
// followed live frames it may be ahead of the store: its first Checkpoint then returns
// ErrGap, and the next one offers a snapshot that continues the store's end. The old primary
// must not come back: if both save to one store, one of them is fenced ([ErrFenced]). Nor can
// it follow if it has commits that the new primary lacks: [Database.Frames] of the new one
// refuses its position. It makes place for a new replica then.
//
// [WithMinFrame] makes a read on a replica wait for a position, such as the one of an
// [Ack], so that a session reads its own writes.
//
// # Acks
//
// An [Ack] stands for everything committed under its context. Every statement that runs
// under the context joins it, in whatever transaction: a context given to BeginTx alone
// is enough, so is one given to a single statement inside, or to a hand-written COMMIT.
// Below another [WithAck] an ack feeds both. Several statements, goroutines and databases
// may share one.
//
//	what happened under the context                      Wait
//	committed, not saved                                 waits for the save or its own context
//	committed and saved, or acknowledged by a stream     nil
//	rolled back, or nothing changed                      nil, and FrameNo is 0
//	a transaction or RETURNING rows carry it, open       ErrUncommitted at once
//	no statement ran                                     ErrAckUnused at once
//	closed, fenced or failed before it was saved         ErrClosed, ErrFenced, ErrReplaced,
//	                                                     ErrPoisoned
//
// [Ack.Err] tells the same without waiting ([ErrPending]), [Ack.Done] is a channel for
// select. The context that carried an ack may end after the commit: the ack lives on.
//
// # The DSN
//
// A data source name is a path, or a file: URI as SQLite has them
// (https://www.sqlite.org/uri.html), with parameters behind a question mark:
//
//	app.db
//	file:/var/lib/app/app.db?_foreign_keys=on&_busy_timeout=2000
//	:memory:                                      private to its pool
//	file:name?mode=memory&cache=shared            shared by all pools of the process that name it
//
// A database in memory is a temporary file that is removed at the last close.
//
// Every parameter of go-sqlite3 is taken, with its aliases. A name that starts with an
// underscore and is not known, a value out of range, and two values for one parameter are
// a [*ParamError], which names the parameter and what it takes. Booleans are 0 1 false
// true no yes off on. Two pools that open one file may not name different values for a
// parameter of this package ([ErrSettings]; for _role [ErrRole]).
//
// Parameters of this package:
//
//   - _role: what a new database is: primary (default) takes writes, replica takes logs and serves
//     reads. Later the database itself knows; a value that contradicts it is [ErrRole], so that an
//     old primary that was demoted cannot come back as one by its DSN.
//   - _wal_limit_frames: the length of the WAL, in frames, from which it is moved into the
//     database file. 100 to 1000000000, default 4000 (16 MB with pages of 4096 bytes). It takes
//     the place of PRAGMA wal_autocheckpoint.
//   - _page_size: the page size of a new file, in bytes: a power of two from 512 to 65536.
//     Default is SQLite's, 4096. An existing file keeps its own.
//   - _lock_timeout: how long to wait for another process that has the database open, before
//     [ErrInUse]: a Go duration such as 2s, or milliseconds; 0 to 24h, default 0.
//   - _replica_acks: how many live streams must acknowledge a position before acks up to it resolve
//     without a save. 1 to 64, default 1.
//
// Parameters of go-sqlite3 that have another default or meaning here:
//
//   - _txlock: what BeginTx runs: immediate (default; go-sqlite3's is deferred), deferred,
//     exclusive. A read-only transaction is always deferred.
//   - _busy_timeout, _timeout: how long a write waits for its turn, in milliseconds, default
//     5000; 0 or less does not wait, 2147483647 is the most. Writers queue in order of arrival.
//   - _stmt_cache_size: prepared statements that each connection keeps: 0 to 65536, default 64
//     (go-sqlite3's is 0).
//   - _journal_mode, _journal: WAL only; commits are captured from the WAL.
//   - _locking_mode, _locking: NORMAL only; the engine reads the database too.
//
// Parameters of go-sqlite3 that are handed down. Without a default the choice is
// SQLite's:
//
//   - _synchronous, _sync: when SQLite waits for the disk: 0 OFF 1 NORMAL 2 FULL 3 EXTRA,
//     default NORMAL. https://www.sqlite.org/pragma.html#pragma_synchronous
//   - _foreign_keys, _fk: whether foreign keys are enforced: boolean.
//   - _defer_foreign_keys, _defer_fk: whether they are enforced at the commit only: boolean.
//   - _auto_vacuum, _vacuum: whether a new file gives free pages back: 0 none 1 full 2
//     incremental.
//   - _cache_size: page cache of a connection: pages, or KiB when negative.
//   - _case_sensitive_like, _cslike: whether LIKE tells upper from lower case: boolean.
//   - _ignore_check_constraints: whether CHECK constraints are ignored: boolean.
//   - _loc: time zone of the times that are read: auto (local) or a name such as Europe/Paris.
//   - _mutex: SQLite's threading mode: no or full, default full.
//   - _query_only: whether connections refuse to write: boolean.
//   - _recursive_triggers, _rt: whether triggers fire triggers: boolean.
//   - _secure_delete: whether deleted content is overwritten: boolean or fast.
//   - _writable_schema: whether the schema table can be written to: boolean.
//   - _auth, _auth_user, _auth_pass, _auth_crypt, _auth_salt: user authentication, with the
//     build tag sqlite_userauth. _auth_crypt is SHA1 (default), SHA256, SHA384, SHA512, or with
//     _auth_salt SSHA1, SSHA256, SSHA384, SSHA512.
//
// SQLite's own parameters:
//
//   - mode: ro, rw, rwc (default), memory. ro is a plain reader of go-sqlite3, without engine,
//     lock or side files of this package. rw wants the file to exist.
//   - cache: private (default), or shared for a database in memory, which the pools that name it
//     share then. A file refuses shared, where connections would share one transaction.
//   - vfs: unix only; the others lack the shared memory or the locks that a WAL needs.
//   - immutable, nolock, 8_3_names: 0 only. Each would break the capture of commits.
//   - psow: 1 only. Without it SQLite writes frames with padding, which is not read here.
//   - readonly_shm: 0 (default), or 1 with mode=ro.
//
// # Differences from go-sqlite3
//
//   - The file is in WAL mode, and stays in it. PRAGMA journal_mode with another mode,
//     locking_mode=EXCLUSIVE, and ATTACH of the main file itself are refused ([ErrRefused]).
//   - PRAGMA wal_checkpoint is answered by the engine, which tries to move the WAL into the
//     file; setting wal_autocheckpoint does nothing.
//   - BeginTx is BEGIN IMMEDIATE, so that a transaction cannot fail with "database is locked"
//     after its first statement. sql.TxOptions counts: ReadOnly is enforced ([ErrReadOnly]),
//     every isolation level that serializable satisfies is accepted, sql.LevelLinearizable is
//     refused.
//   - Writers wait in Go, in order of arrival, and a context that ends takes them out of the
//     queue. Whoever waits longer than _busy_timeout gets go-sqlite3's ErrBusy.
//   - A transaction that was left open on a connection is rolled back when the connection goes
//     back to its pool. So a BEGIN by sql.DB.Exec does not last until the next Exec, not even
//     in a pool of one connection, and a COMMIT by it fails: use BeginTx, or one sql.Conn.
//   - An authorizer that is registered on the go-sqlite3 connection is replaced by the engine's
//     own before the next statement.
//   - PRAGMA auto_vacuum as a statement comes too late for a new file, which has its first page
//     when it is open: use the parameter _auto_vacuum, or run VACUUM behind the PRAGMA.
//   - A checkpoint by another program with TRUNCATE, RESTART or FULL waits for the engine as
//     for a reader, and keeps writers out as long as its own busy timeout lasts.
//   - In a transaction that SQLite has rolled back by itself (OR ROLLBACK, a full disk) every
//     statement but Rollback fails with [ErrTransactionEnded], in place of running outside of
//     it.
//   - A database in memory belongs to the pool, not to a single connection.
//   - SQLite's own errors are bare sqlite3.Error values, as in go-sqlite3.
//   - Beside app.db lies the folder app.db-mylibsql with the lock, the positions and the outbox.
//
// # Closing
//
// sql.DB.Close closes the pool; the database closes with the last connection, so a
// transaction that is open meanwhile can still commit. The database is left as one plain
// file, without a WAL, unless another program keeps it, or a WriteSnapshot or a first
// Checkpoint that is still running: then the next open takes it in. Close returns nil when
// everything is saved or nothing ever was, and [ErrUnsaved] otherwise, when it is what closes
// the database: then the commits are kept beside the file, and the first checkpoint after the
// next open offers them. Acks that are still pending fail with [ErrClosed]. A Checkpoint
// whose save is still running does not hold up the close: it returns [ErrClosed] when the
// save ends, and the first checkpoint after the next open settles what was stored.
package mylibsql
