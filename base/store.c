#include "base/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"

/* The record `identity` of the table `meta`, explicit big-endian integers:
 * 8 bytes magic, 8 format, 8 shard, 8 shards, 16 lineage, 32 service name padded with NUL. */
#define IDENTITY_MAGIC "FLSHSALE"
#define IDENTITY_NAME_MAX 32
#define IDENTITY_BYTES (8 + 8 + 8 + 8 + ID_BYTES + IDENTITY_NAME_MAX)
#define IDENTITY_AT_LINEAGE 32
#define IDENTITY_AT_NAME (IDENTITY_AT_LINEAGE + ID_BYTES)

#define READERS_MAX 1024
#define META_TABLE "meta"

static bool store_path(
	const struct store_options *options, const char *file, char path[PATH_MAX], struct error *error)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", options->directory, file);

	if (length < 0 || length >= PATH_MAX)
		return error_set(error, "store: the path of %s is too long", options->directory);
	return true;
}

static void identity_pack(
	const struct store_options *options, const struct id *lineage, uint8_t to[IDENTITY_BYTES])
{
	assert(strlen(options->service) < IDENTITY_NAME_MAX);
	memset(to, 0, IDENTITY_BYTES);
	memcpy(to, IDENTITY_MAGIC, 8);
	store_put_be64(to + 8, options->format);
	store_put_be64(to + 16, options->shard);
	store_put_be64(to + 24, options->shards);
	memcpy(to + IDENTITY_AT_LINEAGE, lineage->bytes, ID_BYTES);
	memcpy(to + IDENTITY_AT_NAME, options->service, strlen(options->service));
}

/* What is stored is what the caller expects, or a text that says what differs. */
static bool identity_check(
	const struct store_options *options, const uint8_t from[IDENTITY_BYTES], struct error *error)
{
	const char *name = (const char *)from + IDENTITY_AT_NAME;
	uint64_t format = store_get_be64(from + 8);
	uint64_t shard = store_get_be64(from + 16), shards = store_get_be64(from + 24);

	if (memcmp(from, IDENTITY_MAGIC, 8) != 0)
		return error_set(error, "store %s: its identity can't be read", options->directory);
	if (strncmp(name, options->service, IDENTITY_NAME_MAX) != 0)
		return error_set(error, "store %s belongs to the service %.*s, not to %s", options->directory,
			IDENTITY_NAME_MAX, name, options->service);
	if (format != options->format)
		return error_set(error,
			"store %s has format %llu, this program reads format %u: use the program that made "
			"it",
			options->directory, (unsigned long long)format, options->format);
	if (shard != options->shard || shards != options->shards)
		return error_set(error, "store %s is shard %llu of %llu, the settings say shard %u of %u",
			options->directory, (unsigned long long)shard, (unsigned long long)shards,
			options->shard, options->shards);
	return true;
}

/* Exclusive among processes; LMDB itself would let two write. */
static int lock_take(const struct store_options *options, struct error *error)
{
	char path[PATH_MAX];
	int fd;

	if (!store_path(options, "flock", path, error))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_set(error, "store: %s can't be opened: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			error_set(error, "store %s is in use by another process: stop that one first",
				options->directory);
		else
			error_set(error, "store: %s can't be locked: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static bool environment_failed(
	const struct store_options *options, const char *doing, int rc, struct error *error)
{
	const char *advice = "";

	if (rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_VERSION_MISMATCH || rc == MDB_PAGE_NOTFOUND)
		advice = ": the data file is damaged, restore a backup";
	return error_set(error, "store %s: %s: %s%s", options->directory, doing, mdb_strerror(rc), advice);
}

static MDB_env *environment_open(const struct store_options *options, struct error *error)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc) {
		environment_failed(options, "LMDB", rc, error);
		return NULL;
	}
	rc = mdb_env_set_maxdbs(env, STORE_TABLES_MAX + 1);
	if (!rc)
		rc = mdb_env_set_maxreaders(env, READERS_MAX);
	if (!rc)
		rc = mdb_env_set_mapsize(env, (size_t)options->map_bytes);
	if (!rc)
		rc = mdb_env_open(env, options->directory, MDB_NOTLS, 0600);
	if (rc) {
		environment_failed(options, "opening the data file", rc, error);
		mdb_env_close(env);
		return NULL;
	}
	return env;
}

/* Free pages: each record of LMDB's own table 0 is a count and that many page numbers. With `from`: only those at or after it. */
static int free_pages(MDB_txn *txn, size_t from, size_t *ret)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	size_t total = 0;
	int rc = mdb_cursor_open(txn, 0, &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		size_t count, page;

		if (data.mv_size < sizeof(count))
			continue;
		memcpy(&count, data.mv_data, sizeof(count));
		if (count > data.mv_size / sizeof(count) - 1) {
			rc = MDB_CORRUPTED;
			break;
		}
		for (size_t i = 0; from && i < count; i++) {
			memcpy(&page, (const char *)data.mv_data + (i + 1) * sizeof(page), sizeof(page));
			total += page >= from;
		}
		if (!from)
			total += count;
	}
	mdb_cursor_close(cursor);
	if (rc != MDB_NOTFOUND)
		return rc;
	*ret = total;
	return 0;
}

/* LMDB does not look at the file's length. It may rightly be shorter than its last page, when the pages at its end were taken and given back
 * within one transaction; those are all in the list of free pages. Anything else that is missing is damage. */
static bool length_check(const struct store_options *options, MDB_env *env, struct error *error)
{
	struct stat status;
	MDB_envinfo info;
	MDB_stat stat;
	MDB_txn *txn;
	size_t have, need, spare = 0;
	int rc, fd;

	mdb_env_info(env, &info);
	mdb_env_stat(env, &stat);
	if (mdb_env_get_fd(env, &fd) || fstat(fd, &status) != 0)
		return error_set(
			error, "store %s: the length of its data file can't be read", options->directory);
	have = (size_t)status.st_size / stat.ms_psize;
	need = info.me_last_pgno + 1;
	if (have >= need)
		return true;
	/* Zeros instead of a bus error while the list of free pages is read. */
	if (ftruncate(fd, (off_t)(need * stat.ms_psize)) != 0)
		return error_set(error, "store %s: its data file can't be extended: %s", options->directory,
			strerror(errno));
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (!rc) {
		rc = free_pages(txn, have, &spare);
		mdb_txn_abort(txn);
	}
	if (!rc && spare == need - have)
		return true;
	if (ftruncate(fd, status.st_size) != 0)
		return error_set(error, "store %s: its data file can't be put back: %s", options->directory,
			strerror(errno));
	return error_set(error, "store %s: the data file is cut off (%zu pages of %zu): restore a backup",
		options->directory, have, need);
}

static bool is_there(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

static bool sync_path(const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (!good)
		error_set(error, "store: %s can't be synced: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

static int value_put(MDB_txn *txn, MDB_dbi table, const char *name, const void *data, size_t size)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};
	MDB_val value = {size, (void *)(uintptr_t)data};

	return mdb_put(txn, table, &key, &value, 0);
}

static int value_get(MDB_txn *txn, MDB_dbi table, const char *name, void *ret, size_t size)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};
	MDB_val value;
	int rc = mdb_get(txn, table, &key, &value);

	if (rc)
		return rc;
	if (value.mv_size != size)
		return MDB_CORRUPTED;
	memcpy(ret, value.mv_data, size);
	return 0;
}

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
		rc = value_get(txn, meta, "identity", identity, sizeof(identity));
		*ret_exists = rc != MDB_NOTFOUND;
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	if (!rc && !*ret_exists) {
		id_random(&lineage);
		identity_pack(options, &lineage, identity);
		rc = value_put(txn, meta, "identity", identity, sizeof(identity));
		if (!rc)
			rc = value_put(txn, meta, "incarnation", incarnation, sizeof(incarnation));
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
	lock = lock_take(options, error);
	if (lock < 0)
		return false;
	env = environment_open(options, error);
	if (env) {
		rc = identity_write_new(env, options, &exists);
		if (rc)
			environment_failed(options, "writing its identity", rc, error);
		else if (exists)
			error_set(error, "store %s exists already: it was left as it is", options->directory);
		else
			good = sync_path(options->directory, error);
		mdb_env_close(env);
	}
	close(lock);
	return good;
}

/* The identity as stored, checked; inside a transaction. */
static bool identity_read(const struct store_options *options, MDB_txn *txn, MDB_dbi *ret_meta,
	uint8_t identity[IDENTITY_BYTES], struct error *error)
{
	int rc = mdb_dbi_open(txn, META_TABLE, 0, ret_meta);

	if (!rc)
		rc = value_get(txn, *ret_meta, "identity", identity, IDENTITY_BYTES);
	if (rc == MDB_NOTFOUND)
		return error_set(error,
			"store %s has no identity: `flashsale-%s init` was never run, or did not end",
			options->directory, options->service);
	if (rc)
		return environment_failed(options, "reading its identity", rc, error);
	return identity_check(options, identity, error);
}

/* One durable commit: the tables' handles and the next incarnation. */
static bool open_transaction(const struct store_options *options, struct store *store, struct error *error)
{
	uint8_t identity[IDENTITY_BYTES], incarnation[8];
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return environment_failed(options, "beginning a transaction", rc, error);
	if (!identity_read(options, txn, &store->meta, identity, error)) {
		mdb_txn_abort(txn);
		return false;
	}
	memcpy(store->lineage.bytes, identity + IDENTITY_AT_LINEAGE, ID_BYTES);
	for (uint32_t i = 0; !rc && i < options->table_count; i++)
		rc = mdb_dbi_open(txn, options->tables[i], MDB_CREATE, &store->tables[i]);
	if (!rc)
		rc = value_get(txn, store->meta, "incarnation", incarnation, sizeof(incarnation));
	if (!rc) {
		store->incarnation = store_get_be64(incarnation) + 1;
		store_put_be64(incarnation, store->incarnation);
		rc = value_put(txn, store->meta, "incarnation", incarnation, sizeof(incarnation));
	}
	if (rc) {
		mdb_txn_abort(txn);
		return environment_failed(options, "opening its tables", rc, error);
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return environment_failed(options, "committing its incarnation", rc, error);
	return true;
}

static bool open_existing(const struct store_options *options, struct store *store, struct error *error)
{
	char path[PATH_MAX];

	assert(options->table_count <= STORE_TABLES_MAX);
	if (!store_path(options, "data.mdb", path, error))
		return false;
	if (!is_there(path))
		return error_set(error, "no store in %s: create it with `flashsale-%s init --store %s`",
			options->directory, options->service, options->directory);
	store->lock_fd = lock_take(options, error);
	if (store->lock_fd < 0)
		return false;
	store->env = environment_open(options, error);
	return store->env && length_check(options, store->env, error);
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
	if (!open_existing(options, store, error) || !open_transaction(options, store, error)) {
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

bool store_new_lineage(const struct store_options *options, struct error *error)
{
	struct store store = {.lock_fd = -1};
	uint8_t identity[IDENTITY_BYTES];
	struct id lineage;
	MDB_txn *txn;
	int rc;
	bool good = open_existing(options, &store, error);

	if (good) {
		rc = mdb_txn_begin(store.env, NULL, 0, &txn);
		good = !rc && identity_read(options, txn, &store.meta, identity, error);
		if (rc)
			environment_failed(options, "beginning a transaction", rc, error);
		else if (!good)
			mdb_txn_abort(txn);
	}
	if (good) {
		id_random(&lineage);
		identity_pack(options, &lineage, identity);
		rc = value_put(txn, store.meta, "identity", identity, sizeof(identity));
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
		good = !rc || environment_failed(options, "writing its lineage", rc, error);
	}
	if (store.env)
		mdb_env_close(store.env);
	if (store.lock_fd >= 0)
		close(store.lock_fd);
	return good;
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
		if (free_pages(txn, 0, &spare) != 0)
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
	return value_put(txn, store->meta, name, data, size);
}

int store_meta_get(struct store *store, MDB_txn *txn, const char *name, void *ret, size_t size)
{
	return value_get(txn, store->meta, name, ret, size);
}

bool store_backup(struct store *store, const char *directory, struct error *error)
{
	char path[PATH_MAX];
	int rc, length = snprintf(path, sizeof(path), "%s/data.mdb", directory);

	if (length < 0 || length >= (int)sizeof(path))
		return error_set(error, "backup: the path %s is too long", directory);
	if (mkdir(directory, 0700) != 0)
		return error_set(
			error, "backup: the folder %s can't be made: %s", directory, strerror(errno));
	rc = mdb_env_copy2(store->env, directory, MDB_CP_COMPACT);
	if (rc)
		return error_set(
			error, "backup: copying %s to %s: %s", store->directory, directory, mdb_strerror(rc));
	return sync_path(path, error) && sync_path(directory, error);
}
