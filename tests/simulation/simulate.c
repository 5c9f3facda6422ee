/* tests/simulation/simulate.c - the program: seeds, one after the other, until the commands, the seeds or the time are over.
 *
 * Read in this order: world.h (time and chance), threads.h and stores.h (what stands in the place of the system), wire.h (the network),
 * inventory_node.h and carts.h (the processes), shop.h (who asks), model.h (what must be true), tally.h (what occurred). */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archives.h"
#include "base/log.h"
#include "carts.h"
#include "files.h"
#include "inventory_node.h"
#include "model.h"
#include "tally.h"
#include "threads.h"

#define COMMANDS_STANDARD 10000
#define COMMANDS_OF_A_LONG_RUN 1500000 /* in so many everything occurs that can */
#define STUCK_SECONDS 60 /* of one seed between two rests: some loop never lets the world go on */
#define QUIET_EVERY 4000 /* commands */
#define QUIET_MAX_US (120 * SECOND)
#define QUIET_STEPS_MAX 60000 /* of 50 events */
#define EXPIRED_AFTER_US (1 * SECOND)

struct settings {
	uint64_t first, last, commands;
	int64_t seconds;
	bool trace, hashes, table;
};

static struct settings settings = {1, 0, COMMANDS_STANDARD, 0, false, false, false};
static const char *program;

/* ---- one seed ---- */

static const char *unquiet(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		if (!inventory_up(shard))
			return "an inventory is down";
		if (model_archiving_now(shard))
			return "a sale is being archived";
	}
	if (network_flying())
		return "calls are under way";
	return carts_unquiet();
}

static void step(void)
{
	WORLD_CHECK(world_step(), "nothing happens any more");
}

static void pass(int64_t us)
{
	int64_t until_us = world.now_us + us;

	while (world.now_us < until_us)
		step();
}

/* Nothing goes wrong any more, nobody asks: everything must come to rest, and agree. */
static void settle(void)
{
	int64_t until_us = world.now_us + QUIET_MAX_US;

	alarm(STUCK_SECONDS);
	world.calm = true;
	shop_rest(true);
	pass(EXPIRED_AFTER_US);
	for (unsigned steps = 0; unquiet(); steps++) {
		WORLD_CHECK(world.now_us < until_us && steps < QUIET_STEPS_MAX,
			"promise 3: it never comes to rest: %s", unquiet());
		for (int i = 0; i < 50; i++)
			step();
	}
	world_note("quiet", 0, 0, 0);
	inventories_check();
	carts_check();
}

static void go_on(void)
{
	world.calm = false;
	shop_rest(false);
}

/* One shard comes back as it was, under another lineage: carts stop serving it, and start anew once an operator says so. */
static void restore(void)
{
	inventory_restore((uint32_t)world_below(world.plan.inventories));
	pass(world_between(1, 3 * SECOND));
	settle();
	carts_reconcile();
	settle();
	go_on();
}

static void run_seed(uint64_t seed)
{
	uint64_t next_quiet = QUIET_EVERY;
	uint64_t next_restore = settings.commands * 3 / 10;

	alarm(STUCK_SECONDS);
	folder_empty(world.folder);
	world_begin(seed);
	model_begin();
	inventories_begin();
	carts_begin();
	shop_begin(settings.commands);
	archives_begin();
	while (!shop_finished()) {
		step();
		if (world.commands >= next_quiet) {
			settle();
			go_on();
			next_quiet += QUIET_EVERY;
		}
		if (world.plan.restore && world.commands > next_restore) {
			next_restore += settings.commands * 3 / 10;
			restore();
		}
	}
	settle();
	pass(world.plan.hold_ttl_ms * MS + EXPIRED_AFTER_US);
	settle();
	model_expect_ended();
	carts_end();
	inventories_end();
	threads_release();
	model_end();
	world_end();
	shop_end();
	archives_end();
}

/* ---- all seeds ---- */

static double elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void on_abort(int signal_number)
{
	if (signal_number == SIGALRM)
		fprintf(stderr, "\nFINDING in seed %" PRIu64 ", after %" PRIu64 " commands: it never ends\n",
			world.seed, world.commands);
	fprintf(stderr, "run it alone: %s --seed %" PRIu64 " --commands %" PRIu64 " --trace\n", program,
		world.seed, settings.commands);
	folder_remove(world.folder);
	_exit(1);
}

static void usage(int status)
{
	printf("usage: simulate [--seed N | --seeds FROM-TO] [--commands N] [--seconds N] [--trace] "
	       "[--hashes] [--table]\n\n"
	       "Runs cart, inventory and the network between them, deterministically, and checks every "
	       "answer.\n\n"
	       "  --seed N         this seed only\n"
	       "  --seeds FROM-TO  these (from 1 without an end; with --seconds as many as there is time "
	       "for)\n"
	       "  --commands N     of each seed (%d)\n"
	       "  --seconds N      no new seed after so many (20 if no seeds are given)\n"
	       "  --trace          print every event\n"
	       "  --hashes         print each seed's hash of its events: equal for equal runs\n"
	       "  --table          print how often each command had each verdict\n",
		COMMANDS_STANDARD);
	exit(status);
}

static uint64_t number(const char *text, char **end)
{
	char *own;
	uint64_t value = strtoull(text, end ? end : &own, 10);

	if (!end && (*own || own == text))
		usage(2);
	return value;
}

static void read_seeds(const char *text)
{
	char *end;

	settings.first = settings.last = number(text, &end);
	if (*end == '-')
		settings.last = end[1] ? number(end + 1, NULL) : UINT64_MAX;
	else if (*end)
		usage(2);
}

static void read_settings(int count, char **words)
{
	static const struct option options[] = {{"seed", 1, NULL, 's'}, {"seeds", 1, NULL, 's'},
		{"commands", 1, NULL, 'c'}, {"seconds", 1, NULL, 't'}, {"trace", 0, NULL, 'v'},
		{"hashes", 0, NULL, 'x'}, {"table", 0, NULL, 'o'}, {"help", 0, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(count, words, "h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			read_seeds(optarg);
			break;
		case 'c':
			settings.commands = number(optarg, NULL);
			break;
		case 't':
			settings.seconds = (int64_t)number(optarg, NULL);
			break;
		case 'v':
			settings.trace = true;
			break;
		case 'x':
			settings.hashes = true;
			break;
		case 'o':
			settings.table = true;
			break;
		default:
			usage(option == 'h' ? 0 : 2);
		}
	}
	if (optind < count)
		usage(2);
	if (!settings.last) {
		settings.last = UINT64_MAX;
		settings.seconds = settings.seconds ? settings.seconds : 20;
	}
}

static void show_troubles(const struct troubles *t)
{
	printf("crashes of inventory %" PRIu64 ", of carts %" PRIu64 ", inside a commit %" PRIu64
	       "; failed commits %" PRIu64 ", puts %" PRIu64 "; full maps %" PRIu64 ", disks %" PRIu64
	       ", commands refused for it %" PRIu64 "\n",
		t->inventory_crashes, t->cart_crashes, t->torn_commits, t->failed_commits, t->failed_puts,
		t->full_maps, t->full_disks, model_counts.full);
	printf("carts paused %" PRIu64 ", taken over %" PRIu64 ", ended by a successor %" PRIu64
	       "; restores %" PRIu64 "; calls lost %" PRIu64 ", late %" PRIu64 ", twice %" PRIu64
	       "; streams broken %" PRIu64 "; wall clocks set %" PRIu64 "; ledgers compacted %" PRIu64
	       ", under a reader %" PRIu64 "; sales archived %" PRIu64
	       ", by a process that did not begin it %" PRIu64 ", orders with them %" PRIu64
	       ", holds granted of such goods later %" PRIu64 "\n",
		t->pauses, t->takeovers, t->succeeded, t->restores, t->lost, t->late, t->twice,
		t->broken_streams, t->wall_jumps, t->compactions, t->compacted_readers, t->archives,
		t->archives_resumed, t->archived_orders, t->sold_again);
}

int main(int count, char **words)
{
	uint64_t commands = 0, seeds = 0, seed, hash = 0;
	double began = elapsed(), took;

	program = words[0];
	read_settings(count, words);
	signal(SIGABRT, on_abort);
	signal(SIGALRM, on_abort);
	log_init("simulate", "");
	log_set_level(LOG_ERROR + 1);
	folder_make(world.folder, sizeof(world.folder));
	world.trace = settings.trace;
	for (seed = settings.first; seed <= settings.last; seed++) {
		if (settings.seconds && elapsed() - began >= (double)settings.seconds)
			break;
		run_seed(seed);
		commands += world.commands;
		seeds++;
		hash = hash * 31 + world.hash;
		if (settings.hashes)
			printf("seed %" PRIu64 " hash %016" PRIx64 "\n", seed, world.hash);
	}
	took = elapsed() - began;
	folder_remove(world.folder);
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " commands, %" PRIu64
	       " ledger entries in %.1f s: %.0f commands/s; hash %016" PRIx64 "\n",
		seeds, settings.first, commands, model_counts.entries, took, (double)commands / took, hash);
	printf("granted %" PRIu64 ", sold %" PRIu64 ", expired %" PRIu64 ", refused by inventory %" PRIu64
	       "; shoppers heard yes %" PRIu64 ", no %" PRIu64 ", unknown %" PRIu64 "\n",
		model_counts.grants, model_counts.sold, model_counts.expired, model_counts.refused,
		model_counts.told_yes, model_counts.told_no, model_counts.told_unknown);
	printf("orders made %" PRIu64 ", paid %" PRIu64 ", cancelled %" PRIu64 ", expired %" PRIu64
	       ", refunded %" PRIu64 "\n",
		model_counts.orders, model_counts.paid, model_counts.cancelled, model_counts.overdue,
		model_counts.refunded);
	show_troubles(&world.troubles);
	if (settings.table)
		tally_show();
	return commands >= COMMANDS_OF_A_LONG_RUN && !tally_complete() ? 1 : 0;
}
