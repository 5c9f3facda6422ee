/* cart/orders_requests.c - checkouts, payments, cancellations and refunds: what is asked for, and what stands in the way. See orders.h. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cart/orders_internal.h"

size_t orders_by_key(
	const struct orders *orders, const struct checkout *checkout, struct order **ret, bool *ret_same)
{
	const struct customer *customer = orders_customer(orders, checkout->user);
	struct order *order = customer && checkout->keyed ? customer->newest : NULL;
	size_t count = 0;

	*ret_same = true;
	for (; order && count < CHECKOUT_ORDERS_MAX; order = order->older) {
		if (!order->keyed || !key_equal(&order->key, &checkout->key))
			continue;
		*ret_same = *ret_same && order->ttl_ms == checkout->ttl_ms;
		ret[count++] = order;
	}
	return count;
}

/* By shard of inventory, and the oldest first. */
static int compare_for_checkout(const void *a, const void *b)
{
	const struct line *one = *(struct line *const *)a, *other = *(struct line *const *)b;

	if (one->usage->goods->shard != other->usage->goods->shard)
		return one->usage->goods->shard < other->usage->goods->shard ? -1 : 1;
	return id_compare(&one->id, &other->id);
}

static size_t gather(const struct orders *orders, struct span user, int64_t now_ms, struct line **ret)
{
	const struct cart *cart = orders->options.cart;
	const struct person *person = lines_person(&cart->lines, user);
	const struct usage *usage = person ? person->usages : NULL;
	size_t count = 0;

	for (; usage; usage = usage->next) {
		struct line *line = cart->links[usage->goods->shard].stopped ? NULL : usage->lines;

		for (; line; line = line->next) {
			if (!line_in_cart(line) || lines_deadline_ms(&cart->lines, line) <= now_ms)
				continue;
			if (ret)
				ret[count] = line;
			count++;
		}
	}
	return count;
}

/* An id that the hash of its text brings to this shard, as the hash of its owner's name does. */
static struct id next_id(struct orders *orders)
{
	char text[ID_TEXT_LENGTH + 1];
	struct id id;

	do
		id = id_next(&orders->options.cart->ids);
	while (orders->options.cart_shards > 1 &&
		hash_shard(id_format(&id, text), orders->options.cart_shards) != orders->options.cart_shard);
	return id;
}

static struct order *order_open(struct orders *orders, const struct checkout *checkout, struct line **lines,
	uint32_t count, int64_t now_ms)
{
	struct id id = next_id(orders);
	struct order *order = order_new(orders, &id, checkout->user, lines[0]->usage->goods->shard);

	order->items = NEW_ARRAY(count, struct order_item);
	order->item_count = count;
	for (uint32_t i = 0; i < count; i++)
		order->items[i].hold = lines[i]->id;
	order->keyed = checkout->keyed;
	order->key = checkout->key;
	order->ttl_ms = checkout->ttl_ms;
	order->created_ms = order->changed_ms = now_ms;
	order_claim(orders, order, true);
	order_set_wish(orders, order, WISH_BIND);
	order->storing = true;
	orders->options.effects.decide(orders->options.context, order);
	return order;
}

size_t orders_checkout(
	struct orders *orders, const struct checkout *checkout, struct order **ret, int64_t now_ms)
{
	size_t count = gather(orders, checkout->user, now_ms, NULL), made = 0, first, next;
	struct line **lines = NEW_ARRAY(count + 1, struct line *);

	gather(orders, checkout->user, now_ms, lines);
	qsort(lines, count, sizeof(*lines), compare_for_checkout);
	for (first = 0; first < count && made < CHECKOUT_ORDERS_MAX; first = next) {
		for (next = first + 1; next < count && next - first < ORDER_HOLDS_MAX; next++)
			if (lines[next]->usage->goods->shard != lines[first]->usage->goods->shard)
				break;
		ret[made++] = order_open(orders, checkout, lines + first, (uint32_t)(next - first), now_ms);
	}
	free(lines);
	return made;
}

static bool request_refuse(struct order_waiter *waiter, Common__Reason reason)
{
	waiter->outcome = (struct order_outcome){.reason = reason};
	return true;
}

bool orders_await(struct orders *orders, struct order *order, struct order_waiter *waiter)
{
	waiter->want = WISH_BIND;
	waiter->order = NULL;
	waiter->outcome = (struct order_outcome){0};
	if (order_visible(order))
		return true;
	order_join(order, waiter);
	return false;
}

/* A wish that nothing stands in the way of: it is decided, and then asked for. */
static bool request(struct orders *orders, struct order *order, enum order_wish wish, struct span payment,
	struct order_waiter *waiter)
{
	waiter->want = wish;
	waiter->payment = payment;
	waiter->order = NULL;
	if (order_verdict(order, wish, payment, &waiter->outcome.reason)) {
		waiter->outcome.bad = (struct id){{0}};
		return true;
	}
	if (order->wish == wish) {
		if (wish == WISH_CONFIRM && !span_equal(order_payment(order), payment))
			return request_refuse(waiter, COMMON__REASON__REASON_IN_PROGRESS);
		order_join(order, waiter);
		return false;
	}
	if (wish == WISH_CANCEL && order->wish == WISH_CONFIRM)
		return request_refuse(waiter, COMMON__REASON__REASON_WRONG_STATE);
	if (order->wish || order->storing)
		return request_refuse(waiter, COMMON__REASON__REASON_IN_PROGRESS);
	assert(order_visible(order)); /* one that is not has the wish to be bound */
	if (wish == WISH_CONFIRM)
		order_set_payment(order, payment);
	order_set_wish(orders, order, wish);
	order->storing = true;
	order_join(order, waiter);
	if (wish == WISH_CONFIRM)
		order_changed(orders, order);
	orders->options.effects.decide(orders->options.context, order);
	return false;
}

bool orders_confirm(
	struct orders *orders, struct order *order, struct span payment, struct order_waiter *waiter)
{
	assert(payment.length && payment.length <= PAYMENT_MAX);
	return request(orders, order, WISH_CONFIRM, payment, waiter);
}

bool orders_cancel(struct orders *orders, struct order *order, struct order_waiter *waiter)
{
	return request(orders, order, WISH_CANCEL, (struct span){"", 0}, waiter);
}

bool orders_refund(struct orders *orders, struct order *order, struct order_waiter *waiter)
{
	return request(orders, order, WISH_REFUND, (struct span){"", 0}, waiter);
}
