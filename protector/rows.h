/* protector/rows.h - the tables of the protector's store, and rows of them. protector/records.h says what is in them.
 *
 * Functions return 0 or LMDB's error code. Threads: the writer's own. */
#ifndef FLASHSALE_PROTECTOR_ROWS_H
#define FLASHSALE_PROTECTOR_ROWS_H

#include <lmdb.h>
#include <stdint.h>

#include "base/store.h"

enum protector_table {
	TABLE_BANS,
	TABLE_SUBJECTS,
	TABLE_EXPIRY,
	TABLE_ENDED,
	TABLE_ENDED_TIMES,
	TABLE_ENDED_RAW,
	TABLE_ENDED_SUBJECTS,
	SHELF_TABLE_COUNT
};
extern const char *const shelf_tables[SHELF_TABLE_COUNT];

static inline int row_put(struct store *store, MDB_txn *txn, enum protector_table table, void *key,
	size_t key_size, const void *data, size_t size)
{
	MDB_val k = {key_size, key}, v = {size, (void *)(uintptr_t)data};

	return mdb_put(txn, store->tables[table], &k, &v, 0);
}

/* It must be there: the tables go together. */
static inline int row_delete(
	struct store *store, MDB_txn *txn, enum protector_table table, void *key, size_t key_size)
{
	MDB_val k = {key_size, key};
	int rc = mdb_del(txn, store->tables[table], &k, NULL);

	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

#endif
