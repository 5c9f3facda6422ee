/* rpc/subscription.c - a server stream that is kept open; see rpc/client.h.
 *
 * A subscription has at most one stream; a stream that it left ends by itself, unheard, when gRPC gave its tags back. */
#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/backoff.h"
#include "rpc/pack.h"
#include "rpc/stream_metrics.h"
#include "rpc/unary.h"

#define ARENA_BLOCK_BYTES 16384

struct stream {
	struct rpc_tag begin, read, end;
	struct rpc_subscription *subscription; /* NULL: left */
	struct rpc_channel *channel;
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *message;
	grpc_status_code code;
	grpc_slice details;
	struct arena arena;
	uint32_t flying; /* tags that have not come back */
};

struct rpc_subscription {
	struct rpc_subscription_options options;
	char *instance;	       /* NULL: any */
	struct rpc_pool *pool; /* NULL: it closed, nothing comes any more */
	struct rpc_pool_user user;
	struct rpc_loop *loop;
	struct stream_metrics *metrics;
	struct stream *stream;
	struct rpc_timer timer; /* of silence while there is a stream, else of the back-off */
	struct backoff backoff;
};

/* ---- the stream ---- */

static void stream_release(struct stream *stream)
{
	if (stream->flying)
		return;
	assert(!stream->subscription);
	grpc_metadata_array_destroy(&stream->initial);
	grpc_metadata_array_destroy(&stream->trailing);
	grpc_slice_unref(stream->details);
	if (stream->message)
		grpc_byte_buffer_destroy(stream->message);
	grpc_call_unref(stream->call);
	arena_release(&stream->arena);
	rpc_channel_drop(stream->channel);
	free(stream);
}

static bool stream_start(struct stream *stream, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	bool ok = rpc_batch_start(stream->call, ops, count, tag);

	stream->flying += ok;
	return ok;
}

static bool start_read(struct stream *stream)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	op.data.recv_message.recv_message = &stream->message;
	return stream_start(stream, &op, 1, &stream->read);
}

static bool start_begin(struct stream *stream, grpc_byte_buffer *message)
{
	grpc_op ops[4];

	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = message;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
	return stream_start(stream, ops, 4, &stream->begin);
}

static bool start_end(struct stream *stream)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

	op.data.recv_status_on_client.status = &stream->code;
	op.data.recv_status_on_client.status_details = &stream->details;
	op.data.recv_status_on_client.trailing_metadata = &stream->trailing;
	return stream_start(stream, &op, 1, &stream->end);
}

/* ---- the subscription without a stream ---- */

static void back_off(struct rpc_subscription *subscription)
{
	rpc_timer_start(subscription->loop, &subscription->timer, backoff_next_ms(&subscription->backoff));
}

static void leave_stream(struct rpc_subscription *subscription)
{
	struct stream *stream = subscription->stream;

	if (!stream)
		return;
	subscription->stream = NULL;
	stream->subscription = NULL;
	grpc_call_cancel(stream->call, NULL);
	stream_release(stream);
}

/* The subscription may be gone when this returns: lost() may have ended it. */
static void lose(struct rpc_subscription *subscription, const struct rpc_status *why)
{
	leave_stream(subscription);
	rpc_timer_stop(subscription->loop, &subscription->timer);
	if (subscription->pool)
		back_off(subscription);
	if (subscription->options.lost)
		subscription->options.lost(subscription->options.context, why);
}

static void lose_with(struct rpc_subscription *subscription, enum rpc_code code, const char *why)
{
	struct rpc_status status;

	rpc_status_set(&status, code, "", "%s", why);
	lose(subscription, &status);
}

/* ---- what a stream brings ---- */

/* Whether the stream goes on: not if a callback ended or replaced it, or did not want the message. */
static bool deliver(struct stream *stream)
{
	struct rpc_subscription *subscription = stream->subscription;
	const struct rpc_subscription_options *options = &subscription->options;
	ProtobufCMessage *message = rpc_unpack(stream->message, options->method->output, &stream->arena);
	bool wanted;

	grpc_byte_buffer_destroy(stream->message);
	stream->message = NULL;
	if (!message) {
		lose_with(subscription, RPC_INTERNAL, "a message does not parse or is larger than its limit");
		return false;
	}
	wanted = options->message(options->context, message);
	arena_clear(&stream->arena);
	if (stream->subscription && !wanted)
		lose_with(subscription, RPC_ABORTED, "its reader asked for a new stream");
	return stream->subscription;
}

static void read_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, read);
	struct rpc_subscription *subscription = stream->subscription;

	/* `flying` still counts this tag, so that no callback frees the stream under our feet */
	if (subscription && stream->message) {
		backoff_clear(&subscription->backoff);
		stream_metrics_heard(subscription->metrics);
		rpc_timer_start(subscription->loop, &subscription->timer, subscription->options.silence_ms);
		if (deliver(stream) && !start_read(stream))
			lose_with(stream->subscription, RPC_INTERNAL, "the stream refused to be read");
	}
	stream->flying--;
	stream_release(stream);
}

static void begin_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, begin);

	stream->flying--;
	stream_release(stream);
}

static void end_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, end);
	struct rpc_status status;

	if (stream->subscription) {
		rpc_status_receive(&status, stream->code, stream->details, &stream->trailing);
		lose(stream->subscription, &status);
	}
	stream->flying--;
	stream_release(stream);
}

/* ---- opening ---- */

static grpc_byte_buffer *first_message(struct rpc_subscription *subscription)
{
	const struct rpc_subscription_options *options = &subscription->options;
	ProtobufCMessage *request = memory_new(options->method->input->sizeof_message);
	grpc_byte_buffer *buffer;

	protobuf_c_message_init(options->method->input, request);
	if (options->open)
		options->open(options->context, request);
	buffer = pack_message(request);
	free(request);
	return buffer;
}

static struct stream *new_stream(struct rpc_subscription *subscription, struct rpc_channel *channel)
{
	const struct rpc_subscription_options *options = &subscription->options;
	uint32_t bytes_max = options->message_arena_bytes_max;
	struct stream *stream = NEW(struct stream);
	grpc_slice path = rpc_path(options->service, options->method);

	stream->subscription = subscription;
	stream->channel = channel;
	stream->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
		rpc_loop_queue(subscription->loop), path, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_slice_unref(path);
	rpc_tag_init(&stream->begin, begin_done);
	rpc_tag_init(&stream->read, read_done);
	rpc_tag_init(&stream->end, end_done);
	grpc_metadata_array_init(&stream->initial);
	grpc_metadata_array_init(&stream->trailing);
	stream->details = grpc_empty_slice();
	arena_init(&stream->arena, bytes_max < ARENA_BLOCK_BYTES ? bytes_max : ARENA_BLOCK_BYTES, bytes_max);
	rpc_channel_keep(channel);
	return stream;
}

static void open_on(struct rpc_subscription *subscription, struct rpc_channel *channel)
{
	grpc_byte_buffer *message = first_message(subscription);
	struct stream *stream = new_stream(subscription, channel);
	bool ok = start_begin(stream, message) && start_end(stream) && start_read(stream);

	grpc_byte_buffer_destroy(message);
	subscription->stream = stream;
	if (!ok) {
		leave_stream(subscription);
		back_off(subscription);
		return;
	}
	metric_add(&rpc_pool_metrics(subscription->pool)->subscription_opens, 1);
	rpc_timer_start(subscription->loop, &subscription->timer, subscription->options.silence_ms);
}

static void try_open(struct rpc_subscription *subscription)
{
	struct rpc_channel *channel;
	bool wait;

	if (subscription->instance)
		channel = rpc_pool_pick_instance(subscription->pool, subscription->instance);
	else
		channel = rpc_pool_pick(subscription->pool, subscription->options.shard, &wait);
	if (channel)
		open_on(subscription, channel); /* else the pool tells when one is ready */
}

static void timer_run(struct rpc_task *task)
{
	struct rpc_subscription *subscription = container_of(task, struct rpc_subscription, timer.task);

	if (subscription->stream)
		lose_with(subscription, RPC_DEADLINE_EXCEEDED, "the stream fell silent");
	else
		try_open(subscription);
}

static void pool_changed(struct rpc_pool_user *user)
{
	struct rpc_subscription *subscription = container_of(user, struct rpc_subscription, user);

	if (subscription->stream && !subscription->stream->channel->listed)
		lose_with(subscription, RPC_UNAVAILABLE, "its instance is no longer listed");
	else if (!subscription->stream && !subscription->timer.position)
		try_open(subscription);
}

static void pool_closed(struct rpc_pool_user *user)
{
	struct rpc_subscription *subscription = container_of(user, struct rpc_subscription, user);
	bool open = subscription->stream;

	rpc_pool_leave(subscription->pool, user);
	subscription->pool = NULL;
	rpc_timer_stop(subscription->loop, &subscription->timer);
	if (open)
		lose_with(subscription, RPC_UNAVAILABLE, "this process stops asking");
}

/* ---- what its owner calls ---- */

struct rpc_subscription *rpc_subscribe(const struct rpc_subscription_options *options)
{
	struct rpc_subscription *subscription = NEW(struct rpc_subscription);

	assert(options->message && options->silence_ms > 0 && options->message_arena_bytes_max);
	subscription->options = *options;
	subscription->instance = options->instance ? memory_copy_text(options->instance) : NULL;
	subscription->pool = options->pool;
	subscription->loop = rpc_pool_loop(options->pool);
	subscription->metrics = stream_metrics_get(
		rpc_pool_metrics(options->pool)->service, options->method->name, options->shard);
	subscription->timer.task.run = timer_run;
	backoff_init(&subscription->backoff);
	subscription->user.changed = pool_changed;
	subscription->user.closed = pool_closed;
	assert(rpc_on_loop(subscription->loop));
	rpc_pool_join(subscription->pool, &subscription->user);
	rpc_timer_start(subscription->loop, &subscription->timer, 0); /* no callback before this returned */
	return subscription;
}

void rpc_subscription_reopen(struct rpc_subscription *subscription)
{
	assert(rpc_on_loop(subscription->loop));
	if (!subscription->pool)
		return;
	leave_stream(subscription);
	backoff_clear(&subscription->backoff);
	rpc_timer_start(subscription->loop, &subscription->timer, 0);
}

void rpc_unsubscribe(struct rpc_subscription *subscription)
{
	if (!subscription)
		return;
	assert(rpc_on_loop(subscription->loop));
	leave_stream(subscription);
	rpc_timer_stop(subscription->loop, &subscription->timer);
	if (subscription->pool)
		rpc_pool_leave(subscription->pool, &subscription->user);
	free(subscription->instance);
	stream_metrics_put(subscription->metrics);
	free(subscription);
}
