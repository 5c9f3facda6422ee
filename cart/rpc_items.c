/* cart/rpc_items.c - AddItem and BatchAddItems: a convoy of strangers, each decided by itself, answered when the last one is. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/trace.h"
#include "cart/messages.h"
#include "cart/placement.h"
#include "cart/service.h"
#include "rpc/reason.h"

#define TIMEOUT_STANDARD_MS 2000
#define TIMEOUT_MAX_MS 60000
#define LOOK_AHEAD 4	  /* items of a batch */
#define MARGIN_MAX_MS 100 /* the answer leaves before its time is over: it has a way to go */

struct adds;

struct add_item {
	struct service_waiter waiter;
	struct adds *adds;
	struct add add;
	struct outcome_message message;
	Cart__ItemOutcome outcome;
	bool decided, invalid;
};

struct adds {
	struct open_call open;
	struct cart_service *service;
	struct rpc_call *call;
	struct rpc_timer timer;
	void (*finish)(struct adds *adds);
	union {
		Cart__AddItemResponse_Closure one;
		Cart__BatchAddItemsResponse_Closure many;
	} answer;
	size_t count, undecided;
	struct add_item *items;
	Cart__ItemOutcome **outcomes; /* of a batch */
	bool starting;		      /* items are still being put in */
};

void cart_service_decided(void *context, struct waiter *waiter)
{
	struct service_waiter *known = container_of(waiter, struct service_waiter, waiter);

	known->decided(known);
}

int64_t item_deadline_ms(uint32_t timeout_ms, int64_t call_deadline_ns, int64_t mono_ns, int64_t now_ms)
{
	int64_t left_ms = timeout_ms ? timeout_ms : TIMEOUT_STANDARD_MS, margin_ms;

	if (left_ms > TIMEOUT_MAX_MS)
		left_ms = TIMEOUT_MAX_MS;
	if (call_deadline_ns != INT64_MAX && (call_deadline_ns - mono_ns) / 1000000 < left_ms)
		left_ms = (call_deadline_ns - mono_ns) / 1000000;
	margin_ms = left_ms / 10;
	if (margin_ms > MARGIN_MAX_MS)
		margin_ms = MARGIN_MAX_MS;
	return now_ms + left_ms - margin_ms;
}

static void adds_finish(struct adds *adds)
{
	rpc_timer_stop(adds->service->loop, &adds->timer);
	open_call_remove(adds->service, &adds->open);
	adds->finish(adds);
}

static void item_decided(struct add_item *item)
{
	item->decided = true;
	item->adds->undecided--;
}

static void on_decided(struct service_waiter *waiter)
{
	struct add_item *item = container_of(waiter, struct add_item, waiter);

	item_decided(item);
	if (!item->adds->undecided && !item->adds->starting)
		adds_finish(item->adds);
}

/* Those whose time is over hear what is known of them; the timer is for the next. */
static void adds_expire(struct adds *adds, int64_t now_ms)
{
	struct cart_service *service = adds->service;
	int64_t next_ms = INT64_MAX;

	for (size_t i = 0; i < adds->count; i++) {
		struct waiter *waiter = &adds->items[i].waiter.waiter;

		if (adds->items[i].decided)
			continue;
		if (waiter->deadline_ms <= now_ms) {
			cart_give_up(service->cart, waiter);
			item_decided(&adds->items[i]);
		} else if (waiter->deadline_ms < next_ms) {
			next_ms = waiter->deadline_ms;
		}
	}
	if (!adds->undecided)
		adds_finish(adds);
	else
		rpc_timer_start(service->loop, &adds->timer, next_ms - now_ms);
}

static void adds_timer_run(struct rpc_task *task)
{
	struct adds *adds = container_of(task, struct adds, timer.task);

	adds_expire(adds, cart_service_now_ms(adds->service, clock_mono_ns()));
}

static void adds_end(struct open_call *open)
{
	adds_expire(container_of(open, struct adds, open), INT64_MAX);
}

static struct adds *adds_new(struct cart_service *service, struct rpc_call *call, size_t count)
{
	struct arena *arena = rpc_arena(call);
	struct adds *adds = ARENA_NEW(arena, struct adds);
	struct add_item *items = ARENA_ARRAY(arena, count + 1, struct add_item);
	Cart__ItemOutcome **outcomes = ARENA_ARRAY(arena, count + 1, Cart__ItemOutcome *);

	if (!adds || !items || !outcomes) {
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
			"the batch needs more memory than a call may have");
		return NULL;
	}
	adds->service = service;
	adds->call = call;
	adds->count = adds->undecided = count;
	adds->items = items;
	adds->outcomes = outcomes;
	adds->timer.task.run = adds_timer_run;
	adds->open.end = adds_end;
	open_call_add(service, &adds->open);
	return adds;
}

static void item_refuse(struct adds *adds, size_t i, Common__Reason reason)
{
	adds->items[i].adds = adds;
	adds->items[i].waiter.waiter.outcome.reason = reason;
	item_decided(&adds->items[i]);
}

static const struct hash128 *add_key(const struct add *add)
{
	return add->keyed ? &add->key : NULL;
}

/* What cart_add will look for is on its way into the cache when it comes to that. */
static void adds_prepare(struct adds *adds, size_t i, const Cart__NewItem *request)
{
	struct add *add = &adds->items[i].add;

	item_add(request, KEY_ADD, add);
	lines_expect(&adds->service->cart->lines, add->user, add_key(add));
}

static void adds_look_ahead(const struct adds *adds, size_t i)
{
	const struct add_item *item = i < adds->count ? &adds->items[i] : NULL;

	if (item && !item->decided)
		lines_expect_nodes(&adds->service->cart->lines, item->add.user, add_key(&item->add));
}

static void adds_put(
	struct adds *adds, size_t i, const Cart__NewItem *request, int64_t mono_ns, int64_t now_ms)
{
	struct add_item *item = &adds->items[i];

	item->adds = adds;
	item->waiter.decided = on_decided;
	item->waiter.trace =
		request->trace_id.len == TRACE_ID_BYTES ? request->trace_id.data : rpc_trace_id(adds->call);
	item->waiter.waiter.deadline_ms =
		item_deadline_ms(request->timeout_ms, rpc_deadline_ns(adds->call), mono_ns, now_ms);
	if (item->waiter.waiter.deadline_ms <= now_ms) {
		item_refuse(adds, i,
			COMMON__REASON__REASON_OVERLOADED); /* its time was over before it was sent */
		return;
	}
	if (cart_add(adds->service->cart, &item->add, &item->waiter.waiter, now_ms))
		item_decided(item);
}

/* All are put in: done already, or the clock runs. */
static void adds_started(struct adds *adds, int64_t now_ms)
{
	adds->starting = false;
	adds_expire(adds, now_ms);
}

/* ---- a batch ---- */

static void finish_many(struct adds *adds)
{
	Cart__BatchAddItemsResponse response = CART__BATCH_ADD_ITEMS_RESPONSE__INIT;

	for (size_t i = 0; i < adds->count; i++) {
		struct add_item *item = &adds->items[i];
		const struct outcome *outcome = &item->waiter.waiter.outcome;

		adds->outcomes[i] = &item->outcome;
		cart__item_outcome__init(&item->outcome);
		if (item->invalid || outcome->reason) {
			if (!item->invalid)
				outcome_refusal_set(&item->message, outcome->reason, outcome->retry_after_ms);
			item->outcome.outcome_case = CART__ITEM_OUTCOME__OUTCOME_REFUSAL;
			item->outcome.refusal = &item->message.refusal;
		} else {
			outcome_grant_set(&item->message, outcome);
			item->outcome.outcome_case = CART__ITEM_OUTCOME__OUTCOME_GRANT;
			item->outcome.grant = &item->message.grant;
		}
	}
	response.n_items = adds->count;
	response.items = adds->outcomes;
	adds->answer.many(&response, adds->call);
}

static void item_complain(struct adds *adds, size_t i, const struct complaint *complaint)
{
	struct add_item *item = &adds->items[i];
	Common__Refusal *refusal = &item->message.refusal;

	outcome_refusal_set(&item->message, COMMON__REASON__REASON_INVALID, 0);
	refusal->field = (char *)(uintptr_t)complaint->field;
	refusal->message =
		arena_format(rpc_arena(adds->call), "items[%zu].%s: %s", i, complaint->field, complaint->why);
	if (!refusal->message)
		refusal->message = (char *)(uintptr_t)complaint->why;
	item->invalid = true;
	item_refuse(adds, i, COMMON__REASON__REASON_INVALID);
}

CART_METHOD(batch_add_items, BatchAddItems)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	int64_t mono_ns = clock_mono_ns(), now_ms = cart_service_now_ms(cart, mono_ns);
	struct adds *adds;

	if (!placement_check(cart, request->placement, call))
		return;
	adds = adds_new(cart, call, request->n_items);
	if (!adds)
		return;
	adds->finish = finish_many;
	adds->answer.many = answer;
	adds->starting = true;
	for (size_t i = 0; i < request->n_items; i++) {
		struct complaint complaint = complain_item(request->items[i]);

		if (complaint.field)
			item_complain(adds, i, &complaint);
		else if (!placement_owns(cart, request->items[i]->user_id))
			item_refuse(adds, i, COMMON__REASON__REASON_WRONG_SHARD);
		else
			adds_prepare(adds, i, request->items[i]);
	}
	for (size_t i = 0; i < request->n_items; i++) {
		adds_look_ahead(adds, i + LOOK_AHEAD);
		if (!adds->items[i].decided)
			adds_put(adds, i, request->items[i], mono_ns, now_ms);
	}
	adds_started(adds, now_ms);
}

/* ---- one ---- */

static void finish_one(struct adds *adds)
{
	const struct outcome *outcome = &adds->items[0].waiter.waiter.outcome;
	Cart__AddItemResponse response = CART__ADD_ITEM_RESPONSE__INIT;

	if (outcome->reason) {
		outcome_fail(adds->call, outcome);
		return;
	}
	outcome_grant_set(&adds->items[0].message, outcome);
	response.grant = &adds->items[0].message.grant;
	adds->answer.one(&response, adds->call);
}

CART_METHOD(add_item, AddItem)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	int64_t mono_ns = clock_mono_ns(), now_ms = cart_service_now_ms(cart, mono_ns);
	struct complaint complaint = {"item", "expected an item"};
	struct adds *adds;

	if (request->item)
		complaint = complain_item(request->item);
	if (complaint.field) {
		item_fail(call, request->item != NULL, &complaint);
		return;
	}
	if (!placement_check(cart, request->placement, call) ||
		!placement_check_user(cart, request->item->user_id, call))
		return;
	adds = adds_new(cart, call, 1);
	if (!adds)
		return;
	adds->finish = finish_one;
	adds->answer.one = answer;
	adds->starting = true;
	adds_prepare(adds, 0, request->item);
	adds_put(adds, 0, request->item, mono_ns, now_ms);
	adds_started(adds, now_ms);
}
