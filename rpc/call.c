#include "rpc/call.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/pack.h"

/* Most calls fit in one block, which stays with the call in the free list. */
#define ARENA_BLOCK_BYTES 8192
#define FREE_CALLS_MAX 2048

static void call_arrived(struct rpc_tag *tag, bool ok);
static void closing_done(struct rpc_tag *tag, bool ok);
static void end_run(struct rpc_task *task);

static const char *shed_text = "more calls at once than this server takes";

/* ---- memory ---- */

static struct rpc_call *call_new(struct rpc_server *server)
{
	struct rpc_call *call = NEW(struct rpc_call);

	call->magic = CALL_MAGIC;
	call->server = server;
	arena_init(&call->arena, ARENA_BLOCK_BYTES, server->limits.arena_bytes_max);
	arena_init(&call->scratch, ARENA_BLOCK_BYTES, server->limits.arena_bytes_max);
	grpc_metadata_array_init(&call->metadata);
	rpc_tag_init(&call->arrival, call_arrived);
	rpc_tag_init(&call->closing, closing_done);
	call->end_task.run = end_run;
	return call;
}

static void call_free(struct rpc_call *call)
{
	arena_release(&call->arena);
	arena_release(&call->scratch);
	grpc_metadata_array_destroy(&call->metadata);
	call->magic = 0;
	free(call);
}

static struct rpc_call *pool_take(struct rpc_server *server)
{
	struct rpc_call *call = server->free_calls;

	if (!call)
		return call_new(server);
	server->free_calls = call->older;
	server->free_count--;
	return call;
}

static void pool_give(struct rpc_call *call)
{
	struct rpc_server *server = call->server;

	if (server->free_count >= FREE_CALLS_MAX) {
		call_free(call);
		return;
	}
	call->older = server->free_calls;
	server->free_calls = call;
	server->free_count++;
}

void call_pool_release(struct rpc_server *server)
{
	while (server->free_calls) {
		struct rpc_call *call = server->free_calls;

		server->free_calls = call->older;
		call_free(call);
	}
	server->free_count = 0;
}

static void call_reset(struct rpc_call *call, struct rpc_method *method)
{
	assert(call->magic == CALL_MAGIC && !call->grpc && !call->received && !call->sending);
	call->method = method;
	atomic_store_explicit(&call->holds, 0, memory_order_relaxed);
	atomic_store_explicit(&call->abandoned, false, memory_order_relaxed);
	atomic_store_explicit(&call->claimed, false, memory_order_relaxed);
	atomic_store_explicit(&call->wake_posted, false, memory_order_relaxed);
	call->admitted = call->metadata_sent = false;
	call->streaming = call->writing = call->input_over = false;
	call->verdict = NULL;
	call->request = call->answer = NULL;
	call->state = NULL;
	call->peer = "";
	call->roles = 0;
	call->trace[0] = 0;
	memset(call->trace_id, 0, sizeof(call->trace_id));
	call->cancelled = 0;
}

static void buffer_destroy(grpc_byte_buffer **buffer)
{
	if (*buffer)
		grpc_byte_buffer_destroy(*buffer);
	*buffer = NULL;
}

static void unlink_live(struct rpc_call *call)
{
	if (call->newer)
		call->newer->older = call->older;
	else
		call->server->live = call->older;
	if (call->older)
		call->older->newer = call->newer;
}

static void link_live(struct rpc_call *call)
{
	struct rpc_server *server = call->server;

	call->newer = NULL;
	call->older = server->live;
	if (server->live)
		server->live->newer = call;
	server->live = call;
}

static void call_release(struct rpc_call *call)
{
	struct rpc_server *server = call->server;

	assert(!call->streaming && !call->heartbeat.position);
	unlink_live(call);
	if (call->admitted)
		--*(call->method->shape == RPC_UNARY ? &server->calls : &server->streams);
	buffer_destroy(&call->received);
	buffer_destroy(&call->sending);
	if (!call->method)
		grpc_call_details_destroy(&call->details);
	call->metadata.count = 0; /* the slices were the call's, the array is kept */
	grpc_call_unref(call->grpc);
	call->grpc = NULL;
	arena_clear(&call->arena);
	arena_release(&call->scratch);
	pool_give(call);
	server->open--;
	server_check_drained(server);
}

void call_hold(struct rpc_call *call)
{
	atomic_fetch_add_explicit(&call->holds, 1, memory_order_relaxed);
}

void call_drop(struct rpc_call *call)
{
	assert(call->magic == CALL_MAGIC);
	if (atomic_fetch_sub_explicit(&call->holds, 1, memory_order_acq_rel) == 1)
		call_release(call);
}

bool call_batch(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	call_hold(call);
	if (rpc_batch_start(call->grpc, ops, count, tag))
		return true;
	LOG_LIMITED(LOG_ERROR, "gRPC refused an operation",
		LOG_TEXT("method", call->method ? call->method->path : ""));
	call_drop(call);
	return false;
}

/* ---- arrival ---- */

void call_arm(struct rpc_server *server, struct rpc_method *method)
{
	struct rpc_call *call = pool_take(server);
	grpc_completion_queue *queue = rpc_loop_queue(server->loop);
	void *tag = rpc_tag_depart(&call->arrival);
	bool payload = method && (method->shape == RPC_UNARY || method->shape == RPC_STREAM_OUT);
	grpc_call_error result;

	call_reset(call, method);
	if (method) {
		result = grpc_server_request_registered_call(server->grpc, method->registered, &call->grpc,
			&call->deadline, &call->metadata, payload ? &call->received : NULL, queue, queue,
			tag);
	} else {
		grpc_call_details_init(&call->details);
		result = grpc_server_request_call(
			server->grpc, &call->grpc, &call->details, &call->metadata, queue, queue, tag);
	}
	assert(result ==
		GRPC_CALL_OK); /* a server that shuts down takes it and gives it back with ok = false */
	server->open++;
}

static void call_unarmed(struct rpc_call *call)
{
	struct rpc_server *server = call->server;

	assert(!call->grpc);
	if (!call->method)
		grpc_call_details_destroy(&call->details);
	pool_give(call);
	server->open--;
	server_check_drained(server);
}

static int64_t deadline_ns(gpr_timespec deadline)
{
	if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0)
		return INT64_MAX;
	deadline = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
	if (deadline.tv_sec >= INT64_MAX / 1000000000)
		return INT64_MAX;
	return deadline.tv_sec * 1000000000 + deadline.tv_nsec;
}

/* Goes into logs and on to other services: only what is a traceparent. */
static void read_trace(struct rpc_call *call)
{
	for (size_t i = 0; i < call->metadata.count; i++) {
		const grpc_metadata *pair = &call->metadata.metadata[i];
		const char *value = (const char *)GRPC_SLICE_START_PTR(pair->value);

		if (grpc_slice_str_cmp(pair->key, "traceparent") ||
			GRPC_SLICE_LENGTH(pair->value) != TRACEPARENT_LENGTH ||
			!trace_parse(value, TRACEPARENT_LENGTH, call->trace_id))
			continue;
		memcpy(call->trace, value, TRACEPARENT_LENGTH);
		call->trace[TRACEPARENT_LENGTH] = 0;
	}
}

static bool admit(struct rpc_call *call)
{
	struct rpc_server *server = call->server;
	bool unary = call->method->shape == RPC_UNARY;
	uint32_t *count = unary ? &server->calls : &server->streams;

	if (*count >= (unary ? server->limits.calls_max : server->limits.streams_max) && !call->method->vital)
		return false;
	++*count;
	call->admitted = true;
	return true;
}

static void start_method(struct rpc_call *call)
{
	switch (call->method->shape) {
	case RPC_UNARY:
		unary_start(call);
		return;
	case RPC_STREAM_OUT:
		stream_out_start(call);
		return;
	case RPC_STREAM_IN:
	case RPC_STREAM_BOTH:
		stream_in_start(call);
		return;
	}
}

static void refuse_unknown(struct rpc_call *call)
{
	char *path = grpc_slice_to_c_string(call->details.method);

	call_claim(call);
	rpc_status_set(&call->status, RPC_UNIMPLEMENTED, "", "unknown method %.200s", path);
	gpr_free(path);
	call_finish(call);
}

static void call_begin(struct rpc_call *call)
{
	grpc_op closing = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

	call->arrived_ns = clock_mono_ns();
	atomic_store_explicit(&call->holds, 1, memory_order_relaxed); /* the method's, until call_finish */
	link_live(call);
	closing.data.recv_close_on_server.cancelled = &call->cancelled;
	call_batch(call, &closing, 1, &call->closing);
	if (!call->method) {
		refuse_unknown(call);
		return;
	}
	counters_begin(call->method->counters);
	call->deadline_ns = deadline_ns(call->deadline);
	read_trace(call);
	if (call->server->secure && !call_know_peer(call))
		return;
	if (admit(call))
		start_method(call);
	else
		call_refuse(call, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", shed_text);
}

static void call_arrived(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, arrival);

	assert(call->magic == CALL_MAGIC);
	if (!ok) {
		call_unarmed(call);
		return;
	}
	if (!call->server->draining)
		call_arm(call->server, call->method);
	call_begin(call);
}

/* The client left, its deadline passed, or the call is over. */
static void closing_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, closing);

	assert(call->magic == CALL_MAGIC);
	if (call->cancelled) {
		atomic_store(&call->abandoned, true);
		stream_out_nudge(call);
	}
	call_drop(call);
}

/* ---- the end ---- */

size_t call_metadata_op(struct rpc_call *call, grpc_op *op)
{
	if (call->metadata_sent)
		return 0;
	call->metadata_sent = true;
	*op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
	return 1;
}

void call_claim(struct rpc_call *call)
{
	bool before = atomic_exchange(&call->claimed, true);

	assert(call->magic == CALL_MAGIC);
	assert(!before); /* a call ends exactly once */
	(void)before;
}

static void end_run(struct rpc_task *task)
{
	call_finish(container_of(task, struct rpc_call, end_task));
}

void call_end(struct rpc_call *call)
{
	if (rpc_on_loop(call->server->loop))
		call_finish(call);
	else
		rpc_post(call->server->loop, &call->end_task);
}

static void finish_sent(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, sent);

	buffer_destroy(&call->sending);
	call_drop(call);
}

/* google.rpc.Status as trailing metadata; only where it says more than code and text. */
static bool pack_details(struct rpc_call *call, const struct rpc_status *status)
{
	size_t size;
	void *bytes;

	if (!status->reason[0] && !status->field[0] && status->retry_after_ms <= 0)
		return false;
	bytes = rpc_status_pack(status, &size);
	memset(&call->trailing, 0, sizeof(call->trailing));
	call->trailing.key = grpc_slice_from_static_string("grpc-status-details-bin");
	call->trailing.value = grpc_slice_from_copied_buffer(bytes, size);
	free(bytes);
	return true;
}

static void finish_send(struct rpc_call *call, const struct rpc_status *status)
{
	grpc_op ops[3];
	size_t count = call_metadata_op(call, ops);
	grpc_slice text = grpc_slice_from_copied_string(status ? status->message : "");
	bool details = status && pack_details(call, status);
	grpc_op *last;

	if (!status) {
		call->sending = pack_message(call->answer);
		ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
		ops[count++].data.send_message.send_message = call->sending;
	}
	last = &ops[count++];
	*last = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
	last->data.send_status_from_server.status = status ? (grpc_status_code)status->code : GRPC_STATUS_OK;
	last->data.send_status_from_server.status_details = &text;
	last->data.send_status_from_server.trailing_metadata = details ? &call->trailing : NULL;
	last->data.send_status_from_server.trailing_metadata_count = details;
	rpc_tag_init(&call->sent, finish_sent);
	if (!call_batch(call, ops, count, &call->sent))
		buffer_destroy(&call->sending);
	grpc_slice_unref(text);
	if (details)
		grpc_slice_unref(call->trailing.value); /* the batch holds its own reference */
}

void call_finish(struct rpc_call *call)
{
	const struct rpc_status *status = call->verdict ? call->verdict : call->answer ? NULL : &call->status;
	bool abandoned = atomic_load(&call->abandoned);
	enum rpc_code code = status ? status->code : RPC_OK;

	assert(call->magic == CALL_MAGIC && !call->writing);
	if (abandoned)
		code = RPC_CANCELLED;
	if (call->method) {
		const int64_t taken_ns = clock_mono_ns() - call->arrived_ns;

		counters_end(call->method->counters, code, taken_ns);
		call_account(call, status, code, taken_ns);
	}
	if (!abandoned)
		finish_send(call, status); /* after the counting: who has the answer finds it counted */
	call_drop(call);
}

void call_refuse(struct rpc_call *call, enum rpc_code code, const char *reason, const char *text)
{
	call_claim(call);
	rpc_status_set(&call->status, code, reason, "%s", text);
	if (code == RPC_RESOURCE_EXHAUSTED)
		call->status.retry_after_ms = 1000;
	call_finish(call);
}

/* ---- what a method may ask ---- */

static const struct rpc_call *check(const struct rpc_call *call)
{
	assert(call->magic == CALL_MAGIC);
	return call;
}

struct arena *rpc_arena(struct rpc_call *call)
{
	check(call);
	return &call->arena;
}

int64_t rpc_deadline_ns(const struct rpc_call *call)
{
	return check(call)->deadline_ns;
}

bool rpc_abandoned(const struct rpc_call *call)
{
	return atomic_load(&check(call)->abandoned);
}

const char *rpc_peer(const struct rpc_call *call)
{
	return check(call)->peer;
}

const char *rpc_trace(const struct rpc_call *call)
{
	return check(call)->trace;
}

const uint8_t *rpc_trace_id(const struct rpc_call *call)
{
	return check(call)->trace[0] ? call->trace_id : NULL;
}

void **rpc_state(struct rpc_call *call)
{
	check(call);
	return &call->state;
}
