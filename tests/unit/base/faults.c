/* tests/unit/base/faults.c - see faults.h. */
#include "tests/unit/base/faults.h"

#include <errno.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum fault armed_kind;
static int calls_left; /* 0: nothing is armed */
static bool fired;

void faults_arm(enum fault kind, int n)
{
	armed_kind = kind;
	calls_left = n;
	fired = false;
}

bool faults_fired(void)
{
	calls_left = 0;
	return fired;
}

int faults_paused(void)
{
	int paused = calls_left;

	calls_left = 0;
	return paused;
}

void faults_go_on(int paused)
{
	calls_left = paused;
}

/* Whether it is this call's turn. */
static bool strikes(enum fault kind)
{
	if (!calls_left || kind != armed_kind || --calls_left)
		return false;
	fired = true;
	return true;
}

/* A read that went well, which may be spoiled. */
static int spoil(int rc, MDB_val *key, MDB_val *data)
{
	if (rc)
		return rc;
	if (strikes(FAULT_ABSENT))
		return MDB_NOTFOUND;
	if (data && data->mv_size && strikes(FAULT_SHORT_VALUE))
		data->mv_size--;
	if (key && key->mv_size && strikes(FAULT_SHORT_KEY))
		key->mv_size--;
	return 0;
}

#define WRAP(name, parameters, arguments) \
	int __real_##name parameters; \
	int __wrap_##name parameters; \
	int __wrap_##name parameters \
	{ \
		return strikes(FAULT_ERROR) ? FAULT_CODE : __real_##name arguments; \
	}
#define WRAP_READ(name, parameters, arguments, key, data) \
	int __real_##name parameters; \
	int __wrap_##name parameters; \
	int __wrap_##name parameters \
	{ \
		return strikes(FAULT_ERROR) ? FAULT_CODE : spoil(__real_##name arguments, key, data); \
	}
#define WRAP_SYSTEM(name, parameters, arguments) \
	int __real_##name parameters; \
	int __wrap_##name parameters; \
	int __wrap_##name parameters \
	{ \
		if (!strikes(FAULT_ERROR)) \
			return __real_##name arguments; \
		errno = EIO; \
		return -1; \
	}

WRAP(mdb_env_create, (MDB_env * *env), (env))
WRAP(mdb_env_set_mapsize, (MDB_env * env, size_t size), (env, size))
WRAP(mdb_env_set_maxdbs, (MDB_env * env, MDB_dbi count), (env, count))
WRAP(mdb_env_set_maxreaders, (MDB_env * env, unsigned int readers), (env, readers))
WRAP(mdb_env_open, (MDB_env * env, const char *path, unsigned int flags, mdb_mode_t mode),
	(env, path, flags, mode))
WRAP(mdb_env_copyfd2, (MDB_env * env, mdb_filehandle_t fd, unsigned int flags), (env, fd, flags))
WRAP(mdb_env_get_fd, (MDB_env * env, mdb_filehandle_t *fd), (env, fd))
WRAP(mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned int flags, MDB_txn **txn),
	(env, parent, flags, txn))
WRAP(mdb_dbi_open, (MDB_txn * txn, const char *name, unsigned int flags, MDB_dbi *dbi),
	(txn, name, flags, dbi))
WRAP(mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags),
	(txn, dbi, key, data, flags))
WRAP(mdb_del, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data))
WRAP(mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor), (txn, dbi, cursor))
WRAP(mdb_cursor_put, (MDB_cursor * cursor, MDB_val *key, MDB_val *data, unsigned int flags),
	(cursor, key, data, flags))
WRAP(mdb_cursor_del, (MDB_cursor * cursor, unsigned int flags), (cursor, flags))
WRAP(mdb_stat, (MDB_txn * txn, MDB_dbi dbi, MDB_stat *stat), (txn, dbi, stat))
WRAP_READ(
	mdb_get, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data), NULL, data)
WRAP_READ(mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op),
	(cursor, key, data, op), key, data)
WRAP_SYSTEM(fsync, (int fd), (fd))
WRAP_SYSTEM(ftruncate, (int fd, off_t length), (fd, length))
WRAP_SYSTEM(flock, (int fd, int operation), (fd, operation))
WRAP_SYSTEM(rename, (const char *from, const char *to), (from, to))
WRAP_SYSTEM(mkdir, (const char *path, mode_t mode), (path, mode))
WRAP_SYSTEM(fstat, (int fd, struct stat *status), (fd, status))
WRAP_SYSTEM(statvfs, (const char *path, struct statvfs *status), (path, status))

/* A commit that fails frees its transaction, as LMDB's does. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (!strikes(FAULT_ERROR))
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return FAULT_CODE;
}
