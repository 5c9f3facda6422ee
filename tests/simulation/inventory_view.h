/* tests/simulation/inventory_view.h - a store of inventory as the model gets to see it: entries and rows in its own words. */
#ifndef FLASHSALE_TESTS_SIMULATION_INVENTORY_VIEW_H
#define FLASHSALE_TESTS_SIMULATION_INVENTORY_VIEW_H

#include "base/store.h"

/* What is new in the ledger since the model's head, the rows that it touches, and how far the ledger is sparse now. */
void view_commit(struct store *store, uint32_t shard, int64_t now_ms);
/* Every table against the model, and the store's own audit. */
void view_check(struct store *store, uint32_t shard);

#endif
