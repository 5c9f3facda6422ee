#include "base/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/store_internal.h"

static int identity_write_new(MDB_env *env, const struct store_options *options, bool *ret_exists)
{
	uint8_t identity[IDENTITY_BYTES], incarnation[8] = {0};
	struct id lineage;
	MDB_dbi meta;
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, META_TABLE, MDB_CREATE, &meta);
	if (!rc) {
		rc = store_value_get(txn, meta, "identity", identity, sizeof(identity));
		*ret_exists = rc != MDB_NOTFOUND;
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	for (uint32_t i = 0; !rc && !*ret_exists && i < options->table_count; i++) {
		MDB_dbi table;

		rc = mdb_dbi_open(txn, options->tables[i], MDB_CREATE, &table);
	}
	if (!rc && !*ret_exists) {
		id_random(&lineage);
		store_identity_pack(options, &lineage, identity);
		rc = store_value_put(txn, meta, "identity", identity, sizeof(identity));
		if (!rc)
			rc = store_value_put(txn, meta, "incarnation", incarnation, sizeof(incarnation));
	}
	if (rc || *ret_exists) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

bool store_create(const struct store_options *options, struct error *error)
{
	bool exists = false, good = false;
	MDB_env *env;
	int lock, rc;

	assert(options->shards >= 1 && options->shard < options->shards);
	assert(options->table_count <= STORE_TABLES_MAX);
	if (mkdir(options->directory, 0700) != 0 && errno != EEXIST)
		return error_set(
			error, "store: the folder %s can't be made: %s", options->directory, strerror(errno));
	lock = store_lock(options, error);
	if (lock < 0)
		return false;
	env = store_env_open(options, 0, error);
	if (env) {
		rc = identity_write_new(env, options, &exists);
		if (rc)
			store_env_failed(options, "writing its identity", rc, error);
		else if (exists)
			error_set(error, "store %s exists already: it was left as it is", options->directory);
		else
			good = store_sync(options->directory, error) &&
			       store_sync_folder_of(options->directory, error);
		mdb_env_close(env);
	}
	close(lock);
	return good;
}

/* One durable commit: the tables' handles and the next incarnation. */
static bool open_transaction(const struct store_options *options, struct store *store, struct error *error)
{
	uint8_t identity[IDENTITY_BYTES], incarnation[8];
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return store_env_failed(options, "beginning a transaction", rc, error);
	if (!store_identity_read(options, txn, &store->meta, identity, error)) {
		mdb_txn_abort(txn);
		return false;
	}
	memcpy(store->lineage.bytes, identity + IDENTITY_AT_LINEAGE, ID_BYTES);
	for (uint32_t i = 0; !rc && i < options->table_count; i++)
		rc = mdb_dbi_open(txn, options->tables[i], MDB_CREATE, &store->tables[i]);
	if (!rc)
		rc = store_value_get(txn, store->meta, "incarnation", incarnation, sizeof(incarnation));
	if (!rc) {
		store->incarnation = store_get_be64(incarnation) + 1;
		store_put_be64(incarnation, store->incarnation);
		rc = store_value_put(txn, store->meta, "incarnation", incarnation, sizeof(incarnation));
	}
	if (rc) {
		mdb_txn_abort(txn);
		return store_env_failed(options, "opening its tables", rc, error);
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return store_env_failed(options, "committing its incarnation", rc, error);
	return true;
}

bool store_open_existing(const struct store_options *options, struct store *store, struct error *error)
{
	assert(options->table_count <= STORE_TABLES_MAX);
	if (!store_data_check(options, error))
		return false;
	store->lock_fd = store_lock(options, error);
	if (store->lock_fd < 0)
		return false;
	store->env = store_env_open(options, 0, error);
	return store->env && store_length_check(options, store->env, true, error);
}

struct store *store_open(const struct store_options *options, struct error *error)
{
	struct store *store = NEW(struct store);
	MDB_envinfo info;
	int stale;

	store->lock_fd = -1;
	store->directory = memory_copy_text(options->directory);
	store->shard = options->shard;
	store->shards = options->shards;
	if (!store_open_existing(options, store, error) || !open_transaction(options, store, error)) {
		store_close(store);
		return NULL;
	}
	mdb_reader_check(
		store->env, &stale); /* slots of a process that was killed would keep old pages for ever */
	mdb_env_info(store->env, &info);
	store->map_bytes = (int64_t)info.me_mapsize;
	return store;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->env)
		mdb_env_close(store->env);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store->directory);
	free(store);
}

int store_read_begin(struct store *store, MDB_txn **ret)
{
	return mdb_txn_begin(store->env, NULL, MDB_RDONLY, ret);
}

void store_usage(struct store *store, struct store_usage *ret)
{
	struct statvfs disk;
	MDB_envinfo info;
	MDB_stat stat;
	MDB_txn *txn;
	size_t spare = 0;

	mdb_env_info(store->env, &info);
	mdb_env_stat(store->env, &stat);
	if (store_read_begin(store, &txn) == 0) {
		if (store_free_pages(txn, 0, &spare) != 0)
			spare = 0;
		mdb_txn_abort(txn);
	}
	/* The list of free pages may be a commit newer than `info`. */
	if (spare > info.me_last_pgno)
		spare = info.me_last_pgno;
	ret->used_bytes = (int64_t)((info.me_last_pgno + 1 - spare) * stat.ms_psize);
	ret->map_bytes = (int64_t)info.me_mapsize;
	ret->disk_free_bytes = 0;
	if (statvfs(store->directory, &disk) == 0)
		ret->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
}

int store_meta_put(struct store *store, MDB_txn *txn, const char *name, const void *data, size_t size)
{
	return store_value_put(txn, store->meta, name, data, size);
}

int store_meta_get(struct store *store, MDB_txn *txn, const char *name, void *ret, size_t size)
{
	return store_value_get(txn, store->meta, name, ret, size);
}
