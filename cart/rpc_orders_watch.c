/* cart/rpc_orders_watch.c - WatchOrders: one person's orders, snapshot and changes, with heartbeats.
 *
 * A stream is a cursor over the person's orders by the version of their last change, so it keeps no copy, and a slow reader gets the newest state of
 * each order once. Orders that are forgotten begin a new snapshot. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cart/order_messages.h"
#include "cart/placement.h"
#include "cart/rpc_orders.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"
#include "rpc/watch.h"

#define ITEMS_MAX 64 /* a message */

struct order_watch {
	struct order_watch *previous, *next; /* of the service */
	struct cart_service *service;
	struct rpc_call *call;
	uint64_t seen;	/* all versions up to here were sent */
	uint64_t until; /* of a snapshot: it ends when this version was sent */
	bool begin, snapshot;
	int64_t said_ns;
	Cart__WatchOrdersResponse response;
	Common__WatchHeader header;
	char user[LINES_NAME_MAX + 1];
};

static void begin_snapshot(struct order_watch *watch)
{
	watch->seen = 0;
	watch->until = watch->service->orders->version;
	watch->begin = watch->snapshot = true;
}

static void wake(struct cart_service *service, const char *user, bool forgot)
{
	for (struct order_watch *watch = service->watches; watch; watch = watch->next) {
		if (strcmp(watch->user, user))
			continue;
		if (forgot)
			begin_snapshot(watch);
		rpc_wake(watch->call);
	}
}

void order_watches_wake(struct cart_service *service, const char *user)
{
	wake(service, user, false);
}

void order_watches_forgot(struct cart_service *service, const char *user)
{
	wake(service, user, true);
}

/* The order with the least version after `seen`, or NULL. */
static const struct order *next_change(const struct order_watch *watch)
{
	const struct customer *customer = orders_customer(watch->service->orders, span_of(watch->user));
	const struct order *order = customer ? customer->newest : NULL, *least = NULL;

	for (; order; order = order->older)
		if (order_visible(order) && order->version > watch->seen &&
			(!least || order->version < least->version))
			least = order;
	return least;
}

static bool fill(struct order_watch *watch, struct arena *arena)
{
	const struct order *order = next_change(watch);

	watch->response.items = ARENA_ARRAY(arena, ITEMS_MAX, Cart__Order *);
	if (!watch->response.items)
		return false;
	for (; order && watch->response.n_items < ITEMS_MAX; order = next_change(watch)) {
		Cart__Order *message = message_order(arena, watch->service->orders, order);

		if (!message)
			return false;
		watch->response.items[watch->response.n_items++] = message;
		watch->seen = order->version;
	}
	if (!order && watch->seen < watch->service->orders->version)
		watch->seen = watch->service->orders->version;
	return true;
}

static bool fill_header(struct order_watch *watch, struct arena *arena)
{
	Common__WatchHeader *header = &watch->header;

	common__watch_header__init(header);
	header->incarnation = watch->service->incarnation;
	header->version = watch->seen;
	header->snapshot_begin = watch->begin;
	header->snapshot_end = watch->snapshot && watch->seen >= watch->until;
	header->time = timestamp_new(arena, clock_wall_ms(watch->service->service->clock));
	watch->begin = false;
	watch->snapshot = watch->snapshot && !header->snapshot_end;
	watch->response.header = header;
	return header->time != NULL;
}

static enum rpc_pull watch_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct order_watch *watch = cursor;
	bool due = clock_mono_ns() - watch->said_ns >= WATCH_HEARTBEAT_MS * INT64_C(1000000);

	if (!watch->begin && !watch->snapshot && !due && !next_change(watch))
		return RPC_WAIT;
	cart__watch_orders_response__init(&watch->response);
	if (!fill(watch, scratch) || !fill_header(watch, scratch)) {
		rpc_status_set_reason(status, COMMON__REASON__REASON_OVERLOADED,
			"the orders need more memory than a message may have");
		return RPC_FAILED;
	}
	watch->said_ns = clock_mono_ns();
	*ret = &watch->response.base;
	return RPC_MORE;
}

static void watch_end(void *cursor)
{
	struct order_watch *watch = cursor;

	*(watch->previous ? &watch->previous->next : &watch->service->watches) = watch->next;
	if (watch->next)
		watch->next->previous = watch->previous;
	free(watch);
}

void cart_watch_orders(Cart__CartService_Service *service, const Cart__WatchOrdersRequest *request,
	Cart__WatchOrdersResponse_Closure answer, void *call)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct complaint complaint = complain_user(request->user_id);
	struct rpc_stream stream = {.next = watch_next, .end = watch_end, .heartbeat_ms = WATCH_HEARTBEAT_MS};
	struct order_watch *watch;

	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	if (!placement_check(cart, request->placement, call) ||
		!placement_check_user(cart, request->user_id, call) || !placement_heard(cart, NULL, call))
		return;
	watch = NEW(struct order_watch);
	watch->service = cart;
	watch->call = call;
	strcpy(watch->user, request->user_id);
	begin_snapshot(watch);
	watch->next = cart->watches;
	if (watch->next)
		watch->next->previous = watch;
	cart->watches = watch;
	stream.cursor = watch;
	rpc_stream_open(call, &stream);
}
