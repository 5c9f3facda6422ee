/* tests/simulation/stores.c - see stores.h. */
#include "stores.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#include "threads.h"

#define COMMIT_MIN_US 30
#define COMMIT_MAX_US 3000
#define AFTER_COMMIT_MAX_US 2000

static struct sim_store *stores;

void stores_register(struct sim_store *store, const char *directory, void *owner)
{
	memset(store, 0, sizeof(*store));
	store->directory = directory;
	store->owner = owner;
	store->next = stores;
	stores = store;
}

void stores_forget(struct sim_store *store)
{
	for (struct sim_store **at = &stores; *at; at = &(*at)->next)
		if (*at == store) {
			*at = store->next;
			return;
		}
}

static struct sim_store *find(const MDB_env *env)
{
	struct sim_store *store = stores;

	while (store && store->env != env)
		store = store->next;
	return store;
}

static struct sim_store *find_directory(const char *directory)
{
	struct sim_store *store = stores;

	while (store && strcmp(store->directory, directory))
		store = store->next;
	return store;
}

int __real_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret);
int __real_mdb_txn_commit(MDB_txn *txn);
void __real_mdb_txn_abort(MDB_txn *txn);
int __real_mdb_put(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *data, unsigned flags);
int __real_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags);
int __real_mdb_cursor_del(MDB_cursor *cursor, unsigned flags);
int __real_statvfs(const char *path, struct statvfs *ret);

static int seen(struct sim_store *store, int rc)
{
	if (rc == MDB_MAP_FULL && store) {
		store->map_full = true;
		world.troubles.full_maps++;
	}
	return rc;
}

static int commit(struct sim_store *store, MDB_txn *txn)
{
	int rc = __real_mdb_txn_commit(txn);

	if (rc == 0)
		store->map_full_told = false;
	if (rc == 0 && store->committed)
		store->committed(store->owner);
	return seen(store, rc);
}

void stores_crash(struct sim_store *store)
{
	MDB_txn *txn = store->txn;
	bool lucky = store->committing && world_below(2);

	store->txn = NULL;
	store->committing = false;
	if (txn) {
		world.troubles.torn_commits++;
		world_note(
			lucky ? "crash: the commit happened" : "crash: the commit did not happen", 0, 0, 0);
		if (lucky)
			commit(store, txn);
		else
			__real_mdb_txn_abort(txn);
	}
	store->dead = true;
}

/* ---- LMDB ---- */

int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
	struct sim_store *store = find_directory(path);

	if (store)
		store->env = env;
	return __real_mdb_env_open(env, path, flags | MDB_NOSYNC, mode);
}

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret)
{
	struct sim_store *store = find(env);
	int rc;

	if (store && store->dead)
		return EIO;
	rc = __real_mdb_txn_begin(env, parent, flags, ret);
	if (rc == 0 && store && !(flags & MDB_RDONLY))
		store->txn = *ret;
	return rc;
}

/* A device that gives an error for what it wrote, or did not. */
static int fail_commit(struct sim_store *store, MDB_txn *txn)
{
	bool written = world_below(2);

	store->failed_commit = true;
	world.troubles.failed_commits++;
	world_note(written ? "commit fails, written" : "commit fails, not written", 0, 0, 0);
	if (written)
		commit(store, txn);
	else
		__real_mdb_txn_abort(txn);
	return EIO;
}

int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	struct sim_store *store = find(mdb_txn_env(txn));
	int rc;

	if (!store || store->txn != txn)
		return __real_mdb_txn_commit(txn);
	if (thread_inside()) {
		store->committing = true;
		thread_pause(world_between(COMMIT_MIN_US, world_below(8) ? COMMIT_MIN_US : COMMIT_MAX_US));
		store->committing = false;
	}
	store->txn = NULL;
	if (thread_inside() && world_chance(store->fail_commit))
		return fail_commit(store, txn);
	rc = commit(store, txn);
	if (thread_inside() && world_chance(world.plan.pause_in_commit))
		thread_pause(world_between(1, AFTER_COMMIT_MAX_US)); /* done, and nobody knows yet */
	return rc;
}

void __wrap_mdb_txn_abort(MDB_txn *txn);
void __wrap_mdb_txn_abort(MDB_txn *txn)
{
	struct sim_store *store = find(mdb_txn_env(txn));

	if (store && store->txn == txn)
		store->txn = NULL;
	__real_mdb_txn_abort(txn);
}

/* 0, or the error that the put reports: of the device, or a map that is full. A full map has room for a group without what grows. */
static int failure(struct sim_store *store)
{
	bool full;

	if (!store || !thread_inside() || !world_chance(store->fail_put))
		return 0;
	full = !store->map_full_told && world_below(2);
	store->failed_put = true;
	world.troubles.failed_puts++;
	world_note("a put fails", full, 0, 0);
	if (!full)
		return EIO;
	store->map_full_told = true;
	return seen(store, MDB_MAP_FULL);
}

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *data, unsigned flags);
int __wrap_mdb_put(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *data, unsigned flags)
{
	struct sim_store *store = find(mdb_txn_env(txn));
	int rc = failure(store);

	return rc ? rc : seen(store, __real_mdb_put(txn, table, key, data, flags));
}

int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags);
int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags)
{
	struct sim_store *store = find(mdb_txn_env(mdb_cursor_txn(cursor)));
	int rc = failure(store);

	return rc ? rc : seen(store, __real_mdb_cursor_put(cursor, key, data, flags));
}

int __wrap_mdb_cursor_del(MDB_cursor *cursor, unsigned flags);
int __wrap_mdb_cursor_del(MDB_cursor *cursor, unsigned flags)
{
	struct sim_store *store = find(mdb_txn_env(mdb_cursor_txn(cursor)));
	int rc = failure(store);

	return rc ? rc : seen(store, __real_mdb_cursor_del(cursor, flags));
}

/* ---- the rest of the system ---- */

int __wrap_statvfs(const char *path, struct statvfs *ret);
int __wrap_statvfs(const char *path, struct statvfs *ret)
{
	struct sim_store *store = find_directory(path);
	int rc = __real_statvfs(path, ret);

	if (store && rc == 0) /* the machine's own disk must not matter */
		ret->f_bavail = store->disk_full ? 0 : (fsblkcnt_t)(INT64_C(1) << 40) / ret->f_frsize;
	return rc;
}

ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
	uint8_t *at = to;

	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)random_next(&world.random);
	return (ssize_t)size;
}

int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void)
{
	return world.now_us * 1000;
}
