/* tests/simulation/model_restore.c - a store that comes back as it was: its books are told again, and what was lost with its disk is known. See model.h. */
#include <stdlib.h>
#include <string.h>

#include "model_books.h"

static uint32_t forgotten_shard;

/* The yes of a hold that the backup does not have is lost with the disk; what was asked for stays known. */
static void forget_hold(struct model_hold *hold)
{
	if (!hold->created || hold->shard != forgotten_shard)
		return;
	if (!hold->archived)
		model_units_move(hold, hold->state, MODEL_NONE, hold->quantity, 0);
	if (hold->keyed && !hold->gone)
		model_key_forget(hold);
	hold->created = hold->gone = hold->archived = false;
	hold->lived_before = true;
	hold->told_else++;
}

/* All is told again, up to where the backup was made. */
void model_forget_shard(uint32_t number, uint64_t head, uint64_t floor, uint32_t archiving)
{
	struct model_shard *shard = &model_shards[number], before = *shard;

	forgotten_shard = number;
	model_holds_each(forget_hold);
	for (uint32_t i = 0; i < world.plan.skus; i++) {
		if (world_inventory_of(i) != number)
			continue;
		free(model_skus[i].deltas);
		memset(&model_skus[i], 0, sizeof(model_skus[i]));
	}
	memset(shard, 0, sizeof(*shard));
	model_orders_forget(number);
	model_words_forget(number);
	model_archives_retell(true);
	for (uint64_t i = 1; i <= head; i++) {
		model_entry(number, &before.steps[i].entry);
		if (before.steps[i].floor)
			model_compacted(number, i < head ? before.steps[i].floor : floor, INT64_MIN);
	}
	model_archives_retell(false);
	model_archives_restored(number, archiving);
	model_steps_free(before.steps, before.head);
}

static void reconcile_hold(struct model_hold *hold)
{
	hold->lost |= hold->lived_before && !hold->created;
	hold->lived_before = false;
}

void model_reconciled(void)
{
	model_holds_each(reconcile_hold);
	model_orders_reconciled();
}

void model_void_epochs(uint32_t shard)
{
	for (uint32_t i = 0; i < world.plan.carts; i++)
		model_shards[shard].carts[i].voided = model_shards[shard].carts[i].epoch;
}
