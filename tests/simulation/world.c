/* tests/simulation/world.c - see world.h. */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"

struct world world;

struct event {
	int64_t at_us;
	uint64_t order;
	struct process *process;
	world_run *run;
	void *context;
	uint64_t a, b;
};

/* A binary heap; its room stays from run to run. */
static struct event *heap;
static size_t heap_count, heap_room;
static uint64_t heap_order;

static char user_names[WORLD_USERS_MAX][8], sku_names[WORLD_SKUS_MAX][8];
static uint32_t sku_shards[WORLD_SKUS_MAX], user_shards[WORLD_USERS_MAX];

/* ---- events ---- */

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_put(struct event event)
{
	size_t at = heap_count++;

	if (heap_count > heap_room) {
		heap_room = heap_room ? heap_room * 2 : 4096;
		heap = memory_resize(heap, heap_room, sizeof(*heap));
	}
	for (; at && earlier(&event, &heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = event;
}

static struct event heap_take(void)
{
	struct event first = heap[0], last = heap[--heap_count];
	size_t at = 0, child;

	for (; (child = 2 * at + 1) < heap_count; at = child) {
		if (child + 1 < heap_count && earlier(&heap[child + 1], &heap[child]))
			child++;
		if (!earlier(&heap[child], &last))
			break;
		heap[at] = heap[child];
	}
	heap[at] = last;
	return first;
}

void world_after(
	struct process *process, int64_t delay_us, world_run *run, void *context, uint64_t a, uint64_t b)
{
	heap_put((struct event){world.now_us + delay_us, heap_order++, process, run, context, a, b});
}

bool world_step(void)
{
	struct event event;

	if (!heap_count)
		return false;
	event = heap_take();
	world.now_us = event.at_us;
	if (event.process && event.process->dead)
		return true;
	if (event.process && process_paused(event.process)) {
		event.at_us = event.process->paused_until_us;
		event.order = heap_order++;
		heap_put(event);
		return true;
	}
	event.run(event.context, event.a, event.b);
	return true;
}

/* ---- processes ---- */

static int64_t process_wall_ms(const struct clock_source *clock)
{
	const struct process *process = container_of(clock, const struct process, clock);

	return WORLD_WALL_MS + world.now_us / MS + process->wall_offset_ms;
}

static int64_t process_boot_ms(const struct clock_source *clock)
{
	return 5000 + world.now_us / MS;
}

void process_init(struct process *process, const char *kind, uint32_t shard)
{
	memset(process, 0, sizeof(*process));
	process->clock = (struct clock_source){process_wall_ms, process_boot_ms};
	snprintf(process->name, sizeof(process->name), "%s-%u", kind, shard);
	process->next = world.processes;
	world.processes = process;
}

void process_pause(struct process *process, int64_t us)
{
	process->paused_until_us = world.now_us + us;
}

/* ---- notes ---- */

static void mix(uint64_t value)
{
	world.hash = (world.hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	world.hash ^= world.hash >> 29;
}

void world_note(const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	for (const char *at = what; *at; at++)
		world.hash = (world.hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
	mix((uint64_t)world.now_us);
	mix(a);
	mix(b);
	mix(c);
	world.noted++;
	if (world.trace)
		printf("%12.3f ms  %-44s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			(double)world.now_us / 1000.0, what, a, b, c);
}

void world_note_bytes(const void *data, size_t size)
{
	mix(hash64(data, size));
}

_Noreturn void world_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "\nFINDING in seed %" PRIu64 " at %.3f ms, after %" PRIu64 " commands: ", world.seed,
		(double)world.now_us / 1000.0, world.commands);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	abort(); /* simulate.c's handler says how to run the seed alone, and cleans up */
}

/* ---- chance ---- */

bool world_chance(uint32_t parts)
{
	return !world.calm && random_chance(&world.random, parts);
}

uint64_t world_below(uint64_t bound)
{
	return random_below(&world.random, bound);
}

int64_t world_between(int64_t low, int64_t high)
{
	return random_between(&world.random, low, high);
}

int64_t world_wall_jump(void)
{
	int64_t range_ms = world_below(2) ? 3600000 : 3600;

	return world_between(-range_ms, range_ms);
}

/* ---- names ---- */

const char *world_user(uint32_t user)
{
	return user_names[user];
}

const char *world_sku(uint32_t sku)
{
	return sku_names[sku];
}

uint32_t world_number(const char *text, size_t size)
{
	WORLD_CHECK(size == 4 && (text[0] == 'u' || text[0] == 'S'), "a name that nobody has: %.*s",
		(int)size, text);
	return (uint32_t)(text[1] - '0') * 100 + (uint32_t)(text[2] - '0') * 10 + (uint32_t)(text[3] - '0');
}

uint32_t world_inventory_of(uint32_t sku)
{
	return sku_shards[sku];
}

uint32_t world_cart_of(uint32_t user)
{
	return user_shards[user];
}

static void make_names(void)
{
	for (uint32_t i = 0; i < WORLD_USERS_MAX; i++) {
		snprintf(user_names[i], sizeof(user_names[i]), "u%03u", i % 1000);
		user_shards[i] = hash_shard(user_names[i], world.plan.carts);
	}
	for (uint32_t i = 0; i < WORLD_SKUS_MAX; i++) {
		snprintf(sku_names[i], sizeof(sku_names[i]), "S%03u", i % 1000);
		sku_shards[i] = hash_shard(sku_names[i], world.plan.inventories);
	}
}

/* ---- a run ---- */

static uint32_t often(uint32_t parts)
{
	return random_below(&world.random, 100) < 60 ? (uint32_t)random_below(&world.random, parts) + 1 : 0;
}

static int64_t every(int64_t low_us, int64_t high_us)
{
	return random_below(&world.random, 100) < 60 ? random_between(&world.random, low_us, high_us) : 0;
}

/* Each trouble is in some seeds and not in others, so that none hides another. */
static void make_plan(struct plan *plan)
{
	static const int64_t ttls_ms[] = {150, 400, 1000, 5000, 30000};
	static const int64_t retentions_ms[] = {0, 20, 300, 3000};
	static const uint32_t groups[] = {1, 5, 64, 4096};
	struct random *random = &world.random;

	plan->inventories = (uint32_t)random_between(random, 1, WORLD_SHARDS_MAX);
	plan->carts = (uint32_t)random_between(random, 1, WORLD_SHARDS_MAX);
	plan->users = (uint32_t)random_between(random, 3, WORLD_USERS_MAX);
	plan->skus = (uint32_t)random_between(random, 2, WORLD_SKUS_MAX);
	plan->limit_max = (uint32_t)random_between(random, 1, random_below(random, 3) ? 12 : 1000);
	plan->quantity_max = (uint32_t)random_between(random, 1, 4);
	plan->stock_max = (uint32_t)random_between(random, 5, random_below(random, 3) ? 400 : 20000);
	plan->hold_ttl_ms = ttls_ms[random_below(random, 5)];
	plan->outage_grace_ms = random_between(random, 0, 3000);
	plan->arrival_us = random_between(random, 30, 2000);
	plan->burst = often(20000);
	plan->burst_size = (uint32_t)random_between(random, 10, 500);
	plan->group_max = groups[random_below(random, 4)];
	plan->queue_max = random_below(random, 4) ? 8192 : 64;
	plan->expiry_step = random_below(random, 3) ? 2048 : (uint32_t)random_between(random, 1, 5);
	plan->attempts_max = random_below(random, 4) ? 5000 : 100;
	plan->cart_queue_max = random_below(random, 4) ? 1000 : 20;
	plan->orders_remembered = random_below(random, 6) ? 1000000 : 30;
	plan->compaction_step = random_below(random, 3) ? (uint32_t)random_between(random, 1,
								  random_below(random, 2) ? 10 : 512)
							: 0;
	plan->retention_ms = retentions_ms[random_below(random, 4)];
	plan->inventory_map_bytes =
		random_below(random, 10) ? 256 << 20 : random_between(random, 256, 600) << 12;
	plan->lose_request = often(20000);
	plan->lose_answer = often(20000);
	plan->late = often(20000);
	plan->twice = often(30000);
	plan->stream_break = often(20000);
	plan->fail_put = often(2000);
	plan->fail_commit = often(2000);
	plan->pause_in_commit = often(300000);
	plan->crash_inventory_us = every(200 * MS, 20 * SECOND);
	plan->crash_cart_us = every(200 * MS, 20 * SECOND);
	plan->pause_cart_us = every(500 * MS, 20 * SECOND);
	plan->takeover_us = every(500 * MS, 20 * SECOND);
	plan->wall_jump_us = every(500 * MS, 20 * SECOND);
	plan->disk_full_us = every(1 * SECOND, 30 * SECOND);
	plan->archive_us = plan->compaction_step && random_below(random, 4)
				   ? random_between(random, 50 * MS, 3 * SECOND)
				   : 0;
	plan->page_entries = random_below(random, 2) ? (uint32_t)random_between(random, 1, 60) : 0;
	plan->restore = random_below(random, 5) == 0 && plan->inventory_map_bytes > 8 << 20;
}

void world_begin(uint64_t seed)
{
	world.seed = seed;
	world.hash = seed;
	world.noted = world.commands = 0;
	world.now_us = SECOND;
	world.calm = false;
	world.processes = NULL;
	heap_count = 0;
	heap_order = 0;
	random_seed(&world.random, seed);
	make_plan(&world.plan);
	make_names();
}

void world_end(void)
{
	heap_count = 0;
	for (struct process *process = world.processes, *next; process; process = next) {
		next = process->next;
		free(process);
	}
	world.processes = NULL;
}
