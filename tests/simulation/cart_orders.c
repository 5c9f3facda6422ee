/* tests/simulation/cart_orders.c - orders at a cart: the service's own files about them (cart/ordering.c, rpc_checkout.c, rpc_order_changes.c,
 * rpc_orders.c), called as the server would call them, with calls of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cart/ordering.h"
#include "cart_process.h"
#include "model.h"
#include "rpc/reason.h"
#include "rpc/server.h"
#include "tally.h"

#define WAIT_MS 1900
#define WAIT_SHORT_MS 120
#define ARENA_BYTES 4096
#define ARENA_BYTES_MAX (4 << 20)

/* What the service's files see of a call: opaque to them. */
struct rpc_call {
	struct cart_process *process;
	struct shop_request request;
	struct arena arena;
	int64_t deadline_ns;
	bool confirming; /* when a cancellation came, a payment was under way */
	char order_id[ID_TEXT_LENGTH + 1], payment[16], key[16];
	Google__Protobuf__Duration ttl;
	union {
		Cart__CheckoutRequest checkout;
		Cart__ConfirmOrderRequest confirm;
		Cart__CancelOrderRequest cancel;
		Cart__RefundOrderRequest refund;
		Cart__GetOrderRequest get;
	} message;
};

static enum wire_kind want_of(enum shop_kind kind)
{
	return kind == SHOP_PAY ? WIRE_PAY : kind == SHOP_CANCEL ? WIRE_CANCEL : WIRE_REFUND;
}

static bool wants_change(const struct rpc_call *call)
{
	return call->request.kind == SHOP_PAY || call->request.kind == SHOP_CANCEL ||
	       call->request.kind == SHOP_REFUND;
}

/* ---- ends of calls ---- */

static uint32_t payment_number(const char *text)
{
	return strlen(text) > 4 ? (uint32_t)strtoul(text + 4, NULL, 10) : 0;
}

static void say_state(struct cart_process *process, const Cart__Order *order, const struct rpc_call *call)
{
	static const enum model_state states[] = {[CART__ORDER_STATE__ORDER_STATE_OPEN] = MODEL_HELD,
		[CART__ORDER_STATE__ORDER_STATE_CONFIRMING] = MODEL_HELD,
		[CART__ORDER_STATE__ORDER_STATE_PAID] = MODEL_SOLD,
		[CART__ORDER_STATE__ORDER_STATE_EXPIRED] = MODEL_EXPIRED,
		[CART__ORDER_STATE__ORDER_STATE_CANCELLED] = MODEL_RELEASED,
		[CART__ORDER_STATE__ORDER_STATE_REFUNDED] = MODEL_REFUNDED};
	struct id id;

	WORLD_CHECK(
		id_parse(order->order_id, &id) && order->state != CART__ORDER_STATE__ORDER_STATE_UNSPECIFIED,
		"an order without an id or a state");
	model_order_seen(&id, world_number(order->user_id, strlen(order->user_id)), states[order->state],
		payment_number(order->payment_reference));
	WORLD_CHECK(order->state != CART__ORDER_STATE__ORDER_STATE_EXPIRED ||
			    model_order_find(&id)->lived_before ||
			    process->cart->links[order->inventory_shard].position >=
				    model_order_find(&id)->sequence,
		"promise 7: expired, and the ledger has not said so yet");
	for (size_t i = 0; i < order->n_items; i++) {
		const Inventory__OrderItem *item = order->items[i];
		const struct model_hold *hold;
		struct id hold_id;

		WORLD_CHECK(id_parse(item->hold_id, &hold_id), "an item's hold");
		hold = model_find(&hold_id);
		WORLD_CHECK(hold && (hold->lived_before || (hold->quantity == item->quantity &&
								   hold->price_micros == item->price_micros)),
			"an order shows an item of %u units at %lld", item->quantity,
			(long long)item->price_micros);
	}
}

static void call_free(struct rpc_call *call)
{
	arena_release(&call->arena);
	free(call);
}

/* Inventory was restored under a cart that knew all of it until then. */
static bool stopped_later(const struct rpc_call *call, const struct model_order *order)
{
	const struct cart_link *link = &call->process->cart->links[order->shard];

	return link->stopped && link->was_usable;
}

/* A definite no, judged by what the books say: which this cart may not have heard yet. */
static void check_no(const struct rpc_call *call, Common__Reason reason)
{
	const struct model_order *order = model_order_find(&call->request.order);

	if (reason == COMMON__REASON__REASON_HOLD_EXPIRED)
		WORLD_CHECK(order->state == MODEL_EXPIRED || order->lived_before,
			"an order is said to have expired, in state %d", order->state);
	if (reason == COMMON__REASON__REASON_NOT_FOUND)
		WORLD_CHECK(!order->created || order->lived_before || order->state > MODEL_SOLD ||
				    model_order_is_going(order) || stopped_later(call, order) ||
				    call->process->cart->links[order->shard].position < order->bound,
			"promise 9: no such order, and it is in state %d", order->state);
	WORLD_CHECK(reason != COMMON__REASON__REASON_WRONG_SHARD && reason != COMMON__REASON__REASON_INVALID,
		"a cart does not know an order of its own: reason %d", (int)reason);
	if (call->confirming)
		WORLD_CHECK(reason != COMMON__REASON__REASON_UNSPECIFIED,
			"promise 7: cancelled while it is being paid for");
	if (reason == COMMON__REASON__REASON_WRONG_STATE && call->request.kind == SHOP_PAY)
		WORLD_CHECK(order->lived_before || order->state == MODEL_REFUNDED ||
				    order->state == MODEL_RELEASED ||
				    (order->state == MODEL_SOLD && order->payment != call->request.payment),
			"a payment is refused, in state %d", order->state);
}

static void call_ends(struct rpc_call *call, Common__Reason reason)
{
	struct cart_process *process = call->process;
	const struct shop_request request = call->request;
	enum model_word word = !reason						  ? MODEL_TOLD_YES
			       : reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN ? MODEL_TOLD_UNKNOWN
										  : MODEL_TOLD_NO;

	if (process->base.dead)
		word = MODEL_TOLD_UNKNOWN; /* nobody hears it */
	else if (wants_change(call) && reason)
		check_no(call, reason);
	if (wants_change(call))
		model_order_told(&request.order, want_of(request.kind), request.payment, word, reason);
	if (!process->base.dead) {
		world_note(
			"shopper hears of an order", (uint64_t)request.kind, (uint64_t)reason, request.user);
		tally_cart(request.kind, reason);
		shop_hears_order(&request, reason, NULL);
	}
	call_free(call);
}

/* Those of the process in charge, which has the store that knows. */
static void check_key(const struct rpc_call *call, const Cart__CheckoutResponse *response)
{
	struct id orders[CHECKOUT_ORDERS_MAX];

	if (call->process->base.dead || !call->request.key || !cart_process_current(call->process) ||
		world.plan.orders_remembered < 1000)
		return;
	for (size_t i = 0; i < response->n_orders; i++)
		id_parse(response->orders[i]->order_id, &orders[i]);
	model_checked_out(
		call->request.user, call->request.key, call->process->memory, orders, response->n_orders);
}

static void on_checked_out(const Cart__CheckoutResponse *response, void *context)
{
	struct rpc_call *call = context;

	WORLD_CHECK(response->split == (response->n_orders + response->n_refusals > 1) ||
			    world.plan.orders_remembered < 1000,
		"a checkout of %zu orders says split %d", response->n_orders, response->split);
	world.troubles.split += response->n_orders > 1;
	check_key(call, response);
	if (!call->process->base.dead)
		for (size_t i = 0; i < response->n_orders; i++) {
			struct shop_request found = call->request;

			say_state(call->process, response->orders[i], call);
			id_parse(response->orders[i]->order_id, &found.order);
			shop_hears_order(&found, COMMON__REASON__REASON_UNSPECIFIED, &found.order);
		}
	call_ends(call, COMMON__REASON__REASON_UNSPECIFIED);
}

#define ON_ANSWER(name, Type) \
	static void on_##name(const Cart__##Type##Response *response, void *context) \
	{ \
		struct rpc_call *call = context; \
\
		if (!call->process->base.dead) \
			say_state(call->process, response->order, call); \
		call_ends(call, COMMON__REASON__REASON_UNSPECIFIED); \
	}
ON_ANSWER(paid, ConfirmOrder)
ON_ANSWER(cancelled, CancelOrder)
ON_ANSWER(refunded, RefundOrder)
ON_ANSWER(got, GetOrder)

/* ---- rpc/server.h, as far as these files need one ---- */

struct arena *__wrap_rpc_arena(struct rpc_call *call);
struct arena *__wrap_rpc_arena(struct rpc_call *call)
{
	return &call->arena;
}

int64_t __wrap_rpc_deadline_ns(const struct rpc_call *call);
int64_t __wrap_rpc_deadline_ns(const struct rpc_call *call)
{
	return call->deadline_ns;
}

/* Requests without a trace: it goes into logs, and decides nothing. */
const char *__wrap_rpc_trace(const struct rpc_call *call);
const char *__wrap_rpc_trace(const struct rpc_call *call)
{
	return "";
}

const uint8_t *__wrap_rpc_trace_id(const struct rpc_call *call);
const uint8_t *__wrap_rpc_trace_id(const struct rpc_call *call)
{
	return NULL;
}

void __wrap_rpc_fail(struct rpc_call *call, const struct rpc_status *status);
void __wrap_rpc_fail(struct rpc_call *call, const struct rpc_status *status)
{
	const struct rpc_reason *reason = rpc_reason_by_name(status->reason);

	WORLD_CHECK(reason, "a call fails without a reason: %s", status->message);
	call_ends(call, reason->value);
}

void __wrap_rpc_refuse(struct rpc_call *call, const char *field, const char *format, ...);
void __wrap_rpc_refuse(struct rpc_call *call, const char *field, const char *format, ...)
{
	world_fail("a call is malformed: %s", field);
}

/* Somebody who watches this person's orders sees them now. */
void __wrap_order_watches_wake(struct cart_service *service, const char *user);
void __wrap_order_watches_wake(struct cart_service *service, const char *user)
{
	const struct customer *customer = orders_customer(service->orders, span_of(user));
	const struct order *order = customer ? customer->newest : NULL;

	for (; order; order = order->older) {
		const struct model_order *known = model_order_find(&order->id);

		if (!order_visible(order))
			continue;
		model_order_seen(&order->id, world_number(user, strlen(user)), (enum model_state)order->truth,
			order->truth == LINE_SOLD ? payment_number(order->payment) : 0);
		WORLD_CHECK(order->truth != LINE_EXPIRED || known->lived_before ||
				    service->cart->links[order->shard].position >= known->sequence,
			"promise 7: expired, and the ledger has not said so yet");
	}
}

/* ---- requests ---- */

static void ask_checkout(struct rpc_call *call)
{
	Cart__CheckoutRequest *request = &call->message.checkout;

	cart__checkout_request__init(request);
	request->user_id = (char *)(uintptr_t)world_user(call->request.user);
	if (call->request.key) {
		snprintf(call->key, sizeof(call->key), "c%u", call->request.key);
		request->idempotency_key = call->key;
	}
	if (call->request.ttl_ms) {
		google__protobuf__duration__init(&call->ttl);
		call->ttl.seconds = call->request.ttl_ms / 1000;
		call->ttl.nanos = (int32_t)(call->request.ttl_ms % 1000 * 1000000);
		request->ttl = &call->ttl;
	}
	cart_checkout(&call->process->service.methods, request, on_checked_out, call);
}

static void ask_pay(struct rpc_call *call)
{
	Cart__ConfirmOrderRequest *request = &call->message.confirm;

	cart__confirm_order_request__init(request);
	snprintf(call->payment, sizeof(call->payment), "pay-%u", call->request.payment);
	request->order_id = call->order_id;
	request->payment_reference = call->payment;
	cart_confirm_order(&call->process->service.methods, request, on_paid, call);
}

static void ask_cancel(struct rpc_call *call)
{
	Cart__CancelOrderRequest *request = &call->message.cancel;
	const struct order *order = orders_find(call->process->orders, &call->request.order);

	call->confirming = order && order->wish == WISH_CONFIRM;
	cart__cancel_order_request__init(request);
	request->order_id = call->order_id;
	request->user_id = (char *)(uintptr_t)world_user(call->request.user);
	cart_cancel_order(&call->process->service.methods, request, on_cancelled, call);
}

static void ask_refund(struct rpc_call *call)
{
	Cart__RefundOrderRequest *request = &call->message.refund;

	cart__refund_order_request__init(request);
	request->order_id = call->order_id;
	cart_refund_order(&call->process->service.methods, request, on_refunded, call);
}

static void ask_get(struct rpc_call *call)
{
	Cart__GetOrderRequest *request = &call->message.get;

	cart__get_order_request__init(request);
	request->order_id = call->order_id;
	cart_get_order(&call->process->service.methods, request, on_got, call);
}

void orders_take(struct cart_process *process, const struct shop_request *request)
{
	struct rpc_call *call = NEW(struct rpc_call);
	int64_t wait_ms = world_below(20) ? WAIT_MS : WAIT_SHORT_MS;

	call->process = process;
	call->request = *request;
	call->deadline_ns = (world.now_us + wait_ms * MS) * 1000;
	arena_init(&call->arena, ARENA_BYTES, ARENA_BYTES_MAX);
	id_format(&request->order, call->order_id);
	if (wants_change(call))
		model_order_waits(&request->order, want_of(request->kind), request->payment);
	switch (request->kind) {
	case SHOP_CHECKOUT:
		ask_checkout(call);
		break;
	case SHOP_PAY:
		ask_pay(call);
		break;
	case SHOP_CANCEL:
		ask_cancel(call);
		break;
	case SHOP_REFUND:
		ask_refund(call);
		break;
	default:
		ask_get(call);
		break;
	}
}

/* ---- the service around them ---- */

static struct cart_settings settings;

/* Between the cart and its shelf: what the service's start does. */
void orders_begin(struct cart_process *process)
{
	struct cart_service *service = &process->service;

	settings.remembered_max = world.plan.orders_remembered;
	service->settings = &settings;
	service->loop = &process->loop;
	service->cart = process->cart;
	service->inventory = (struct rpc_pool *)process;
	service->shard = process->shard;
	service->shards = world.plan.carts;
	service->inventory_shards = world.plan.inventories;
	service->wall_start_ms = process->wall_start_ms;
	service->mono_start_ns = process->start_us * 1000;
	service->orders = process->orders = ordering_new(service);
}

/* It crashed: nobody hears anything, and nothing of it goes on. */
void orders_release(struct cart_process *process)
{
	process->service.ending = true;
	for (struct open_call *open = process->service.open_calls, *next; open; open = next) {
		next = open->next;
		open->end(open);
	}
	asks_release(process);
	orders_free(process->orders);
}

bool orders_waiting(const struct cart_process *process)
{
	return process->service.open_calls || process->orders->asking;
}
