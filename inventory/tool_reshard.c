/* tool_reshard.c - `flashsale-inventory reshard`: the stores of all shards told again to those of another number, and proved. */
#include <stdio.h>

#include "inventory/inventory.h"
#include "inventory/replay.h"
#include "inventory/reshard.h"
#include "inventory/tools.h"
#include "rpc/tool_shards.h"

struct reshard_settings {
	char *from, *to;
	int64_t shards, cart_shards;
};

static const struct config_setting reshard_table[] = {
	{"from", CONFIG_TEXT, offsetof(struct reshard_settings, from), NULL, true, 0, 0,
		"stores of all shards there are, with commas between; they are only read"},
	{"to", CONFIG_TEXT, offsetof(struct reshard_settings, to), NULL, true, 0, 0,
		"folder for the new stores, TO/0, TO/1, ...; must not be there yet"},
	{"to-shards", CONFIG_INT, offsetof(struct reshard_settings, shards), "0", false, 0, TOOL_SHARDS_MAX,
		"how many shards there are to be"},
	{"to-cart-shards", CONFIG_INT, offsetof(struct reshard_settings, cart_shards), "0", false, 0,
		TOOL_SHARDS_MAX,
		"how many carts there are to be, when that changes too; 0: as many as there are"},
};

static void print_line(void *context, const char *line)
{
	printf("REFUTED %s\n", line);
}

static void print_obstacle(void *context, const char *line)
{
	printf("OBSTACLE %s\n", line);
}

/* Plays every ledger again. */
static bool prove(const struct tool_call *call, const struct tool_shards *shards)
{
	for (uint32_t i = 0; i < shards->count; i++) {
		struct replay_result result;
		int rc = replay_run(shards->stores[i], print_line, NULL, &result);

		if (rc) {
			tool_end(call, TOOL_CANNOT, "reading %s: %s", shards->stores[i]->directory,
				mdb_strerror(rc));
			return false;
		}
		printf("%s: %s, %llu entries, %llu holds, %llu orders, %llu SKUs: %llu findings\n",
			result.findings ? "REFUTED" : "PROVED", shards->stores[i]->directory,
			(unsigned long long)result.entries, (unsigned long long)result.holds,
			(unsigned long long)result.orders, (unsigned long long)result.goods,
			(unsigned long long)result.findings);
		if (result.findings) {
			tool_end(call, TOOL_NO, "%s is not good: nothing was made of it",
				shards->stores[i]->directory);
			return false;
		}
	}
	return true;
}

static bool unobstructed(const struct tool_call *call, struct reshard_options *options)
{
	struct reshard_result result;
	struct error error;

	options->say = print_obstacle;
	if (!reshard_find_obstacles(options, &result, &error)) {
		tool_end(call, TOOL_CANNOT, "%s", error.text);
		return false;
	}
	if (result.findings)
		tool_end(call, TOOL_NO,
			"%llu orders are in the way: start the services, close the sale, and let them be "
			"paid for, "
			"cancelled or run out; nothing was made",
			(unsigned long long)result.findings);
	return !result.findings;
}

static bool tell(const struct tool_call *call, struct reshard_options *options, struct reshard_result *told)
{
	struct reshard_result compared;
	struct error error;

	options->say = print_line;
	if (!reshard_run(options, told, &error) || !reshard_compare(options, &compared, &error)) {
		tool_end(call, TOOL_CANNOT, "%s", error.text);
		return false;
	}
	if (compared.findings)
		tool_end(call, TOOL_NO, "the new stores differ from the old ones: nothing was made");
	return !compared.findings;
}

static void conclude(const struct reshard_settings *own, const struct reshard_options *options,
	const struct reshard_result *result)
{
	printf("%u shards made of %u in %s: %llu SKUs, %llu holds, %llu orders (%llu of the old ones became "
	       "several), %llu entries; %u cart shards\n",
		options->shards, options->source_count, own->to, (unsigned long long)result->goods,
		(unsigned long long)result->holds, (unsigned long long)result->orders,
		(unsigned long long)result->split, (unsigned long long)result->entries, result->cart_shards);
	puts("They have lineages of their own: make the carts' stores anew with `flashsale-cart reshard` "
	     "before "
	     "anything is started.");
}

static int reshard(
	const struct tool_call *call, const struct tool_shards *sources, struct tool_shards *targets)
{
	const struct inventory_settings *settings = call->settings;
	const struct reshard_settings *own = call->own;
	struct reshard_options options = {.sources = sources->stores,
		.source_count = sources->count,
		.shards = (uint32_t)own->shards,
		.cart_shards = (uint32_t)own->cart_shards,
		.outage_grace_max_ms = settings->outage_grace_max_ms};
	struct reshard_result told;

	if (!prove(call, sources) || !unobstructed(call, &options) ||
		!tool_targets_make(call, own->to, options.shards, targets))
		return TOOL_NO;
	options.targets = targets->stores;
	if (!tell(call, &options, &told) || !prove(call, targets) || !tool_targets_finish(call, targets))
		return TOOL_NO;
	conclude(own, &options, &told);
	return TOOL_FINE;
}

static int run_reshard(const struct tool_call *call)
{
	const struct reshard_settings *own = call->own;

	if (!tool_needs(call, "from", own->from) || !tool_needs(call, "to", own->to) ||
		!tool_needs(call, "to-shards", own->shards ? own : NULL))
		return TOOL_CANNOT;
	setvbuf(stdout, NULL, _IOLBF, 0);
	return tool_shards_run(call, own->from, reshard);
}

const struct service_tool tool_reshard = {.name = "reshard",
	.purpose = "make the stores of another number of shards, offline; proves the old and the new ones",
	.settings = reshard_table,
	.settings_count = sizeof(reshard_table) / sizeof(reshard_table[0]),
	.settings_bytes = sizeof(struct reshard_settings),
	.run = run_reshard};
