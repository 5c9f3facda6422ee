/* tests/simulation/carts_check.c - at quiet: nothing is under way, and every cart has what the model has. */
#include <inttypes.h>
#include <stdio.h>

#include "cart_process.h"
#include "carts.h"
#include "inventory_node.h"
#include "model.h"

static const char *wish_text(const struct order *order)
{
	static char text[128];

	snprintf(text, sizeof(text), "decision %d about an order in state %d has no outcome (%s%s%s%s%d)",
		order->wish, order->truth, order->storing ? "storing " : "", order->asking ? "asking " : "",
		order->answered ? "answered " : "", order->undoing ? "undoing " : "", (int)order->refusal);
	return text;
}

static const char *wire_unquiet(const struct cart_process *process, uint32_t shard)
{
	const struct cart_link *link = &process->cart->links[shard];

	if (process->wires[shard].compacted)
		return "a link has met a compacted ledger";
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
	if (process->orders->wishes[shard].count)
		return wish_text(process->orders->wishes[shard].first);
	return lanes_idle(&process->wires[shard]) ? NULL : "asks are under way";
}

/* Some link goes on, as does that of its successor: it can't miss that it has one. */
static bool must_hear(const struct cart_process *zombie, const struct cart_process *successor)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		if (!zombie->cart->links[shard].stopped && !successor->cart->links[shard].stopped)
			return true;
	return false;
}

static const char *slot_unquiet(uint32_t slot)
{
	const struct cart_process *process = cart_process_of(slot);

	if (!process || process_paused(&process->base) || process->dying)
		return "a cart is not up";
	for (const struct cart_process *zombie = cart_zombies_of(slot); zombie; zombie = zombie->next)
		if (must_hear(zombie, process))
			return "a cart that was succeeded lives on";
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		const char *why = wire_unquiet(process, shard);

		if (why)
			return why;
	}
	return process->waits || process->changes || orders_waiting(process) ? "a shopper waits" : NULL;
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
		WORLD_CHECK(hold->state > MODEL_SOLD || hold->archived,
			"a live hold that its cart does not have");
		return;
	}
	WORLD_CHECK(!hold->archived, "a cart remembers a hold whose sale was archived");
	WORLD_CHECK(line->state == hold->state && line->quantity == hold->quantity &&
			    line->version == hold->version && !line->unseen,
		"a line has state %d, %u units; the ledger %d, %u", line->state, line->quantity, hold->state,
		hold->quantity);
	WORLD_CHECK(line->state != LINE_HELD || lines_deadline_ms(&cart->lines, line) ==
							hold->deadline_ms + model_moved_ms(hold->shard),
		"a line's deadline is off by %" PRId64 " ms",
		lines_deadline_ms(&cart->lines, line) - hold->deadline_ms - model_moved_ms(hold->shard));
}

static size_t orders_seen;

static void check_order(const struct model_order *ours)
{
	const struct cart_process *process = cart_process_of(ours->cart);
	const struct order *order;

	if (process->cart->links[ours->shard].stopped)
		return;
	order = orders_find(process->orders, &ours->id);
	if (!order) {
		WORLD_CHECK(ours->archived || (ours->state > MODEL_SOLD &&
						      (world.plan.orders_remembered < 1000 || ours->gone)),
			"an order in state %d that its cart does not have", ours->state);
		return;
	}
	WORLD_CHECK(!ours->archived, "a cart remembers an order whose sale was archived");
	orders_seen++;
	WORLD_CHECK(order->truth == ours->state && order->item_count == ours->hold_count && !order->wish,
		"a cart has an order in state %d, wish %d; the ledger says %d", order->truth, order->wish,
		ours->state);
	WORLD_CHECK(orders_deadline_ms(process->orders, order) ==
				    ours->deadline_ms + model_moved_ms(ours->shard) ||
			    order->truth != LINE_HELD,
		"an order's deadline is off by %" PRId64 " ms",
		orders_deadline_ms(process->orders, order) - ours->deadline_ms - model_moved_ms(ours->shard));
	for (uint32_t i = 0; i < order->item_count; i++)
		WORLD_CHECK(id_compare(&order->items[i].hold, &ours->holds[i]) == 0 &&
				    order->items[i].price_micros == model_find(&ours->holds[i])->price_micros,
			"a cart has an order of other holds, or at other prices");
}

/* Promise 7: what was decided, by whoever wrote this store, has come to an end. */
static void check_decision(const struct cart_process *process, const struct order_decision *decision)
{
	const struct model_order *order = model_order_find(&decision->id);

	if (process->cart->links[decision->shard].stopped)
		return;
	if ((decision->wish == WISH_BIND || (order && (order->gone || !order->created))) &&
		process->sim.failed_put && !orders_find(process->orders, &decision->id))
		return; /* refused for good, and then its removal failed: the next start asks again, and removes it */
	WORLD_CHECK(order && order->created, "promise 7: decision %d about an order that never came to be",
		decision->wish);
	WORLD_CHECK(order->state != MODEL_HELD || decision->wish == WISH_BIND,
		"promise 7: decision %d was never carried out", decision->wish);
	WORLD_CHECK(order->state != MODEL_SOLD || decision->wish != WISH_REFUND,
		"promise 7: a refund was never carried out");
}

static void check_decisions(const struct cart_process *process)
{
	struct id id, holds[ORDER_HOLDS_MAX];
	struct order_decision decision;
	MDB_cursor *cursor;
	MDB_val key, data;
	MDB_txn *txn;

	WORLD_CHECK(store_read_begin(process->store, &txn) == 0, "a read transaction");
	WORLD_CHECK(mdb_cursor_open(txn, process->store->tables[SHELF_DECISIONS], &cursor) == 0, "a cursor");
	while (mdb_cursor_get(cursor, &key, &data, MDB_NEXT) == 0) {
		memcpy(id.bytes, key.mv_data, ID_BYTES);
		WORLD_CHECK(record_decision_unpack(&id, data.mv_data, data.mv_size, holds, &decision),
			"a decision can't be read");
		check_decision(process, &decision);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
}

static void check_orders(void)
{
	size_t have = 0;
	bool all = true;

	orders_seen = 0;
	model_orders_each(check_order);
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		const struct cart_process *process = cart_process_of(shard);

		check_decisions(process);
		have += process->orders->by_id.count;
		for (uint32_t i = 0; i < world.plan.inventories; i++)
			all = all && !process->cart->links[i].stopped;
		WORLD_CHECK(world.plan.restore || world.plan.orders_remembered < 1000 ||
				    !process->orders->counters.anomalies,
			"a cart counts %" PRIu64 " anomalies of orders", process->orders->counters.anomalies);
	}
	WORLD_CHECK(!all || have == orders_seen, "carts have %zu orders, the ledgers %zu of them", have,
		orders_seen);
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
	check_orders();
	for (uint32_t shard = 0; shard < world.plan.carts; shard++) {
		const struct cart *cart = cart_process_of(shard)->cart;

		WORLD_CHECK(world.plan.restore || !cart->counters.anomalies,
			"a cart counts %" PRIu64 " anomalies", cart->counters.anomalies);
	}
}
