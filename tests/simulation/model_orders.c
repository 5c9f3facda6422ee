/* tests/simulation/model_orders.c - the model's orders: what was asked for, what the ledgers made of it, what is said of it. See model.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

#define SLOTS 4096

static struct model_order *slots[SLOTS];

void model_orders_begin(void)
{
	memset(slots, 0, sizeof(slots));
}

void model_orders_end(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		while (slots[i]) {
			struct model_order *order = slots[i];

			slots[i] = order->next;
			free(order->holds);
			free(order);
		}
}

static struct model_order **slot_of(const struct id *id)
{
	uint64_t word;

	memcpy(&word, id->bytes + 8, sizeof(word));
	return &slots[word * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

struct model_order *model_order_get(const struct id *id)
{
	struct model_order *order = *slot_of(id);

	while (order && id_compare(&order->id, id) != 0)
		order = order->next;
	return order;
}

const struct model_order *model_order_find(const struct id *id)
{
	return model_order_get(id);
}

static struct model_order *order_make(const struct id *id)
{
	struct model_order *order = model_order_get(id), **slot = slot_of(id);

	if (order)
		return order;
	order = NEW(struct model_order);
	order->id = *id;
	order->next = *slot;
	*slot = order;
	return order;
}

void model_orders_each(void (*visit)(const struct model_order *order))
{
	for (size_t i = 0; i < SLOTS; i++)
		for (const struct model_order *order = slots[i]; order; order = order->next)
			if (order->created)
				visit(order);
}

uint64_t model_orders(uint32_t shard)
{
	return model_shards[shard].orders;
}

/* Its store was restored: the books are told anew. */
void model_orders_forget(uint32_t shard)
{
	for (size_t i = 0; i < SLOTS; i++)
		for (struct model_order *order = slots[i]; order; order = order->next)
			if (order->created && order->shard == shard) {
				order->created = order->gone = order->archived = false;
				order->lived_before = true;
				order->state = MODEL_NONE;
				order->payment = 0;
			}
}

void model_orders_reconciled(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		for (struct model_order *order = slots[i]; order; order = order->next)
			order->lived_before = false;
}

void model_order_drop(const struct id *id, void (*drop)(struct model_hold *hold))
{
	struct model_order *order = model_order_get(id);
	struct id *removed;

	WORLD_CHECK(order && order->created && !order->gone, "a hold of an order is dropped without it");
	order->gone = true;
	model_shards[order->shard].orders--;
	removed = &model_shards[order->shard].carts[order->cart].removed;
	if (id_compare(removed, id) < 0)
		*removed = *id;
	for (uint32_t i = 0; i < order->hold_count; i++)
		drop(model_hold_get(&order->holds[i]));
}

/* ---- what is asked for ---- */

static struct model_wish *wish_of(struct model_order *order, enum wire_kind want, uint32_t payment)
{
	WORLD_CHECK(want != WIRE_PAY || (payment && payment < MODEL_PAYMENTS),
		"a payment that nobody reported: %u", payment);
	return want == WIRE_PAY	     ? &order->pay[payment]
	       : want == WIRE_CANCEL ? &order->cancel
				     : &order->refund;
}

/* The first asking for a bind says what the order is; each later one, by whoever goes on with the decision, says the same. */
static void check_bind(const struct model_order *order, const struct wire_item *item, const struct id *holds,
	uint32_t hold_count)
{
	WORLD_CHECK(order->user == item->user && order->ttl_ms == item->ttl_ms &&
			    order->hold_count == hold_count &&
			    !memcmp(order->holds, holds, hold_count * sizeof(*holds)),
		"promise 6: an order is asked for again, and is another one");
}

static void intend(struct model_order *order, uint32_t shard, const struct wire_item *item,
	const struct id *holds, uint32_t hold_count, uint32_t cart)
{
	order->intended = true;
	order->user = item->user;
	order->cart = cart;
	order->shard = shard;
	order->ttl_ms = item->ttl_ms;
	order->hold_count = hold_count;
	order->holds = NEW_ARRAY(hold_count + 1, struct id);
	memcpy(order->holds, holds, hold_count * sizeof(*holds));
	for (uint32_t i = 0; i < hold_count; i++) {
		const struct model_hold *hold = model_hold_get(&holds[i]);

		WORLD_CHECK(hold && hold->user == order->user && world_inventory_of(hold->sku) == shard,
			"an order of holds that are not this person's, or of another shard");
	}
}

void model_order_ask(uint32_t shard, enum wire_kind kind, const struct wire_item *item,
	const struct id *holds, uint32_t hold_count, uint32_t number, const struct wire_sender *sender,
	uint64_t position)
{
	const struct model_cart *cart = &model_shards[shard].carts[number];
	struct model_order *order = order_make(&item->id);

	if (model_is_in_force(cart, sender))
		WORLD_CHECK(position >= cart->sequence,
			"an order's command leaves with epoch %" PRIu64 " at position %" PRIu64
			", before its fence at %" PRIu64,
			sender->epoch, position, cart->sequence);
	if (kind == WIRE_BIND && !order->intended)
		intend(order, shard, item, holds, hold_count, number);
	else if (kind == WIRE_BIND)
		check_bind(order, item, holds, hold_count);
	else
		WORLD_CHECK(wish_of(order, kind, item->payment)->waiting ||
				    wish_of(order, kind, item->payment)->told_else,
			"an order's command %d that nobody wants any more", kind);
}

void model_order_waits(const struct id *id, enum wire_kind want, uint32_t payment)
{
	wish_of(order_make(id), want, payment)->waiting++;
}

static bool came_true(const struct model_order *order, enum wire_kind want, uint32_t payment)
{
	if (!order->created)
		return false;
	if (want == WIRE_PAY)
		return order->payment == payment;
	return order->state == (want == WIRE_CANCEL ? MODEL_RELEASED : MODEL_REFUNDED);
}

void model_order_told(const struct id *id, enum wire_kind want, uint32_t payment, enum model_word word,
	Common__Reason reason)
{
	struct model_order *order = order_make(id);
	struct model_wish *wish = wish_of(order, want, payment);

	WORLD_CHECK(wish->waiting, "told twice");
	wish->waiting--;
	if (word == MODEL_TOLD_NO)
		wish->told_no++;
	else
		wish->told_else++;
	if (word == MODEL_TOLD_YES)
		WORLD_CHECK(came_true(order, want, payment) || order->lived_before,
			"promise 2: a yes to %d of an order that is in state %d", want, order->state);
	WORLD_CHECK(!came_true(order, want, payment) || wish->waiting || wish->told_else,
		"promise 9: a definite no (%d) to %d, and it is so in the books", (int)reason, want);
}

/* ---- entries ---- */

void model_order_moves(struct model_shard *shard, struct model_hold *hold, const struct model_entry *entry)
{
	if (id_is_zero(&entry->order)) {
		WORLD_CHECK(id_is_zero(&hold->order), "promise 7: a hold of an order is moved alone");
		return;
	}
	WORLD_CHECK(!id_is_zero(&hold->order) || entry->state == MODEL_HELD,
		"a hold goes to state %d with an order that it is not part of", entry->state);
	WORLD_CHECK(id_is_zero(&hold->order) || id_compare(&hold->order, &entry->order) == 0,
		"a hold changes its order");
	WORLD_CHECK(id_is_zero(&hold->order) || entry->deadline_ms - shard->moved_ms == hold->deadline_ms,
		"an order's hold changes its deadline by %" PRId64 " ms",
		entry->deadline_ms - shard->moved_ms - hold->deadline_ms);
	hold->order = entry->order;
	hold->deadline_ms = entry->deadline_ms - shard->moved_ms;
	shard->order_moves++;
}

/* Each of its holds was moved just now, to where the order goes. */
static void check_holds(
	struct model_shard *shard, const struct model_order *order, const struct model_entry *entry)
{
	WORLD_CHECK(shard->order_moves == order->hold_count,
		"promise 7: %u of the %u holds of an order are moved", shard->order_moves, order->hold_count);
	for (uint32_t i = 0; i < order->hold_count; i++) {
		const struct model_hold *hold = model_hold_get(&order->holds[i]);

		WORLD_CHECK(hold && hold->created && id_compare(&hold->order, &order->id) == 0 &&
				    hold->sequence + order->hold_count >= entry->sequence &&
				    hold->state == entry->state,
			"promise 7: an order goes to state %d, a hold of it is in state %d", entry->state,
			hold ? hold->state : MODEL_NONE);
		WORLD_CHECK(hold->deadline_ms + shard->moved_ms == entry->deadline_ms,
			"an order's hold has a deadline of its own");
		WORLD_CHECK(entry->state != MODEL_SOLD || hold->payment == entry->payment,
			"an order is paid with %u, a hold of it with %u", entry->payment, hold->payment);
	}
	shard->order_moves = 0;
}

static void check_items(const struct model_order *order, const struct model_entry *entry)
{
	WORLD_CHECK(entry->item_count == order->hold_count, "an order of %u holds has %u items",
		order->hold_count, entry->item_count);
	for (uint32_t i = 0; i < entry->item_count; i++) {
		const struct model_item *item = &entry->items[i];
		const struct model_hold *hold = model_hold_get(&item->hold);

		WORLD_CHECK(id_compare(&item->hold, &order->holds[i]) == 0 && hold &&
				    hold->user == order->user && hold->sku == item->sku &&
				    hold->quantity == item->quantity,
			"an order's item is not the hold that was asked for");
		WORLD_CHECK(item->price_micros == hold->price_micros,
			"an item costs %" PRId64 " micros, when it was added %" PRId64, item->price_micros,
			hold->price_micros);
	}
}

static void entry_bound(uint32_t number, struct model_order *order, const struct model_entry *entry)
{
	struct model_shard *shard = &model_shards[number];
	int64_t ttl_ms = world.plan.hold_ttl_ms;

	if (order->ttl_ms && order->ttl_ms < ttl_ms)
		ttl_ms = order->ttl_ms;
	WORLD_CHECK(order->intended, "an order that no cart asked for");
	WORLD_CHECK(!order->created, "an order is made twice");
	WORLD_CHECK(order->shard == number && order->user == entry->user && order->cart == entry->cart,
		"the ledger has another order than was asked for");
	WORLD_CHECK(entry->deadline_ms - entry->time_ms == ttl_ms,
		"an order of %" PRId64 " ms instead of %" PRId64, entry->deadline_ms - entry->time_ms,
		ttl_ms);
	order->created = true;
	order->bound = entry->sequence;
	order->deadline_ms = entry->deadline_ms - shard->moved_ms;
	shard->orders++;
	model_counts.orders++;
	check_items(order, entry);
}

static void check_wanted(struct model_order *order, enum wire_kind want, uint32_t payment)
{
	const struct model_wish *wish = wish_of(order, want, payment);

	WORLD_CHECK(wish->waiting || wish->told_else,
		"promise 9: %d happened to an order, though %u heard a definite no and nobody else asks",
		want, wish->told_no);
}

static void entry_moved(struct model_order *order, const struct model_entry *entry)
{
	WORLD_CHECK(order->created, "a change of an order that there is not");
	WORLD_CHECK(order->state == (entry->state == MODEL_REFUNDED ? MODEL_SOLD : MODEL_HELD) &&
			    entry->state > MODEL_HELD,
		"promise 7: an order goes from state %d to %d", order->state, entry->state);
	WORLD_CHECK(entry->deadline_ms == order->deadline_ms + model_shards[order->shard].moved_ms,
		"an order changes its deadline");
	if (entry->state == MODEL_SOLD)
		check_wanted(order, WIRE_PAY, entry->payment);
	else if (entry->state != MODEL_EXPIRED)
		check_wanted(order, entry->state == MODEL_RELEASED ? WIRE_CANCEL : WIRE_REFUND, 0);
	WORLD_CHECK(entry->state == MODEL_SOLD || entry->payment == order->payment,
		"an order's payment %u becomes %u", order->payment, entry->payment);
	order->payment = entry->payment;
	model_counts.paid += entry->state == MODEL_SOLD;
	model_counts.cancelled += entry->state == MODEL_RELEASED;
	model_counts.overdue += entry->state == MODEL_EXPIRED;
	model_counts.refunded += entry->state == MODEL_REFUNDED;
}

struct model_order *model_order_entry(uint32_t number, const struct model_entry *entry)
{
	struct model_order *order = model_order_get(&entry->id);

	WORLD_CHECK(order, "an order that nobody ever asked for");
	if (entry->state == MODEL_HELD)
		entry_bound(number, order, entry);
	else
		entry_moved(order, entry);
	check_holds(&model_shards[number], order, entry);
	order->state = entry->state;
	order->sequence = entry->sequence;
	return order;
}

/* ---- inventory's answers ---- */

static void check_yes(const struct model_shard *shard, enum wire_kind kind, const struct wire_item *item,
	const struct model_order *order, const struct wire_answer *answer)
{
	static const enum model_state wanted[] = {MODEL_HELD, MODEL_SOLD, MODEL_RELEASED, MODEL_REFUNDED};

	WORLD_CHECK(answer->sequence && answer->sequence <= shard->head,
		"promise 2: a yes at %" PRIu64 ", the durable ledger ends at %" PRIu64, answer->sequence,
		shard->head);
	WORLD_CHECK(shard->steps[answer->sequence].order == order &&
			    (int)shard->steps[answer->sequence].state == answer->state,
		"a yes to an order whose entry is about something else");
	WORLD_CHECK((int)wanted[kind - WIRE_BIND] == answer->state || (kind == WIRE_BIND && answer->repeated),
		"a yes to order command %d, in state %d", kind, answer->state);
	WORLD_CHECK(kind != WIRE_PAY || order->payment == item->payment,
		"promise 7: paid with %u instead of %u", order->payment, item->payment);
	WORLD_CHECK(answer->deadline_ms == order->deadline_ms + shard->moved_ms,
		"an answer's deadline is off by %" PRId64 " ms",
		answer->deadline_ms - order->deadline_ms - shard->moved_ms);
}

/* Whether something became so only in the last group: after an answer of that group was found. */
static bool just_now(const struct model_shard *shard, uint64_t sequence)
{
	return sequence > shard->head_before;
}

static void check_bind_no(
	const struct model_shard *shard, const struct model_order *order, const struct wire_answer *answer)
{
	const struct model_hold *hold = model_hold_get(&answer->bad);

	WORLD_CHECK(
		!order->created || model_order_is_going(order), "a bind is refused, and the order is there");
	WORLD_CHECK(hold, "a bind is refused for a hold that nobody knows");
	switch (answer->reason) {
	case COMMON__REASON__REASON_GONE:
		WORLD_CHECK(model_is_going(hold) || !hold->created, "a hold is no longer kept, and it is");
		break;
	case COMMON__REASON__REASON_NOT_FOUND:
		WORLD_CHECK(!hold->created, "no such hold, and it is there");
		break;
	case COMMON__REASON__REASON_HOLD_EXPIRED:
		WORLD_CHECK(hold->state == MODEL_EXPIRED, "expired, in state %d", hold->state);
		break;
	case COMMON__REASON__REASON_WRONG_STATE:
		WORLD_CHECK(hold->state != MODEL_HELD || !id_is_zero(&hold->order),
			"a hold can't be bound, and is free");
		break;
	default:
		world_fail("a bind is refused for reason %d", (int)answer->reason);
	}
}

static void check_no(const struct model_shard *shard, enum wire_kind kind, const struct wire_item *item,
	const struct model_order *order, const struct wire_answer *answer)
{
	bool there = order->created, recent = there && just_now(shard, order->sequence);

	switch (answer->reason) {
	case COMMON__REASON__REASON_GONE:
		WORLD_CHECK((!there || model_order_is_going(order)) &&
				    model_may_be_gone(shard, UINT32_MAX, &item->id),
			"an order is no longer kept, and it is");
		break;
	case COMMON__REASON__REASON_NOT_FOUND:
		WORLD_CHECK(!there || recent, "no such order, and it is there");
		break;
	case COMMON__REASON__REASON_HOLD_EXPIRED:
		WORLD_CHECK(there && order->state == MODEL_EXPIRED && kind != WIRE_REFUND,
			"an order has expired, in state %d", order->state);
		break;
	case COMMON__REASON__REASON_WRONG_STATE:
		WORLD_CHECK(there && (recent ||
					     (kind == WIRE_REFUND && order->state != MODEL_SOLD &&
						     order->state != MODEL_REFUNDED) ||
					     (kind == WIRE_CANCEL && order->state != MODEL_HELD &&
						     order->state != MODEL_RELEASED) ||
					     (kind == WIRE_PAY && order->state != MODEL_HELD &&
						     (order->state != MODEL_SOLD ||
							     order->payment != item->payment))),
			"promise 6: order command %d is refused in state %d", kind, order->state);
		break;
	default:
		world_fail("order command %d is refused for reason %d", kind, (int)answer->reason);
	}
}

void model_order_answer(const struct model_shard *shard, enum wire_kind kind,
	const struct wire_sender *sender, const struct wire_item *item, const struct wire_answer *answer)
{
	const struct model_order *order = model_order_get(&item->id);

	WORLD_CHECK(order, "an answer about an order that nobody asked for");
	if (!answer->reason) {
		WORLD_CHECK(!sender->given || model_in_force(shard, sender),
			"a yes to epoch %" PRIu64 ", which is not in force", sender->epoch);
		check_yes(shard, kind, item, order, answer);
	} else if (kind == WIRE_BIND) {
		check_bind_no(shard, order, answer);
	} else {
		check_no(shard, kind, item, order, answer);
	}
}

/* ---- what carts say ---- */

void model_order_seen(const struct id *id, uint32_t user, enum model_state state, uint32_t payment)
{
	const struct model_order *order = model_order_get(id);

	WORLD_CHECK(order && (order->created || order->lived_before), "an order that is not in the books");
	WORLD_CHECK(order->user == user, "an order of somebody else");
	if (!order->created || order->lived_before)
		return;
	WORLD_CHECK(order->state == state || state == MODEL_HELD ||
			    (state == MODEL_SOLD && order->state == MODEL_REFUNDED),
		"promise 7: an order is said to be in state %d; the books say %d", state, order->state);
	WORLD_CHECK(state != MODEL_SOLD || payment == order->payment,
		"promise 7: an order is said to be paid with %u; the books say %u", payment, order->payment);
}
