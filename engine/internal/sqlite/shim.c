#include "shim.h"
#include <string.h>

#define SQLITE_DENY 1
#define SQLITE_IGNORE 2
#define SQLITE_IOERR_SHORT_READ (SQLITE_IOERR | (2<<8))

/* Action codes: https://www.sqlite.org/c3ref/c_alter_table.html */
#define SQLITE_PRAGMA 19
#define SQLITE_READ 20
#define SQLITE_TRANSACTION 22
#define SQLITE_ATTACH 24
#define SQLITE_REINDEX 27
#define SQLITE_FUNCTION 31
#define SQLITE_SAVEPOINT 32

#define SQLITE_FCNTL_FILE_POINTER 7
#define SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE 1006
#define SQLITE_CHECKPOINT_PASSIVE 0
#define ATTACHED_CHECKPOINT_FRAMES 1000

/* Setting any hook turns SQLite's automatic checkpoint off, which is the point
** for "main". An attached database keeps what SQLite does by default. */
static int on_wal(void *unused, sqlite3 *db, const char *name, int frames){
  (void)unused;
  if( strcmp(name, "main")!=0 && frames>=ATTACHED_CHECKPOINT_FRAMES ){
    sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, 0, 0);
  }
  return SQLITE_OK;
}

static int is(const char *a, const char *b){
  return a!=0 && sqlite3_stricmp(a, b)==0;
}

static int authorize_pragma(mylibsql_auth *auth, const char *name, const char *value,
                            const char *schema){
  int main_database = schema==0 || is(schema, "main");
  /* The first one is the statement's own: a virtual table that is connected while
  ** the statement is prepared may run others. */
  if( (auth->seen & MYLIBSQL_SAW_PRAGMA)==0 ){
    auth->seen |= MYLIBSQL_SAW_PRAGMA;
    if( value!=0 ) auth->seen |= MYLIBSQL_SAW_PRAGMA_VALUE;
    strncpy(auth->pragma, name ? name : "", sizeof(auth->pragma)-1);
  }
  if( !main_database ) return SQLITE_OK;
  if( is(name, "journal_mode") && value!=0 && !is(value, "wal") ){
    auth->refused = MYLIBSQL_REFUSED_JOURNAL_MODE;
    return SQLITE_DENY;
  }
  if( is(name, "locking_mode") && is(value, "exclusive") ){
    auth->refused = MYLIBSQL_REFUSED_LOCKING_MODE;
    return SQLITE_DENY;
  }
  if( is(name, "wal_autocheckpoint") && value!=0 ) return SQLITE_IGNORE;
  if( is(name, "wal_checkpoint") ){
    auth->seen |= MYLIBSQL_SAW_CHECKPOINT;
    return SQLITE_IGNORE;
  }
  return SQLITE_OK;
}

static int authorize(void *p, int action, const char *a, const char *b,
                     const char *schema, const char *trigger){
  mylibsql_auth *auth = p;
  (void)trigger;
  switch( action ){
    case SQLITE_PRAGMA: return authorize_pragma(auth, a, b, schema);
    case SQLITE_ATTACH: auth->seen |= MYLIBSQL_SAW_ATTACH; break;
    case SQLITE_REINDEX: auth->seen |= MYLIBSQL_SAW_REINDEX; break;
    case SQLITE_READ: if( is(a, "pragma_optimize") ) auth->seen |= MYLIBSQL_SAW_OPTIMIZE; break;
    case SQLITE_FUNCTION: if( is(b, "optimize") ) auth->seen |= MYLIBSQL_SAW_OPTIMIZE; break;
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT: auth->seen |= MYLIBSQL_SAW_TRANSACTION; break;
  }
  return SQLITE_OK;
}

void mylibsql_checkpoint_on_close(sqlite3 *db, int on){
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 0 : 1, (int*)0);
}

/* auth may be null: the engine's own connections are not restricted. */
int mylibsql_protect(sqlite3 *db, mylibsql_auth *auth){
  mylibsql_checkpoint_on_close(db, 0);
  sqlite3_wal_hook(db, on_wal, 0);
  if( auth==0 ) return SQLITE_OK;
  return sqlite3_set_authorizer(db, authorize, auth);
}

int mylibsql_main_file(sqlite3 *db, sqlite3_file **out){
  *out = 0;
  int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, out);
  if( rc==SQLITE_OK && (*out==0 || (*out)->pMethods==0) ) rc = SQLITE_IOERR;
  return rc;
}

int mylibsql_map_index(sqlite3 *db, void **out){
  sqlite3_file *file;
  void volatile *region = 0;
  int rc = mylibsql_main_file(db, &file);
  if( rc!=SQLITE_OK ) return rc;
  if( file->pMethods->iVersion<2 || file->pMethods->xShmMap==0 ) return SQLITE_IOERR;
  rc = file->pMethods->xShmMap(file, 0, MYLIBSQL_INDEX_REGION_BYTES, 0, &region);
  if( rc==SQLITE_OK && region==0 ) rc = SQLITE_IOERR;
  *out = (void*)region;
  return rc;
}

/* The header as SQLite's walIndexTryHdr reads it: two copies, the first one
** first, a barrier between; good when both are equal and the checksum holds. */
static int read_header(const volatile uint32_t *index, uint32_t *header){
  uint32_t second[HEADER_WORDS];
  uint32_t s0 = 0, s1 = 0;
  int i;
  for(i=0; i<HEADER_WORDS; i++) header[i] = index[i];
  __sync_synchronize();
  for(i=0; i<HEADER_WORDS; i++) second[i] = index[HEADER_WORDS+i];
  if( memcmp(header, second, sizeof(second))!=0 ) return SQLITE_BUSY;
  if( ((const unsigned char*)header)[BYTE_IS_INIT]==0 ) return SQLITE_BUSY;
  for(i=0; i<WORD_HEADER_SUM; i+=2){
    s0 += header[i] + s1;
    s1 += header[i+1] + s0;
  }
  if( s0!=header[WORD_HEADER_SUM] || s1!=header[WORD_HEADER_SUM+1] ) return SQLITE_BUSY;
  return SQLITE_OK;
}

int mylibsql_observe(sqlite3 *db, const void *index, mylibsql_state *out){
  uint32_t header[HEADER_WORDS];
  const unsigned char *bytes = (const unsigned char*)header;
  uint16_t size;
  int tries = 0;
  if( db!=0 ){
    out->autocommit = sqlite3_get_autocommit(db);
    out->error = sqlite3_extended_errcode(db);
    out->transaction = sqlite3_txn_state(db, "main");
  }
  while( read_header(index, header)!=SQLITE_OK ){
    if( ++tries>=1000 ) return SQLITE_BUSY;
  }
  memcpy(&size, bytes+BYTE_PAGE_SIZE, sizeof(size));
  out->change = header[WORD_CHANGE];
  out->big_endian = bytes[BYTE_BIG_ENDIAN]!=0;
  out->page_size = (size & 0xfe00u) + ((size & 0x0001u)<<16);
  out->max_frame = header[WORD_MAX_FRAME];
  out->page_count = header[WORD_PAGE_COUNT];
  out->checksum[0] = header[WORD_CHECKSUM];
  out->checksum[1] = header[WORD_CHECKSUM+1];
  out->salt[0] = header[WORD_SALT];
  out->salt[1] = header[WORD_SALT+1];
  out->backfilled = ((const volatile uint32_t*)index)[WORD_BACKFILLED];
  return SQLITE_OK;
}

/* Prepares the first statement of a text without running it. */
int mylibsql_ask(sqlite3 *db, const char *sql, int n, int *readonly, int *tail){
  sqlite3_stmt *stmt = 0;
  const char *rest = 0;
  int rc = sqlite3_prepare_v2(db, sql, n, &stmt, &rest);
  *readonly = stmt==0 ? 1 : sqlite3_stmt_readonly(stmt);
  *tail = rest==0 ? n : (int)(rest-sql);
  sqlite3_finalize(stmt);
  return rc;
}

/* The extended result code of ending a statement. */
int mylibsql_reset(sqlite3_stmt *stmt){ return sqlite3_reset(stmt); }

int mylibsql_read_file(sqlite3 *db, void *buffer, int n, sqlite3_int64 offset){
  sqlite3_file *file;
  int rc = mylibsql_main_file(db, &file);
  if( rc!=SQLITE_OK ) return rc;
  rc = file->pMethods->xRead(file, buffer, n, offset);
  /* A short read is filled with zeros: pages that are only in the WAL yet. */
  return rc==SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc;
}

int mylibsql_file_size(sqlite3 *db, sqlite3_int64 *out){
  sqlite3_file *file;
  int rc = mylibsql_main_file(db, &file);
  if( rc!=SQLITE_OK ) return rc;
  return file->pMethods->xFileSize(file, out);
}

/* The i-th attached database's file name, null past the last one. */
const char *mylibsql_attached(sqlite3 *db, int i, const char **name){
  *name = sqlite3_db_name(db, i);
  if( *name==0 ) return 0;
  const char *file = sqlite3_db_filename(db, *name);
  return file==0 ? "" : file;
}

void mylibsql_interrupt(sqlite3 *db){
  sqlite3_interrupt(db);
}

/* What the connection is in the middle of, for "main". */
int mylibsql_transaction(sqlite3 *db){
  return sqlite3_txn_state(db, "main");
}
