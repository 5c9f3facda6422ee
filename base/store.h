/* base/store.h - one LMDB environment that belongs to one shard of one service, and says so.
 *
 * A store is a folder with data.mdb, lock.mdb and `flock`. It is made only by store_create (a program's `init`), never by opening. Its table
 * `meta` carries the identity: service, format version, shard number and count, lineage (random; a restored copy gets a new one), incarnation (one
 * more at each open). store_open refuses, with a text that says what to do: no store there, another service, format or shard, a second
 * process (exclusive flock), a file that LMDB can't read. It checks for stale readers, then commits the new incarnation durably: after a
 * kill -9 that commit makes sure that all that can be read is on disk, before anything is answered.
 * A data file that is shorter than its pages (a copy that was cut off) is refused too; reading it would end in a bus error.
 * Durability is LMDB's default (fsync at commit): MDB_NOSYNC, MDB_NOMETASYNC, MDB_WRITEMAP and MDB_MAPASYNC are never set.
 * Threads: one writing thread (base/writer.h owns it); reading from any thread by store_read_begin, in short transactions (MDB_NOTLS). Tables'
 * handles are opened once at store_open and valid for its life. Services use mdb_get/mdb_put/mdb_cursor_* directly. */
#ifndef FLASHSALE_BASE_STORE_H
#define FLASHSALE_BASE_STORE_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"

#define STORE_TABLES_MAX 16

struct store_options {
	const char *directory;
	const char *service;	   /* "inventory" */
	uint32_t format;	   /* version of the tables' layout */
	uint32_t shard, shards;	   /* 0 and 1 for a service without shards */
	int64_t map_bytes;	   /* sparse; the file grows as used */
	const char *const *tables; /* names, at most STORE_TABLES_MAX; `meta` is added */
	uint32_t table_count;
};

struct store {
	MDB_env *env;
	MDB_dbi meta;
	MDB_dbi tables[STORE_TABLES_MAX]; /* in the order of options.tables */
	struct id lineage;
	uint64_t incarnation;
	uint32_t shard, shards;
	int64_t map_bytes;
	char *directory;
	int lock_fd;
};

bool store_create(const struct store_options *options, struct error *error);
struct store *store_open(const struct store_options *options, struct error *error);
void store_close(struct store *store); /* NULL is fine; no transaction may be open */

/* For programs that look at a store, also at a copy, also while its service uses it: nothing is written, no lock taken, no incarnation; shard and
 * shards are not checked but read (they are in *store then). The service and the format must be those of the options. While it reads, a page of the file
 * that can't be read ends the process with SIGBUS: rpc/store_fault.h. */
struct store *store_open_reading(const struct store_options *options, struct error *error);

/* A short read transaction of the calling thread; ends with mdb_txn_abort. Errors are LMDB's codes. */
int store_read_begin(struct store *store, MDB_txn **ret);

/* A restored copy begins a history of its own: gives the closed store in options->directory a new lineage. */
bool store_new_lineage(const struct store_options *options, struct error *error);

/* A store that is put together from others carries the service's name with this behind it, so that no service opens it, until store_finish gives it the name in
 * options->service. The store is closed. */
#define STORE_UNFINISHED ".unfinished"
bool store_finish(const struct store_options *options, struct error *error);

/* For tools that make other stores of this one: opened to be read, nothing of it is written, and no service may have it meanwhile. */
struct store *store_open_alone(const struct store_options *options, struct error *error);

/* Room: bytes of pages in use (free ones that will be used again do not count) and the map's and the disk's end, for
 * high-water marks and metrics. Walks LMDB's list of free pages: for once a second, not for each group. Any thread. */
struct store_usage {
	int64_t used_bytes, map_bytes, disk_free_bytes;
};
void store_usage(struct store *store, struct store_usage *ret);

/* Small values of `meta` under a name. get: MDB_NOTFOUND when absent; a value of another size is MDB_CORRUPTED. */
int store_meta_put(struct store *store, MDB_txn *txn, const char *name, const void *data, size_t size);
int store_meta_get(struct store *store, MDB_txn *txn, const char *name, void *ret, size_t size);

/* A consistent copy while the store is in use, synced; the directory must not exist, and is gone again when it fails. Until the copy is complete the file is
 * called data.mdb.unfinished. It keeps the lineage. Not for the writing thread: it takes as long as the disk. */
bool store_backup(struct store *store, const char *directory, struct error *error);

/* The copy becomes the store in to->directory, where none may be, with a new lineage; complete, or not there. */
bool store_restore(struct store *backup, const struct store_options *to, struct error *error);

/* Makes the name of a file durable: syncs the folder in which it stands. */
bool store_sync_folder_of(const char *path, struct error *error);

/* Big-endian integers sort as numbers. */
static inline void store_put_be64(uint8_t *to, uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		to[i] = (uint8_t)value;
}

static inline uint64_t store_get_be64(const uint8_t *from)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | from[i];
	return value;
}

#endif
