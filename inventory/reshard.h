/* inventory/reshard.h - the stores of all shards of an old number, told again to the stores of a new number: goods by SKU, orders and holds with them,
 * what belongs to a person by cart shard.
 *
 * The ledgers of the old stores are merged by time and told again, entry by entry, each to the new shard of its SKU, in sequences of its own; what ends up there
 * is what the tables say. What concerned processes is not told: epochs and incarnations. So deadlines are told as they came to be, with what outages had moved
 * them by, and an old store whose time had stood still for longer than that of the others gives its live holds the difference, up to outage_grace_max_ms.
 * New stores know no follower and no epoch: carts have to follow them from the beginning. No id that may be gone is taken again (struct fence: removed).
 * An order is on one shard. One that is open and would be on several can't be told: all or nothing would be no more. One that has ended becomes one order a shard,
 * as a checkout would have made it: the part with its first hold keeps the id, the others get ids that follow from it and their holds, and all keep the payment reference.
 *
 * Steps, by the caller: the old stores are proved (inventory/replay.h) and nobody else has them; reshard_find_obstacles; reshard_run into new stores that are
 * empty; reshard_compare, and the new ones are proved. None writes to an old store.
 * Threads: any one. */
#ifndef FLASHSALE_INVENTORY_RESHARD_H
#define FLASHSALE_INVENTORY_RESHARD_H

#include "base/store.h"

struct reshard_options {
	struct store *const *sources; /* each of their shards once, in any order */
	uint32_t source_count;
	struct store *const *targets; /* by shard */
	uint32_t shards;
	uint32_t cart_shards; /* 0: as it is */
	int64_t outage_grace_max_ms;
	uint32_t commit_every; /* entries; 0: the standard */
	void (*say)(void *context, const char *line); /* of obstacles, and of what differs */
	void *context;
};

struct reshard_result {
	uint64_t goods, holds, orders, entries; /* of the new stores */
	uint64_t split;				/* orders that became several */
	uint64_t findings;			/* obstacles, or differences */
	uint32_t cart_shards;
};

/* Each: false with an error when a store can't be read or written. */
bool reshard_find_obstacles(
	const struct reshard_options *options, struct reshard_result *ret, struct error *error);
bool reshard_run(const struct reshard_options *options, struct reshard_result *ret, struct error *error);
/* Row by row: goods with all their numbers, holds and orders each once, in the right place, in the same state. Says what differs; counts what it saw. */
bool reshard_compare(
	const struct reshard_options *options, struct reshard_result *ret, struct error *error);

#endif
