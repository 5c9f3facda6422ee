/* cart/rpc_carts.c - GetCart, GetItem, GetUserUnits: from memory. */
#include "base/memory.h"
#include "cart/placement.h"
#include "rpc/reason.h"

static void fail_large(struct rpc_call *call)
{
	rpc_fail_reason(
		call, COMMON__REASON__REASON_OVERLOADED, "the answer needs more memory than a call may have");
}

CART_METHOD(get_cart, GetCart)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__GetCartResponse response = CART__GET_CART_RESPONSE__INIT;
	struct complaint complaint = complain_user(request->user_id);
	const struct line_query query = {.user = span_of(request->user_id)};

	if (complaint.field)
		item_fail(call, false, &complaint);
	else if (!placement_check_user(cart, request->user_id, call) || !placement_heard(cart, NULL, call))
		return;
	else if (message_lines(
			 rpc_arena(call), &cart->cart->lines, &query, &response.n_lines, &response.lines))
		answer(&response, call);
	else
		fail_large(call);
}

/* What both rows by SKU look at first; no: the call was ended. */
static bool check_row(struct cart_service *cart, const char *user, const char *sku, struct rpc_call *call)
{
	struct complaint complaint = complain_user(user);

	if (!complaint.field)
		complaint = complain_sku(sku);
	if (complaint.field) {
		item_fail(call, false, &complaint);
		return false;
	}
	return placement_check_user(cart, user, call) && placement_heard(cart, sku, call);
}

CART_METHOD(get_item, GetItem)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__GetItemResponse response = CART__GET_ITEM_RESPONSE__INIT;
	struct complaint complaint = complain_session(request->session_id);
	struct line_query query = {.user = span_of(request->user_id), .sku = span_of(request->sku)};
	Cart__CartLine **lines;
	size_t count;

	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	if (!check_row(cart, request->user_id, request->sku, call))
		return;
	query.together = !request->session_id[0];
	if (!query.together)
		query.session = span_of(request->session_id);
	if (!message_lines(rpc_arena(call), &cart->cart->lines, &query, &count, &lines)) {
		fail_large(call);
	} else if (!count) {
		rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "no such line in the cart");
	} else {
		response.line = lines[0];
		answer(&response, call);
	}
}

CART_METHOD(get_user_units, GetUserUnits)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__GetUserUnitsResponse response = CART__GET_USER_UNITS_RESPONSE__INIT;
	const struct usage *usage;

	if (!check_row(cart, request->user_id, request->sku, call))
		return;
	usage = lines_usage(&cart->cart->lines, span_of(request->user_id), span_of(request->sku));
	response.user_id = request->user_id;
	response.sku = request->sku;
	response.quantity = usage ? usage_taken(usage) : 0;
	answer(&response, call);
}
