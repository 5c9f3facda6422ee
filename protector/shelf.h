/* protector/shelf.h - the bans in the store: a row a ban, an index by subject and origin, an index by end.
 *
 * A subject has at most one ban of each origin, here as in memory: putting one removes the older. What leaves the shelf goes to the history.
 * Functions return 0 or LMDB's error code.
 * Threads: the writer's own, but shelf_load, which is for the start. */
#ifndef FLASHSALE_PROTECTOR_SHELF_H
#define FLASHSALE_PROTECTOR_SHELF_H

#include "protector/history.h"

bool shelf_load(struct store *store, struct bans *bans, struct error *error); /* all of it into memory */

int shelf_put(struct history *history, MDB_txn *txn, const struct ban *ban, int64_t now_ms);
/* `replaced_by` of BAN_REPLACED, else NULL. */
int shelf_remove(struct history *history, MDB_txn *txn, const struct id *id, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms, bool *ret_found);

/* Lifts the subject's bans of every origin; allowances and exemptions stay. The ids of those that were there come back. */
int shelf_lift(struct history *history, MDB_txn *txn, const struct ban_subject *subject, int64_t now_ms,
	struct id ret_ids[BAN_ORIGINS], size_t *ret_count);

/* Removes those that have ended, at most `max`. *ret_next_ms: when the next one ends; INT64_MAX: none does. */
int shelf_expire(struct history *history, MDB_txn *txn, int64_t now_ms, size_t max, struct id *ret_ids,
	size_t *ret_count, int64_t *ret_next_ms);

#endif
