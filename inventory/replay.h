/* inventory/replay.h - the whole ledger played again, from nothing, entry by entry: each must be a step that the rules (inventory/engine.h) allow from the state
 * that the entries before it made, and what comes out must be what the tables say, row by row. Every disagreement is told with its place.
 *
 * Checked of an entry: the sequence has no gap, time never goes back, incarnations and fences ascend; a hold is made once, of open goods, at their price, within
 * what is available, under the epoch in force, with a deadline that can be; states go forward only, in time, with quantities and versions that follow; the holds of
 * an order move together, and with it; an operator's entry has the units that the replay has. Then of the rows: goods, holds, expiry, orders, fences.
 * Up to the floor the ledger is sparse: what ended unsold is gone, and of goods and fences only the newest entry is there. There only what does not depend on
 * what is gone is checked. Holds that are gone may have their last entries above the floor; what these take back was held at the floor. Likewise up to where a change of the number of shards
 * told it again (META_RETOLD), but that there nothing is missing.
 *
 * It keeps every hold in memory, about 120 bytes each, and one read transaction open: for a tool, not for a service.
 * Threads: any one. */
#ifndef FLASHSALE_INVENTORY_REPLAY_H
#define FLASHSALE_INVENTORY_REPLAY_H

#include "base/store.h"

struct replay_result {
	uint64_t first, head; /* of the ledger; 0: it is empty */
	uint64_t entries, holds, orders, goods;
	uint64_t findings;
};

/* found: for each finding, a line without its end. 0, or LMDB's error: it could not be read to its end. */
int replay_run(struct store *store, void (*found)(void *context, const char *line), void *context,
	struct replay_result *ret);

#endif
