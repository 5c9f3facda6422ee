/* tests/simulation/model_compaction.c - of what ended unsold, records and entries go once nobody needs them: what may go, and what must stay. See model.h. */
#include <inttypes.h>

#include "model_books.h"

void model_lineage(uint32_t shard, const struct id *lineage)
{
	model_shards[shard].lineage = *lineage;
}

void model_stored(
	uint32_t number, const struct wire_sender *sender, const struct id *lineage, uint64_t position)
{
	struct model_stored *stored = &model_shards[number].carts[sender->cart].stored;
	uint32_t at = 0;

	if (id_compare(lineage, &model_shards[number].lineage) != 0) {
		WORLD_CHECK(!id_is_zero(lineage) || !position, "a position of no lineage");
		return;
	}
	while (at < MODEL_INSTANCES && id_compare(&stored->instances[at], &sender->instance) != 0)
		at++;
	if (at == MODEL_INSTANCES) {
		at = stored->next++ % MODEL_INSTANCES;
		stored->instances[at] = sender->instance;
		stored->positions[at] = 0;
	}
	if (stored->positions[at] < position)
		stored->positions[at] = position;
}

static uint64_t stored_by(const struct model_cart *cart, const struct id *instance)
{
	for (uint32_t i = 0; i < MODEL_INSTANCES; i++)
		if (id_compare(&cart->stored.instances[i], instance) == 0)
			return cart->stored.positions[i];
	return 0;
}

static void drop_hold(struct model_hold *hold)
{
	struct model_shard *shard = &model_shards[hold->shard];
	struct id *removed = &shard->carts[hold->cart].removed;

	WORLD_CHECK(hold->state == MODEL_RELEASED || hold->state == MODEL_EXPIRED,
		"promise 2: a hold in state %d was dropped", hold->state);
	WORLD_CHECK(!hold->gone, "a hold is dropped twice");
	hold->gone = true;
	shard->holds--;
	if (id_compare(removed, &hold->id) < 0)
		*removed = hold->id;
	if (hold->keyed)
		model_key_forget(hold); /* a cart with an empty store can't know it any more */
}

static void pass(uint32_t number, uint64_t sequence, int64_t now_ms)
{
	struct model_shard *shard = &model_shards[number];
	const struct model_step *step = &shard->steps[sequence];
	struct model_hold *hold = step->hold;

	WORLD_CHECK(now_ms == INT64_MIN || step->entry.time_ms + world.plan.retention_ms <= now_ms,
		"an entry is passed %" PRId64 " ms too early",
		step->entry.time_ms + world.plan.retention_ms - now_ms);
	if (step->entry.kind == MODEL_GOODS)
		shard->newest_goods[step->entry.sku] = sequence;
	if (step->entry.kind == MODEL_FENCED)
		shard->newest_fences[step->entry.cart] = sequence;
	if (step->entry.kind != MODEL_CREATED || hold->gone || hold->state == MODEL_SOLD ||
		hold->state == MODEL_REFUNDED)
		return;
	WORLD_CHECK(now_ms == INT64_MIN || hold->ended_ms + world.plan.retention_ms <= now_ms,
		"a hold is dropped %" PRId64 " ms too early",
		hold->ended_ms + world.plan.retention_ms - now_ms);
	if (id_is_zero(&hold->order))
		drop_hold(hold);
	else
		model_order_drop(&hold->order, drop_hold);
}

void model_compacted(uint32_t number, uint64_t floor, int64_t now_ms)
{
	struct model_shard *shard = &model_shards[number];

	WORLD_CHECK(floor >= shard->floor && floor <= shard->head,
		"the floor goes from %" PRIu64 " to %" PRIu64, shard->floor, floor);
	if (floor == shard->floor)
		return;
	world.troubles.compactions++;
	shard->steps[shard->head].floor = floor;
	for (uint32_t i = 0; now_ms != INT64_MIN && i < world.plan.carts; i++) {
		const struct model_cart *cart = &shard->carts[i];

		WORLD_CHECK(id_is_zero(&cart->instance_before) ||
				    floor <= stored_by(cart, &cart->instance_before),
			"the floor is at %" PRIu64 ", cart %u has stored the ledger up to %" PRIu64, floor, i,
			stored_by(cart, &cart->instance_before));
	}
	while (shard->floor < floor)
		pass(number, ++shard->floor, now_ms);
}

uint64_t model_floor(uint32_t shard)
{
	return model_shards[shard].floor;
}

/* The newest of its kind up to the floor, about the same thing. */
static bool is_newest(const struct model_shard *shard, uint64_t sequence)
{
	const struct model_entry *entry = &shard->steps[sequence].entry;

	return sequence == (entry->kind == MODEL_GOODS ? shard->newest_goods[entry->sku]
						       : shard->newest_fences[entry->cart]);
}

bool model_kept(uint32_t number, uint64_t sequence)
{
	const struct model_shard *shard = &model_shards[number];
	const struct model_step *step = &shard->steps[sequence];

	if (sequence > shard->floor || step->entry.kind == MODEL_INCARNATION ||
		step->entry.kind == MODEL_ARCHIVED)
		return true;
	if (step->hold)
		return !step->hold->gone;
	return step->order ? !step->order->gone : is_newest(shard, sequence);
}
