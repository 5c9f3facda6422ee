/* cart/orders.c - orders in memory, what the store knows of them, and who waits for them. Requests are in orders_requests.c, what happens to orders in
 * orders_events.c. See orders.h. */
#include "cart/orders.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cart/orders_internal.h"

struct orders *orders_new(const struct orders_options *options)
{
	struct orders *orders = NEW(struct orders);

	assert(options->cart_shards && options->cart_shard < options->cart_shards);
	orders->options = *options;
	map_init(&orders->by_id);
	map_init(&orders->customers);
	orders->wishes = NEW_ARRAY(options->cart->options.shards, struct order_list);
	return orders;
}

static void free_all(struct orders *orders, struct map_node **slots, size_t count)
{
	for (size_t i = 0; slots && i < count; i++)
		while (slots[i])
			order_free(orders, container_of(slots[i], struct order, node));
}

void orders_free(struct orders *orders)
{
	if (!orders)
		return;
	free_all(orders, orders->by_id.old, orders->by_id.old_mask + 1);
	free_all(orders, orders->by_id.slots, orders->by_id.mask + 1);
	assert(orders->customers.count == 0);
	map_release(&orders->by_id);
	map_release(&orders->customers);
	free(orders->wishes);
	free(orders);
}

/* ---- finding ---- */

struct order *orders_find(const struct orders *orders, const struct id *id)
{
	struct map_node *node = map_first(&orders->by_id, lines_id_hash(id));

	for (; node; node = map_next(node)) {
		struct order *order = container_of(node, struct order, node);

		if (id_compare(&order->id, id) == 0)
			return order;
	}
	return NULL;
}

static struct customer *customer_find(const struct orders *orders, struct span user, uint64_t hash)
{
	struct map_node *node = map_first(&orders->customers, hash);

	for (; node; node = map_next(node)) {
		struct customer *customer = container_of(node, struct customer, node);

		if (span_equal((struct span){customer->user, customer->length}, user))
			return customer;
	}
	return NULL;
}

struct customer *orders_customer(const struct orders *orders, struct span user)
{
	return customer_find(orders, user, hash64(user.text, user.length));
}

int64_t orders_deadline_ms(const struct orders *orders, const struct order *order)
{
	if (order->truth != LINE_HELD)
		return order->deadline_ms;
	return order->deadline_ms + orders->options.cart->lines.moved_ms[order->shard];
}

/* ---- an order's life ---- */

static struct customer *customer_use(struct orders *orders, struct span user)
{
	uint64_t hash = hash64(user.text, user.length);
	struct customer *customer = customer_find(orders, user, hash);

	if (customer)
		return customer;
	assert(user.length && user.length <= LINES_NAME_MAX);
	customer = memory_new(sizeof(*customer) + user.length + 1);
	customer->length = (uint8_t)user.length;
	memcpy(customer->user, user.text, user.length);
	map_put(&orders->customers, &customer->node, hash);
	return customer;
}

/* New ids are greater than all before, so this ends at once, but for orders that come from the store. */
static void customer_add(struct customer *customer, struct order *order)
{
	struct order *newer = NULL, *older = customer->newest;

	while (older && id_compare(&older->id, &order->id) > 0) {
		newer = older;
		older = older->older;
	}
	order->customer = customer;
	order->newer = newer;
	order->older = older;
	if (older)
		older->newer = order;
	*(newer ? &newer->older : &customer->newest) = order;
}

struct order *order_new(struct orders *orders, const struct id *id, struct span user, uint32_t shard)
{
	struct order *order = NEW(struct order);

	order->id = *id;
	order->shard = shard;
	customer_add(customer_use(orders, user), order);
	map_put(&orders->by_id, &order->node, lines_id_hash(id));
	return order;
}

static struct order_list *list_of(struct orders *orders, const struct order *order)
{
	return order->wish ? &orders->wishes[order->shard] : &orders->ended;
}

static void unlist(struct orders *orders, struct order *order, struct order_list *list)
{
	if (!order->listed)
		return;
	*(order->previous ? &order->previous->next : &list->first) = order->next;
	*(order->next ? &order->next->previous : &list->last) = order->previous;
	order->previous = order->next = NULL;
	order->listed = false;
	list->count--;
	orders->wishing -= list != &orders->ended;
}

void order_list_it(struct orders *orders, struct order *order)
{
	bool ended = order->truth == LINE_RELEASED || order->truth == LINE_EXPIRED ||
		     order->truth == LINE_REFUNDED;
	struct order_list *list = list_of(orders, order);

	if (!order->wish && !ended)
		return;
	assert(!order->listed);
	order->listed = true;
	order->previous = list->last;
	*(list->last ? &list->last->next : &list->first) = order;
	list->last = order;
	list->count++;
	orders->wishing += order->wish != WISH_NONE;
}

void order_set_wish(struct orders *orders, struct order *order, enum order_wish wish)
{
	unlist(orders, order, list_of(orders, order));
	order->wish = (uint8_t)wish;
	order->answered = false;
	order->refusal = COMMON__REASON__REASON_UNSPECIFIED;
	order->retry_ms = order->backoff_ms = 0;
	order_list_it(orders, order);
}

void order_free(struct orders *orders, struct order *order)
{
	struct customer *customer = order->customer;

	assert(!order->waiters);
	unlist(orders, order, list_of(orders, order));
	map_remove(&orders->by_id, &order->node);
	*(order->newer ? &order->newer->older : &customer->newest) = order->older;
	if (order->older)
		order->older->newer = order->newer;
	if (!customer->newest) {
		map_remove(&orders->customers, &customer->node);
		free(customer);
	}
	free(order->items);
	free(order->payment);
	free(order);
}

void order_set_items(struct order *order, const struct order_item *items, uint32_t count)
{
	free(order->items);
	order->items = NEW_ARRAY(count + 1, struct order_item);
	memcpy(order->items, items, count * sizeof(*items));
	order->item_count = count;
}

void order_set_payment(struct order *order, struct span payment)
{
	char *copy = payment.length ? memory_format("%.*s", (int)payment.length, payment.text) : NULL;

	free(order->payment);
	order->payment = copy;
}

void order_set_deadline(struct orders *orders, struct order *order, int64_t deadline_ms)
{
	order->deadline_ms = deadline_ms;
	if (order->truth == LINE_HELD)
		order->deadline_ms -= orders->options.cart->lines.moved_ms[order->shard];
}

void order_claim(struct orders *orders, const struct order *order, bool claimed)
{
	for (uint32_t i = 0; i < order->item_count; i++) {
		struct line *line = lines_find(&orders->options.cart->lines, &order->items[i].hold);

		if (line)
			line->claimed = claimed && id_is_zero(&line->order);
	}
}

void order_changed(struct orders *orders, struct order *order)
{
	assert(order_visible(order));
	order->version = ++orders->version;
	orders->options.effects.changed(orders->options.context, order);
}

/* ---- from the store ---- */

bool orders_load(struct orders *orders, const struct order_record *record)
{
	struct order *order;

	if (orders_find(orders, &record->id))
		return false;
	order = order_new(orders, &record->id, record->user, record->shard);
	order->truth = (uint8_t)record->truth;
	order->deadline_ms = record->deadline_ms;
	order->created_ms = record->created_ms;
	order->changed_ms = record->changed_ms;
	order_set_items(order, record->items, record->item_count);
	order_set_payment(order, record->payment);
	order_list_it(orders, order);
	return true;
}

static bool wish_came_true(const struct order *order)
{
	if (order->wish == WISH_BIND)
		return order->truth != 0;
	if (order->wish == WISH_REFUND)
		return order->truth && order->truth != LINE_SOLD && order->truth != LINE_HELD;
	return order->truth && order->truth != LINE_HELD;
}

void order_settle_wish(struct orders *orders, struct order *order)
{
	if (wish_came_true(order))
		order_set_wish(orders, order, WISH_NONE);
}

void orders_load_decision(struct orders *orders, const struct order_decision *decision)
{
	struct order *order = orders_find(orders, &decision->id);

	if (!order) {
		order = order_new(orders, &decision->id, decision->user, decision->shard);
		order->created_ms = order->changed_ms = decision->created_ms;
		order->items = NEW_ARRAY(decision->hold_count + 1, struct order_item);
		order->item_count = decision->hold_count;
		for (uint32_t i = 0; i < decision->hold_count; i++)
			order->items[i].hold = decision->holds[i];
	}
	order->keyed = decision->keyed;
	order->key = decision->key;
	order->ttl_ms = decision->ttl_ms;
	if (!order->payment)
		order_set_payment(order, decision->payment);
	order_set_wish(orders, order, decision->wish);
}

void orders_start(struct orders *orders)
{
	for (uint32_t shard = 0; shard < orders->options.cart->options.shards; shard++) {
		struct order *order = orders->wishes[shard].first, *next;

		for (; order; order = next) {
			next = order->next;
			order_settle_wish(orders, order);
			if (order->wish == WISH_BIND)
				order_claim(orders, order, true);
		}
	}
}

/* ---- who waits ---- */

void order_join(struct order *order, struct order_waiter *waiter)
{
	waiter->order = order;
	waiter->previous = NULL;
	waiter->next = order->waiters;
	if (waiter->next)
		waiter->next->previous = waiter;
	order->waiters = waiter;
}

void order_leave(struct order_waiter *waiter)
{
	*(waiter->previous ? &waiter->previous->next : &waiter->order->waiters) = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	waiter->order = NULL;
}

bool order_verdict(const struct order *order, enum order_wish want, struct span payment, Common__Reason *ret)
{
	static const enum line_state wanted[ORDER_WISHES] = {
		[WISH_CONFIRM] = LINE_SOLD, [WISH_CANCEL] = LINE_RELEASED, [WISH_REFUND] = LINE_REFUNDED};
	bool same = want != WISH_CONFIRM || span_equal(order_payment(order), payment);

	*ret = COMMON__REASON__REASON_UNSPECIFIED;
	if (!order->truth)
		return false;
	if (want == WISH_BIND)
		return true;
	if (order->truth == wanted[want] && same)
		return true;
	if (want == WISH_CONFIRM && order->truth == LINE_REFUNDED && same)
		return true; /* it was paid for with this; that it was taken back since is in its state */
	*ret = order->truth == LINE_EXPIRED && want != WISH_REFUND ? COMMON__REASON__REASON_HOLD_EXPIRED
								   : COMMON__REASON__REASON_WRONG_STATE;
	if (want == WISH_REFUND)
		return order->truth != LINE_SOLD;
	return order->truth != LINE_HELD;
}

void order_tell(struct orders *orders, struct order *order, Common__Reason reason)
{
	struct order_waiter *waiter = order->waiters, *next;

	for (; waiter; waiter = next) {
		next = waiter->next;
		waiter->outcome = (struct order_outcome){.reason = reason};
		if (reason)
			waiter->outcome.bad = order->bad;
		else if (!order_verdict(order, waiter->want, waiter->payment, &waiter->outcome.reason))
			continue;
		order_leave(waiter);
		orders->options.effects.told(orders->options.context, waiter, order);
	}
}

void orders_give_up(struct orders *orders, struct order_waiter *waiter)
{
	const struct order *order = waiter->order;

	order_leave(waiter);
	waiter->outcome = (struct order_outcome){0};
	if (order_verdict(order, waiter->want, waiter->payment, &waiter->outcome.reason))
		return;
	waiter->outcome.reason =
		order->answered && order->refusal ? order->refusal : COMMON__REASON__REASON_OUTCOME_UNKNOWN;
}
