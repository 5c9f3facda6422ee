/* cart/archiving.h - the cart forgets a sale that inventory has archived: all its lines, then its orders, in steps with everything else in between.
 *
 * Meanwhile the link reads the ledger no further, and its position stays before the GOODS_ARCHIVED: a restart hears of it again and goes on with what is
 * left. Threads: the loop's. */
#ifndef FLASHSALE_CART_ARCHIVING_H
#define FLASHSALE_CART_ARCHIVING_H

#include "cart/cart.h"
#include "rpc/loop.h"

struct cart_service;

struct archiving {
	struct cart_service *service;
	uint32_t shard; /* of inventory */
	void (*done)(struct archiving *archiving);
	bool running;
	uint64_t sequence; /* of the entry */
	char sku[LINES_NAME_MAX + 1];
	struct map_walk lines, orders;
	struct rpc_timer timer;
};

/* With service, shard and done filled; done comes later, unless it is stopped. */
void archiving_start(struct archiving *archiving, const struct entry *entry);
void archiving_stop(struct archiving *archiving); /* not running: harmless */

#endif
