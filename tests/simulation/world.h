/* tests/simulation/world.h - time, chance, events and processes of one run.
 *
 * One thread steps everything. An event runs at its time; those of one time in the order in which they were made. An event that belongs to a process
 * waits while that process is paused and is dropped once it is dead; others (the network's) look for themselves. There is one world at a time, since
 * what replaces the system (wraps.c) cannot be handed one.
 * Everything worth knowing is noted: into a hash, which two runs of one seed must agree on, and with --trace as text.
 * The first thing that is not as promised ends the program with the seed's own command line. */
#ifndef FLASHSALE_TESTS_SIMULATION_WORLD_H
#define FLASHSALE_TESTS_SIMULATION_WORLD_H

#include <stddef.h>

#include "base/clock.h"
#include "random.h"

#define WORLD_SHARDS_MAX 3 /* of inventory, and of carts */
#define WORLD_USERS_MAX 64
#define WORLD_SKUS_MAX 12
#define WORLD_WALL_MS INT64_C(1700000000000)
#define MS INT64_C(1000) /* the world counts microseconds */
#define SECOND (1000 * MS)

/* What one seed chose: how large, how fast, what goes wrong how often (parts of a million, or a mean time in microseconds; 0: never). */
struct plan {
	uint32_t inventories, carts, users, skus;
	uint32_t limit_max, quantity_max, stock_max;
	int64_t hold_ttl_ms, outage_grace_ms;
	int64_t arrival_us;
	uint32_t burst, burst_size; /* how often a crowd comes at once */
	uint32_t group_max, queue_max, expiry_step, attempts_max, cart_queue_max;
	uint32_t orders_remembered; /* that ended, by a cart */
	uint32_t compaction_step; /* 0: nothing is dropped */
	int64_t retention_ms;
	uint32_t page_entries; /* of the ledger; 0: as many as fit */
	int64_t archive_us; /* 0: no sale is ever archived */
	int64_t inventory_map_bytes;
	uint32_t lose_request, lose_answer, late, twice, stream_break;
	uint32_t fail_put, fail_commit, pause_in_commit;
	int64_t crash_inventory_us, crash_cart_us, pause_cart_us, takeover_us, wall_jump_us, disk_full_us;
	bool restore;
};

/* What went wrong, in all runs: a trouble that never comes is not simulated. */
struct troubles {
	uint64_t inventory_crashes, cart_crashes, torn_commits, failed_commits, failed_puts, full_maps, full_disks, pauses,
		takeovers, succeeded, restores, lost, late, twice, wall_jumps, broken_streams,
		split, /* a cart over several shards of inventory: an order each */
		compactions, compacted_readers,
		archives, archived_orders, archives_resumed, /* resumed: by a process that did not begin it */
		sold_again; /* holds of goods whose sale was archived */
};

/* A process of the simulated machines. */
struct process {
	struct process *next; /* of all that ever were */
	char name[24];
	struct clock_source clock;
	int64_t wall_offset_ms;
	int64_t paused_until_us;
	bool dead;
};

typedef void world_run(void *context, uint64_t a, uint64_t b);

struct world {
	struct plan plan;
	struct random random;
	uint64_t seed, hash, noted, commands;
	int64_t now_us;
	bool calm;  /* nothing goes wrong any more: a quiet state is wanted */
	bool trace;
	char folder[64];
	struct process *processes;
	struct troubles troubles;
};
extern struct world world;

void world_begin(uint64_t seed);
void world_end(void);
bool world_step(void); /* the next event; false: there is none */

void world_after(struct process *process, int64_t delay_us, world_run *run, void *context, uint64_t a, uint64_t b);

void process_init(struct process *process, const char *kind, uint32_t shard);
void process_pause(struct process *process, int64_t us);
static inline bool process_paused(const struct process *process)
{
	return process->paused_until_us > world.now_us;
}

/* `what` is a literal with no formats in it. */
void world_note(const char *what, uint64_t a, uint64_t b, uint64_t c);
void world_note_bytes(const void *data, size_t size);
_Noreturn void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define WORLD_CHECK(condition, ...) \
	do { \
		if (!(condition)) \
			world_fail(__VA_ARGS__); \
	} while (0)

/* Chance that rests while the world is calm. */
bool world_chance(uint32_t parts);
uint64_t world_below(uint64_t bound);
int64_t world_between(int64_t low, int64_t high);
int64_t world_wall_jump(void); /* milliseconds off the truth: up to an hour, or a few seconds */

const char *world_user(uint32_t user);
const char *world_sku(uint32_t sku);
uint32_t world_number(const char *text, size_t size); /* of a user's or a SKU's name */
uint32_t world_inventory_of(uint32_t sku);
uint32_t world_cart_of(uint32_t user);

#endif
