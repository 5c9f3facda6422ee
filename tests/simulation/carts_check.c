/* tests/simulation/carts_check.c - at quiet: nothing is under way, and every cart has what the model has. */
#include <inttypes.h>

#include "cart_process.h"
#include "carts.h"
#include "inventory_node.h"
#include "model.h"

static const char *wire_unquiet(const struct cart_process *process, uint32_t shard)
{
	const struct cart_link *link = &process->cart->links[shard];

	if (link->stopped)
		return NULL;
	if (inventory_was_restored(shard) &&
		id_compare(&link->lineage, (struct id[]){inventory_lineage(shard)}) != 0)
		return "a link to a restored store has not stopped";
	if (!link->usable)
		return "a link is not usable";
	if (link->position < model_head(shard))
		return "a ledger is not followed to its head";
	for (int state = 0; state < ATTEMPT_STATES; state++)
		if (attempts_list(&process->cart->attempts, shard, (enum attempt_state)state)->count)
			return "an attempt is not settled";
	return lanes_idle(&process->wires[shard]) ? NULL : "asks are under way";
}

/* Some link goes on: it can't miss that it has a successor. */
static bool hears_something(const struct cart_process *process)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		if (!process->cart->links[shard].stopped)
			return true;
	return false;
}

static const char *slot_unquiet(uint32_t slot)
{
	const struct cart_process *process = cart_process_of(slot);

	if (!process || process_paused(&process->base) || process->dying)
		return "a cart is not up";
	for (const struct cart_process *zombie = cart_zombies_of(slot); zombie; zombie = zombie->next)
		if (hears_something(zombie))
			return "a cart that was succeeded lives on";
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		const char *why = wire_unquiet(process, shard);

		if (why)
			return why;
	}
	return process->waits || process->changes ? "a shopper waits" : NULL;
}

const char *carts_unquiet(void)
{
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		const char *why = slot_unquiet(shard);

		if (why)
			return why;
	}
	return NULL;
}

static void check_usage(const struct cart_process *process, uint32_t user, uint32_t sku)
{
	const struct usage *usage =
		lines_usage(&process->cart->lines, span_of(world_user(user)), span_of(world_sku(sku)));
	struct model_usage truth = model_usage(user, sku);
	uint64_t held = usage ? usage->held + usage->ordered : 0, sold = usage ? usage->sold : 0;

	WORLD_CHECK(held == truth.held && sold == truth.sold,
		"promise 4: the cart counts %" PRIu64 " held and %" PRIu64
		" sold units of %s for %s, the ledger %" PRIu64 " and %" PRIu64,
		held, sold, world_sku(sku), world_user(user), truth.held, truth.sold);
	WORLD_CHECK(!usage || !usage->pending, "promise 4: %" PRIu64 " units are pending for ever",
		usage->pending);
}

static void check_line(const struct model_hold *hold)
{
	const struct cart *cart = cart_process_of(hold->cart)->cart;
	const struct line *line;

	if (cart->links[hold->shard].stopped)
		return;
	line = lines_find(&cart->lines, &hold->id);
	if (!line) {
		WORLD_CHECK(hold->state > MODEL_SOLD, "a live hold that its cart does not have");
		return;
	}
	WORLD_CHECK(line->state == hold->state && line->quantity == hold->quantity &&
			    line->version == hold->version && !line->unseen,
		"a line has state %d, %u units; the ledger %d, %u", line->state, line->quantity, hold->state,
		hold->quantity);
	WORLD_CHECK(line->state != LINE_HELD || lines_deadline_ms(&cart->lines, line) ==
							hold->deadline_ms + model_moved_ms(hold->shard),
		"a line's deadline is off by %" PRId64 " ms",
		lines_deadline_ms(&cart->lines, line) - hold->deadline_ms - model_moved_ms(hold->shard));
}

void carts_check(void)
{
	for (uint32_t user = 0; user < world.plan.users; user++)
		for (uint32_t sku = 0; sku < world.plan.skus; sku++) {
			const struct cart_process *process = cart_process_of(world_cart_of(user));

			if (!process->cart->links[world_inventory_of(sku)].stopped)
				check_usage(process, user, sku);
		}
	model_each(check_line);
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		const struct cart *cart = cart_process_of(shard)->cart;

		WORLD_CHECK(world.plan.restore || !cart->counters.anomalies,
			"a cart counts %" PRIu64 " anomalies", cart->counters.anomalies);
	}
}
