/* cart/rpc_order_changes.c - ConfirmOrder, CancelOrder, RefundOrder: a wish, and the wait for what becomes of it. */
#include "base/clock.h"
#include "base/memory.h"
#include "cart/order_messages.h"
#include "cart/placement.h"
#include "cart/rpc_orders.h"
#include "rpc/reason.h"

struct wish_call {
	struct open_call open;
	struct cart_service *service;
	struct rpc_call *call;
	struct rpc_timer timer;
	struct service_order_waiter waiter;
	struct id id;
	void *answer; /* the method's closure */
	void (*respond)(struct wish_call *self, Cart__Order *order);
};

#define RESPOND(name, Type, TYPE) \
	static void respond_##name(struct wish_call *self, Cart__Order *order) \
	{ \
		Cart__##Type##Response response = CART__##TYPE##_RESPONSE__INIT; \
\
		response.order = order; \
		((Cart__##Type##Response_Closure)self->answer)(&response, self->call); \
	}

RESPOND(confirm, ConfirmOrder, CONFIRM_ORDER)
RESPOND(cancel, CancelOrder, CANCEL_ORDER)
RESPOND(refund, RefundOrder, REFUND_ORDER)

/* The outcome is there. */
static void conclude(struct wish_call *self, const struct order *order)
{
	const struct order_waiter *waiter = &self->waiter.waiter;
	struct cart_service *service = self->service;
	struct rpc_status status;
	Cart__Order *message;

	rpc_timer_stop(service->loop, &self->timer);
	open_call_remove(service, &self->open);
	if (waiter->outcome.reason) {
		order_status_set(
			&status, service->orders, order, waiter->want, waiter->payment, &waiter->outcome);
		rpc_fail(self->call, &status);
		return;
	}
	message = order ? message_order(rpc_arena(self->call), service->orders, order) : NULL;
	if (message)
		self->respond(self, message);
	else
		order_fail_large(self->call);
}

static void on_told(struct service_order_waiter *waiter, const struct order *order)
{
	conclude(container_of(waiter, struct wish_call, waiter), order);
}

static void give_up(struct wish_call *self)
{
	struct order *order = orders_find(self->service->orders, &self->id);

	orders_give_up(self->service->orders, &self->waiter.waiter);
	conclude(self, order);
}

static void timer_run(struct rpc_task *task)
{
	give_up(container_of(task, struct wish_call, timer.task));
}

static void on_end(struct open_call *open)
{
	give_up(container_of(open, struct wish_call, open));
}

/* NULL: the call was ended. */
static struct wish_call *new_call(struct cart_service *service, struct rpc_call *call, void *answer)
{
	struct wish_call *self = ARENA_NEW(rpc_arena(call), struct wish_call);
	int64_t mono_ns = clock_mono_ns(), now_ms = cart_service_now_ms(service, mono_ns);

	if (!self) {
		order_fail_large(call);
		return NULL;
	}
	self->service = service;
	self->call = call;
	self->answer = answer;
	self->open.end = on_end;
	self->timer.task.run = timer_run;
	self->waiter.told = on_told;
	self->waiter.trace = rpc_trace(call);
	open_call_add(service, &self->open);
	rpc_timer_start(service->loop, &self->timer,
		item_deadline_ms(0, rpc_deadline_ns(call), mono_ns, now_ms) - now_ms);
	return self;
}

/* done: the outcome was there at once. */
static void started(struct wish_call *self, const struct order *order, bool done)
{
	if (done)
		conclude(self, order);
}

/* NULL: the call was ended. */
static struct order *take(struct cart_service *service, const Common__Placement *placement,
	const char *order_id, const char *user, struct rpc_call *call)
{
	if (!placement_check(service, placement, call))
		return NULL;
	return order_named(service, order_id, user, call);
}

CART_METHOD(confirm_order, ConfirmOrder)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct complaint complaint = complain_payment(request->payment_reference);
	struct wish_call *self;
	struct order *order;

	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	order = take(cart, request->placement, request->order_id, "", call);
	self = order ? new_call(cart, call, (void *)answer) : NULL;
	if (!self)
		return;
	self->id = order->id;
	self->respond = respond_confirm;
	started(self, order,
		orders_confirm(
			cart->orders, order, span_of(request->payment_reference), &self->waiter.waiter));
}

CART_METHOD(cancel_order, CancelOrder)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct order *order = take(cart, request->placement, request->order_id, request->user_id, call);
	struct wish_call *self = order ? new_call(cart, call, (void *)answer) : NULL;

	if (!self)
		return;
	self->id = order->id;
	self->respond = respond_cancel;
	started(self, order, orders_cancel(cart->orders, order, &self->waiter.waiter));
}

CART_METHOD(refund_order, RefundOrder)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct order *order = take(cart, request->placement, request->order_id, "", call);
	struct wish_call *self = order ? new_call(cart, call, (void *)answer) : NULL;

	if (!self)
		return;
	self->id = order->id;
	self->respond = respond_refund;
	started(self, order, orders_refund(cart->orders, order, &self->waiter.waiter));
}
