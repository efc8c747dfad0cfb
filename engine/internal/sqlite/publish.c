#include "shim.h"
#include <string.h>

/*
** Entries of the wal-index for frames that are written past SQLite, and their
** publication. https://www.sqlite.org/walformat.html#walidxfmt
**
** The caller holds SQLite's write lock, so nobody else changes the index. Entries
** past the published last frame are looked at by nobody.
*/

#define INDEX_VERSION 3007000
#define HASH_SLOTS 8192
#define TABLE_FRAMES 4096
#define HEADER_BYTES 136        /* two headers and the checkpoint's own data */
#define FIRST_TABLE_FRAMES (TABLE_FRAMES - HEADER_BYTES/4)

/* One region: the pages of some frames that follow each other, and their hash. */
typedef struct {
  volatile uint32_t *page;      /* by frame, from zero+1 on */
  volatile uint16_t *slot;      /* frame-zero, 0 for an empty slot */
  uint32_t zero;                /* the frame before the table's first */
} table;

/* Maps the table that holds a frame, and makes it if it is missing. */
static int map_table(sqlite3_file *file, uint32_t frame, table *out){
  void volatile *region = 0;
  uint32_t i = frame<=FIRST_TABLE_FRAMES ? 0 : (frame-FIRST_TABLE_FRAMES-1)/TABLE_FRAMES + 1;
  int rc = file->pMethods->xShmMap(file, (int)i, MYLIBSQL_INDEX_REGION_BYTES, 1, &region);
  if( rc!=SQLITE_OK ) return rc;
  if( region==0 ) return SQLITE_IOERR;
  out->page = (volatile uint32_t*)region;
  out->slot = (volatile uint16_t*)&out->page[TABLE_FRAMES];
  if( i==0 ){
    out->page += HEADER_BYTES/4;
    out->zero = 0;
  }else{
    out->zero = FIRST_TABLE_FRAMES + (i-1)*TABLE_FRAMES;
  }
  return SQLITE_OK;
}

/* Removes what a writer left that died or rolled back, as walCleanupHash does:
** entries of the frames behind the last published one. */
static void clean_table(table *t, uint32_t max_frame){
  uint32_t last = max_frame - t->zero, i;
  for(i=0; i<HASH_SLOTS; i++){
    if( t->slot[i]>last ) __atomic_store_n(&t->slot[i], 0, __ATOMIC_RELAXED);
  }
  memset((void*)&t->page[last], 0, (size_t)((char*)t->slot - (char*)&t->page[last]));
}

/* Hashes as SQLite's walHash does. More collisions than entries: a corrupt table. */
static int enter(table *t, uint32_t frame, uint32_t page){
  uint32_t entry = frame - t->zero, collisions = entry;
  uint32_t key = (page * 383) & (HASH_SLOTS-1);
  while( t->slot[key]!=0 ){
    if( collisions--==0 ) return SQLITE_CORRUPT;
    key = (key+1) & (HASH_SLOTS-1);
  }
  t->page[entry-1] = page;
  __atomic_store_n(&t->slot[key], (uint16_t)entry, __ATOMIC_RELAXED);
  return SQLITE_OK;
}

/* Enters n frames behind max_frame, the last published one. Readers see them once
** they are published; until then another call may enter others in their place. */
int mylibsql_index_append(sqlite3 *db, uint32_t max_frame, const uint32_t *pages, int n){
  sqlite3_file *file;
  table t = {0, 0, 0};
  uint32_t end = 0;             /* last frame that t has room for */
  int i;
  int rc = mylibsql_main_file(db, &file);
  for(i=0; i<n && rc==SQLITE_OK; i++){
    uint32_t frame = max_frame + 1 + (uint32_t)i;
    if( frame>end ){
      rc = map_table(file, frame, &t);
      if( rc!=SQLITE_OK ) break;
      end = t.zero + (t.zero==0 ? FIRST_TABLE_FRAMES : TABLE_FRAMES);
      if( frame==t.zero+1 ){
        memset((void*)t.page, 0, (size_t)((char*)&t.slot[HASH_SLOTS] - (char*)t.page));
      }
    }
    if( i==0 && t.page[frame-t.zero-1]!=0 ) clean_table(&t, max_frame);
    rc = enter(&t, frame, pages[i]);
  }
  return rc;
}

/* Publishes the frames up to next->max_frame, with the size, checksum and salt that
** belong to them: the second header, a barrier, the first one, as readers expect
** it. next->change is set to the commit's number. */
int mylibsql_index_publish(sqlite3 *db, mylibsql_state *next){
  sqlite3_file *file;
  void *index;
  uint32_t header[HEADER_WORDS], s0 = 0, s1 = 0;
  unsigned char *bytes = (unsigned char*)header;
  uint16_t size = (uint16_t)((next->page_size & 0xff00u) | (next->page_size>>16));
  int i;
  int rc = mylibsql_main_file(db, &file);
  if( rc==SQLITE_OK ) rc = mylibsql_map_index(db, &index);
  if( rc!=SQLITE_OK ) return rc;
  memcpy(header, index, sizeof(header));
  header[WORD_VERSION] = INDEX_VERSION;
  header[WORD_CHANGE]++;
  bytes[BYTE_IS_INIT] = 1;
  bytes[BYTE_BIG_ENDIAN] = (unsigned char)(next->big_endian!=0);
  memcpy(bytes+BYTE_PAGE_SIZE, &size, sizeof(size));
  header[WORD_MAX_FRAME] = next->max_frame;
  header[WORD_PAGE_COUNT] = next->page_count;
  header[WORD_CHECKSUM] = next->checksum[0];
  header[WORD_CHECKSUM+1] = next->checksum[1];
  header[WORD_SALT] = next->salt[0];
  header[WORD_SALT+1] = next->salt[1];
  for(i=0; i<WORD_HEADER_SUM; i+=2){
    s0 += header[i] + s1;
    s1 += header[i+1] + s0;
  }
  header[WORD_HEADER_SUM] = s0;
  header[WORD_HEADER_SUM+1] = s1;
  memcpy((char*)index + sizeof(header), header, sizeof(header));
  file->pMethods->xShmBarrier(file);
  memcpy(index, header, sizeof(header));
  next->change = header[WORD_CHANGE];
  return SQLITE_OK;
}
