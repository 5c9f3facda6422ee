/* base/store_copy.c - a store read by others, copied, and brought back. */
#include "base/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/store_internal.h"

/* The identity, whose service is options->service now, is written again: with another lineage, or for the service `name`. */
static bool rewrite_identity(const struct store_options *options, const char *name, struct error *error)
{
	struct store_options after = *options;
	struct store store = {.lock_fd = -1};
	uint8_t identity[IDENTITY_BYTES];
	struct id lineage;
	MDB_txn *txn;
	int rc;
	bool good = store_open_existing(options, &store, error);

	if (good) {
		rc = mdb_txn_begin(store.env, NULL, 0, &txn);
		good = !rc && store_identity_read(options, txn, &store.meta, identity, error);
		if (rc)
			store_env_failed(options, "beginning a transaction", rc, error);
		else if (!good)
			mdb_txn_abort(txn);
	}
	if (good) {
		if (name)
			memcpy(lineage.bytes, identity + IDENTITY_AT_LINEAGE, ID_BYTES);
		else
			id_random(&lineage);
		after.service = name ? name : options->service;
		store_identity_pack(&after, &lineage, identity);
		rc = store_value_put(txn, store.meta, "identity", identity, sizeof(identity));
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
		good = !rc || store_env_failed(options, "writing its identity", rc, error);
	}
	if (store.env)
		mdb_env_close(store.env);
	if (store.lock_fd >= 0)
		close(store.lock_fd);
	return good;
}

bool store_new_lineage(const struct store_options *options, struct error *error)
{
	return rewrite_identity(options, NULL, error);
}

bool store_finish(const struct store_options *options, struct error *error)
{
	char service[IDENTITY_NAME_MAX];
	struct store_options unfinished = *options;
	int length = snprintf(service, sizeof(service), "%s" STORE_UNFINISHED, options->service);

	assert(length > 0 && (size_t)length < sizeof(service));
	unfinished.service = service;
	return rewrite_identity(&unfinished, options->service, error);
}

/* ---- reading what others may write ---- */

/* Without the lock file nobody uses this copy: then none is made either. */
static unsigned reading_flags(const struct store_options *options)
{
	char path[PATH_MAX];

	if (store_path(options, "lock.mdb", path, NULL) && store_file_there(path))
		return MDB_RDONLY;
	return MDB_RDONLY | MDB_NOLOCK;
}

static bool read_tables(
	const struct store_options *options, struct store *store, MDB_txn *txn, struct error *error)
{
	uint8_t identity[IDENTITY_BYTES], incarnation[8];
	int rc = 0;

	if (!store_identity_read(options, txn, &store->meta, identity, error))
		return false;
	store->shard = (uint32_t)store_get_be64(identity + IDENTITY_AT_SHARD);
	store->shards = (uint32_t)store_get_be64(identity + IDENTITY_AT_SHARD + 8);
	memcpy(store->lineage.bytes, identity + IDENTITY_AT_LINEAGE, ID_BYTES);
	for (uint32_t i = 0; i < options->table_count; i++) {
		rc = mdb_dbi_open(txn, options->tables[i], 0, &store->tables[i]);
		if (rc == MDB_NOTFOUND)
			return error_set(error,
				"store %s has no table `%s`: it was made, and never opened by its service",
				options->directory, options->tables[i]);
		if (rc)
			return store_env_failed(options, "opening its tables", rc, error);
	}
	rc = store_value_get(txn, store->meta, "incarnation", incarnation, sizeof(incarnation));
	if (rc)
		return store_env_failed(options, "reading its incarnation", rc, error);
	store->incarnation = store_get_be64(incarnation);
	return true;
}

/* The transaction is committed, so that the tables' handles stay. */
static bool open_reading(const struct store_options *options, struct store *store, struct error *error)
{
	MDB_txn *txn;
	int rc;

	if (!store_data_check(options, error))
		return false;
	store->env = store_env_open(options, reading_flags(options), error);
	if (!store->env || !store_length_check(options, store->env, false, error))
		return false;
	rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return store_env_failed(options, "beginning to read", rc, error);
	if (!read_tables(options, store, txn, error)) {
		mdb_txn_abort(txn);
		return false;
	}
	rc = mdb_txn_commit(txn);
	return !rc || store_env_failed(options, "reading its tables", rc, error);
}

struct store *store_open_reading(const struct store_options *options, struct error *error)
{
	struct store_options any = *options;
	struct store *store = NEW(struct store);
	MDB_envinfo info;

	any.shard = STORE_SHARD_ANY;
	any.map_bytes = 0;
	store->lock_fd = -1;
	store->directory = memory_copy_text(options->directory);
	if (!open_reading(&any, store, error)) {
		store_close(store);
		return NULL;
	}
	mdb_env_info(store->env, &info);
	store->map_bytes = (int64_t)info.me_mapsize;
	return store;
}

struct store *store_open_alone(const struct store_options *options, struct error *error)
{
	struct store *store;
	int lock;

	if (!store_data_check(options, error))
		return NULL;
	lock = store_lock(options, error);
	if (lock < 0)
		return NULL;
	store = store_open_reading(options, error);
	if (store)
		store->lock_fd = lock;
	else
		close(lock);
	return store;
}

/* ---- copies ---- */

#define UNFINISHED "data.mdb.unfinished"

static bool copy_into(struct store *store, const char *path, struct error *error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good;
	int rc;

	if (fd < 0)
		return error_set(error, "backup: %s can't be made: %s", path, strerror(errno));
	rc = mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
	if (rc)
		error_set(error, "backup: copying %s to %s: %s", store->directory, path, mdb_strerror(rc));
	good = !rc &&
	       (fsync(fd) == 0 || error_set(error, "backup: %s can't be synced: %s", path, strerror(errno)));
	close(fd);
	return good;
}

bool store_backup(struct store *store, const char *directory, struct error *error)
{
	const struct store_options to = {.directory = directory};
	char unfinished[PATH_MAX], path[PATH_MAX];
	bool good;

	if (!store_path(&to, UNFINISHED, unfinished, error) || !store_path(&to, "data.mdb", path, error))
		return false;
	if (mkdir(directory, 0700) != 0)
		return error_set(
			error, "backup: the folder %s can't be made: %s", directory, strerror(errno));
	good = copy_into(store, unfinished, error);
	if (good && rename(unfinished, path) != 0)
		good = error_set(error, "backup: %s can't get its name: %s", path, strerror(errno));
	if (!good) {
		unlink(unfinished);
		rmdir(directory);
		return false;
	}
	return store_sync(directory, error) && store_sync_folder_of(directory, error);
}

/* A folder of LMDB's with one store in it, or the beginning of one, is emptied and removed. */
static void remove_staging(const struct store_options *staging)
{
	static const char *const files[] = {UNFINISHED, "data.mdb", "lock.mdb", "flock"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (store_path(staging, files[i], path, NULL))
			unlink(path);
	rmdir(staging->directory);
}

static bool bring_in(struct store *backup, const struct store_options *to,
	const struct store_options *staging, struct error *error)
{
	char from[PATH_MAX], path[PATH_MAX];

	remove_staging(staging); /* of a restore that did not end */
	if (!store_path(staging, "data.mdb", from, error) || !store_path(to, "data.mdb", path, error))
		return false;
	if (store_file_there(path))
		return error_set(error,
			"restore: there is a store in %s already: it was left as it is; move it away first",
			to->directory);
	if (!store_backup(backup, staging->directory, error) || !store_new_lineage(staging, error))
		return false;
	if (rename(from, path) != 0)
		return error_set(error, "restore: %s can't get its name: %s", path, strerror(errno));
	return store_sync(to->directory, error) && store_sync_folder_of(to->directory, error);
}

bool store_restore(struct store *backup, const struct store_options *to, struct error *error)
{
	char inside[PATH_MAX];
	struct store_options staging = *to;
	bool good;
	int lock;

	if (!store_path(to, "restoring", inside, error))
		return false;
	staging.directory = inside;
	staging.shard = backup->shard;
	staging.shards = backup->shards;
	if (mkdir(to->directory, 0700) != 0 && errno != EEXIST)
		return error_set(
			error, "restore: the folder %s can't be made: %s", to->directory, strerror(errno));
	lock = store_lock(to, error);
	if (lock < 0)
		return false;
	good = bring_in(backup, to, &staging, error);
	remove_staging(&staging);
	close(lock);
	return good;
}
