/* protector/shelf.h - the bans in the store: a row a ban, an index by subject and origin, an index by end.
 *
 * A subject has at most one ban of each origin, here as in memory: putting one removes the older. Functions return 0 or LMDB's error code.
 * Threads: the writer's own, but shelf_load, which is for the start. */
#ifndef FLASHSALE_PROTECTOR_SHELF_H
#define FLASHSALE_PROTECTOR_SHELF_H

#include "base/store.h"
#include "protector/bans.h"

#define SHELF_TABLE_COUNT 3
extern const char *const shelf_tables[SHELF_TABLE_COUNT];

bool shelf_load(struct store *store, struct bans *bans, struct error *error); /* all of it into memory */

int shelf_put(struct store *store, MDB_txn *txn, const struct ban *ban);
int shelf_remove(struct store *store, MDB_txn *txn, const struct id *id, bool *ret_found);

/* Lifts the subject's bans of every origin; allowances and exemptions stay. The ids of those that were there come back. */
int shelf_lift(struct store *store, MDB_txn *txn, const struct ban_subject *subject,
	struct id ret_ids[BAN_ORIGINS], size_t *ret_count);

/* Removes those that have ended, at most `max`. *ret_next_ms: when the next one ends; INT64_MAX: none does. */
int shelf_expire(struct store *store, MDB_txn *txn, int64_t now_ms, size_t max, struct id *ret_ids,
	size_t *ret_count, int64_t *ret_next_ms);

#endif
