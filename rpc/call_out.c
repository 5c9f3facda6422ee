/* A server stream is pulled: while a message is on its way nothing is asked for, so a slow reader costs one message, however much the method has
 * to tell. */
#include <assert.h>

#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/pack.h"

static void pump(struct rpc_call *call);

static void close_cursor(struct rpc_call *call)
{
	rpc_timer_stop(call->server->loop, &call->heartbeat);
	call->streaming = false;
	call->stream.end(call->stream.cursor);
}

static void finish(struct rpc_call *call)
{
	close_cursor(call);
	call_finish(call);
}

static void message_sent(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, sent);

	assert(call->magic == CALL_MAGIC && call->writing);
	call->writing = false;
	grpc_byte_buffer_destroy(call->sending);
	call->sending = NULL;
	if (!ok)
		atomic_store(&call->abandoned, true);
	pump(call);
	call_drop(call);
}

static void send_message(struct rpc_call *call, const ProtobufCMessage *message)
{
	grpc_op ops[2];
	size_t count = call_metadata_op(call, ops);

	call->sending = pack_message(message);
	ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
	ops[count++].data.send_message.send_message = call->sending;
	rpc_tag_init(&call->sent, message_sent);
	call->writing = true;
	if (call_batch(call, ops, count, &call->sent))
		return;
	call->writing = false;
	atomic_store(&call->abandoned, true);
	finish(call);
}

/* Nothing to tell now. A server that drains does not wait for what may come. */
static void wait(struct rpc_call *call)
{
	if (call->server->draining) {
		rpc_status_set(
			&call->status, RPC_UNAVAILABLE, "STARTING", "this server is going away; ask another");
		finish(call);
	} else if (call->stream.heartbeat_ms && !call->heartbeat.position) {
		rpc_timer_start(call->server->loop, &call->heartbeat, call->stream.heartbeat_ms);
	}
}

static void pump(struct rpc_call *call)
{
	const ProtobufCMessage *message = NULL;

	if (!call->streaming || call->writing)
		return;
	if (atomic_load(&call->abandoned)) {
		finish(call);
		return;
	}
	arena_clear(&call->scratch);
	call->status = (struct rpc_status){.code = RPC_OK};
	switch (call->stream.next(call->stream.cursor, &call->scratch, &message, &call->status)) {
	case RPC_MORE:
		assert(message && message->descriptor == call->method->type->output);
		rpc_timer_stop(call->server->loop, &call->heartbeat);
		send_message(call, message);
		return;
	case RPC_WAIT:
		wait(call);
		return;
	case RPC_END:
		call->status.code = RPC_OK;
		finish(call);
		return;
	case RPC_FAILED:
		assert(call->status.code != RPC_OK);
		finish(call);
		return;
	}
}

static void heartbeat_due(struct rpc_task *task)
{
	struct rpc_timer *timer = container_of(task, struct rpc_timer, task);

	pump(container_of(timer, struct rpc_call, heartbeat));
}

static void wake_run(struct rpc_task *task)
{
	struct rpc_call *call = container_of(task, struct rpc_call, wake_task);

	assert(call->magic == CALL_MAGIC);
	atomic_store(&call->wake_posted, false);
	pump(call);
	call_drop(call);
}

static void open_run(struct rpc_task *task)
{
	struct rpc_call *call = container_of(task, struct rpc_call, open_task);

	call->streaming = true;
	pump(call);
}

void stream_out_start(struct rpc_call *call)
{
	call->wake_task.run = wake_run;
	call->open_task.run = open_run;
	call->heartbeat.task.run = heartbeat_due;
	unary_start(call);
}

void rpc_stream_open(struct rpc_call *call, const struct rpc_stream *stream)
{
	assert(call->magic == CALL_MAGIC && call->method->shape == RPC_STREAM_OUT);
	assert(stream->next && stream->end);
	call_claim(call);
	call->stream = *stream;
	if (rpc_on_loop(call->server->loop))
		open_run(&call->open_task);
	else
		rpc_post(call->server->loop, &call->open_task);
}

/* The hold is safe: the caller may call it only before end() has returned, and until then the stream's own hold is there. */
void rpc_wake(struct rpc_call *call)
{
	assert(call->magic == CALL_MAGIC);
	if (atomic_exchange(&call->wake_posted, true))
		return;
	call_hold(call);
	rpc_post(call->server->loop, &call->wake_task);
}

void stream_out_nudge(struct rpc_call *call)
{
	if (call->method && call->method->shape == RPC_STREAM_OUT)
		pump(call);
}
