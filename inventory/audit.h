/* inventory/audit.h - the books of every SKU counted in three ways, from one snapshot: as the row says, as the holds say, and as a replay of the
 * whole ledger says. They agree, or something is wrong that no caller may ever see.
 *
 * Up to the floor (inventory/compaction.h) the ledger is sparse. What is gone from it ended unsold, so it moves nothing at the end; but holds that were dropped
 * may have their last entries above the floor. What these take back was held at the floor: that is where the replay begins from, and from there on it is
 * checked entry by entry as in a whole ledger.
 *
 * It reads everything, so it takes its time and keeps one read transaction open meanwhile (the store may grow by what is written in that time):
 * for an operator, not for a timer. Threads: any, a thread of its own best; *cancel (may be NULL) ends it early with ECANCELED. */
#ifndef FLASHSALE_INVENTORY_AUDIT_H
#define FLASHSALE_INVENTORY_AUDIT_H

#include <stdatomic.h>

#include "base/store.h"
#include "inventory/engine.h"

struct stock_count {
	int64_t stock, available, held, sold;
};

struct audit_item {
	char sku[SKU_MAX + 1];
	struct stock_count row, holds, ledger;
	bool consistent;
	char finding[160]; /* what does not agree; "" if consistent */
};

struct audit {
	struct audit_item *items; /* by SKU; closed goods too */
	size_t count;
	uint64_t sequence;        /* the ledger's head in the snapshot */
	bool consistent;          /* all items, and what belongs to none of them */
	char finding[160];        /* about what belongs to no item: gaps in the ledger, holds without an expiry row, orders and their holds */
};

/* `sku` NULL: all; the whole store is read either way. 0, MDB_CORRUPTED for rows that can't be read, ECANCELED, or LMDB's error. */
int audit_run(struct store *store, const char *sku, const _Atomic bool *cancel, struct audit *ret);
void audit_release(struct audit *audit);

#endif
