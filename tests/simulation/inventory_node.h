/* tests/simulation/inventory_node.h - inventory's shards: the real books on a real store behind the real writer, and a simulated machine around them.
 *
 * A shard's process runs, crashes at any moment, stays away a while, starts again on its store, or on a backup of it as another lineage.
 * Every commit is shown to the model entry by entry, every answer as soon as it may leave. */
#ifndef FLASHSALE_TESTS_SIMULATION_INVENTORY_NODE_H
#define FLASHSALE_TESTS_SIMULATION_INVENTORY_NODE_H

#include "base/arena.h"

#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "wire.h"

void inventories_begin(void); /* makes the stores and starts all */
void inventories_end(void);

bool inventory_up(uint32_t shard);
bool inventory_take(struct wire_call *call); /* false: nobody is there */
struct exporter;
struct store;
/* What operators who archive read, and what was told them: known until the process ends. */
struct store *inventory_store(uint32_t shard);
void inventory_exported(uint32_t shard, const struct exporter *exporter);

struct id inventory_lineage(uint32_t shard); /* of its store as it is now */
bool inventory_was_restored(uint32_t shard);

/* A follower's request for the ledger. Reasons: UNSPECIFIED, LINEAGE_CHANGED, LEDGER_AHEAD, DEPENDENCY_DOWN. */
Common__Reason inventory_may_read(uint32_t shard, const struct id *lineage, uint64_t after);
/* The next page after *position for this cart; false: nothing is new, or nobody is there. */
bool inventory_read(uint32_t shard, uint32_t cart, uint64_t *position, struct arena *arena,
	Inventory__ReadLedgerResponse *response);
uint64_t inventory_incarnation(uint32_t shard); /* another number: streams of the one before have ended */

/* At quiet: the whole store against the model. */
void inventories_check(void);
void inventory_restore(uint32_t shard); /* from its backup, if it has one */

#endif
