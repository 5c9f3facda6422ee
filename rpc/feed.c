/* rpc/feed.c - see rpc/feed.h. A feed has at most one stream; a stream that it left ends by itself, unheard, when gRPC gave its tags back. */
#include "rpc/feed.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/backoff.h"
#include "rpc/pack.h"
#include "rpc/unary.h"

struct stream {
	struct rpc_tag begin, write, end;
	struct rpc_feed *feed; /* NULL: left */
	struct rpc_channel *channel;
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *message, *answer; /* on its way; of the other side, if it ends well */
	grpc_status_code code;
	grpc_slice details;
	uint32_t flying; /* tags that have not come back */
	bool begun;
};

struct rpc_feed {
	struct rpc_feed_options options;
	char *instance;	       /* NULL: any */
	struct rpc_pool *pool; /* NULL: it closed, nothing goes any more */
	struct rpc_pool_user user;
	struct rpc_loop *loop;
	struct stream *stream;
	struct rpc_timer timer; /* of the back-off */
	struct backoff backoff;
	ProtobufCMessage *scratch;
	bool asking; /* next() runs */
};

/* ---- the stream ---- */

static void stream_release(struct stream *stream)
{
	if (stream->flying || stream->feed)
		return;
	grpc_metadata_array_destroy(&stream->initial);
	grpc_metadata_array_destroy(&stream->trailing);
	grpc_slice_unref(stream->details);
	if (stream->message)
		grpc_byte_buffer_destroy(stream->message);
	if (stream->answer)
		grpc_byte_buffer_destroy(stream->answer);
	grpc_call_unref(stream->call);
	rpc_channel_drop(stream->channel);
	free(stream);
}

static bool stream_start(struct stream *stream, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	const bool ok = rpc_batch_start(stream->call, ops, count, tag);

	stream->flying += ok;
	return ok;
}

static bool start_begin(struct stream *stream)
{
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

	return stream_start(stream, &op, 1, &stream->begin);
}

/* The end waits for whatever the other side sends, or it would not come. */
static bool start_end(struct stream *stream)
{
	grpc_op ops[3];

	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[0].data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
	ops[1].op = GRPC_OP_RECV_MESSAGE;
	ops[1].data.recv_message.recv_message = &stream->answer;
	ops[2].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[2].data.recv_status_on_client.status = &stream->code;
	ops[2].data.recv_status_on_client.status_details = &stream->details;
	ops[2].data.recv_status_on_client.trailing_metadata = &stream->trailing;
	return stream_start(stream, ops, 3, &stream->end);
}

static bool start_write(struct stream *stream, const ProtobufCMessage *message)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	stream->message = pack_message(message);
	op.data.send_message.send_message = stream->message;
	return stream_start(stream, &op, 1, &stream->write);
}

/* ---- the feed without a stream ---- */

static void back_off(struct rpc_feed *feed)
{
	rpc_timer_start(feed->loop, &feed->timer, backoff_next_ms(&feed->backoff));
}

static void leave_stream(struct rpc_feed *feed)
{
	struct stream *stream = feed->stream;

	if (!stream)
		return;
	feed->stream = NULL;
	stream->feed = NULL;
	grpc_call_cancel(stream->call, NULL);
	stream_release(stream);
}

static void lose(struct rpc_feed *feed, const struct rpc_status *why)
{
	const bool told = feed->stream->begun;

	leave_stream(feed);
	if (feed->pool)
		back_off(feed);
	if (told && feed->options.lost)
		feed->options.lost(feed->options.context, why);
}

static void lose_with(struct rpc_feed *feed, enum rpc_code code, const char *why)
{
	struct rpc_status status;

	rpc_status_set(&status, code, "", "%s", why);
	lose(feed, &status);
}

/* ---- what goes out ---- */

bool rpc_feed_open(const struct rpc_feed *feed)
{
	return feed->stream && feed->stream->begun;
}

static void send_next(struct rpc_feed *feed)
{
	bool more;

	if (!rpc_feed_open(feed) || feed->stream->message || feed->asking)
		return;
	protobuf_c_message_init(feed->options.method->input, feed->scratch);
	feed->asking = true;
	more = feed->options.next(feed->options.context, feed->scratch);
	feed->asking = false;
	if (more && !start_write(feed->stream, feed->scratch))
		lose_with(feed, RPC_INTERNAL, "the stream refused to be written");
}

static void begin_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, begin);
	struct rpc_feed *feed = stream->feed;

	/* `flying` still counts this tag, so that no callback frees the stream under our feet */
	if (feed && ok) {
		stream->begun = true;
		if (feed->options.opened)
			feed->options.opened(feed->options.context);
	}
	if (stream->feed && ok)
		send_next(stream->feed);
	stream->flying--;
	stream_release(stream);
}

static void write_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, write);

	grpc_byte_buffer_destroy(stream->message);
	stream->message = NULL;
	if (stream->feed && ok) { /* else its end is on its way */
		backoff_clear(&stream->feed->backoff);
		send_next(stream->feed);
	}
	stream->flying--;
	stream_release(stream);
}

static void end_done(struct rpc_tag *tag, bool ok)
{
	struct stream *stream = container_of(tag, struct stream, end);
	struct rpc_status status;

	if (stream->feed) {
		rpc_status_receive(&status, stream->code, stream->details, &stream->trailing);
		lose(stream->feed, &status);
	}
	stream->flying--;
	stream_release(stream);
}

/* ---- opening ---- */

static struct stream *new_stream(struct rpc_feed *feed, struct rpc_channel *channel)
{
	struct stream *stream = NEW(struct stream);
	grpc_slice path = rpc_path(feed->options.service, feed->options.method);

	stream->feed = feed;
	stream->channel = channel;
	stream->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
		rpc_loop_queue(feed->loop), path, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_slice_unref(path);
	rpc_tag_init(&stream->begin, begin_done);
	rpc_tag_init(&stream->write, write_done);
	rpc_tag_init(&stream->end, end_done);
	grpc_metadata_array_init(&stream->initial);
	grpc_metadata_array_init(&stream->trailing);
	stream->details = grpc_empty_slice();
	rpc_channel_keep(channel);
	return stream;
}

static void open_on(struct rpc_feed *feed, struct rpc_channel *channel)
{
	feed->stream = new_stream(feed, channel);
	if (!start_begin(feed->stream) || !start_end(feed->stream)) {
		leave_stream(feed);
		back_off(feed);
		return;
	}
	metric_add(&rpc_pool_metrics(feed->pool)->subscription_opens, 1);
}

static void try_open(struct rpc_feed *feed)
{
	struct rpc_channel *channel;
	bool wait;

	if (feed->instance)
		channel = rpc_pool_pick_instance(feed->pool, feed->instance);
	else
		channel = rpc_pool_pick(feed->pool, RPC_ANY_SHARD, &wait);
	if (channel)
		open_on(feed, channel); /* else the pool tells when one is ready */
}

static void timer_run(struct rpc_task *task)
{
	struct rpc_feed *feed = container_of(task, struct rpc_feed, timer.task);

	assert(!feed->stream);
	try_open(feed);
}

static void pool_changed(struct rpc_pool_user *user)
{
	struct rpc_feed *feed = container_of(user, struct rpc_feed, user);

	if (feed->stream && !feed->stream->channel->listed)
		lose_with(feed, RPC_UNAVAILABLE, "its instance is no longer listed");
	else if (!feed->stream && !feed->timer.position)
		try_open(feed);
}

static void pool_closed(struct rpc_pool_user *user)
{
	struct rpc_feed *feed = container_of(user, struct rpc_feed, user);

	rpc_pool_leave(feed->pool, user);
	feed->pool = NULL;
	rpc_timer_stop(feed->loop, &feed->timer);
	if (feed->stream)
		lose_with(feed, RPC_UNAVAILABLE, "this process stops telling");
}

/* ---- what its owner calls ---- */

struct rpc_feed *rpc_feed_new(const struct rpc_feed_options *options)
{
	struct rpc_feed *feed = NEW(struct rpc_feed);

	assert(options->next);
	feed->options = *options;
	feed->instance = options->instance ? memory_copy_text(options->instance) : NULL;
	feed->pool = options->pool;
	feed->loop = rpc_pool_loop(options->pool);
	feed->timer.task.run = timer_run;
	feed->scratch = memory_new(options->method->input->sizeof_message);
	feed->user.changed = pool_changed;
	feed->user.closed = pool_closed;
	backoff_init(&feed->backoff);
	assert(rpc_on_loop(feed->loop));
	rpc_pool_join(feed->pool, &feed->user);
	rpc_timer_start(feed->loop, &feed->timer, 0); /* no callback before this returned */
	return feed;
}

void rpc_feed_wake(struct rpc_feed *feed)
{
	assert(rpc_on_loop(feed->loop));
	send_next(feed);
}

void rpc_feed_free(struct rpc_feed *feed)
{
	if (!feed)
		return;
	assert(rpc_on_loop(feed->loop) && !feed->asking);
	leave_stream(feed);
	rpc_timer_stop(feed->loop, &feed->timer);
	if (feed->pool)
		rpc_pool_leave(feed->pool, &feed->user);
	free(feed->instance);
	free(feed->scratch);
	free(feed);
}
