/* replay_orders.c - orders: their holds move together, and then the order says so. */
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "inventory/replay_state.h"

void replay_order_is_over(struct replay *r)
{
	if (id_is_zero(&r->move.order))
		return;
	replay_order(r, &r->move.order,
		"%u of its holds became %s in entry %llu and on, the order did not follow", r->move.count,
		replay_state_name(r->move.state), (unsigned long long)r->move.first);
	memset(&r->move, 0, sizeof(r->move));
}

void replay_order_moves(struct replay *r, const struct replay_hold *hold, bool bound)
{
	struct replay_move *move = &r->move;

	if (!id_is_zero(&move->order) && id_compare(&move->order, &hold->order) != 0)
		replay_order_is_over(r);
	if (id_is_zero(&move->order))
		*move = (struct replay_move){.order = hold->order,
			.first = r->sequence,
			.state = hold->state,
			.deadline_ms = hold->deadline_ms};
	if (hold->state != move->state || hold->deadline_ms != move->deadline_ms)
		replay_hold(r, hold, "differs from the other holds of its order in state or deadline");
	if (move->count < ORDER_HOLDS_MAX)
		r->moved[move->count] =
			(uint32_t)((size_t)((const char *)hold - r->holds.things) / r->holds.size);
	move->count++;
	if (hold->state == HOLD_HELD && !bound)
		replay_hold(r, hold, "bound to an order that it is in already");
}

static bool same_item(const struct replay_hold *hold, const struct order_item *item)
{
	return id_compare(&hold->id, &item->hold) == 0 && hold->quantity == item->quantity &&
	       (hold->gone || (hold->price_micros == item->price_micros &&
				      strcmp(hold->currency, item->currency) == 0)) &&
	       strcmp(hold->goods->goods.sku, item->sku) == 0;
}

static void keep_item(struct replay *r, uint32_t hold)
{
	if (r->item_count == r->item_room) {
		r->item_room = r->item_room ? r->item_room * 2 : 1024;
		r->items = memory_resize(r->items, r->item_room, sizeof(r->items[0]));
	}
	r->items[r->item_count++] = hold;
}

/* The items are the holds that have just been bound, in their order. */
static void bind_items(struct replay *r, struct replay_order *order, const struct ledger_entry *entry)
{
	struct order_item item;
	size_t at = 0;

	order->first_item = r->item_count;
	for (uint32_t i = 0; ledger_order_item(entry, &at, &item); i++) {
		const struct replay_hold *holds = (const struct replay_hold *)(const void *)r->holds.things;
		const struct replay_hold *hold = i < r->move.count ? &holds[r->moved[i]] : NULL;

		if (!hold)
			break;
		if (!same_item(hold, &item))
			replay_hold(r, hold, "the order's item differs from it");
		if (!hold->gone && hold->user != order->user)
			replay_hold(r, hold, "belongs to somebody else than its order");
		keep_item(r, r->moved[i]);
		order->hold_count++;
	}
}

static void bind(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_order *order = replay_list_find(&r->orders, &entry->order.id);

	if (order) {
		replay_order(r, &entry->order.id, "made a second time; the first was entry %llu",
			(unsigned long long)order->bound);
		return;
	}
	order = replay_list_add(&r->orders, &entry->order.id);
	order->user = hash64(entry->order.user.data, entry->order.user.size);
	order->cart_shard = entry->cart_shard;
	order->state = HOLD_HELD;
	order->deadline_ms = replay_internal_ms(r, entry->order.deadline_ms);
	order->bound = order->changed = r->sequence;
	bind_items(r, order, entry);
	if (entry->order.item_count == 0 || entry->order.item_count != r->move.count)
		replay_order(r, &order->id, "has %u items, and %u holds were bound", entry->order.item_count,
			r->move.count);
	if (entry->order.payment.size)
		replay_order(r, &order->id, "made with a payment reference");
}

static void check_move(struct replay *r, const struct replay_order *order, const struct ledger_entry *entry)
{
	uint8_t to = (uint8_t)entry->order.state;
	uint64_t payment = hash64(entry->order.payment.data, entry->order.payment.size);

	if (!(order->state == HOLD_HELD && to != HOLD_REFUNDED) &&
		!(order->state == HOLD_SOLD && to == HOLD_REFUNDED))
		replay_order(
			r, &order->id, "%s after %s", replay_state_name(to), replay_state_name(order->state));
	if (r->move.count != order->hold_count)
		replay_order(r, &order->id, "%u of its %u holds became %s", r->move.count, order->hold_count,
			replay_state_name(to));
	for (uint32_t i = 0; i < order->hold_count && i < r->move.count; i++)
		if (r->moved[i] != r->items[order->first_item + i])
			replay_order(r, &order->id, "its hold %u is not the one that moved", i + 1);
	if (entry->order.item_count)
		replay_order(r, &order->id, "got items again");
	if (entry->cart_shard != order->cart_shard ||
		hash64(entry->order.user.data, entry->order.user.size) != order->user)
		replay_order(r, &order->id, "belongs to somebody else now");
	if ((to == HOLD_SOLD || to == HOLD_REFUNDED) != (entry->order.payment.size > 0) ||
		(to == HOLD_REFUNDED && payment != order->payment))
		replay_order(r, &order->id, "%s with a wrong payment reference", replay_state_name(to));
}

static void move(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_order *order = replay_list_find(&r->orders, &entry->order.id);

	if (!order) {
		if (!r->floor)
			replay_order(r, &entry->order.id, "never made");
		return; /* it is gone: its first entry was below the floor */
	}
	check_move(r, order, entry);
	order->state = (uint8_t)entry->order.state;
	order->changed = r->sequence;
	order->payment =
		entry->order.payment.size ? hash64(entry->order.payment.data, entry->order.payment.size) : 0;
	if (replay_internal_ms(r, entry->order.deadline_ms) != order->deadline_ms)
		replay_order(r, &order->id, "its deadline was moved at its end");
}

/* The floor can stand between the entries of one move of an order that is gone: what is left of it tells nothing. */
static bool is_cut(const struct replay *r, const struct ledger_entry *entry)
{
	bool alone = id_is_zero(&r->move.order);

	if (!r->floor || (alone ? r->sequence : r->move.first) != r->floor + 1)
		return false;
	return alone || (entry->order.state == HOLD_HELD && entry->order.item_count > r->move.count);
}

void replay_order_changed(struct replay *r, const struct ledger_entry *entry)
{
	if (!id_is_zero(&r->move.order) && id_compare(&r->move.order, &entry->order.id) != 0)
		replay_order_is_over(r);
	if (is_cut(r, entry)) {
		memset(&r->move, 0, sizeof(r->move));
		return;
	}
	if (id_is_zero(&r->move.order)) {
		replay_order(r, &entry->order.id, "became %s without its holds",
			replay_state_name((uint8_t)entry->order.state));
	} else if (r->move.state != entry->order.state ||
		   r->move.deadline_ms != replay_internal_ms(r, entry->order.deadline_ms)) {
		replay_order(r, &entry->order.id, "became %s, its holds %s, or with another deadline",
			replay_state_name((uint8_t)entry->order.state), replay_state_name(r->move.state));
	}
	if (entry->order.state == HOLD_HELD)
		bind(r, entry);
	else
		move(r, entry);
	memset(&r->move, 0, sizeof(r->move));
}
