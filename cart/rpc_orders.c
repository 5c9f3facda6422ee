/* cart/rpc_orders.c - GetOrder, ListOrders: from memory. */
#include "cart/rpc_orders.h"
#include "base/memory.h"
#include "cart/order_messages.h"
#include "cart/placement.h"
#include "rpc/reason.h"

#define PAGE_MAX 100
#define PAGE_STANDARD 20

bool order_owned(const struct cart_service *service, const char *order_id, struct rpc_call *call)
{
	if (service->shards == 1 || hash_shard(order_id, service->shards) == service->shard)
		return true;
	rpc_fail_reason(call, COMMON__REASON__REASON_WRONG_SHARD,
		"this order belongs to cart shard %u of %u, this is shard %u",
		hash_shard(order_id, service->shards), service->shards, service->shard);
	return false;
}

struct order *order_named(
	const struct cart_service *service, const char *order_id, const char *user, struct rpc_call *call)
{
	struct complaint complaint;
	struct order *order;
	struct id id;

	complaint = complain_order_id(order_id, &id);
	if (complaint.field) {
		item_fail(call, false, &complaint);
		return NULL;
	}
	order = orders_find(
		service->orders, &id); /* its id may be from when there was another number of shards */
	if (order && order_visible(order) && (!user[0] || !strcmp(order->customer->user, user)))
		return order;
	if (placement_heard_all(service, call) && /* what is not here may be about to come */
		order_owned(service, order_id, call))
		rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "no such order");
	return NULL;
}

void order_fail_large(struct rpc_call *call)
{
	rpc_fail_reason(
		call, COMMON__REASON__REASON_OVERLOADED, "the answer needs more memory than a call may have");
}

CART_METHOD(get_order, GetOrder)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__GetOrderResponse response = CART__GET_ORDER_RESPONSE__INIT;
	const struct order *order = order_named(cart, request->order_id, request->user_id, call);

	if (!order)
		return;
	response.order = message_order(rpc_arena(call), cart->orders, order);
	if (response.order)
		answer(&response, call);
	else
		order_fail_large(call);
}

/* The first order of the page; *ret_good false: the token is not one of ours. */
static const struct order *page_start(
	const struct orders *orders, const Cart__ListOrdersRequest *request, bool *ret_good)
{
	const struct customer *customer = orders_customer(orders, span_of(request->user_id));
	const struct order *order = customer ? customer->newest : NULL;
	struct id after;

	*ret_good = !request->page_token[0] || id_parse(request->page_token, &after);
	while (*ret_good && request->page_token[0] && order && id_compare(&order->id, &after) >= 0)
		order = order->older;
	return order;
}

static bool fill_page(struct rpc_call *call, const struct cart_service *service, const struct order *order,
	size_t max, Cart__ListOrdersResponse *response)
{
	struct arena *arena = rpc_arena(call);

	response->orders = ARENA_ARRAY(arena, max, Cart__Order *);
	if (!response->orders)
		return false;
	for (; order; order = order->older) {
		if (!order_visible(order))
			continue;
		if (response->n_orders == max) {
			response->next_page_token = response->orders[max - 1]->order_id;
			break;
		}
		response->orders[response->n_orders] = message_order(arena, service->orders, order);
		if (!response->orders[response->n_orders++])
			return false;
	}
	return true;
}

CART_METHOD(list_orders, ListOrders)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__ListOrdersResponse response = CART__LIST_ORDERS_RESPONSE__INIT;
	struct complaint complaint = complain_user(request->user_id);
	const struct order *order;
	bool good;

	if (!complaint.field && request->page_size > PAGE_MAX)
		complaint = (struct complaint){"page_size", "expected at most 100"};
	order = page_start(cart->orders, request, &good);
	if (!complaint.field && !good)
		complaint = (struct complaint){"page_token", "expected one that a page before gave"};
	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	if (!placement_check_user(cart, request->user_id, call) || !placement_heard(cart, NULL, call))
		return;
	if (fill_page(call, cart, order, request->page_size ? request->page_size : PAGE_STANDARD, &response))
		answer(&response, call);
	else
		order_fail_large(call);
}
