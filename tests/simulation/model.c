/* tests/simulation/model.c - the model's books: a run of them, what the stores' rows must be at each commit, and at the end. See model.h. */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

struct model_counts model_counts;
struct model_shard model_shards[WORLD_SHARDS_MAX];
struct model_sku model_skus[WORLD_SKUS_MAX];

/* ---- a run ---- */

void model_begin(void)
{
	model_holds_begin();
	model_orders_begin();
	model_checkouts_begin();
	model_archives_begin();
	model_units_begin();
	memset(model_shards, 0, sizeof(model_shards));
	memset(model_skus, 0, sizeof(model_skus));
	model_words_forget(UINT32_MAX);
}

void model_end(void)
{
	model_holds_end();
	model_orders_end();
	model_archives_end();
	for (int i = 0; i < WORLD_SHARDS_MAX; i++)
		model_steps_free(model_shards[i].steps, model_shards[i].head);
	for (int i = 0; i < WORLD_SKUS_MAX; i++)
		free(model_skus[i].deltas);
}

/* ---- commits ---- */

void model_commit_begin(uint32_t number)
{
	struct model_shard *shard = &model_shards[number];

	shard->live_at_most = shard->live;
	shard->head_before = shard->head;
	for (uint32_t i = 0; i < world.plan.carts; i++) {
		shard->carts[i].epochs[0] = shard->carts[i].epoch;
		shard->carts[i].epoch_count = 1;
		shard->carts[i].instance_before = shard->carts[i].instance;
	}
	for (uint32_t i = 0; i < world.plan.skus; i++) {
		struct model_sku *sku = &model_skus[i];

		if (world_inventory_of(i) != number)
			continue;
		sku->least_available = sku->row.available;
		sku->was_missing = !sku->row.exists;
		sku->was_closed = sku->row.closed;
		sku->was_open = sku->row.exists && !sku->row.closed;
	}
}

/* Promise 7, at every commit: all holds of an order are moved, or none. */
void model_commit_end(uint32_t number)
{
	WORLD_CHECK(!model_shards[number].order_moves, "promise 7: only %u holds of an order are moved",
		model_shards[number].order_moves);
}

/* Promise 1, at every commit: the row in the store is what the ledger adds up to. */
void model_row(uint32_t number, uint32_t at, const struct model_row *row)
{
	const struct model_row *ours = &model_skus[at].row;

	WORLD_CHECK(row->exists == ours->exists, "the row of %s is %s", world_sku(at),
		row->exists ? "there, and not in the ledger" : "missing");
	if (!row->exists)
		return;
	WORLD_CHECK(
		row->archived >= ours->archived &&
			row->archived - ours->archived <=
				(model_shards[number].archiving >> at & 1 ? model_skus[at].to_archive : 0),
		"%" PRId64 " units of %s are archived, the ledger tells of %" PRId64, row->archived,
		world_sku(at), ours->archived);
	WORLD_CHECK(row->stock == row->available + row->held + row->sold,
		"promise 1: stock %" PRId64 " is not %" PRId64 " + %" PRId64 " + %" PRId64, row->stock,
		row->available, row->held, row->sold);
	WORLD_CHECK(row->stock == ours->stock && row->available == ours->available &&
			    row->held == ours->held && row->sold == ours->sold &&
			    row->closed == ours->closed && row->version == ours->version &&
			    row->price_micros == ours->price_micros,
		"the row of %s has %" PRId64 " available, %" PRId64 " held, %" PRId64
		" sold; its ledger adds up to %" PRId64 ", %" PRId64 ", %" PRId64,
		world_sku(at), row->available, row->held, row->sold, ours->available, ours->held, ours->sold);
}

uint64_t model_head(uint32_t shard)
{
	return model_shards[shard].head;
}

int64_t model_moved_ms(uint32_t shard)
{
	return model_shards[shard].moved_ms;
}

uint64_t model_live(uint32_t shard)
{
	return model_shards[shard].live;
}

uint64_t model_holds(uint32_t shard)
{
	return model_shards[shard].holds;
}

const struct model_row *model_goods(uint32_t sku)
{
	return &model_skus[sku].row;
}

/* ---- at quiet ---- */

static uint32_t asked_shard;
static int64_t asked_ms;
static bool found_overdue;

static void look_at_deadline(const struct model_hold *hold)
{
	if (hold->shard == asked_shard && hold->state == MODEL_HELD &&
		hold->deadline_ms + model_shards[hold->shard].moved_ms <= asked_ms)
		found_overdue = true;
}

bool model_overdue(uint32_t shard, int64_t now_ms)
{
	asked_shard = shard;
	asked_ms = now_ms;
	found_overdue = false;
	model_each(look_at_deadline);
	return found_overdue;
}

void model_expect_ended(void)
{
	for (uint32_t i = 0; i < world.plan.inventories; i++)
		WORLD_CHECK(!model_shards[i].live, "promise 3: %" PRIu64 " holds never end",
			model_shards[i].live);
	for (uint32_t i = 0; i < world.plan.skus; i++)
		WORLD_CHECK(model_skus[i].row.stock == model_skus[i].row.available + model_skus[i].row.sold,
			"promise 4: %s has units that are neither sold nor available", world_sku(i));
}
