/* base/store_internal.h - what the files of the store share; not for others. */
#ifndef FLASHSALE_BASE_STORE_INTERNAL_H
#define FLASHSALE_BASE_STORE_INTERNAL_H

#include <limits.h>

#include "base/store.h"

/* The record `identity` of the table `meta`, explicit big-endian integers:
 * 8 bytes magic, 8 format, 8 shard, 8 shards, 16 lineage, 32 service name padded with NUL. */
#define IDENTITY_MAGIC "FLSHSALE"
#define IDENTITY_NAME_MAX 32
#define IDENTITY_BYTES (8 + 8 + 8 + 8 + ID_BYTES + IDENTITY_NAME_MAX)
#define IDENTITY_AT_SHARD 16
#define IDENTITY_AT_LINEAGE 32
#define IDENTITY_AT_NAME (IDENTITY_AT_LINEAGE + ID_BYTES)

#define META_TABLE "meta"
#define STORE_SHARD_ANY UINT32_MAX /* of the options, while reading an identity: whatever it is */

bool store_path(
	const struct store_options *options, const char *file, char path[PATH_MAX], struct error *error);
bool store_file_there(const char *path);
bool store_sync(const char *path, struct error *error);
int store_lock(const struct store_options *options, struct error *error); /* the descriptor, or -1 */
/* The data file is there and not empty. */
bool store_data_check(const struct store_options *options, struct error *error);

/* `flags`: LMDB's, besides MDB_NOTLS. */
MDB_env *store_env_open(const struct store_options *options, unsigned flags, struct error *error);
bool store_env_failed(const struct store_options *options, const char *doing, int rc, struct error *error);
int store_free_pages(MDB_txn *txn, size_t from, size_t *ret);
/* Whether all pages are there. `writable`: the file may be made longer, and shorter again, to find out. */
bool store_length_check(
	const struct store_options *options, MDB_env *env, bool writable, struct error *error);

int store_value_put(MDB_txn *txn, MDB_dbi table, const char *name, const void *data, size_t size);
int store_value_get(MDB_txn *txn, MDB_dbi table, const char *name, void *ret, size_t size);
void store_identity_pack(
	const struct store_options *options, const struct id *lineage, uint8_t to[IDENTITY_BYTES]);
/* The identity as stored, checked; inside a transaction. */
bool store_identity_read(const struct store_options *options, MDB_txn *txn, MDB_dbi *ret_meta,
	uint8_t identity[IDENTITY_BYTES], struct error *error);

/* The lock and the environment of a store that is there; on a failure both may have been taken all the same: store_close ends them. */
bool store_open_existing(const struct store_options *options, struct store *store, struct error *error);

#endif
