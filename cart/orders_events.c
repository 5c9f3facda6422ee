/* cart/orders_events.c - what happens to orders: decisions that became durable, answers of inventory, the word of its ledger. See orders.h. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cart/orders_internal.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 2000

/* ---- asking ---- */

static void ask(struct orders *orders, struct order *order, int64_t now_ms)
{
	const struct cart_link *link = &orders->options.cart->links[order->shard];

	if (!order->wish || order->storing || order->asking || order->answered || order->undoing ||
		order->retry_ms > now_ms || !link->usable || orders->asking >= orders->options.asks_max)
		return;
	if (order->wish == WISH_BIND)
		order_claim(orders, order, true);
	order->epoch = link->fence.accepted;
	order->asked = order->wish;
	order->asking = true;
	orders->asking++;
	orders->counters.asks++;
	orders->options.effects.ask(orders->options.context, order);
}

void orders_kick(struct orders *orders, uint32_t shard, int64_t now_ms)
{
	struct order *order = orders->wishes[shard].first;

	if (!orders->options.cart->links[shard].usable)
		return;
	for (; order && orders->asking < orders->options.asks_max; order = order->next)
		ask(orders, order, now_ms);
}

static void retry_later(struct order *order, int64_t now_ms)
{
	order->backoff_ms = order->backoff_ms ? order->backoff_ms * 2 : BACKOFF_FIRST_MS;
	if (order->backoff_ms > BACKOFF_LAST_MS)
		order->backoff_ms = BACKOFF_LAST_MS;
	order->retry_ms = now_ms + order->backoff_ms;
}

/* ---- decisions ---- */

/* A wish that could not be made durable never was. */
static void drop_wish(struct orders *orders, struct order *order, Common__Reason why)
{
	if (order->wish == WISH_BIND) {
		order_claim(orders, order, false);
		order_tell(orders, order, why);
		order_free(orders, order);
		return;
	}
	if (order->wish == WISH_CONFIRM)
		order_set_payment(order, (struct span){"", 0});
	order_set_wish(orders, order, WISH_NONE);
	order_tell(orders, order, why);
	order_changed(orders, order);
}

/* True: it was only kept for what was under way, and is gone. */
static bool archived_at_last(struct orders *orders, struct order *order)
{
	if (!order->archived || order->storing || order->asking)
		return false;
	order_tell(orders, order, COMMON__REASON__REASON_GONE); /* who asked since */
	order_free(orders, order);
	return true;
}

void orders_decided(struct orders *orders, struct order *order, Common__Reason failure, int64_t now_ms)
{
	assert(order->storing);
	order->storing = false;
	if (archived_at_last(orders, order))
		return;
	if (!order->wish)
		return; /* the ledger was quicker */
	if (failure)
		drop_wish(orders, order, failure);
	else
		ask(orders, order, now_ms);
}

/* Inventory will never bind these holds, or does not have the order, and its ledger has not told us of it (it was dropped, or lost with a disk): for us it
 * never was, which is durable before anybody hears of it. */
static void undo(struct orders *orders, struct order *order, const struct order_answer *answer)
{
	order->undoing = true;
	order->refusal = answer->reason;
	order->bad = answer->bad;
	orders->counters.refused++;
	orders->options.effects.undecide(orders->options.context, order);
}

void orders_undone(struct orders *orders, struct order *order)
{
	assert(order->undoing && !order->asking);
	order_claim(orders, order, false);
	order_tell(orders, order, order->refusal);
	order_free(orders, order);
}

/* ---- the truth ---- */

static bool step_exists(uint8_t from, enum line_state to)
{
	if (from == 0)
		return true; /* how it came to be so is not known, but that it is so */
	if (from == LINE_HELD)
		return to == LINE_SOLD || to == LINE_RELEASED || to == LINE_EXPIRED || to == LINE_REFUNDED;
	return from == LINE_SOLD && to == LINE_REFUNDED;
}

static void count(struct orders *orders, enum line_state state)
{
	orders->counters.bound += state == LINE_HELD;
	orders->counters.paid += state == LINE_SOLD;
	orders->counters.expired += state == LINE_EXPIRED;
	orders->counters.cancelled += state == LINE_RELEASED;
	orders->counters.refunded += state == LINE_REFUNDED;
}

/* False: it is not a step forward; nothing changed. */
static bool set_truth(struct orders *orders, struct order *order, enum line_state state, struct span payment,
	int64_t deadline_ms, int64_t time_ms)
{
	if (!step_exists(order->truth, state))
		return false;
	order->truth = (uint8_t)state;
	order->changed_ms = time_ms;
	if (payment.length)
		order_set_payment(order, payment);
	order_set_deadline(orders, order, deadline_ms);
	count(orders, state);
	if (order->wish)
		order_settle_wish(orders, order);
	if (!order->listed)
		order_list_it(orders, order);
	order_changed(orders, order);
	return true;
}

void orders_apply(struct orders *orders, uint32_t shard, const struct order_entry *entry)
{
	struct order *order = orders_find(orders, &entry->id);

	if (!order && entry->state != LINE_HELD) { /* its begin may be gone from the ledger */
		const struct cart_link *link = &orders->options.cart->links[shard];

		orders->counters.anomalies +=
			link->position > link->floor && id_compare(&entry->id, &link->removed) > 0;
		return;
	}
	if (!order) {
		order = order_new(orders, &entry->id, entry->user, shard);
		orders->counters.adopted++;
	}
	if (entry->state == LINE_HELD) {
		order_set_items(order, entry->items, entry->item_count);
		order->created_ms = entry->time_ms;
	}
	if (!set_truth(orders, order, entry->state, entry->payment, entry->deadline_ms, entry->time_ms) &&
		order->truth == entry->state) {
		order->changed_ms = entry->time_ms; /* the answer came before: the ledger knows it better */
		order_set_deadline(orders, order, entry->deadline_ms);
	}
	orders->options.effects.stored(orders->options.context, order);
	order_tell(orders, order, COMMON__REASON__REASON_UNSPECIFIED);
}

/* ---- archives ---- */

/* The lines of the sale have gone before; those of an order that was made since are here. One that is still open without its line was paid for: its end was
 * dropped before we could read it. */
static bool order_is_over(
	const struct orders *orders, const struct order *order, uint32_t shard, struct span sku)
{
	if (order->shard != shard || !order->truth || order->truth == LINE_RELEASED ||
		order->truth == LINE_EXPIRED)
		return false;
	for (uint32_t i = 0; i < order->item_count; i++)
		if (span_equal(span_of(order->items[i].sku), sku) &&
			!lines_find(&orders->options.cart->lines, &order->items[i].hold))
			return true;
	return false;
}

static void archive(struct orders *orders, struct order *order)
{
	if (order->wish)
		order_set_wish(orders, order, WISH_NONE);
	order_tell(orders, order, COMMON__REASON__REASON_GONE);
	orders->options.effects.forgotten(orders->options.context, order);
	order->archived = true;
	archived_at_last(orders, order);
}

struct archived {
	struct orders *orders;
	uint32_t shard;
	struct span sku;
};

static void archive_order(void *context, struct map_node *node)
{
	const struct archived *archived = context;
	struct order *order = container_of(node, struct order, node);

	if (!order->archived && order_is_over(archived->orders, order, archived->shard, archived->sku))
		archive(archived->orders, order);
}

bool orders_archive(
	struct orders *orders, uint32_t shard, struct span sku, struct map_walk *walk, size_t slots)
{
	struct archived archived = {orders, shard, sku};

	return map_walk(&orders->by_id, walk, slots, archive_order, &archived);
}

/* ---- answers ---- */

static void granted(
	struct orders *orders, struct order *order, const struct order_answer *answer, int64_t now_ms)
{
	order->answered =
		true; /* nothing more is to be asked; what the answer may not say comes from the ledger */
	if (answer->state == LINE_EXPIRED)
		return;
	if (!order->truth)
		order_set_items(order, answer->items, answer->item_count);
	set_truth(orders, order, answer->state, answer->payment, answer->deadline_ms, now_ms);
	if (orders->options.cart->links[order->shard].position >= answer->sequence)
		order_tell(orders, order, COMMON__REASON__REASON_UNSPECIFIED);
}

/* A refusal that says nothing of the order itself, only of the moment. */
static bool is_passing(Common__Reason reason)
{
	switch (reason) {
	case COMMON__REASON__REASON_NOT_FOUND:
	case COMMON__REASON__REASON_GONE:
	case COMMON__REASON__REASON_FORBIDDEN:
	case COMMON__REASON__REASON_HOLD_EXPIRED:
	case COMMON__REASON__REASON_WRONG_STATE:
	case COMMON__REASON__REASON_KEY_REUSED:
	case COMMON__REASON__REASON_INVALID:
		return false;
	default:
		return true;
	}
}

static void refused(
	struct orders *orders, struct order *order, const struct order_answer *answer, int64_t now_ms)
{
	bool missing;

	if (answer->reason == COMMON__REASON__REASON_STALE_EPOCH)
		cart_stale(orders->options.cart, order->shard, order->epoch);
	missing = answer->reason == COMMON__REASON__REASON_GONE ||
		  answer->reason == COMMON__REASON__REASON_NOT_FOUND;
	if (is_passing(answer->reason)) {
		retry_later(order, now_ms);
	} else if (order->wish == WISH_BIND || (missing && !order_visible(order))) {
		undo(orders, order, answer);
	} else if (answer->reason == COMMON__REASON__REASON_HOLD_EXPIRED ||
		   answer->reason == COMMON__REASON__REASON_GONE ||
		   answer->reason == COMMON__REASON__REASON_WRONG_STATE) {
		order->answered = true; /* how it ended is in the ledger, and about to come */
		order->refusal = answer->reason;
	} else {
		orders->counters.anomalies++; /* inventory does not know what its ledger has told */
		retry_later(order, now_ms);
	}
}

void orders_answered(
	struct orders *orders, struct order *order, const struct order_answer *answer, int64_t now_ms)
{
	bool crowded = orders->asking >= orders->options.asks_max;
	uint32_t shard = order->shard;

	assert(order->asking && orders->asking);
	order->asking = false;
	orders->asking--;
	if (archived_at_last(orders, order)) {
		if (crowded)
			orders_kick(orders, shard, now_ms);
		return;
	}
	if (order->wish != order->asked) {  /* the ledger was quicker */
		ask(orders, order, now_ms); /* for the next wish, which had to wait for this answer */
	} else {
		switch (answer->kind) {
		case ANSWER_GRANT:
			granted(orders, order, answer, now_ms);
			break;
		case ANSWER_REFUSAL:
			refused(orders, order, answer, now_ms);
			break;
		case ANSWER_UNSENT:
		case ANSWER_BUSY:
		case ANSWER_LOST:
			retry_later(order, now_ms);
			break;
		}
	}
	if (crowded)
		orders_kick(orders, shard, now_ms); /* somebody had to wait */
}

/* ---- the end ---- */

size_t orders_sweep(struct orders *orders, int64_t now_ms, size_t max)
{
	size_t forgotten = 0;
	struct order *order = orders->ended.first, *next;

	for (; order && forgotten < max; order = next) {
		next = order->next;
		if (orders->ended.count <= orders->options.ended_max &&
			order->changed_ms + ORDERS_MEMORY_MS > now_ms)
			break;
		if (order->storing || order->asking || order->waiters)
			continue;
		orders->options.effects.forgotten(orders->options.context, order);
		order_free(orders, order);
		forgotten++;
	}
	return forgotten;
}
