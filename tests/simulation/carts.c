/* tests/simulation/carts.c - cart processes: how they start, crash, pause and are succeeded. See carts.h. */
#include "carts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "cart_process.h"
#include "files.h"
#include "inventory_node.h"
#include "model.h"
#include "threads.h"

#define MAP_BYTES (256 << 20)
#define TICK_US (250 * MS)
#define SWEEP_MAX 4096
#define AWAY_MAX_US (3 * SECOND)
#define PAUSE_MAX_US (8 * SECOND)
#define ASK_DELAY_MAX_US 500

struct slot {
	uint32_t shard;
	struct cart_process *current; /* NULL: down */
	struct cart_process *zombies;
	char directory[128]; /* of the store that the next one starts on */
	int64_t wall_offset_ms;
	uint32_t stores;
	uint64_t memory;
};

static struct slot slots[WORLD_SHARDS_MAX];
static uint64_t process_numbers;

static void run_start(void *context, uint64_t a, uint64_t b);

/* ---- effects ---- */

static void on_send(void *context, struct attempt *attempt)
{
	lane_send_attempt(context, attempt);
}

static void on_decided(void *context, struct waiter *waiter)
{
	requests_decided(waiter);
}

static void on_fence(void *context, uint32_t shard)
{
	wire_fence(&((struct cart_process *)context)->wires[shard]);
}

static void on_usable(void *context, uint32_t shard)
{
	struct cart_process *process = context;

	world_note("link is usable", process->number, shard, 0);
	orders_kick(process->orders, shard, cart_process_now_ms(process));
}

static void on_succeeded(void *context, uint32_t shard)
{
	cart_process_end(context);
}

static void on_changed(void *context, const struct line *line)
{
	shelf_put(((struct cart_process *)context)->shelf, line);
}

static void on_forgotten(void *context, const struct line *line)
{
	shelf_forget(((struct cart_process *)context)->shelf, &line->id);
}

/* ---- a process ---- */

static void store_options_of(const struct cart_process *process, struct store_options *ret)
{
	*ret = (struct store_options){.directory = process->directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shard = process->shard,
		.shards = world.plan.carts,
		.map_bytes = MAP_BYTES,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
}

static void new_store(struct cart_process *process, const char *directory, const char *copy_of)
{
	struct store_options options;
	struct error error = {0};
	char from[160], to[160];

	snprintf(process->directory, sizeof(process->directory), "%s", directory);
	store_options_of(process, &options);
	WORLD_CHECK(store_create(&options, &error), "%s", error.text);
	if (!copy_of)
		return;
	snprintf(from, sizeof(from), "%s/data.mdb", copy_of);
	snprintf(to, sizeof(to), "%s/data.mdb", directory);
	file_copy(from, to);
}

static void run_end(void *context, uint64_t number, uint64_t away_us);

/* The next process of this slot begins with an empty store. */
static void store_anew(struct slot *slot)
{
	struct cart_process maker = {.shard = slot->shard};

	snprintf(slot->directory, sizeof(slot->directory), "%s/cart-%u-%u", world.folder, slot->shard,
		++slot->stores);
	new_store(&maker, slot->directory, NULL);
	slot->memory++;
}

static void on_fatal(void *context, const char *why)
{
	struct cart_process *process = context;

	WORLD_CHECK(process->sim.failed_commit, "a cart ends itself: %s", why);
	process->dying = true;
	world_after(NULL, 0, run_end, process, process->number, 1 * MS);
	thread_stop();
}

static void run_tick(void *context, uint64_t a, uint64_t b)
{
	struct cart_process *process = context;

	int64_t now_ms = cart_process_now_ms(process);

	cart_sweep(process->cart, now_ms, SWEEP_MAX);
	orders_sweep(process->orders, now_ms, SWEEP_MAX);
	for (uint32_t shard = 0; process->orders->wishing && shard < world.plan.inventories; shard++)
		orders_kick(process->orders, shard, now_ms);
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		wire_acknowledge(&process->wires[shard]);
	world_after(&process->base, TICK_US, run_tick, process, 0, 0);
}

static void process_open_store(struct cart_process *process)
{
	struct store_options options;
	struct error error = {0};

	stores_register(&process->sim, process->directory, process);
	process->sim.fail_put = world.plan.fail_put;
	process->sim.fail_commit = world.plan.fail_commit;
	store_options_of(process, &options);
	process->store = store_open(&options, &error);
	WORLD_CHECK(process->store && shelf_load(process->store, process->cart, &error) &&
			    shelf_load_orders(process->store, process->orders, &error),
		"a cart does not open: %s", error.text);
	thread_owner = &process->base;
	process->shelf = shelf_new(&(struct shelf_options){.store = process->store,
		.loop = &process->loop,
		.clock = &process->base.clock,
		.shards = world.plan.inventories,
		.fatal = on_fatal,
		.fatal_context = process});
}

static struct cart_process *process_start(struct slot *slot)
{
	struct cart_process *process = NEW(struct cart_process);
	struct cart_options options = {.shards = world.plan.inventories,
		.attempts_max = world.plan.attempts_max,
		.queue_max = world.plan.cart_queue_max,
		.ended_max = 1000000,
		.clock = &process->base.clock,
		.effects = {on_send, on_decided, on_fence, on_usable, on_succeeded, on_changed, on_forgotten},
		.context = process};

	process_init(&process->base, "cart", slot->shard);
	process->base.wall_offset_ms = slot->wall_offset_ms;
	process->shard = slot->shard;
	process->number = ++process_numbers;
	process->memory = slot->memory;
	process->start_us = world.now_us;
	process->wall_start_ms = clock_wall_ms(&process->base.clock);
	snprintf(process->directory, sizeof(process->directory), "%s", slot->directory);
	world_note("cart starts", slot->shard, process->number, 0);
	id_random(&options.instance);
	process->cart = cart_new(&options);
	process->loop.process = &process->base;
	orders_begin(process);
	process_open_store(process);
	process->service.shelf = process->shelf;
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		wire_begin(process, shard);
	slot->current = process;
	cart_start(process->cart);
	orders_start(process->orders);
	world_after(&process->base, TICK_US, run_tick, process, 0, 0);
	return process;
}

static void process_crash(struct cart_process *process)
{
	world.troubles.cart_crashes++;
	world_note("cart crashes", process->shard, process->number, 0);
	stores_crash(&process->sim);
	process->base.dead = true;
	threads_abandon(&process->base);
	requests_release(process);
	changes_release(process);
	orders_release(process);
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		wire_release(&process->wires[shard]);
	cart_free(process->cart);
	shelf_free(process->shelf);
	store_close(process->store);
	stores_forget(&process->sim);
}

static bool slot_forget_zombie(struct slot *slot, const struct cart_process *process)
{
	for (struct cart_process **at = &slot->zombies; *at; at = &(*at)->next)
		if (*at == process) {
			*at = process->next;
			return true;
		}
	return false;
}

static void crash_slot(struct slot *slot, int64_t away_us)
{
	struct cart_process *process = slot->current;

	slot->current = NULL;
	process_crash(process);
	if (away_us >= 0)
		world_after(NULL, away_us, run_start, slot, 0, 0);
}

static void run_end(void *context, uint64_t number, uint64_t away_us)
{
	struct cart_process *process = context;
	struct slot *slot = &slots[process->shard];

	if (process->base.dead || process->number != number)
		return;
	if (slot_forget_zombie(slot, process))
		process_crash(process);
	else
		crash_slot(slot, (int64_t)away_us);
}

void cart_process_end(struct cart_process *process)
{
	if (process->dying)
		return;
	world.troubles.succeeded++;
	world_note("cart is succeeded", process->shard, process->number, 0);
	process->dying = true;
	world_after(NULL, 0, run_end, process, process->number, (uint64_t)world_between(1, AWAY_MAX_US));
}

static void run_anew(void *context, uint64_t number, uint64_t unused)
{
	struct cart_process *process = context;
	struct slot *slot = &slots[process->shard];

	if (process->base.dead || process->number != number || slot->current != process)
		return;
	crash_slot(slot, world_between(1, 500 * MS));
	store_anew(slot);
}

void cart_process_anew(struct cart_process *process)
{
	world_after(NULL, world_between(1, 1 * SECOND), run_anew, process, process->number, 0);
}

bool cart_process_current(const struct cart_process *process)
{
	return slots[process->shard].current == process;
}

struct cart_process *cart_process_by_shelf(const struct shelf *shelf)
{
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		struct cart_process *process = slots[shard].current;

		if (process && process->shelf == shelf)
			return process;
		for (process = slots[shard].zombies; process; process = process->next)
			if (process->shelf == shelf)
				return process;
	}
	world_fail("a shelf of nobody");
}

struct cart_process *cart_process_of(uint32_t shard)
{
	return slots[shard].current;
}

struct cart_process *cart_zombies_of(uint32_t shard)
{
	return slots[shard].zombies;
}

static void run_start(void *context, uint64_t a, uint64_t b)
{
	process_start(context);
}

/* ---- troubles ---- */

static void run_crash_timer(void *context, uint64_t a, uint64_t b)
{
	struct slot *slot = context;

	if (slot->current && !world.calm && !slot->current->dying)
		crash_slot(slot, world_between(1, world_below(4) ? 50 * MS : AWAY_MAX_US));
	world_after(NULL, random_wait(&world.random, world.plan.crash_cart_us), run_crash_timer, slot, 0, 0);
}

static void run_pause_timer(void *context, uint64_t a, uint64_t b)
{
	struct slot *slot = context;

	if (slot->current && !world.calm) {
		world.troubles.pauses++;
		world_note("cart pauses", slot->shard, slot->current->number, 0);
		process_pause(&slot->current->base, world_between(1, PAUSE_MAX_US));
	}
	world_after(NULL, random_wait(&world.random, world.plan.pause_cart_us), run_pause_timer, slot, 0, 0);
}

/* The present process sleeps; another one starts, on a copy of its store or on an empty one. */
static void take_over(struct slot *slot)
{
	struct cart_process *old = slot->current;
	struct cart_process maker = {.shard = slot->shard};
	bool copy = world_below(3) != 0;
	char directory[128];

	world.troubles.takeovers++;
	world_note("cart is taken over", slot->shard, old->number, copy);
	process_pause(&old->base, world_between(1, PAUSE_MAX_US));
	snprintf(directory, sizeof(directory), "%s/cart-%u-%u", world.folder, slot->shard, ++slot->stores);
	new_store(&maker, directory, copy ? old->directory : NULL);
	slot->memory += !copy;
	memcpy(slot->directory, directory, sizeof(directory));
	old->next = slot->zombies;
	slot->zombies = old;
	slot->current = NULL;
	world_after(NULL, world_between(1, 500 * MS), run_start, slot, 0, 0);
}

static void run_takeover_timer(void *context, uint64_t a, uint64_t b)
{
	struct slot *slot = context;

	if (slot->current && !world.calm && !slot->current->dying)
		take_over(slot);
	world_after(NULL, random_wait(&world.random, world.plan.takeover_us), run_takeover_timer, slot, 0, 0);
}

static void run_wall_timer(void *context, uint64_t a, uint64_t b)
{
	struct slot *slot = context;

	if (!world.calm) {
		slot->wall_offset_ms = world_wall_jump();
		if (slot->current)
			slot->current->base.wall_offset_ms = slot->wall_offset_ms;
	}
	world_after(NULL, random_wait(&world.random, world.plan.wall_jump_us), run_wall_timer, slot, 0, 0);
}

/* ---- requests ---- */

struct asking {
	struct shop_request request;
	struct cart_process *to;
};

static void run_asking(void *context, uint64_t number, uint64_t unused)
{
	struct asking *asking = context;
	struct cart_process *to = asking->to;

	if (!to->base.dead && process_paused(&to->base)) {
		world_after(NULL, to->base.paused_until_us - world.now_us, run_asking, asking, number, 0);
		return;
	}
	if (!to->base.dead && !to->dying)
		requests_take(to, &asking->request);
	free(asking);
}

void carts_ask(const struct shop_request *request)
{
	struct slot *slot = &slots[world_cart_of(request->user)];
	struct cart_process *to = slot->current;
	struct asking *asking;

	if (slot->zombies && world_below(3) == 0)
		to = slot->zombies; /* not everybody has heard of the new one */
	if (!to)
		return;
	asking = NEW(struct asking);
	asking->request = *request;
	asking->to = to;
	world_after(NULL, world_between(1, ASK_DELAY_MAX_US), run_asking, asking, 0, 0);
}

/* ---- all of them ---- */

static void slot_begin(struct slot *slot, uint32_t shard)
{
	struct cart_process maker = {.shard = shard};
	const struct plan *plan = &world.plan;

	*slot = (struct slot){.shard = shard};
	snprintf(slot->directory, sizeof(slot->directory), "%s/cart-%u", world.folder, shard);
	new_store(&maker, slot->directory, NULL);
	process_start(slot);
	if (plan->crash_cart_us)
		world_after(
			NULL, random_wait(&world.random, plan->crash_cart_us), run_crash_timer, slot, 0, 0);
	if (plan->pause_cart_us)
		world_after(
			NULL, random_wait(&world.random, plan->pause_cart_us), run_pause_timer, slot, 0, 0);
	if (plan->takeover_us)
		world_after(
			NULL, random_wait(&world.random, plan->takeover_us), run_takeover_timer, slot, 0, 0);
	if (plan->wall_jump_us)
		world_after(NULL, random_wait(&world.random, plan->wall_jump_us), run_wall_timer, slot, 0, 0);
}

void carts_begin(void)
{
	for (uint32_t shard = 0; shard < world.plan.carts; shard++)
		slot_begin(&slots[shard], shard);
}

static void crash_zombies(struct slot *slot)
{
	while (slot->zombies) {
		struct cart_process *zombie = slot->zombies;

		slot->zombies = zombie->next;
		process_crash(zombie);
	}
}

void carts_end(void)
{
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		crash_zombies(&slots[shard]);
		if (slots[shard].current)
			crash_slot(&slots[shard], -1);
	}
	timers_release();
}

void carts_reconcile(void)
{
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		struct slot *slot = &slots[shard];

		crash_zombies(slot);
		crash_slot(slot, world_between(1, AWAY_MAX_US));
		store_anew(slot);
	}
	model_reconciled();
}
