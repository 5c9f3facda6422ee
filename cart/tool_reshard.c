/* tool_reshard.c - `flashsale-cart reshard`: the stores of all carts made anew for another number of carts or of inventories. */
#include <stdio.h>

#include "cart/reshard.h"
#include "cart/tools.h"
#include "rpc/tool_shards.h"

struct reshard_settings {
	char *from, *to;
	int64_t shards, inventory_shards;
};

static const struct config_setting reshard_table[] = {
	{"from", CONFIG_TEXT, offsetof(struct reshard_settings, from), NULL, true, 0, 0,
		"stores of all carts there are, with commas between; they are only read"},
	{"to", CONFIG_TEXT, offsetof(struct reshard_settings, to), NULL, true, 0, 0,
		"folder for the new stores, TO/0, TO/1, ...; must not be there yet"},
	{"to-shards", CONFIG_INT, offsetof(struct reshard_settings, shards), "0", false, 0, TOOL_SHARDS_MAX,
		"how many carts there are to be"},
	{"to-inventory-shards", CONFIG_INT, offsetof(struct reshard_settings, inventory_shards), "0", false,
		0, TOOL_SHARDS_MAX, "how many inventories there are to be"},
};

static int reshard(
	const struct tool_call *call, const struct tool_shards *sources, struct tool_shards *targets)
{
	const struct reshard_settings *own = call->own;
	struct cart_reshard_options options = {.sources = sources->stores,
		.source_count = sources->count,
		.shards = (uint32_t)own->shards,
		.inventory_shards = (uint32_t)own->inventory_shards};
	struct cart_reshard_result result;
	struct error error;

	if (!tool_targets_make(call, own->to, options.shards, targets))
		return TOOL_NO;
	options.targets = targets->stores;
	if (!cart_reshard(&options, &result, &error))
		return tool_end(call, TOOL_NO, "%s; nothing was made", error.text);
	if (!tool_targets_finish(call, targets))
		return TOOL_NO;
	printf("%u carts made of %u in %s: %llu decisions, %llu lines and %llu orders that had ended; %llu "
	       "lines and "
	       "orders will be heard from the ledgers of %u inventories\n",
		options.shards, options.source_count, own->to, (unsigned long long)result.decisions,
		(unsigned long long)result.lines, (unsigned long long)result.orders,
		(unsigned long long)result.told, options.inventory_shards);
	return TOOL_FINE;
}

static int run_reshard(const struct tool_call *call)
{
	const struct reshard_settings *own = call->own;

	if (!tool_needs(call, "from", own->from) || !tool_needs(call, "to", own->to) ||
		!tool_needs(call, "to-shards", own->shards ? own : NULL) ||
		!tool_needs(call, "to-inventory-shards", own->inventory_shards ? own : NULL))
		return TOOL_CANNOT;
	return tool_shards_run(call, own->from, reshard);
}

const struct service_tool tool_cart_reshard = {.name = "reshard",
	.purpose = "make the stores of another number of carts or inventories, offline",
	.settings = reshard_table,
	.settings_count = sizeof(reshard_table) / sizeof(reshard_table[0]),
	.settings_bytes = sizeof(struct reshard_settings),
	.run = run_reshard};
