/* cart/rpc_checkout.c - Checkout: all that lies in a cart becomes orders, one for each shard of inventory. */
#include <assert.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cart/order_messages.h"
#include "cart/placement.h"
#include "cart/rpc_orders.h"
#include "rpc/reason.h"

struct checking_out {
	struct open_call open;
	struct cart_service *service;
	struct rpc_call *call;
	Cart__CheckoutResponse_Closure answer;
	struct rpc_timer timer;
	size_t count, left; /* orders; those that have not been heard of */
	struct part {
		struct service_order_waiter waiter;
		struct checking_out *whole;
		struct id id;
	} parts[CHECKOUT_ORDERS_MAX];
};

/* A call is unknown if one of its orders is; it failed if all did, for the reason of the first. */
static const struct order_outcome *failure_of(const struct checking_out *self)
{
	const struct order_outcome *first = NULL;
	size_t failed = 0;

	for (size_t i = 0; i < self->count; i++) {
		const struct order_outcome *outcome = &self->parts[i].waiter.waiter.outcome;

		if (outcome->reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN)
			return outcome;
		if (outcome->reason && !failed++)
			first = outcome;
	}
	return failed == self->count ? first : NULL;
}

static bool fill_refusal(
	struct arena *arena, const struct order_outcome *outcome, Cart__CheckoutResponse *response)
{
	Cart__CheckoutRefusal *refusal = ARENA_NEW(arena, Cart__CheckoutRefusal);
	char *id = arena_alloc(arena, ID_TEXT_LENGTH + 1);

	if (!refusal || !id)
		return false;
	cart__checkout_refusal__init(refusal);
	if (!id_is_zero(&outcome->bad))
		refusal->hold_id = id_format(&outcome->bad, id);
	refusal->reason = outcome->reason;
	response->refusals[response->n_refusals++] = refusal;
	return true;
}

static bool fill_part(
	const struct checking_out *self, const struct part *part, Cart__CheckoutResponse *response)
{
	const struct orders *orders = self->service->orders;
	struct arena *arena = rpc_arena(self->call);
	const struct order *order;

	if (part->waiter.waiter.outcome.reason)
		return fill_refusal(arena, &part->waiter.waiter.outcome, response);
	order = orders_find(orders, &part->id);
	if (!order)
		return true; /* ended, and forgotten for want of room, while others were waited for */
	response->orders[response->n_orders] = message_order(arena, orders, order);
	return response->orders[response->n_orders++] != NULL;
}

static void respond(struct checking_out *self)
{
	Cart__CheckoutResponse response = CART__CHECKOUT_RESPONSE__INIT;
	struct arena *arena = rpc_arena(self->call);
	bool good;

	response.orders = ARENA_ARRAY(arena, self->count, Cart__Order *);
	response.refusals = ARENA_ARRAY(arena, self->count, Cart__CheckoutRefusal *);
	good = response.orders && response.refusals;
	for (size_t i = 0; good && i < self->count; i++)
		good = fill_part(self, &self->parts[i], &response);
	response.split = self->count > 1;
	if (good)
		self->answer(&response, self->call);
	else
		order_fail_large(self->call);
}

static void conclude(struct checking_out *self)
{
	const struct order_outcome *failure = failure_of(self);
	struct rpc_status status;

	rpc_timer_stop(self->service->loop, &self->timer);
	open_call_remove(self->service, &self->open);
	if (!failure) {
		respond(self);
		return;
	}
	order_status_set(&status, self->service->orders, NULL, WISH_BIND, (struct span){"", 0}, failure);
	rpc_fail(self->call, &status);
}

static void heard(struct checking_out *self)
{
	assert(self->left);
	if (--self->left == 0)
		conclude(self);
}

static void on_told(struct service_order_waiter *waiter, const struct order *order)
{
	heard(container_of(waiter, struct part, waiter)->whole);
}

static void give_up(struct checking_out *self)
{
	for (size_t i = 0; i < self->count; i++)
		if (self->parts[i].waiter.waiter.order)
			orders_give_up(self->service->orders, &self->parts[i].waiter.waiter);
	conclude(self);
}

static void timer_run(struct rpc_task *task)
{
	give_up(container_of(task, struct checking_out, timer.task));
}

static void on_end(struct open_call *open)
{
	give_up(container_of(open, struct checking_out, open));
}

static void await(struct checking_out *self, struct order *const *orders, size_t count)
{
	struct cart_service *service = self->service;
	int64_t mono_ns = clock_mono_ns(), now_ms = cart_service_now_ms(service, mono_ns);

	self->open.end = on_end;
	self->timer.task.run = timer_run;
	self->count = count;
	self->left = 1; /* this function */
	open_call_add(service, &self->open);
	rpc_timer_start(service->loop, &self->timer,
		item_deadline_ms(0, rpc_deadline_ns(self->call), mono_ns, now_ms) - now_ms);
	for (size_t i = 0; i < count; i++) {
		struct part *part = &self->parts[i];

		part->whole = self;
		part->id = orders[i]->id;
		part->waiter.told = on_told;
		part->waiter.trace = rpc_trace(self->call);
		if (!orders_await(service->orders, orders[i], &part->waiter.waiter))
			self->left++;
	}
	heard(self);
}

static bool is_checking_out(const struct orders *orders, struct span user)
{
	const struct customer *customer = orders_customer(orders, user);
	const struct order *order = customer ? customer->newest : NULL;

	for (; order; order = order->older)
		if (order->wish == WISH_BIND)
			return true;
	return false;
}

/* The orders that it is about; 0: the call was ended. */
static size_t choose(struct cart_service *service, const struct checkout *checkout,
	struct order *orders[CHECKOUT_ORDERS_MAX], struct rpc_call *call)
{
	bool same;
	size_t count = orders_by_key(service->orders, checkout, orders, &same);

	if (!same) {
		rpc_fail_reason(call, COMMON__REASON__REASON_KEY_REUSED, "%s", "");
		return 0;
	}
	if (count)
		return count;
	if (!placement_heard(service, NULL, call))
		return 0;
	count = orders_checkout(
		service->orders, checkout, orders, cart_service_now_ms(service, clock_mono_ns()));
	if (count)
		return count;
	if (is_checking_out(service->orders, checkout->user))
		rpc_fail_reason(call, COMMON__REASON__REASON_IN_PROGRESS, "a checkout is still under way");
	else
		rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "nothing is in the cart");
	return 0;
}

CART_METHOD(checkout, Checkout)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct span key = span_of(request->idempotency_key);
	struct checkout checkout = {.user = span_of(request->user_id), .keyed = key.length != 0};
	struct complaint complaint = complain_checkout(request, &checkout.ttl_ms);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct checking_out *self;
	size_t count;

	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	if (!placement_check(cart, request->placement, call) ||
		!placement_check_user(cart, request->user_id, call))
		return;
	if (checkout.keyed)
		checkout.key = key_scope(checkout.user.text, checkout.user.length, key.text, key.length);
	self = ARENA_NEW(rpc_arena(call), struct checking_out); /* before anything is decided */
	if (!self) {
		order_fail_large(call);
		return;
	}
	self->service = cart;
	self->call = call;
	self->answer = answer;
	count = choose(cart, &checkout, orders, call);
	if (count)
		await(self, orders, count);
}
