/* base/store_files.c - the files of a store: paths, the lock, the environment, the length of the data file, the identity. */
#include "base/store_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READERS_MAX 1024

bool store_path(
	const struct store_options *options, const char *file, char path[PATH_MAX], struct error *error)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", options->directory, file);

	if (length < 0 || length >= PATH_MAX)
		return error_set(error, "store: the path of %s is too long", options->directory);
	return true;
}

bool store_file_there(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

bool store_sync(const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (!good)
		error_set(error, "store: %s can't be synced: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

bool store_sync_folder_of(const char *path, struct error *error)
{
	char parent[PATH_MAX];
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		length--;
	while (length > 0 && path[length - 1] != '/')
		length--;
	if (length >= sizeof(parent))
		return error_set(error, "store: the path of %s is too long", path);
	memcpy(parent, length ? path : ".", length ? length : 1);
	parent[length ? length : 1] = '\0';
	return store_sync(parent, error);
}

bool store_data_check(const struct store_options *options, struct error *error)
{
	char path[PATH_MAX];
	struct stat status;

	if (!store_path(options, "data.mdb", path, error))
		return false;
	if (stat(path, &status) != 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return error_set(error, "store: %s can't be read: %s", path, strerror(errno));
		return error_set(error, "no store in %s: create it with `flashsale-%s init --store %s`",
			options->directory, options->service, options->directory);
	}
	if (!S_ISREG(status.st_mode))
		return error_set(error, "store: %s is no file", path);
	if (status.st_size == 0)
		return error_set(error,
			"store %s: its data file is empty (0 bytes): it was damaged, or an `init` did not "
			"end; "
			"restore a backup, or remove the folder if nothing was ever in it",
			options->directory);
	return true;
}

/* Exclusive among processes; LMDB itself would let two write. */
int store_lock(const struct store_options *options, struct error *error)
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

bool store_env_failed(const struct store_options *options, const char *doing, int rc, struct error *error)
{
	const char *advice = "";

	if (rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_VERSION_MISMATCH || rc == MDB_PAGE_NOTFOUND)
		advice = ": the data file is damaged, restore a backup";
	return error_set(error, "store %s: %s: %s%s", options->directory, doing, mdb_strerror(rc), advice);
}

MDB_env *store_env_open(const struct store_options *options, unsigned flags, struct error *error)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc) {
		store_env_failed(options, "LMDB", rc, error);
		return NULL;
	}
	rc = mdb_env_set_maxdbs(env, STORE_TABLES_MAX + 1);
	if (!rc)
		rc = mdb_env_set_maxreaders(env, READERS_MAX);
	if (!rc && options->map_bytes) /* 0: as large as it is */
		rc = mdb_env_set_mapsize(env, (size_t)options->map_bytes);
	if (!rc)
		rc = mdb_env_open(env, options->directory, MDB_NOTLS | flags, 0600);
	if (rc) {
		store_env_failed(options, "opening the data file", rc, error);
		mdb_env_close(env);
		return NULL;
	}
	return env;
}

/* Free pages: each record of LMDB's own table 0 is a count and that many page numbers. With `from`: only those at or after it. */
int store_free_pages(MDB_txn *txn, size_t from, size_t *ret)
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

/* How many of the pages from `have` on are free. */
static int spare_pages(MDB_env *env, size_t have, size_t *ret)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return rc;
	rc = store_free_pages(txn, have, ret);
	mdb_txn_abort(txn);
	return rc;
}

/* LMDB does not look at the file's length. It may rightly be shorter than its last page, when the pages at its end were taken and given back
 * within one transaction; those are all in the list of free pages. Anything else that is missing is damage. */
bool store_length_check(const struct store_options *options, MDB_env *env, bool writable, struct error *error)
{
	struct stat status;
	MDB_envinfo info;
	MDB_stat stat;
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
	/* Zeros instead of a bus error while the list of free pages is read. Who only reads takes the error (rpc/store_fault.h). */
	if (writable && ftruncate(fd, (off_t)(need * stat.ms_psize)) != 0)
		return error_set(error, "store %s: its data file can't be extended: %s", options->directory,
			strerror(errno));
	rc = spare_pages(env, have, &spare);
	if (!rc && spare == need - have)
		return true;
	if (writable && ftruncate(fd, status.st_size) != 0)
		return error_set(error, "store %s: its data file can't be put back: %s", options->directory,
			strerror(errno));
	return error_set(error, "store %s: the data file is cut off (%zu pages of %zu): restore a backup",
		options->directory, have, need);
}

int store_value_put(MDB_txn *txn, MDB_dbi table, const char *name, const void *data, size_t size)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};
	MDB_val value = {size, (void *)(uintptr_t)data};

	return mdb_put(txn, table, &key, &value, 0);
}

int store_value_get(MDB_txn *txn, MDB_dbi table, const char *name, void *ret, size_t size)
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

void store_identity_pack(
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
static bool store_identity_check(
	const struct store_options *options, const uint8_t from[IDENTITY_BYTES], struct error *error)
{
	const char *name = (const char *)from + IDENTITY_AT_NAME;
	uint64_t format = store_get_be64(from + 8);
	uint64_t shard = store_get_be64(from + 16), shards = store_get_be64(from + 24);

	if (memcmp(from, IDENTITY_MAGIC, 8) != 0)
		return error_set(error, "store %s: its identity can't be read", options->directory);
	if (strncmp(name, options->service, strlen(options->service)) == 0 &&
		strcmp(name + strlen(options->service), STORE_UNFINISHED) == 0)
		return error_set(error,
			"store %s is not complete: what was making it did not end; make it anew",
			options->directory);
	if (strncmp(name, options->service, IDENTITY_NAME_MAX) != 0)
		return error_set(error, "store %s belongs to the service %.*s, not to %s", options->directory,
			IDENTITY_NAME_MAX, name, options->service);
	if (format != options->format)
		return error_set(error,
			"store %s has format %llu, this program reads format %u: use the program that made "
			"it",
			options->directory, (unsigned long long)format, options->format);
	if (options->shard != STORE_SHARD_ANY && (shard != options->shard || shards != options->shards))
		return error_set(error, "store %s is shard %llu of %llu, the settings say shard %u of %u",
			options->directory, (unsigned long long)shard, (unsigned long long)shards,
			options->shard, options->shards);
	return true;
}

/* The identity as stored, checked; inside a transaction. */
bool store_identity_read(const struct store_options *options, MDB_txn *txn, MDB_dbi *ret_meta,
	uint8_t identity[IDENTITY_BYTES], struct error *error)
{
	int rc = mdb_dbi_open(txn, META_TABLE, 0, ret_meta);

	if (!rc)
		rc = store_value_get(txn, *ret_meta, "identity", identity, IDENTITY_BYTES);
	if (rc == MDB_NOTFOUND)
		return error_set(error,
			"store %s has no identity: it is no store of ours, or its `flashsale-%s init` did "
			"not end",
			options->directory, options->service);
	if (rc)
		return store_env_failed(options, "reading its identity", rc, error);
	return store_identity_check(options, identity, error);
}
