#include "rpc/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/pack.h"

#define EXPIRY_STEP_MS 10 /* asks of one batch that expire one after the other are looked at no more often */
#define ARENA_BLOCK_BYTES 65536 /* kept from batch to batch */

/* ---- the shape ---- */

static const ProtobufCFieldDescriptor *find_items(const ProtobufCMessageDescriptor *message)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message, "items");

	assert(field && field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE);
	return field;
}

void batch_shape_init(struct batch_shape *shape, const ProtobufCMethodDescriptor *method)
{
	shape->request = method->input;
	shape->response = method->output;
	shape->request_items = find_items(method->input);
	shape->response_items = find_items(method->output);
	shape->item = shape->request_items->descriptor;
	shape->timeout = protobuf_c_message_descriptor_get_field_by_name(shape->item, "timeout_ms");
	assert(!shape->timeout || (shape->timeout->type == PROTOBUF_C_TYPE_UINT32 &&
					  shape->timeout->label == PROTOBUF_C_LABEL_NONE));
}

static size_t *count_at(void *message, const ProtobufCFieldDescriptor *field)
{
	return (size_t *)((char *)message + field->quantifier_offset);
}

static const ProtobufCMessage ***items_at(void *message, const ProtobufCFieldDescriptor *field)
{
	return (const ProtobufCMessage ***)((char *)message + field->offset);
}

/* ---- asks that come back ---- */

static void clear_status(struct rpc_status *status)
{
	status->code = RPC_OK;
	status->reason[0] = status->field[0] = status->message[0] = '\0';
	status->retry_after_ms = 0;
}

static void give_back(struct batch *batch, uint32_t i, const struct rpc_status *status, bool sent)
{
	struct rpc_ask *ask = batch->asks[i];

	if (!ask)
		return;
	batch->asks[i] = NULL;
	ask->status = *status;
	ask->sent = sent;
	ask->answer = NULL;
	ask->done(ask);
}

void batch_fail(struct batch *batch, const struct rpc_status *status, bool sent)
{
	struct rpc_status copy = *status;

	for (uint32_t i = 0; i < batch->count; i++)
		give_back(batch, i, &copy, sent);
}

static void give_answers(struct batch *batch, const ProtobufCMessage *const *answers)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		struct rpc_ask *ask = batch->asks[i];

		if (!ask)
			continue;
		batch->asks[i] = NULL;
		clear_status(&ask->status);
		ask->sent = true;
		ask->answer = answers[i];
		ask->done(ask);
	}
}

static void take_answers(struct batch *batch)
{
	ProtobufCMessage *response = rpc_unary_answer(&batch->unary, batch->shape->response, &batch->arena);
	size_t count;

	if (!response) {
		batch_fail(batch, &batch->unary.status, true);
		return;
	}
	count = *count_at(response, batch->shape->response_items);
	if (count != batch->count) {
		rpc_status_set(&batch->unary.status, RPC_INTERNAL, "", "%s answered %zu items to %u",
			batch->unary.channel->address, count, batch->count);
		batch_fail(batch, &batch->unary.status, true);
		return;
	}
	give_answers(batch, *items_at(response, batch->shape->response_items));
}

static void call_done(struct rpc_unary *unary)
{
	struct batch *batch = container_of(unary, struct batch, unary);

	rpc_timer_stop(batch->loop, &batch->expiry);
	if (batch->owner && unary->status.code == RPC_UNAVAILABLE && !unary->closing && batch->again(batch))
		return;
	if (batch->owner && unary->status.code == RPC_OK)
		take_answers(batch);
	else
		batch_fail(batch, &unary->status, true);
	rpc_unary_release(unary);
	arena_clear(&batch->arena);
	batch->count = 0;
	batch->repeated = false;
	batch->ended(batch);
}

/* ---- deadlines: a neighbour that may wait longer keeps nobody waiting ---- */

/* Of the asks that are still there; INT64_MAX: none. */
static int64_t earliest_deadline(const struct batch *batch)
{
	int64_t earliest = INT64_MAX;

	for (uint32_t i = 0; i < batch->count; i++)
		if (batch->asks[i] && batch->asks[i]->deadline_ns < earliest)
			earliest = batch->asks[i]->deadline_ns;
	return earliest;
}

static void arm_expiry(struct batch *batch, int64_t now_ns, int64_t least_ms)
{
	int64_t at_ns = earliest_deadline(batch), delay_ms;

	if (at_ns == INT64_MAX)
		return;
	delay_ms = (at_ns - now_ns) / 1000000 + 1;
	rpc_timer_start(batch->loop, &batch->expiry, delay_ms > least_ms ? delay_ms : least_ms);
}

static void expire(struct rpc_task *task)
{
	struct batch *batch = container_of(task, struct batch, expiry.task);
	int64_t now_ns = clock_mono_ns();
	struct rpc_status status;

	rpc_status_set(&status, RPC_DEADLINE_EXCEEDED, "", "no answer before the deadline");
	for (uint32_t i = 0; i < batch->count; i++)
		if (batch->asks[i] && batch->asks[i]->deadline_ns <= now_ns)
			give_back(batch, i, &status, true);
	if (batch->owner)
		arm_expiry(batch, now_ns, EXPIRY_STEP_MS);
}

/* ---- filling and sending ---- */

/* The item as it is, but for the time it has left. */
static const ProtobufCMessage *with_timeout(struct batch *batch, const struct rpc_ask *ask, int64_t now_ns)
{
	size_t size = batch->shape->item->sizeof_message;
	char *copy = batch->copies + batch->count * size;
	int64_t left_ms = (ask->deadline_ns - now_ns + 999999) / 1000000;
	uint32_t timeout_ms = left_ms < INT32_MAX ? (uint32_t)left_ms : INT32_MAX;

	memcpy(copy, ask->item, size);
	memcpy(copy + batch->shape->timeout->offset, &timeout_ms, sizeof(timeout_ms));
	return (const ProtobufCMessage *)copy;
}

void batch_add(struct batch *batch, struct rpc_ask *ask, int64_t now_ns)
{
	assert(batch->count < batch->room && ask->item->descriptor == batch->shape->item);
	batch->asks[batch->count] = ask;
	batch->items[batch->count] = batch->shape->timeout ? with_timeout(batch, ask, now_ns) : ask->item;
	batch->count++;
}

uint32_t batch_left(const struct batch *batch)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < batch->count; i++)
		left += batch->asks[i] != NULL;
	return left;
}

void batch_clean(struct batch *batch, int64_t now_ns)
{
	uint32_t count = batch->count;

	batch->count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (batch->asks[i])
			batch_add(batch, batch->asks[i], now_ns);
}

static int64_t latest_deadline(const struct batch *batch)
{
	int64_t latest = 0;

	for (uint32_t i = 0; i < batch->count; i++)
		if (batch->asks[i]->deadline_ns > latest)
			latest = batch->asks[i]->deadline_ns;
	return latest;
}

bool batch_send(struct batch *batch, struct rpc_channel *channel, grpc_slice path, int64_t now_ns,
	void (*prepare)(void *context, ProtobufCMessage *request, int32_t shard), void *context,
	int32_t shard)
{
	ProtobufCMessage *request = memory_new(batch->shape->request->sizeof_message);
	grpc_byte_buffer *message;
	bool ok;

	protobuf_c_message_init(batch->shape->request, request);
	if (prepare)
		prepare(context, request, shard);
	*count_at(request, batch->shape->request_items) = batch->count;
	*items_at(request, batch->shape->request_items) = batch->items;
	message = pack_message(request);
	free(request);
	ok = rpc_unary_start(&batch->unary, channel, path, message, latest_deadline(batch), NULL);
	if (ok)
		arm_expiry(batch, now_ns, 1);
	return ok;
}

/* ---- its life ---- */

struct batch *batch_new(
	struct rpc_loop *loop, const struct batch_shape *shape, uint32_t room, uint32_t arena_bytes_max)
{
	struct batch *batch = NEW(struct batch);

	batch->loop = loop;
	batch->shape = shape;
	batch->room = room;
	batch->asks = NEW_ARRAY(room, struct rpc_ask *);
	batch->items = NEW_ARRAY(room, const ProtobufCMessage *);
	if (shape->timeout)
		batch->copies = memory_new_array(room, shape->item->sizeof_message);
	batch->unary.done = call_done;
	batch->expiry.task.run = expire;
	arena_init(&batch->arena, arena_bytes_max < ARENA_BLOCK_BYTES ? arena_bytes_max : ARENA_BLOCK_BYTES,
		arena_bytes_max);
	return batch;
}

void batch_free(struct batch *batch)
{
	assert(!batch->count && !batch->expiry.position);
	arena_release(&batch->arena);
	free(batch->asks);
	free(batch->items);
	free(batch->copies);
	free(batch);
}

void batch_abandon(struct batch *batch)
{
	rpc_timer_stop(batch->loop, &batch->expiry);
	rpc_unary_cancel(&batch->unary, true);
}
