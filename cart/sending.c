/* cart/sending.c - adds on their way to inventory: one ask each, in batches. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/trace.h"
#include "cart/service.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"

#define BATCH_ITEMS_MAX 2048
#define BATCH_ARENA_BYTES_MAX (8 << 20)
/* An answer that comes a little after its item's time settles what else would need a fence. */
#define ANSWER_GRACE_MS 250

struct sending {
	struct rpc_ask ask;
	Inventory__NewHold item;
	char id[ID_TEXT_LENGTH + 1];
	uint8_t trace[TRACE_ID_BYTES]; /* a copy: whom it is for may stop waiting */
	struct attempt *attempt;
	struct cart_service *service;
};

void sending_init(struct cart_service *service)
{
	slab_init(&service->sendings, sizeof(struct sending));
}

void cart_service_sender(
	struct cart_service *service, uint32_t shard, Common__Placement *placement, Inventory__Sender *sender)
{
	struct fence *fence = &service->cart->links[shard].fence;

	*placement = (Common__Placement)COMMON__PLACEMENT__INIT;
	placement->shard = shard;
	placement->shards = service->inventory_shards;
	*sender = (Inventory__Sender)INVENTORY__SENDER__INIT;
	sender->cart_shard = service->shard;
	sender->cart_shards = service->shards;
	sender->epoch = fence->accepted;
	sender->instance.data = fence->instance.bytes;
	sender->instance.len = ID_BYTES;
}

static struct answer refusal(Common__Reason reason, uint32_t retry_after_ms)
{
	return (struct answer){.kind = ANSWER_REFUSAL, .reason = reason, .retry_after_ms = retry_after_ms};
}

/* A reason in the status means that inventory itself spoke, and so that nothing was done. */
struct answer answer_of_status(const struct rpc_status *status, bool sent)
{
	const struct rpc_reason *reason = status->reason[0] ? rpc_reason_by_name(status->reason) : NULL;

	if (status->code == RPC_RESOURCE_EXHAUSTED && (!sent || reason))
		return (struct answer){.kind = ANSWER_BUSY};
	if (!sent)
		return (struct answer){.kind = ANSWER_UNSENT};
	if (!reason || reason->value == COMMON__REASON__REASON_OUTCOME_UNKNOWN)
		return (struct answer){.kind = ANSWER_LOST};
	if (reason->value == COMMON__REASON__REASON_STARTING)
		return (struct answer){.kind = ANSWER_UNSENT};
	if (reason->value == COMMON__REASON__REASON_STALE_EPOCH)
		return refusal(reason->value, 0);
	return refusal(
		COMMON__REASON__REASON_DEPENDENCY_DOWN, 0); /* WRONG_SHARD and the like: ours to put right */
}

static struct answer answer_of_grant(const Inventory__HoldGrant *grant)
{
	struct answer answer = {
		.kind = ANSWER_GRANT,
		.state = (enum line_state)grant->state,
		.quantity = grant->quantity,
		.price_micros = grant->price_micros,
		.version = grant->version,
		.sequence = grant->sequence,
		.remaining = grant->remaining,
	};

	if (grant->state < INVENTORY__HOLD_STATE__HOLD_STATE_HELD ||
		grant->state > INVENTORY__HOLD_STATE__HOLD_STATE_REFUNDED || !grant->quantity ||
		!grant->sequence || !grant->deadline || !timestamp_get(grant->deadline, &answer.deadline_ms))
		return (struct answer){.kind = ANSWER_LOST}; /* not an answer: the ledger will tell */
	return answer;
}

struct answer answer_of_outcome(const Inventory__HoldOutcome *outcome)
{
	Common__Reason reason;

	if (outcome->outcome_case == INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT)
		return answer_of_grant(outcome->grant);
	if (outcome->outcome_case != INVENTORY__HOLD_OUTCOME__OUTCOME_REFUSAL)
		return (struct answer){.kind = ANSWER_LOST};
	reason = outcome->refusal->reason;
	if (!rpc_reason_get(reason) || reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN)
		return (struct answer){.kind = ANSWER_LOST};
	if (reason == COMMON__REASON__REASON_WRONG_SHARD)
		reason = COMMON__REASON__REASON_DEPENDENCY_DOWN;
	return refusal(reason, outcome->refusal->retry_after_ms);
}

static void sending_done(struct rpc_ask *ask)
{
	struct sending *sending = container_of(ask, struct sending, ask);
	struct cart_service *service = sending->service;
	struct attempt *attempt = sending->attempt;
	struct answer answer;

	if (ask->answer)
		answer = answer_of_outcome((const Inventory__HoldOutcome *)ask->answer);
	else
		answer = answer_of_status(&ask->status, ask->sent);
	slab_put(&service->sendings, sending);
	cart_answered(service->cart, attempt, &answer, cart_service_now_ms(service, clock_mono_ns()));
}

/* That of somebody who waits for it: equal requests share an attempt. */
static void sending_trace(struct sending *sending, const struct attempt *attempt)
{
	const struct service_waiter *waiter =
		attempt->waiters ? container_of(attempt->waiters, struct service_waiter, waiter) : NULL;

	if (!waiter || !waiter->trace)
		return;
	memcpy(sending->trace, waiter->trace, TRACE_ID_BYTES);
	sending->item.trace_id = (ProtobufCBinaryData){TRACE_ID_BYTES, sending->trace};
}

void cart_service_send(void *context, struct attempt *attempt)
{
	struct cart_service *service = context;
	struct sending *sending = slab_get(&service->sendings);
	Inventory__NewHold *item = &sending->item;

	inventory__new_hold__init(item);
	item->hold_id = id_format(&attempt->id, sending->id);
	item->sku = attempt->usage->goods->sku;
	item->user_id = attempt->usage->person->user;
	if (attempt->session)
		item->session_id = attempt->session->text;
	item->quantity = attempt->quantity;
	if (attempt->keyed) {
		item->key_hash = (ProtobufCBinaryData){sizeof(attempt->key.bytes), attempt->key.bytes};
		item->fingerprint =
			(ProtobufCBinaryData){sizeof(attempt->fingerprint.bytes), attempt->fingerprint.bytes};
	}
	sending_trace(sending, attempt);
	sending->attempt = attempt;
	sending->service = service;
	sending->ask.item = &item->base;
	sending->ask.shard = (int32_t)attempt->usage->goods->shard;
	sending->ask.deadline_ns = cart_service_mono_ns(service, attempt->deadline_ms + ANSWER_GRACE_MS);
	sending->ask.done = sending_done;
	rpc_ask(service->creates, &sending->ask);
}

/* What is common to a batch; it is packed before the next one is prepared. */
static void prepare_creates(void *context, ProtobufCMessage *message, int32_t shard)
{
	static _Thread_local Common__Placement placement;
	static _Thread_local Inventory__Sender sender;
	Inventory__BatchCreateHoldsRequest *request = (Inventory__BatchCreateHoldsRequest *)message;

	cart_service_sender(context, (uint32_t)shard, &placement, &sender);
	request->placement = &placement;
	request->sender = &sender;
}

static void prepare_releases(void *context, ProtobufCMessage *message, int32_t shard)
{
	static _Thread_local Common__Placement placement;
	static _Thread_local Inventory__Sender sender;
	Inventory__BatchReleaseHoldsRequest *request = (Inventory__BatchReleaseHoldsRequest *)message;

	cart_service_sender(context, (uint32_t)shard, &placement, &sender);
	request->placement = &placement;
	request->sender = &sender;
}

void cart_service_batchers(struct cart_service *service)
{
	const ProtobufCServiceDescriptor *type = &inventory__inventory_service__descriptor;
	struct rpc_batcher_options options = {
		.pool = service->inventory,
		.service = type,
		.method = protobuf_c_service_descriptor_get_method_by_name(type, "BatchCreateHolds"),
		.items_max = BATCH_ITEMS_MAX,
		.in_flight_max = 1,
		.queue_max = (uint32_t)service->settings->attempts_max,
		.arena_bytes_max = BATCH_ARENA_BYTES_MAX,
		.prepare = prepare_creates,
		.context = service,
	};

	service->creates = rpc_batcher_new(&options);
	options.method = protobuf_c_service_descriptor_get_method_by_name(type, "BatchReleaseHolds");
	options.prepare = prepare_releases;
	service->releases = rpc_batcher_new(&options);
}
