/* inventory/ledger_page.h - a stretch of the ledger as messages: what one message of ReadLedger carries.
 *
 * A page reads on from a position, in one short read transaction, until it has enough entries, has looked at enough, or met the end. */
#ifndef FLASHSALE_INVENTORY_LEDGER_PAGE_H
#define FLASHSALE_INVENTORY_LEDGER_PAGE_H

#include "base/arena.h"
#include "base/store.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"

#define LEDGER_PAGE_ENTRIES 1024
#define LEDGER_PAGE_SCAN 16384

struct ledger_filter {
	bool by_cart;        /* holds and fences of this cart shard, and incarnations */
	uint32_t cart_shard;
	uint32_t entries_max; /* of a page; 0: LEDGER_PAGE_ENTRIES, the most that there can be */
};

/* Appends to the response: entries after *position and up to `head`, and moves it to the last one looked at; and the floor. 0, ENOMEM (arena) or LMDB's error.
 * head: what the books have published. The store can be a commit ahead of that for a moment; a follower that was told of it and comes back at once
 * would seem to be ahead of the ledger. */
int ledger_page_read(struct store *store, struct arena *arena, const struct ledger_filter *filter,
	int64_t standard_ttl_ms, uint64_t head, uint64_t *position, Inventory__ReadLedgerResponse *response);

#endif
