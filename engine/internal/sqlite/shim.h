#ifndef MYLIBSQL_SHIM_H
#define MYLIBSQL_SHIM_H

#include <stdint.h>

/*
** The few declarations of SQLite's C API that this package needs. They are
** declared here, and not included, because the amalgamation is compiled inside
** go-sqlite3: the weak symbols below resolve at the final link.
** https://www.sqlite.org/c3ref/intro.html
*/
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
typedef long long sqlite3_int64;
typedef struct sqlite3_file sqlite3_file;
typedef struct sqlite3_io_methods sqlite3_io_methods;
struct sqlite3_file { const sqlite3_io_methods *pMethods; };
struct sqlite3_io_methods {
  int iVersion;
  int (*xClose)(sqlite3_file*);
  int (*xRead)(sqlite3_file*, void*, int iAmt, sqlite3_int64 iOfst);
  int (*xWrite)(sqlite3_file*, const void*, int iAmt, sqlite3_int64 iOfst);
  int (*xTruncate)(sqlite3_file*, sqlite3_int64 size);
  int (*xSync)(sqlite3_file*, int flags);
  int (*xFileSize)(sqlite3_file*, sqlite3_int64 *pSize);
  int (*xLock)(sqlite3_file*, int);
  int (*xUnlock)(sqlite3_file*, int);
  int (*xCheckReservedLock)(sqlite3_file*, int *pResOut);
  int (*xFileControl)(sqlite3_file*, int op, void *pArg);
  int (*xSectorSize)(sqlite3_file*);
  int (*xDeviceCharacteristics)(sqlite3_file*);
  int (*xShmMap)(sqlite3_file*, int iPg, int pgsz, int, void volatile**);
  int (*xShmLock)(sqlite3_file*, int offset, int n, int flags);
  void (*xShmBarrier)(sqlite3_file*);
};

#define MYLIBSQL_WEAK __attribute__((weak))
MYLIBSQL_WEAK int sqlite3_file_control(sqlite3*, const char*, int, void*);
MYLIBSQL_WEAK void *sqlite3_wal_hook(sqlite3*, int(*)(void*,sqlite3*,const char*,int), void*);
MYLIBSQL_WEAK int sqlite3_wal_checkpoint_v2(sqlite3*, const char*, int, int*, int*);
MYLIBSQL_WEAK int sqlite3_db_config(sqlite3*, int, ...);
MYLIBSQL_WEAK void sqlite3_interrupt(sqlite3*);
MYLIBSQL_WEAK int sqlite3_get_autocommit(sqlite3*);
MYLIBSQL_WEAK int sqlite3_txn_state(sqlite3*, const char*);
MYLIBSQL_WEAK int sqlite3_set_authorizer(sqlite3*,
  int (*)(void*,int,const char*,const char*,const char*,const char*), void*);
MYLIBSQL_WEAK int sqlite3_prepare_v2(sqlite3*, const char*, int, sqlite3_stmt**, const char**);
MYLIBSQL_WEAK int sqlite3_finalize(sqlite3_stmt*);
MYLIBSQL_WEAK int sqlite3_reset(sqlite3_stmt*);
MYLIBSQL_WEAK int sqlite3_extended_errcode(sqlite3*);
MYLIBSQL_WEAK int sqlite3_stmt_readonly(sqlite3_stmt*);
MYLIBSQL_WEAK int sqlite3_stricmp(const char*, const char*);
MYLIBSQL_WEAK const char *sqlite3_db_name(sqlite3*, int);
MYLIBSQL_WEAK const char *sqlite3_db_filename(sqlite3*, const char*);

/* What the authorizer saw while a statement was prepared. */
enum {
  MYLIBSQL_SAW_PRAGMA = 1,
  MYLIBSQL_SAW_ATTACH = 2,
  MYLIBSQL_SAW_REINDEX = 4,
  MYLIBSQL_SAW_TRANSACTION = 8,
  MYLIBSQL_SAW_CHECKPOINT = 16,
  MYLIBSQL_SAW_PRAGMA_VALUE = 32,
  MYLIBSQL_SAW_OPTIMIZE = 64
};

/* Why the authorizer refused a statement. */
enum {
  MYLIBSQL_REFUSED_NOTHING = 0,
  MYLIBSQL_REFUSED_JOURNAL_MODE = 1,
  MYLIBSQL_REFUSED_LOCKING_MODE = 2
};

/* One connection's authorizer state: lives in C memory, for SQLite keeps a
** pointer to it until the connection closes. Used by the thread that uses the
** connection. */
typedef struct {
  int seen;
  int refused;
  char pragma[40];
} mylibsql_auth;

/* The position of the WAL as its index header tells it, and what the asking
** connection is in the middle of. https://www.sqlite.org/walformat.html */
typedef struct {
  int transaction;       /* SQLITE_TXN_NONE 0, READ 1, WRITE 2; for "main" */
  int autocommit;        /* 0 inside an explicit transaction */
  int error;             /* extended result code of the connection's last call */
  int big_endian;        /* checksums of this WAL are big-endian */
  uint32_t change;       /* goes up by one per commit */
  uint32_t page_size;
  uint32_t max_frame;    /* last valid frame, 0 when the WAL is empty */
  uint32_t page_count;   /* database size in pages, 0 when unknown */
  uint32_t checksum[2];  /* running checksum of frame max_frame */
  uint32_t salt[2];      /* the eight bytes of the WAL file's header, as they are */
  uint32_t backfilled;   /* frames that are in the database file already */
} mylibsql_state;

/* Result codes. https://www.sqlite.org/rescode.html */
enum { SQLITE_OK = 0, SQLITE_BUSY = 5, SQLITE_IOERR = 10, SQLITE_CORRUPT = 11 };

/* The wal-index header by its 32-bit words, of which there are two copies. The
** fourth word has isInit, bigEndCksum and szPage, named by their bytes. https://www.sqlite.org/walformat.html#walidxfmt */
enum {
  WORD_VERSION = 0, WORD_CHANGE = 2, WORD_MAX_FRAME = 4, WORD_PAGE_COUNT = 5,
  WORD_CHECKSUM = 6, WORD_SALT = 8, WORD_HEADER_SUM = 10, HEADER_WORDS = 12,
  WORD_BACKFILLED = 24,
  BYTE_IS_INIT = 12, BYTE_BIG_ENDIAN = 13, BYTE_PAGE_SIZE = 14
};
#define MYLIBSQL_INDEX_REGION_BYTES 32768

int mylibsql_protect(sqlite3 *db, mylibsql_auth *auth);
void mylibsql_checkpoint_on_close(sqlite3 *db, int on);
int mylibsql_map_index(sqlite3 *db, void **out);
int mylibsql_observe(sqlite3 *db, const void *index, mylibsql_state *out);
int mylibsql_ask(sqlite3 *db, const char *sql, int n, int *readonly, int *tail);
int mylibsql_read_file(sqlite3 *db, void *buffer, int n, sqlite3_int64 offset);
int mylibsql_file_size(sqlite3 *db, sqlite3_int64 *out);
int mylibsql_index_append(sqlite3 *db, uint32_t max_frame, const uint32_t *pages, int n);
int mylibsql_index_publish(sqlite3 *db, mylibsql_state *next);
int mylibsql_transaction(sqlite3 *db);
int mylibsql_reset(sqlite3_stmt *stmt);
int mylibsql_main_file(sqlite3 *db, sqlite3_file **out);
const char *mylibsql_attached(sqlite3 *db, int i, const char **name);
void mylibsql_interrupt(sqlite3 *db);
#endif
