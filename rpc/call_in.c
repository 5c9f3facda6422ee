/* A client stream: one message is read, the method sees it, then the next is read; at last it sees NULL once, also when the client left, a
 * message was refused or the server drains, so that it can let go of its state. With answers (RPC_STREAM_BOTH) it goes in step: the next message is
 * read when the answer to the last one is sent. */
#include <assert.h>

#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/pack.h"

static const struct rpc_status draining = {
	.code = RPC_UNAVAILABLE, .retry_after_ms = 1000, .message = "this server is going away; ask another"};

static void read_next(struct rpc_call *call);

static void invoke(struct rpc_call *call, const ProtobufCMessage *message)
{
	struct rpc_method *method = call->method;

	method->service->invoke(method->service, method->index, message, call_answer, call);
}

static void input_ends(struct rpc_call *call)
{
	if (call->input_over || atomic_load(&call->claimed))
		return;
	call->input_over = true;
	invoke(call, NULL);
}

/* The verdict stays in the scratch, which is not cleared any more. */
static void input_refused(struct rpc_call *call, const struct rpc_status *why)
{
	struct rpc_status *verdict = arena_copy(&call->scratch, why, sizeof(*why));

	if (!verdict) {
		arena_clear(&call->scratch); /* what it refused had filled it */
		verdict = arena_copy(&call->scratch, why, sizeof(*why));
		assert(verdict);
	}
	call->verdict = verdict;
	input_ends(call);
}

static void deliver(struct rpc_call *call)
{
	const ProtobufCMessage *message;
	struct rpc_status why;

	arena_clear(&call->scratch);
	if (!call_unpack(call, &call->scratch, &message, &why)) {
		input_refused(call, &why);
		return;
	}
	call->answered = false;
	invoke(call, message);
	if (call->method->shape == RPC_STREAM_IN && !atomic_load(&call->claimed))
		read_next(call);
}

static void message_read(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, reading);

	assert(call->magic == CALL_MAGIC);
	if (!ok)
		atomic_store(&call->abandoned, true);
	if (call->received && !call->input_over && !atomic_load(&call->claimed))
		deliver(call);
	else
		input_ends(call);
	call_drop(call);
}

static void read_next(struct rpc_call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	assert(!call->received);
	op.data.recv_message.recv_message = &call->received;
	rpc_tag_init(&call->reading, message_read);
	if (!call_batch(call, &op, 1, &call->reading)) {
		atomic_store(&call->abandoned, true);
		input_ends(call);
	}
}

void stream_in_start(struct rpc_call *call)
{
	read_next(call);
}

void stream_in_nudge(struct rpc_call *call)
{
	if (call->input_over || call->writing || atomic_load(&call->claimed))
		return;
	call->verdict = &draining;
	input_ends(call);
}

static void answer_sent(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, sent);

	call->writing = false;
	grpc_byte_buffer_destroy(call->sending);
	call->sending = NULL;
	if (!ok)
		atomic_store(&call->abandoned, true);
	if (call->server->draining)
		stream_in_nudge(call);
	else
		read_next(call);
	call_drop(call);
}

bool stream_both_answer(struct rpc_call *call, const ProtobufCMessage *message)
{
	grpc_op ops[2];
	size_t count = call_metadata_op(call, ops);

	assert(rpc_on_loop(call->server->loop) && !call->answered && !call->writing);
	call->answered = call->writing = true;
	call->sending = pack_message(message);
	ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
	ops[count++].data.send_message.send_message = call->sending;
	rpc_tag_init(&call->sent, answer_sent);
	return call_batch(call, ops, count, &call->sent);
}
