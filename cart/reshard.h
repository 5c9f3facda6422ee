/* cart/reshard.h - the stores of all carts made anew for another number of carts, or of inventories.
 *
 * What inventory's ledgers tell is not taken along: the new stores have no positions, so the carts follow the new ledgers from the beginning, and find every hold and
 * order there with its key and its owner. Taken along, each to the cart of its person, is what only a cart knows: its decisions, with the keys of checkouts and the payments
 * that were reported, and what has ended unsold, which inventory may have dropped already.
 * Nothing is written to an old store. Threads: any one. */
#ifndef FLASHSALE_CART_RESHARD_H
#define FLASHSALE_CART_RESHARD_H

#include "base/store.h"

struct cart_reshard_options {
	struct store *const *sources; /* each of their shards once */
	uint32_t source_count;
	struct store *const *targets; /* by shard, empty */
	uint32_t shards, inventory_shards;
};

struct cart_reshard_result {
	uint64_t lines, orders, decisions; /* taken along */
	uint64_t told;			   /* lines and orders that the ledgers tell of */
};

/* False: a store can't be read or written, or a decision is about an order whose goods its cart has not heard of yet. */
bool cart_reshard(const struct cart_reshard_options *options, struct cart_reshard_result *ret, struct error *error);

#endif
