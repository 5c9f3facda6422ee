#include "rpc/unary.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/unpack.h"

#define TRACE_KEY "traceparent"
#define DETAILS_KEY "grpc-status-details-bin"

ProtobufCMessage *rpc_unpack(
	grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type, struct arena *arena)
{
	size_t size;
	uint8_t *bytes = unpack_bytes(buffer, arena, &size);

	return bytes ? unpack_message(type, arena, bytes, size) : NULL;
}

grpc_slice rpc_path(const ProtobufCServiceDescriptor *service, const ProtobufCMethodDescriptor *method)
{
	char *path = memory_format("/%s/%s", service->name, method->name);
	grpc_slice slice = grpc_slice_from_copied_string(path);

	free(path);
	return slice;
}

void rpc_status_receive(struct rpc_status *status, grpc_status_code code, grpc_slice details,
	const grpc_metadata_array *trailing)
{
	enum rpc_code ours = (unsigned)code <= RPC_UNAUTHENTICATED ? (enum rpc_code)code : RPC_UNKNOWN;

	rpc_status_set(status, ours, "", "%.*s", (int)GRPC_SLICE_LENGTH(details),
		(char *)GRPC_SLICE_START_PTR(details));
	if (ours == RPC_OK)
		return;
	for (size_t i = 0; i < trailing->count; i++) {
		grpc_slice value = trailing->metadata[i].value;

		if (grpc_slice_str_cmp(trailing->metadata[i].key, DETAILS_KEY))
			continue;
		if (rpc_status_unpack(GRPC_SLICE_START_PTR(value), GRPC_SLICE_LENGTH(value), status))
			status->code = ours; /* the one that gRPC saw counts */
		return;
	}
}

static void unary_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_unary *unary = container_of(tag, struct rpc_unary, tag);
	struct client_metrics *metrics = rpc_pool_metrics(unary->channel->pool);
	int64_t now_ns = clock_mono_ns();

	rpc_status_receive(&unary->status, unary->code, unary->details, &unary->trailing);
	if (unary->closing && unary->status.code == RPC_CANCELLED)
		rpc_status_set(
			&unary->status, RPC_UNAVAILABLE, "", "this process stopped waiting for the answer");
	else if (unary->status.code == RPC_CANCELLED && !unary->cancelled)
		rpc_status_set(&unary->status, RPC_UNAVAILABLE, "", "%s was just ending",
			unary->channel
				->address); /* what gRPC says of calls that come while its server shuts down */
	else if (unary->status.code == RPC_OK && !unary->answer)
		rpc_status_set(&unary->status, RPC_INTERNAL, "", "the answer has no message");
	if (!unary->closing)
		rpc_channel_judge(unary->channel, unary->status.code, now_ns);
	if (unary->status.code != RPC_OK)
		metric_add(&metrics->failed_sent, 1);
	metric_observe(&metrics->seconds, now_ns - unary->started_ns);
	unary->done(unary);
}

static bool start_ops(
	struct rpc_unary *unary, grpc_byte_buffer *message, grpc_metadata *metadata, size_t count)
{
	grpc_op ops[6];

	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[0].data.send_initial_metadata.metadata = metadata;
	ops[0].data.send_initial_metadata.count = count;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = message;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &unary->initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &unary->answer;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.status = &unary->code;
	ops[5].data.recv_status_on_client.status_details = &unary->details;
	ops[5].data.recv_status_on_client.trailing_metadata = &unary->trailing;
	return rpc_batch_start(unary->call, ops, 6, &unary->tag);
}

static void create_call(
	struct rpc_unary *unary, struct rpc_channel *channel, grpc_slice path, int64_t deadline_ns)
{
	unary->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
		rpc_loop_queue(rpc_pool_loop(channel->pool)), path, NULL, rpc_time(deadline_ns), NULL);
	unary->channel = channel;
	unary->closing = unary->cancelled = false;
	unary->answer = NULL;
	unary->details = grpc_empty_slice();
	unary->started_ns = clock_mono_ns();
	grpc_metadata_array_init(&unary->initial);
	grpc_metadata_array_init(&unary->trailing);
	rpc_tag_init(&unary->tag, unary_done);
	rpc_channel_keep(channel);
}

bool rpc_unary_start(struct rpc_unary *unary, struct rpc_channel *channel, grpc_slice path,
	grpc_byte_buffer *message, int64_t deadline_ns, const char *trace)
{
	grpc_metadata metadata;
	bool ok;

	memset(&metadata, 0, sizeof(metadata));
	create_call(unary, channel, path, deadline_ns);
	if (trace) {
		metadata.key = grpc_slice_from_static_string(TRACE_KEY);
		metadata.value = grpc_slice_from_copied_string(trace);
	}
	ok = start_ops(unary, message, &metadata, trace ? 1 : 0);
	if (trace)
		grpc_slice_unref(metadata.value);
	grpc_byte_buffer_destroy(message);
	if (ok) {
		metric_add(&rpc_pool_metrics(channel->pool)->calls, 1);
		rpc_pool_earn(channel->pool);
	} else {
		rpc_unary_release(unary);
	}
	return ok;
}

void rpc_unary_cancel(struct rpc_unary *unary, bool closing)
{
	unary->closing |= closing;
	unary->cancelled = true;
	if (unary->call)
		grpc_call_cancel(unary->call, NULL);
}

ProtobufCMessage *rpc_unary_answer(
	struct rpc_unary *unary, const ProtobufCMessageDescriptor *type, struct arena *arena)
{
	ProtobufCMessage *message;

	assert(unary->status.code == RPC_OK && unary->answer);
	message = rpc_unpack(unary->answer, type, arena);
	if (!message)
		rpc_status_set(&unary->status, RPC_INTERNAL, "", "the answer of %s %s",
			unary->channel->address,
			arena_exhausted(arena) ? "is larger than its limit" : "does not parse");
	return message;
}

void rpc_unary_release(struct rpc_unary *unary)
{
	struct rpc_channel *channel = unary->channel;

	grpc_metadata_array_destroy(&unary->initial);
	grpc_metadata_array_destroy(&unary->trailing);
	grpc_slice_unref(unary->details);
	if (unary->answer)
		grpc_byte_buffer_destroy(unary->answer);
	grpc_call_unref(unary->call);
	unary->call = NULL;
	rpc_channel_drop(channel);
}
