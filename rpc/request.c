/* rpc/request.c - one unary call of an owner's; see rpc/client.h. */
#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/pack.h"
#include "rpc/unary.h"

#define REQUESTS_MAX 16384 /* open at a time in one pool */

enum request_state { REQUEST_WAITING, REQUEST_FLYING, REQUEST_ENDING };

/* Lives from start to done(). */
struct request_call {
	struct rpc_pool_user user;
	struct rpc_unary unary;
	struct rpc_timer timer; /* WAITING: until when */
	struct rpc_task end;
	struct rpc_pool *pool;
	struct rpc_request *request;
	enum request_state state;
	grpc_byte_buffer *message; /* WAITING */
	grpc_byte_buffer *copy;	   /* of a read's, to send it again; NULL: that was done */
	char *trace;
};

static struct request_call *of_user(struct rpc_pool_user *user)
{
	return container_of(user, struct request_call, user);
}

static void finish(struct request_call *call)
{
	struct rpc_request *request = call->request;

	rpc_pool_leave(call->pool, &call->user);
	if (call->copy)
		grpc_byte_buffer_destroy(call->copy);
	free(call->trace);
	free(call);
	request->call_ = NULL;
	request->done(request);
}

static void end_run(struct rpc_task *task)
{
	finish(container_of(task, struct request_call, end));
}

/* It never left: done() comes at the turn's end, for its owner may be on the stack right now. The status is set. */
static void end_unsent(struct request_call *call)
{
	assert(call->state == REQUEST_WAITING);
	rpc_timer_stop(rpc_pool_loop(call->pool), &call->timer);
	if (call->message)
		grpc_byte_buffer_destroy(call->message);
	call->message = NULL;
	call->state = REQUEST_ENDING;
	metric_add(&rpc_pool_metrics(call->pool)->failed_unsent, 1);
	rpc_at_turn_end(rpc_pool_loop(call->pool), &call->end);
}

static void end_expired(struct request_call *call)
{
	rpc_status_set(
		&call->request->status, RPC_DEADLINE_EXCEEDED, "", "the deadline passed before it was sent");
	end_unsent(call);
}

static void end_unavailable(struct request_call *call)
{
	struct rpc_request *request = call->request;

	if (request->instance)
		rpc_status_set(
			&request->status, RPC_UNAVAILABLE, "", "%s is not connected", request->instance);
	else
		rpc_pool_explain(call->pool, request->shard, &request->status);
	end_unsent(call);
}

static void try_send(struct rpc_pool_user *user);

static bool may_repeat(const struct request_call *call)
{
	return call->copy && call->unary.status.code == RPC_UNAVAILABLE && !call->unary.closing &&
	       clock_mono_ns() < call->request->deadline_ns && rpc_pool_may_repeat(call->pool);
}

static void start_waiting(struct request_call *call)
{
	int64_t left_ms = (call->request->deadline_ns - clock_mono_ns()) / 1000000;

	call->state = REQUEST_WAITING;
	rpc_timer_start(rpc_pool_loop(call->pool), &call->timer,
		left_ms < RPC_READY_WAIT_MS ? left_ms : RPC_READY_WAIT_MS);
	try_send(&call->user);
}

static void repeat(struct request_call *call)
{
	call->message = call->copy;
	call->copy = NULL;
	start_waiting(call);
}

static void unary_done(struct rpc_unary *unary)
{
	struct request_call *call = container_of(unary, struct request_call, unary);
	struct rpc_request *request = call->request;

	if (may_repeat(call)) {
		rpc_unary_release(unary);
		repeat(call);
		return;
	}
	if (unary->status.code == RPC_OK)
		request->output = rpc_unary_answer(unary, request->method->output, request->arena);
	request->status = unary->status;
	rpc_unary_release(unary);
	finish(call);
}

static void send_on(struct request_call *call, struct rpc_channel *channel)
{
	struct rpc_request *request = call->request;
	grpc_slice path = rpc_path(request->service, request->method);
	grpc_byte_buffer *message = call->message;

	call->message = NULL;
	call->unary.done = unary_done;
	if (rpc_unary_start(&call->unary, channel, path, message, request->deadline_ns, call->trace)) {
		rpc_timer_stop(rpc_pool_loop(call->pool), &call->timer);
		request->sent = true;
		call->state = REQUEST_FLYING;
	} else {
		rpc_status_set(&request->status, RPC_INTERNAL, "", "the call to %s was refused at its start",
			channel->address);
		end_unsent(call);
	}
	grpc_slice_unref(path);
}

static void try_send(struct rpc_pool_user *user)
{
	struct request_call *call = of_user(user);
	const struct rpc_request *request = call->request;
	struct rpc_channel *channel;
	bool wait = false;

	if (call->state != REQUEST_WAITING)
		return;
	channel = request->instance ? rpc_pool_pick_instance(call->pool, request->instance)
				    : rpc_pool_pick(call->pool, request->shard, &wait);
	if (channel)
		send_on(call, channel);
	else if (!wait)
		end_unavailable(call);
}

static void waited_enough(struct rpc_task *task)
{
	struct request_call *call = container_of(task, struct request_call, timer.task);

	if (clock_mono_ns() >= call->request->deadline_ns)
		end_expired(call);
	else
		end_unavailable(call);
}

static void pool_closed(struct rpc_pool_user *user)
{
	struct request_call *call = of_user(user);

	if (call->state == REQUEST_WAITING)
		end_unavailable(call);
	else if (call->state == REQUEST_FLYING)
		rpc_unary_cancel(&call->unary, true);
}

static struct request_call *new_call(struct rpc_pool *pool, struct rpc_request *request)
{
	struct request_call *call = NEW(struct request_call);

	call->user.changed = try_send;
	call->user.closed = pool_closed;
	call->timer.task.run = waited_enough;
	call->end.run = end_run;
	call->pool = pool;
	call->request = request;
	call->message = pack_message(request->input);
	call->copy = request->read ? grpc_byte_buffer_copy(call->message) : NULL;
	call->trace = request->trace && request->trace[0] ? memory_copy_text(request->trace) : NULL;
	return call;
}

void rpc_request_start(struct rpc_pool *pool, struct rpc_request *request)
{
	struct request_call *call = new_call(pool, request);
	int64_t left_ms;

	assert(rpc_on_loop(rpc_pool_loop(pool)) && request->done && request->arena);
	request->call_ = call;
	request->sent = false;
	request->output = NULL;
	rpc_pool_join(pool, &call->user);
	left_ms = (request->deadline_ns - clock_mono_ns()) / 1000000;
	if (left_ms <= 0) {
		end_expired(call);
		return;
	}
	if (rpc_pool_users(pool) > REQUESTS_MAX) {
		rpc_status_set(&request->status, RPC_RESOURCE_EXHAUSTED, "OVERLOADED",
			"%d requests are open already", REQUESTS_MAX);
		end_unsent(call);
		return;
	}
	start_waiting(call);
}

void rpc_request_cancel(struct rpc_request *request)
{
	struct request_call *call = request->call_;

	if (call && call->state == REQUEST_WAITING) {
		rpc_status_set(&request->status, RPC_CANCELLED, "", "cancelled before it was sent");
		end_unsent(call);
	} else if (call && call->state == REQUEST_FLYING) {
		rpc_unary_cancel(&call->unary, false);
	}
}
