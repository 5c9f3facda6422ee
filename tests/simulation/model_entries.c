/* tests/simulation/model_entries.c - each entry of a ledger, whether it may be so, and what the books make of it. See model.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

void model_steps_free(struct model_step *steps, uint64_t head)
{
	for (uint64_t i = 1; i <= head; i++)
		if (steps[i].entry.item_count)
			free((void *)(uintptr_t)steps[i].entry.items);
	free(steps);
}

static void note_entry(struct model_shard *shard, const struct model_entry *entry)
{
	struct model_step *step;

	if (entry->sequence >= shard->step_room) {
		shard->step_room = shard->step_room ? shard->step_room * 2 : 1024;
		shard->steps = memory_resize(shard->steps, shard->step_room, sizeof(*shard->steps));
	}
	step = &shard->steps[entry->sequence];
	*step = (struct model_step){.entry = *entry};
	if (entry->item_count) {
		struct model_item *items = NEW_ARRAY(entry->item_count, struct model_item);

		memcpy(items, entry->items, entry->item_count * sizeof(*items));
		step->entry.items = items;
	}
}

static void note_hold(struct model_shard *shard, uint64_t sequence, struct model_hold *hold)
{
	struct model_step *step = &shard->steps[sequence];

	step->hold = hold;
	step->state = hold->state;
	step->quantity = hold->quantity;
	step->version = hold->version;
	step->deadline_ms = hold->deadline_ms;
}

static void note_order(struct model_shard *shard, uint64_t sequence, struct model_order *order)
{
	shard->steps[sequence].order = order;
	shard->steps[sequence].state = order->state;
}

static void check_not_denied(const struct model_hold *hold)
{
	WORLD_CHECK(hold->waiting || hold->told_else || !hold->told_no,
		"promise 9: granted, though %u shoppers heard a definite no and nobody else asks",
		hold->told_no);
}

static void entry_created(uint32_t number, const struct model_entry *entry)
{
	struct model_shard *shard = &model_shards[number];
	const struct model_cart *cart = &shard->carts[entry->cart];
	struct model_hold *hold = model_hold_make(&entry->id);

	WORLD_CHECK(!hold->created, "a hold is created twice");
	WORLD_CHECK(entry->epoch == cart->epoch && cart->epoch != cart->voided,
		"a hold by epoch %" PRIu64 " while %" PRIu64 " is in force", entry->epoch, cart->epoch);
	WORLD_CHECK(world_inventory_of(entry->sku) == number && world_cart_of(entry->user) == entry->cart,
		"a hold on the wrong shard");
	WORLD_CHECK(model_skus[entry->sku].row.exists && !model_skus[entry->sku].row.closed,
		"a hold of goods that are not on sale");
	WORLD_CHECK(
		!hold->intended || (hold->user == entry->user && hold->sku == entry->sku &&
					   hold->asked == entry->quantity && hold->keyed == entry->keyed &&
					   model_same(&hold->key, &entry->key) &&
					   model_same(&hold->fingerprint, &entry->fingerprint)),
		"the ledger has another hold than was asked for");
	WORLD_CHECK(entry->deadline_ms - entry->time_ms <= world.plan.hold_ttl_ms &&
			    entry->deadline_ms > entry->time_ms,
		"a hold of %" PRId64 " ms", entry->deadline_ms - entry->time_ms);
	WORLD_CHECK(entry->price_micros == model_skus[entry->sku].row.price_micros,
		"a hold at %" PRId64 " micros, its goods cost %" PRId64, entry->price_micros,
		model_skus[entry->sku].row.price_micros);
	hold->created = true;
	hold->price_micros = entry->price_micros;
	hold->order = (struct id){{0}};
	hold->shard = number;
	hold->cart = entry->cart;
	hold->quantity = entry->quantity;
	hold->state = MODEL_HELD;
	hold->version = 1;
	hold->sequence = entry->sequence;
	hold->deadline_ms = entry->deadline_ms - shard->moved_ms;
	check_not_denied(hold);
	if (hold->keyed)
		model_key_take(hold);
	model_units_move(hold, MODEL_NONE, MODEL_HELD, 0, hold->quantity);
	model_limit_check(hold);
	shard->live++;
	shard->holds++;
	if (shard->live > shard->live_at_most)
		shard->live_at_most = shard->live;
	world.troubles.sold_again += model_skus[hold->sku].archived_at != 0;
	model_counts.grants++;
	note_hold(shard, entry->sequence, hold);
}

static bool step_exists(enum model_state from, enum model_state to)
{
	return from == MODEL_HELD ? to >= MODEL_HELD && to <= MODEL_EXPIRED
				  : from == MODEL_SOLD && to == MODEL_REFUNDED;
}

/* Promises 3 and 7: nothing but its end by time happens to a hold past its deadline, and that not before. */
static void check_time(
	const struct model_shard *shard, const struct model_hold *hold, const struct model_entry *entry)
{
	int64_t deadline_ms = hold->deadline_ms + shard->moved_ms;

	if (hold->state != MODEL_HELD)
		return;
	if (entry->state == MODEL_EXPIRED)
		WORLD_CHECK(entry->time_ms >= deadline_ms, "expired %" PRId64 " ms before its deadline",
			deadline_ms - entry->time_ms);
	else
		WORLD_CHECK(entry->time_ms < deadline_ms,
			"promise 7: state %d, %" PRId64 " ms after its deadline", entry->state,
			entry->time_ms - deadline_ms);
}

static void entry_changed(uint32_t number, const struct model_entry *entry)
{
	struct model_shard *shard = &model_shards[number];
	struct model_hold *hold = model_hold_get(&entry->id);
	enum model_state from;

	WORLD_CHECK(hold && hold->created, "a change of a hold that there is not");
	from = hold->state;
	WORLD_CHECK(step_exists(from, entry->state), "a hold goes from state %d to %d", from, entry->state);
	WORLD_CHECK(
		entry->version == hold->version + 1, "version %u after %u", entry->version, hold->version);
	WORLD_CHECK(entry->quantity_before == hold->quantity && entry->quantity >= 1 &&
			    (entry->quantity == hold->quantity ||
				    (entry->state == MODEL_HELD && entry->quantity < hold->quantity)),
		"a hold of %u becomes one of %u", hold->quantity, entry->quantity);
	WORLD_CHECK(entry->state != from || entry->quantity != hold->quantity ||
			    id_compare(&entry->order, &hold->order) != 0,
		"a change that changes nothing");
	WORLD_CHECK(hold->cart == entry->cart && hold->sku == entry->sku, "a change of another's hold");
	check_time(shard, hold, entry);
	model_order_moves(shard, hold, entry);
	model_units_move(hold, from, entry->state, hold->quantity, entry->quantity);
	hold->quantity = entry->quantity;
	hold->state = entry->state;
	hold->version = entry->version;
	hold->sequence = entry->sequence;
	if (entry->state == MODEL_SOLD)
		hold->payment = entry->payment;
	if (entry->state != MODEL_HELD)
		hold->ended_ms = entry->time_ms;
	if (from == MODEL_HELD && entry->state != MODEL_HELD)
		shard->live--;
	model_counts.ends += entry->state != MODEL_HELD;
	model_counts.sold += entry->state == MODEL_SOLD;
	model_counts.expired += entry->state == MODEL_EXPIRED;
	note_hold(shard, entry->sequence, hold);
}

static void entry_goods(const struct model_entry *entry)
{
	struct model_sku *sku = &model_skus[entry->sku];
	struct model_row *row = &sku->row;

	WORLD_CHECK(entry->held == row->held && entry->sold == row->sold && entry->available >= 0 &&
			    entry->stock == entry->available + entry->held + entry->sold,
		"promise 1: a row of %s that does not add up", world_sku(entry->sku));
	WORLD_CHECK(entry->goods_version == row->version + 1, "a row's version %" PRIu64 " after %" PRIu64,
		entry->goods_version, row->version);
	if (entry->goods_version >= sku->delta_room) {
		sku->delta_room = sku->delta_room ? sku->delta_room * 2 : 64;
		sku->deltas = memory_resize(sku->deltas, sku->delta_room, sizeof(*sku->deltas));
	}
	sku->deltas[entry->goods_version] =
		(struct model_delta){entry->available - row->available, entry->sequence};
	row->exists = true;
	row->stock = entry->stock;
	row->available = entry->available;
	row->version = entry->goods_version;
	row->closed = entry->closed;
	row->price_micros = entry->price_micros;
	if (row->available < sku->least_available)
		sku->least_available = row->available;
	sku->was_closed |= row->closed;
	sku->was_open |= !row->closed;
}

static void entry_fenced(struct model_shard *shard, const struct model_entry *entry)
{
	struct model_cart *cart = &shard->carts[entry->cart];

	WORLD_CHECK(
		entry->epoch > cart->epoch, "epoch %" PRIu64 " after %" PRIu64, entry->epoch, cart->epoch);
	cart->epoch = entry->epoch;
	cart->sequence = entry->sequence;
	cart->instance = entry->instance;
	if (cart->epoch_count < MODEL_EPOCHS_MAX)
		cart->epochs[cart->epoch_count++] = entry->epoch;
}

void model_entry(uint32_t number, const struct model_entry *entry)
{
	struct model_shard *shard = &model_shards[number];

	WORLD_CHECK(entry->sequence == shard->head + 1, "the ledger has %" PRIu64 " after %" PRIu64,
		entry->sequence, shard->head);
	WORLD_CHECK(entry->time_ms >= shard->time_ms, "the ledger's time goes back by %" PRId64 " ms",
		shard->time_ms - entry->time_ms);
	shard->head = entry->sequence;
	shard->time_ms = entry->time_ms;
	model_counts.entries++;
	note_entry(shard, entry);
	WORLD_CHECK(!shard->order_moves || entry->kind == MODEL_ORDER ||
			    (entry->kind == MODEL_CHANGED && !id_is_zero(&entry->order)),
		"promise 7: only %u holds of an order are moved", shard->order_moves);
	switch (entry->kind) {
	case MODEL_CREATED:
		entry_created(number, entry);
		break;
	case MODEL_CHANGED:
		entry_changed(number, entry);
		break;
	case MODEL_GOODS:
		entry_goods(entry);
		break;
	case MODEL_FENCED:
		entry_fenced(shard, entry);
		break;
	case MODEL_INCARNATION:
		WORLD_CHECK(entry->moved_ms >= 0 && entry->moved_ms <= world.plan.outage_grace_ms,
			"deadlines move by %" PRId64 " ms", entry->moved_ms);
		shard->moved_ms += entry->moved_ms;
		break;
	case MODEL_ARCHIVED:
		model_archive_entry(number, entry);
		break;
	case MODEL_ORDER:
		note_order(shard, entry->sequence, model_order_entry(number, entry));
		break;
	}
	model_archive_untouched(shard, &shard->steps[entry->sequence]);
}
