/* policy/shelf.h - the rules in the store: one table, a row a rule.
 *
 * Functions return 0 or LMDB's error code. Threads: the writer's own, but shelf_load, which is for the start. */
#ifndef FLASHSALE_POLICY_SHELF_H
#define FLASHSALE_POLICY_SHELF_H

#include "base/store.h"
#include "policy/rules.h"

#define SHELF_TABLE_COUNT 1
extern const char *const shelf_tables[SHELF_TABLE_COUNT];

bool shelf_load(struct store *store, struct rules *rules, struct error *error); /* all of it into memory */
int shelf_put(struct store *store, MDB_txn *txn, const struct rule *rule);
int shelf_remove(struct store *store, MDB_txn *txn, const char *sku, int32_t level,
	uint32_t *ret_removed); /* 0 or 1 */
int shelf_remove_sku(
	struct store *store, MDB_txn *txn, const char *sku, uint32_t *ret_removed); /* of every level */

#endif
