/* cart/order_messages.c - see order_messages.h. */
#include "cart/order_messages.h"

#include <stdio.h>

#include "rpc/reason.h"
#include "rpc/timestamp.h"

#define TTL_MAX_S (INT64_C(86400) * 365)

static const struct complaint fine = {NULL, NULL};

struct complaint complain_order_id(const char *text, struct id *ret)
{
	return id_parse(text, ret) && !id_is_zero(ret)
		       ? fine
		       : (struct complaint){"order_id", "expected a UUID in its canonical form"};
}

struct complaint complain_payment(const char *text)
{
	size_t length = strlen(text);

	return length && length <= PAYMENT_MAX
		       ? fine
		       : (struct complaint){"payment_reference", "expected 1 to 128 bytes"};
}

struct complaint complain_checkout(const Cart__CheckoutRequest *request, int64_t *ret_ttl_ms)
{
	const Google__Protobuf__Duration *ttl = request->ttl;
	struct complaint complaint = complain_user(request->user_id);

	*ret_ttl_ms = 0;
	if (complaint.field)
		return complaint;
	if (strlen(request->idempotency_key) > ITEM_KEY_BYTES_MAX)
		return (struct complaint){"idempotency_key", "expected at most 128 bytes"};
	if (!ttl)
		return fine;
	if (ttl->seconds < 0 || ttl->seconds > TTL_MAX_S || ttl->nanos < 0 || ttl->nanos > 999999999)
		return (struct complaint){"ttl", "expected 1 ms to a year"};
	*ret_ttl_ms = ttl->seconds * 1000 + ttl->nanos / 1000000;
	return *ret_ttl_ms ? fine : (struct complaint){"ttl", "expected 1 ms to a year"};
}

Cart__OrderState order_state(const struct order *order)
{
	switch ((enum line_state)order->truth) {
	case LINE_HELD:
		return order->wish == WISH_CONFIRM ? CART__ORDER_STATE__ORDER_STATE_CONFIRMING
						   : CART__ORDER_STATE__ORDER_STATE_OPEN;
	case LINE_SOLD:
		return CART__ORDER_STATE__ORDER_STATE_PAID;
	case LINE_RELEASED:
		return CART__ORDER_STATE__ORDER_STATE_CANCELLED;
	case LINE_EXPIRED:
		return CART__ORDER_STATE__ORDER_STATE_EXPIRED;
	case LINE_REFUNDED:
		return CART__ORDER_STATE__ORDER_STATE_REFUNDED;
	}
	return CART__ORDER_STATE__ORDER_STATE_UNSPECIFIED;
}

/* Inventory binds nothing whose price is beyond a number; capped all the same, so that no sum wraps. */
static void total_add(int64_t *total_micros, const struct order_item *item)
{
	int64_t price_micros;

	if (__builtin_mul_overflow(item->price_micros, (int64_t)item->quantity, &price_micros) ||
		__builtin_add_overflow(*total_micros, price_micros, total_micros))
		*total_micros = INT64_MAX;
}

/* The total of the item's currency, made if it is the first. */
static Cart__OrderTotal *total_of(struct arena *arena, Cart__Order *message, const struct order_item *item)
{
	Cart__OrderTotal *total;

	for (size_t i = 0; i < message->n_totals; i++)
		if (!strcmp(message->totals[i]->currency, item->currency))
			return message->totals[i];
	total = ARENA_NEW(arena, Cart__OrderTotal);
	if (!total)
		return NULL;
	cart__order_total__init(total);
	total->currency = arena_text(arena, item->currency, strlen(item->currency));
	if (!total->currency)
		return NULL;
	message->totals[message->n_totals++] = total;
	return total;
}

static Inventory__OrderItem *message_item(struct arena *arena, const struct order_item *item)
{
	Inventory__OrderItem *message = ARENA_NEW(arena, Inventory__OrderItem);
	char *id = arena_alloc(arena, ID_TEXT_LENGTH + 1);

	if (!message || !id)
		return NULL;
	inventory__order_item__init(message);
	message->hold_id = id_format(&item->hold, id);
	message->sku = arena_text(arena, item->sku, strlen(item->sku));
	message->quantity = item->quantity;
	message->price_micros = item->price_micros;
	message->currency = arena_text(arena, item->currency, strlen(item->currency));
	return arena_exhausted(arena) ? NULL : message;
}

static bool fill_items(struct arena *arena, const struct order *order, Cart__Order *message)
{
	message->items = ARENA_ARRAY(arena, order->item_count + 1, Inventory__OrderItem *);
	message->totals = ARENA_ARRAY(arena, order->item_count + 1, Cart__OrderTotal *);
	if (!message->items || !message->totals)
		return false;
	for (uint32_t i = 0; i < order->item_count; i++) {
		Cart__OrderTotal *total = total_of(arena, message, &order->items[i]);

		message->items[i] = message_item(arena, &order->items[i]);
		if (!total || !message->items[i])
			return false;
		total_add(&total->amount_micros, &order->items[i]);
	}
	message->n_items = order->item_count;
	return true;
}

Cart__Order *message_order(struct arena *arena, const struct orders *orders, const struct order *order)
{
	Cart__Order *message = ARENA_NEW(arena, Cart__Order);
	char *id = arena_alloc(arena, ID_TEXT_LENGTH + 1);

	if (!message || !id)
		return NULL;
	cart__order__init(message);
	message->order_id = id_format(&order->id, id);
	message->user_id = order->customer->user;
	message->state = order_state(order);
	message->deadline = timestamp_new(arena, orders_deadline_ms(orders, order));
	message->create_time = timestamp_new(arena, order->created_ms);
	message->update_time = timestamp_new(arena, order->changed_ms);
	if (order->payment)
		message->payment_reference = arena_text(arena, order->payment, strlen(order->payment));
	message->refund_due = order_refund_due(order);
	message->inventory_shard = order->shard;
	return fill_items(arena, order, message) && !arena_exhausted(arena) ? message : NULL;
}

/* ---- why not ---- */

/* "198 USD": of the first currency; more of them are rare, and the order shows them. */
static void amount_text(const struct order *order, char text[64])
{
	int64_t total_micros = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < order->item_count; i++)
		if (!strcmp(order->items[i].currency, order->items[0].currency))
			total_add(&total_micros, &order->items[i]);
	if (order->item_count)
		snprintf(text, 64, "%lld.%06lld %s", (long long)(total_micros / 1000000),
			(long long)(total_micros % 1000000), order->items[0].currency);
}

/* The payment side's reference can be long; the status has room for its beginning only. */
#define REFERENCE "%.*s"
#define REFERENCE_ARGS(payment) ((payment).length > 100 ? 100 : (int)(payment).length), (payment).text

static void confirm_status(
	struct rpc_status *status, const struct order *order, struct span payment, Common__Reason reason)
{
	struct span first = order->payment ? span_of(order->payment) : (struct span){"", 0};
	char amount[64];

	amount_text(order, amount);
	if (reason == COMMON__REASON__REASON_HOLD_EXPIRED)
		rpc_status_set_reason(status, reason,
			"too late, the order has expired: give %s of payment " REFERENCE " back", amount,
			REFERENCE_ARGS(payment));
	else if (reason == COMMON__REASON__REASON_IN_PROGRESS && first.length)
		rpc_status_set_reason(
			status, reason, "payment " REFERENCE " is under way", REFERENCE_ARGS(first));
	else if (reason == COMMON__REASON__REASON_WRONG_STATE && order->truth == LINE_SOLD)
		rpc_status_set_reason(
			status, reason, "paid already with payment " REFERENCE, REFERENCE_ARGS(first));
	else if (reason == COMMON__REASON__REASON_WRONG_STATE)
		rpc_status_set_reason(status, reason,
			"the order was %s: give %s of payment " REFERENCE " back",
			order->truth == LINE_REFUNDED ? "refunded" : "cancelled", amount,
			REFERENCE_ARGS(payment));
	else
		rpc_status_set_reason(status, reason, "%s", "");
}

static const char *state_words(const struct order *order)
{
	switch (order_state(order)) {
	case CART__ORDER_STATE__ORDER_STATE_OPEN:
		return "the order is open";
	case CART__ORDER_STATE__ORDER_STATE_CONFIRMING:
		return "the order is being paid for";
	case CART__ORDER_STATE__ORDER_STATE_PAID:
		return "the order is paid";
	case CART__ORDER_STATE__ORDER_STATE_EXPIRED:
		return "the order has expired";
	case CART__ORDER_STATE__ORDER_STATE_CANCELLED:
		return "the order was cancelled";
	case CART__ORDER_STATE__ORDER_STATE_REFUNDED:
		return "the order was refunded";
	default:
		return "";
	}
}

void order_status_set(struct rpc_status *status, const struct orders *orders, const struct order *order,
	enum order_wish want, struct span payment, const struct order_outcome *outcome)
{
	bool explains = outcome->reason == COMMON__REASON__REASON_WRONG_STATE ||
			outcome->reason == COMMON__REASON__REASON_HOLD_EXPIRED;
	char id[ID_TEXT_LENGTH + 1];

	if (!id_is_zero(&outcome->bad))
		rpc_status_set_reason(status, outcome->reason, "hold %s is in the way, nothing was ordered",
			id_format(&outcome->bad, id));
	else if (order && want == WISH_CONFIRM)
		confirm_status(status, order, payment, outcome->reason);
	else
		rpc_status_set_reason(status, outcome->reason, "%s",
			order && order_visible(order) && explains ? state_words(order) : "");
}
