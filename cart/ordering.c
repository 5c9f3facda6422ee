/* cart/ordering.c - orders' effects: decisions on their way to the disk, and asks on their way to inventory, one call each. */
#include "cart/ordering.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cart/entries.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"

#define ASKS_MAX 4096
#define ASK_TIMEOUT_MS 2000
#define ASK_ARENA_BYTES 4096
#define ASK_ARENA_BYTES_MAX (256 << 10)

static int64_t now_ms(const struct cart_service *service)
{
	return cart_service_now_ms(service, clock_mono_ns());
}

/* ---- decisions ---- */

struct deciding {
	struct decision decision;
	struct cart_service *service;
	struct order *order; /* stays while it is being stored */
	uint8_t record[];
};

static void decided(struct decision *decision, Common__Reason failure)
{
	struct deciding *deciding = container_of(decision, struct deciding, decision);

	if (failure)
		LOG_LIMITED(LOG_ERROR, "a decision about an order was not stored");
	if (deciding->decision.record)
		orders_decided(
			deciding->service->orders, deciding->order, failure, now_ms(deciding->service));
	else
		orders_undone(deciding->service->orders, deciding->order);
	free(deciding);
}

static void decide(struct cart_service *service, struct order *order, bool take)
{
	struct deciding *deciding = memory_new(sizeof(*deciding) + (take ? RECORD_DECISION_BYTES_MAX : 0));

	deciding->service = service;
	deciding->order = order;
	deciding->decision.id = order->id;
	deciding->decision.done = decided;
	if (take) {
		deciding->decision.record = deciding->record;
		deciding->decision.size = record_decision_pack(order, deciding->record);
	}
	shelf_decide(service->shelf, &deciding->decision);
}

static void on_decide(void *context, struct order *order)
{
	decide(context, order, true);
}

static void on_undecide(void *context, struct order *order)
{
	char id[ID_TEXT_LENGTH + 1];

	if (order->payment)
		log_warn("a payment was reported of an order that inventory does not have: it has to be "
			 "given back",
			LOG_TEXT("order", id_format(&order->id, id)), LOG_TEXT("payment", order->payment));
	decide(context, order, false);
}

/* ---- asks ---- */

struct asking {
	struct rpc_request request;
	struct rpc_task unsent; /* while the service ends */
	struct arena arena;
	struct cart_service *service;
	struct order *order; /* stays while inventory is asked */
	enum order_wish wish;
};

static struct order_answer answer_of_order_grant(
	const Inventory__OrderGrant *grant, struct order_item items[ORDER_HOLDS_MAX])
{
	struct order_answer answer = {.kind = ANSWER_GRANT,
		.state = (enum line_state)grant->state,
		.sequence = grant->sequence,
		.payment = span_of(grant->payment_reference),
		.items = items,
		.item_count = (uint32_t)grant->n_items};

	if (grant->state < INVENTORY__HOLD_STATE__HOLD_STATE_HELD ||
		grant->state > INVENTORY__HOLD_STATE__HOLD_STATE_REFUNDED || !grant->sequence ||
		!grant->n_items || answer.payment.length > PAYMENT_MAX || !grant->deadline ||
		!timestamp_get(grant->deadline, &answer.deadline_ms) ||
		!order_items_read(grant->items, grant->n_items, items))
		return (struct order_answer){.kind = ANSWER_LOST}; /* not an answer: asked again */
	return answer;
}

static struct order_answer answer_of_order(
	const Inventory__OrderOutcome *outcome, struct order_item items[ORDER_HOLDS_MAX])
{
	struct order_answer answer = {.kind = ANSWER_REFUSAL};

	if (outcome && outcome->outcome_case == INVENTORY__ORDER_OUTCOME__OUTCOME_GRANT)
		return answer_of_order_grant(outcome->grant, items);
	if (!outcome || outcome->outcome_case != INVENTORY__ORDER_OUTCOME__OUTCOME_REFUSAL ||
		!rpc_reason_get(outcome->refusal->reason))
		return (struct order_answer){.kind = ANSWER_LOST};
	answer.reason = outcome->refusal->reason;
	if (outcome->refusal->hold_id[0] && !id_parse(outcome->refusal->hold_id, &answer.bad))
		return (struct order_answer){.kind = ANSWER_LOST};
	return answer;
}

static const Inventory__OrderOutcome *outcome_of(const struct asking *asking)
{
	const ProtobufCMessage *output = asking->request.output;

	switch (asking->wish) {
	case WISH_BIND:
		return ((const Inventory__BindOrderHoldsResponse *)output)->outcome;
	case WISH_CONFIRM:
		return ((const Inventory__ConfirmOrderHoldsResponse *)output)->outcome;
	case WISH_CANCEL:
		return ((const Inventory__ReleaseOrderHoldsResponse *)output)->outcome;
	case WISH_REFUND:
		return ((const Inventory__RefundOrderHoldsResponse *)output)->outcome;
	case WISH_NONE:
		break;
	}
	return NULL;
}

static void answered(struct asking *asking, const struct order_answer *answer)
{
	orders_answered(asking->service->orders, asking->order, answer, now_ms(asking->service));
	arena_release(&asking->arena);
	free(asking);
}

static void ask_done(struct rpc_request *request)
{
	struct asking *asking = container_of(request, struct asking, request);
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_answer answer;
	struct answer failure;

	if (request->output) {
		answer = answer_of_order(outcome_of(asking), items);
	} else {
		failure = answer_of_status(&request->status, request->sent);
		answer = (struct order_answer){.kind = failure.kind, .reason = failure.reason};
	}
	answered(asking, &answer);
}

static void ask_unsent(struct rpc_task *task)
{
	const struct order_answer answer = {.kind = ANSWER_UNSENT};

	answered(container_of(task, struct asking, unsent), &answer);
}

/* That of somebody who waits for it; who asks again after a crash has none. */
static const char *trace_of(const struct order *order)
{
	return order->waiters ? container_of(order->waiters, struct service_order_waiter, waiter)->trace
			      : NULL;
}

static void start(struct asking *asking, const char *method, const ProtobufCMessage *input)
{
	asking->request = (struct rpc_request){.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, method),
		.input = input,
		.shard = (int32_t)asking->order->shard,
		.deadline_ns = clock_mono_ns() + ASK_TIMEOUT_MS * INT64_C(1000000),
		.trace = trace_of(asking->order),
		.arena = &asking->arena,
		.done = ask_done};
	rpc_request_start(asking->service->inventory, &asking->request);
}

/* What all four requests begin with. */
struct envelope {
	Common__Placement placement;
	Inventory__Sender sender;
	char id[ID_TEXT_LENGTH + 1];
};

static void ask_bind(struct asking *asking, struct envelope *envelope)
{
	Inventory__BindOrderHoldsRequest request = INVENTORY__BIND_ORDER_HOLDS_REQUEST__INIT;
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	const struct order *order = asking->order;
	char texts[ORDER_HOLDS_MAX][ID_TEXT_LENGTH + 1], *ids[ORDER_HOLDS_MAX];

	for (uint32_t i = 0; i < order->item_count; i++)
		ids[i] = id_format(&order->items[i].hold, texts[i]);
	request.placement = &envelope->placement;
	request.sender = &envelope->sender;
	request.order_id = envelope->id;
	request.user_id = order->customer->user;
	request.hold_ids = ids;
	request.n_hold_ids = order->item_count;
	ttl.seconds = order->ttl_ms / 1000;
	ttl.nanos = (int32_t)(order->ttl_ms % 1000 * 1000000);
	if (order->ttl_ms)
		request.ttl = &ttl;
	start(asking, "BindOrderHolds", &request.base);
}

static void ask_confirm(struct asking *asking, struct envelope *envelope)
{
	Inventory__ConfirmOrderHoldsRequest request = INVENTORY__CONFIRM_ORDER_HOLDS_REQUEST__INIT;

	request.placement = &envelope->placement;
	request.sender = &envelope->sender;
	request.order_id = envelope->id;
	request.payment_reference = asking->order->payment;
	start(asking, "ConfirmOrderHolds", &request.base);
}

static void ask_release(struct asking *asking, struct envelope *envelope)
{
	Inventory__ReleaseOrderHoldsRequest request = INVENTORY__RELEASE_ORDER_HOLDS_REQUEST__INIT;

	request.placement = &envelope->placement;
	request.sender = &envelope->sender;
	request.order_id = envelope->id;
	start(asking, "ReleaseOrderHolds", &request.base);
}

static void ask_refund(struct asking *asking, struct envelope *envelope)
{
	Inventory__RefundOrderHoldsRequest request = INVENTORY__REFUND_ORDER_HOLDS_REQUEST__INIT;

	request.placement = &envelope->placement;
	request.sender = &envelope->sender;
	request.order_id = envelope->id;
	start(asking, "RefundOrderHolds", &request.base);
}

static void on_ask(void *context, struct order *order)
{
	static void (*const asks[ORDER_WISHES])(struct asking *, struct envelope *) = {
		[WISH_BIND] = ask_bind,
		[WISH_CONFIRM] = ask_confirm,
		[WISH_CANCEL] = ask_release,
		[WISH_REFUND] = ask_refund,
	};
	struct cart_service *service = context;
	struct asking *asking = NEW(struct asking);
	struct envelope envelope;

	asking->service = service;
	asking->order = order;
	asking->wish = order->wish;
	asking->unsent.run = ask_unsent;
	arena_init(&asking->arena, ASK_ARENA_BYTES, ASK_ARENA_BYTES_MAX);
	if (service->ending) {
		rpc_post(service->loop, &asking->unsent);
		return;
	}
	cart_service_sender(service, order->shard, &envelope.placement, &envelope.sender);
	id_format(&order->id, envelope.id);
	asks[order->wish](asking, &envelope);
}

/* ---- the other effects ---- */

static void on_told(void *context, struct order_waiter *waiter, const struct order *order)
{
	struct service_order_waiter *known = container_of(waiter, struct service_order_waiter, waiter);

	known->told(known, order);
}

static void on_stored(void *context, const struct order *order)
{
	shelf_put_order(((struct cart_service *)context)->shelf, order);
}

static void on_forgotten(void *context, const struct order *order)
{
	struct cart_service *service = context;

	shelf_forget_order(service->shelf, &order->id);
	order_watches_forgot(service, order->customer->user);
}

static void on_changed(void *context, const struct order *order)
{
	order_watches_wake(context, order->customer->user);
}

struct orders *ordering_new(struct cart_service *service)
{
	const struct orders_options options = {
		.cart = service->cart,
		.cart_shard = service->shard,
		.cart_shards = service->shards,
		.asks_max = ASKS_MAX,
		.ended_max = (size_t)service->settings->remembered_max,
		.effects = {.decide = on_decide,
			.undecide = on_undecide,
			.ask = on_ask,
			.told = on_told,
			.stored = on_stored,
			.forgotten = on_forgotten,
			.changed = on_changed},
		.context = service,
	};

	return orders_new(&options);
}
