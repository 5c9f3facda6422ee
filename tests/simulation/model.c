/* tests/simulation/model.c - the model's books: what the ledgers say, and whether they may. See model.h. */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

struct model_counts model_counts;
struct model_shard model_shards[WORLD_SHARDS_MAX];
struct model_sku model_skus[WORLD_SKUS_MAX];

static struct model_usage usages[WORLD_USERS_MAX][WORLD_SKUS_MAX];

static void steps_free(struct model_step *steps, uint64_t head)
{
	for (uint64_t i = 1; i <= head; i++)
		if (steps[i].entry.item_count)
			free((void *)(uintptr_t)steps[i].entry.items);
	free(steps);
}

/* ---- a run ---- */

void model_begin(void)
{
	model_holds_begin();
	model_orders_begin();
	model_archives_begin();
	memset(usages, 0, sizeof(usages));
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
		steps_free(model_shards[i].steps, model_shards[i].head);
	for (int i = 0; i < WORLD_SKUS_MAX; i++)
		free(model_skus[i].deltas);
}

/* ---- units ---- */

static uint64_t *units_of(struct model_hold *hold, enum model_state state)
{
	struct model_usage *usage = &usages[hold->user][hold->sku];

	return state == MODEL_HELD ? &usage->held : state == MODEL_SOLD ? &usage->sold : NULL;
}

/* Moves units between what is available, held and sold, of the SKU and of the person. */
static void move(
	struct model_hold *hold, enum model_state from, enum model_state to, uint32_t before, uint32_t after)
{
	struct model_row *row = &model_skus[hold->sku].row;
	uint64_t *out = units_of(hold, from), *in = units_of(hold, to);

	if (out)
		*out -= before;
	if (in)
		*in += after;
	row->held += (to == MODEL_HELD ? (int64_t)after : 0) - (from == MODEL_HELD ? (int64_t)before : 0);
	row->sold += (to == MODEL_SOLD ? (int64_t)after : 0) - (from == MODEL_SOLD ? (int64_t)before : 0);
	row->available = row->stock - row->held - row->sold;
	if (row->available < model_skus[hold->sku].least_available)
		model_skus[hold->sku].least_available = row->available;
	WORLD_CHECK(row->available >= 0, "promise 1: %s is oversold by %" PRId64, world_sku(hold->sku),
		-row->available);
}

void model_units_archived(struct model_hold *hold)
{
	usages[hold->user][hold->sku].sold -= hold->quantity;
}

struct model_usage model_usage(uint32_t user, uint32_t sku)
{
	return usages[user][sku];
}

/* ---- entries ---- */

static uint32_t greatest_limit;
static const struct model_hold *limit_of;

static void look_at_limit(struct model_hold *hold)
{
	if (hold->user == limit_of->user && hold->sku == limit_of->sku && hold->created &&
		(hold->state == MODEL_HELD || hold->state == MODEL_SOLD) && hold->limit > greatest_limit)
		greatest_limit = hold->limit;
}

/* Promise 5: what a person has never passes the limit of a grant; of several limits the greatest one among what they have. */
static void check_limit(const struct model_hold *hold)
{
	const struct model_usage *usage = &usages[hold->user][hold->sku];
	uint64_t units = usage->held + usage->sold;

	WORLD_CHECK(hold->intended, "a hold that no cart asked for");
	if (units <= hold->limit)
		return;
	greatest_limit = 0;
	limit_of = hold;
	model_holds_each(look_at_limit);
	WORLD_CHECK(units <= greatest_limit, "promise 5: %s has %" PRIu64 " units of %s, the limit is %u",
		world_user(hold->user), units, world_sku(hold->sku), greatest_limit);
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
	move(hold, MODEL_NONE, MODEL_HELD, 0, hold->quantity);
	check_limit(hold);
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
	move(hold, from, entry->state, hold->quantity, entry->quantity);
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
	WORLD_CHECK(row->archived >= ours->archived &&
			    row->archived - ours->archived <=
				    (model_shards[number].archiving >> at & 1 ? model_skus[at].to_archive : 0),
		"%" PRId64 " units of %s are archived, the ledger tells of %" PRId64, row->archived, world_sku(at),
		ours->archived);
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

/* ---- a restored store ---- */

static uint32_t forgotten_shard;

/* The yes of a hold that the backup does not have is lost with the disk; what was asked for stays known. */
static void forget_hold(struct model_hold *hold)
{
	if (!hold->created || hold->shard != forgotten_shard)
		return;
	if (!hold->archived)
		move(hold, hold->state, MODEL_NONE, hold->quantity, 0);
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
	steps_free(before.steps, before.head);
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
