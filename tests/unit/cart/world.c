/* tests/unit/cart/world.c - see world.h. */
#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define HOLD_MS 10000

static void on_send(void *context, struct attempt *attempt)
{
	struct world *world = context;
	struct world_flight *flight = &world->flights[world->flight_count++];

	assert(world->flight_count <= WORLD_FLIGHTS_MAX);
	*flight = (struct world_flight){.attempt = attempt,
		.id = attempt->id,
		.quantity = attempt->quantity,
		.shard = attempt->usage->goods->shard,
		.keyed = attempt->keyed,
		.key = attempt->key,
		.fingerprint = attempt->fingerprint,
		.epoch = attempt->epoch};
	assert(world->cart->links[flight->shard].usable);
	snprintf(flight->user, sizeof(flight->user), "%s", attempt->usage->person->user);
	snprintf(flight->sku, sizeof(flight->sku), "%s", attempt->usage->goods->sku);
}

static void on_decided(void *context, struct waiter *waiter)
{
	struct world_waiter *known = container_of(waiter, struct world_waiter, waiter);

	assert(!known->decided);
	known->decided = true;
}

static void on_fence(void *context, uint32_t shard)
{
	((struct world *)context)->fences[shard]++;
}

static void on_usable(void *context, uint32_t shard)
{
	((struct world *)context)->usable[shard]++;
}

static void on_succeeded(void *context, uint32_t shard)
{
	((struct world *)context)->succeeded++;
}

static void on_changed(void *context, const struct line *line)
{
	((struct world *)context)->changed++;
}

static void on_forgotten(void *context, const struct line *line)
{
	((struct world *)context)->forgotten++;
}

static void world_new_cart(struct world *world)
{
	struct cart_options options = {
		.shards = world->shards,
		.attempts_max = world->attempts_max,
		.queue_max = world->queue_max,
		.ended_max = 100000,
		.clock = &world->clock.base,
		.effects = {on_send, on_decided, on_fence, on_usable, on_succeeded, on_changed, on_forgotten},
		.context = world,
	};

	id_random(&options.instance);
	world->cart = cart_new(&options);
}

struct world *world_new(uint32_t shards, uint64_t stock)
{
	struct world *world = NEW(struct world);

	assert(shards <= WORLD_SHARDS_MAX);
	world->shards = shards;
	world->queue_max = 512;
	world->attempts_max = 1000;
	world->now_ms = 1700000000000;
	clock_manual_init(&world->clock, world->now_ms, 0);
	for (uint32_t shard = 0; shard < shards; shard++) {
		world->inventory[shard].stock = stock;
		id_random(&world->inventory[shard].lineage);
	}
	world_new_cart(world);
	cart_start(world->cart);
	return world;
}

/* What flies and waits ends with the process. */
static void world_end_cart(struct world *world)
{
	for (size_t i = 0; i < world->waiter_count; i++) {
		struct world_waiter *waiter = world->waiters[i];

		if (!waiter->decided) {
			cart_give_up(world->cart, &waiter->waiter);
			waiter->decided = true;
		}
	}
	for (size_t i = 0; i < world->flight_count; i++)
		world->flights[i].attempt = NULL;
	cart_free(world->cart);
}

void world_free(struct world *world)
{
	world_end_cart(world);
	for (size_t i = 0; i < world->waiter_count; i++)
		free(world->waiters[i]);
	free(world);
}

uint32_t world_shard(const struct world *world, const char *sku)
{
	return hash_shard(sku, world->shards);
}

struct world_waiter *world_add(struct world *world, const char *user, const char *sku, uint32_t quantity,
	uint32_t limit, const char *key)
{
	struct world_waiter *waiter = NEW(struct world_waiter);
	struct add add = {.user = span_of(user),
		.session = span_of(key ? "s1" : ""),
		.sku = span_of(sku),
		.quantity = quantity,
		.limit = {.unlimited = !limit, .units = limit},
		.keyed = key != NULL};

	assert(world->waiter_count < WORLD_WAITERS_MAX);
	world->waiters[world->waiter_count++] = waiter;
	if (key) {
		add.key = key_scope(user, strlen(user), key, strlen(key));
		add.fingerprint = key_fingerprint(KEY_ADD, sku, strlen(sku), quantity);
	}
	waiter->waiter.deadline_ms = world->now_ms + 2000;
	waiter->decided = cart_add(world->cart, &add, &waiter->waiter, world->now_ms);
	if (!waiter->decided)
		waiter->hold = waiter->waiter.attempt->id;
	return waiter;
}

static struct entry *ledger_append(
	struct world_inventory *inventory, enum entry_kind kind, const char *user, const char *sku)
{
	struct entry *entry = &inventory->ledger[inventory->head];
	char(*texts)[16] = inventory->texts[inventory->head];

	assert(inventory->head < WORLD_LEDGER_MAX);
	inventory->head++;
	*entry = (struct entry){.kind = kind, .sequence = inventory->head};
	snprintf(texts[0], 16, "%s", user);
	snprintf(texts[1], 16, "%s", sku);
	entry->hold.user = span_of(texts[0]);
	entry->hold.sku = span_of(texts[1]);
	entry->hold.session = span_of("s1");
	return entry;
}

static void ledger_hold(
	struct world *world, struct world_inventory *inventory, enum entry_kind kind, struct world_hold *hold)
{
	struct entry *entry = ledger_append(inventory, kind, hold->user, hold->sku);

	hold->sequence = entry->sequence;
	entry->hold.id = hold->id;
	entry->hold.keyed = hold->keyed;
	entry->hold.key = hold->key;
	entry->hold.fingerprint = hold->fingerprint;
	entry->hold.state = hold->state;
	entry->hold.quantity = hold->quantity;
	entry->hold.deadline_ms = hold->deadline_ms;
	entry->hold.version = hold->version;
	entry->hold.created_ms = entry->hold.ended_ms = world->now_ms;
	entry->hold.price_micros = 99000000;
}

static struct answer grant_of(const struct world_hold *hold, uint64_t remaining)
{
	return (struct answer){.kind = ANSWER_GRANT,
		.state = hold->state,
		.quantity = hold->quantity,
		.deadline_ms = hold->deadline_ms,
		.price_micros = 99000000,
		.version = hold->version,
		.sequence = hold->sequence,
		.remaining = remaining};
}

struct world_hold *world_hold(struct world *world, const struct id *id)
{
	for (uint32_t shard = 0; shard < world->shards; shard++)
		for (size_t i = 0; i < world->inventory[shard].hold_count; i++)
			if (id_compare(&world->inventory[shard].holds[i].id, id) == 0)
				return &world->inventory[shard].holds[i];
	return NULL;
}

static struct answer inventory_create(
	struct world *world, struct world_inventory *inventory, const struct world_flight *flight)
{
	struct world_hold *hold = world_hold(world, &flight->id);

	if (flight->epoch != inventory->epoch)
		return (struct answer){.kind = ANSWER_REFUSAL, .reason = COMMON__REASON__REASON_STALE_EPOCH};
	if (hold)
		return grant_of(hold, inventory->stock);
	if (inventory->stock < flight->quantity)
		return (struct answer){.kind = ANSWER_REFUSAL, .reason = COMMON__REASON__REASON_SOLD_OUT};
	inventory->stock -= flight->quantity;
	hold = &inventory->holds[inventory->hold_count++];
	assert(inventory->hold_count <= WORLD_HOLDS_MAX);
	*hold = (struct world_hold){.id = flight->id,
		.keyed = flight->keyed,
		.key = flight->key,
		.fingerprint = flight->fingerprint,
		.quantity = flight->quantity,
		.state = LINE_HELD,
		.deadline_ms = world->now_ms + HOLD_MS,
		.version = 1};
	memcpy(hold->user, flight->user, sizeof(hold->user));
	memcpy(hold->sku, flight->sku, sizeof(hold->sku));
	ledger_hold(world, inventory, ENTRY_CREATED, hold);
	return grant_of(hold, inventory->stock);
}

void world_end_hold(struct world *world, struct world_hold *hold, enum line_state state)
{
	struct world_inventory *inventory = &world->inventory[world_shard(world, hold->sku)];

	if (state != LINE_SOLD)
		inventory->stock += hold->quantity;
	hold->state = state;
	hold->version++;
	ledger_hold(world, inventory, ENTRY_CHANGED, hold);
}

void world_restart_inventory(struct world *world, uint32_t shard, int64_t moved_ms)
{
	struct world_inventory *inventory = &world->inventory[shard];

	for (size_t i = 0; i < inventory->hold_count; i++)
		if (inventory->holds[i].state == LINE_HELD)
			inventory->holds[i].deadline_ms += moved_ms;
	ledger_append(inventory, ENTRY_INCARNATION, "", "")->moved_ms = moved_ms;
}

void world_arrive(struct world *world, size_t at)
{
	struct world_flight *flight = &world->flights[at];

	assert(!flight->arrived);
	flight->arrived = true;
	flight->answer = inventory_create(world, &world->inventory[flight->shard], flight);
}

void world_drop(struct world *world, size_t at)
{
	assert(!world->flights[at].attempt);
	world->flights[at] = world->flights[--world->flight_count];
}

void world_return(struct world *world, size_t at)
{
	struct world_flight flight = world->flights[at];

	assert(flight.arrived && flight.attempt);
	world->flights[at].attempt = NULL;
	world_drop(world, at);
	cart_answered(world->cart, flight.attempt, &flight.answer, world->now_ms);
}

void world_lose(struct world *world, size_t at, enum answer_kind kind)
{
	struct attempt *attempt = world->flights[at].attempt;
	const struct answer answer = {.kind = kind};

	assert(attempt);
	world->flights[at].attempt = NULL;
	if (kind != ANSWER_LOST)
		world_drop(world, at);
	cart_answered(world->cart, attempt, &answer, world->now_ms);
}

void world_pass_all(struct world *world)
{
	for (size_t i = world->flight_count; i-- > 0;) {
		if (!world->flights[i].arrived)
			world_arrive(world, i);
		if (world->flights[i].attempt)
			world_return(world, i);
		else
			world_drop(world, i);
	}
}

bool world_fence(struct world *world, uint32_t shard, bool answer_lost)
{
	struct world_inventory *inventory = &world->inventory[shard];
	struct fence *fence = &world->cart->links[shard].fence;
	bool same, accepted;

	if (!fence->proposed)
		return false;
	same = fence->proposed == inventory->epoch && id_compare(&fence->instance, &inventory->instance) == 0;
	accepted = same || fence->proposed > inventory->epoch;
	if (accepted && !same) {
		struct entry *entry = ledger_append(inventory, ENTRY_FENCED, "", "");

		inventory->epoch = entry->epoch = fence->proposed;
		inventory->instance = entry->instance = fence->instance;
	}
	if (!answer_lost)
		cart_fenced(world->cart, shard, accepted, inventory->epoch, inventory->head, world->now_ms);
	return true;
}

bool world_follow(struct world *world, uint32_t shard, size_t entries)
{
	struct world_inventory *inventory = &world->inventory[shard];
	struct cart_link *link = &world->cart->links[shard];

	if (!cart_lineage(world->cart, shard, &inventory->lineage))
		return false;
	if (link->position >= inventory->head)
		return false;
	while (entries-- && link->position < inventory->head)
		cart_apply(world->cart, shard, &inventory->ledger[link->position]);
	cart_applied(world->cart, shard, link->position, world->now_ms);
	return true;
}

void world_settle(struct world *world, uint32_t shard)
{
	while (!world->cart->links[shard].usable) {
		bool stepped = world_fence(world, shard, false);

		stepped = world_follow(world, shard, WORLD_LEDGER_MAX) || stepped;
		assert(stepped);
	}
}

void world_settle_all(struct world *world)
{
	for (uint32_t shard = 0; shard < world->shards; shard++)
		world_settle(world, shard);
}

/* The record of every line as it is; the real store gets there record by record. */
void world_persist(struct world *world, uint32_t shard)
{
	struct world_store *store = &world->store;
	const struct lines *lines = &world->cart->lines;
	size_t kept = 0;

	for (size_t i = 0; i < store->count; i++) {
		if (world_shard(world, store->texts[i][1]) == shard)
			continue;
		store->holds[kept] = store->holds[i];
		memmove(store->texts[kept], store->texts[i], sizeof(store->texts[i]));
		kept++;
	}
	for (size_t i = 0; i < world->inventory[shard].hold_count; i++) {
		const struct line *line = lines_find(lines, &world->inventory[shard].holds[i].id);

		if (!line || line->unseen)
			continue;
		store->holds[kept] = (struct hold){.id = line->id,
			.keyed = line->keyed,
			.key = line->key,
			.fingerprint = line->fingerprint,
			.state = line->state,
			.quantity = line->quantity,
			.deadline_ms = lines_deadline_ms(lines, line),
			.created_ms = line->created_ms,
			.ended_ms = line->ended_ms,
			.price_micros = line->price_micros,
			.version = line->version};
		snprintf(store->texts[kept][0], 16, "%s", line->usage->person->user);
		snprintf(store->texts[kept][1], 16, "%s", line->usage->goods->sku);
		kept++;
	}
	store->count = kept;
	store->lineage[shard] = world->cart->links[shard].lineage;
	store->position[shard] = world->cart->links[shard].position;
	store->epoch[shard] = world->cart->links[shard].fence.known;
	store->moved_ms[shard] = lines->moved_ms[shard];
}

void world_restart_cart(struct world *world)
{
	struct world_store *store = &world->store;

	world_end_cart(world);
	world_new_cart(world);
	for (uint32_t shard = 0; shard < world->shards; shard++)
		cart_load_link(world->cart, shard, &store->lineage[shard], store->position[shard],
			store->epoch[shard], store->moved_ms[shard]);
	for (size_t i = 0; i < store->count; i++) {
		struct hold hold = store->holds[i];
		bool fresh;

		hold.user = span_of(store->texts[i][0]);
		hold.sku = span_of(store->texts[i][1]);
		hold.session = span_of("s1");
		fresh = cart_load_hold(world->cart, &hold);
		assert(fresh);
	}
	cart_start(world->cart);
}

uint64_t world_units(const struct world *world, const char *user, const char *sku)
{
	const struct world_inventory *inventory = &world->inventory[world_shard(world, sku)];
	uint64_t units = 0;

	for (size_t i = 0; i < inventory->hold_count; i++) {
		const struct world_hold *hold = &inventory->holds[i];

		if ((hold->state == LINE_HELD || hold->state == LINE_SOLD) && !strcmp(hold->user, user) &&
			!strcmp(hold->sku, sku))
			units += hold->quantity;
	}
	return units;
}
