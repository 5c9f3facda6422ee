/* rpc/batcher.c - asks gather in lanes, one a shard, and leave in batches; see rpc/client.h. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/ask_lanes.h"
#include "rpc/batch.h"

#define GATHER_MAX_NS (2 * INT64_C(1000000)) /* a next hop that hangs holds nothing up for longer */

LIST_HEAD(batch_list, batch);

struct rpc_batcher {
	struct rpc_batcher_options options;
	struct batch_shape shape;
	grpc_slice path;
	struct rpc_pool *pool; /* NULL: closed, nothing leaves any more */
	struct rpc_pool_user user;
	struct rpc_loop *loop;
	struct client_metrics *metrics;
	struct ask_lanes lanes;
	struct batch_list flying, idle;
	uint32_t flying_items;
	LIST_HEAD(, rpc_batcher) feeders; /* those whose next hop this is */
	LIST_ENTRY(rpc_batcher) feeder;
	struct rpc_ask *failed, **failed_last; /* on their way back, status set */
	struct rpc_task turn;
	struct rpc_timer timer;
	bool scheduled, busy, freed;
};

/* ---- asks that come back without having left ---- */

static void fail_later(struct rpc_batcher *batcher, struct rpc_ask *ask)
{
	ask->sent = false;
	ask->answer = NULL;
	ask->next = NULL;
	*batcher->failed_last = ask;
	batcher->failed_last = &ask->next;
	metric_add(&batcher->metrics->failed_unsent, 1);
}

static void deliver_failed(struct rpc_batcher *batcher)
{
	struct rpc_ask *ask;

	while ((ask = batcher->failed)) {
		batcher->failed = ask->next;
		if (!batcher->failed)
			batcher->failed_last = &batcher->failed;
		ask->done(ask);
	}
}

static void set_stopped(struct rpc_status *status)
{
	rpc_status_set(status, RPC_UNAVAILABLE, "", "this process stops asking");
}

/* ---- a lane's queue ---- */

static struct rpc_batcher *batcher_of(const struct ask_lane *lane)
{
	return container_of(lane->lanes, struct rpc_batcher, lanes);
}

static void fail_queue(struct ask_lane *lane, const struct rpc_status *status)
{
	struct rpc_ask *ask;

	while ((ask = ask_lane_take(lane))) {
		ask->status = *status;
		fail_later(batcher_of(lane), ask);
	}
	lane->waiting_until_ns = 0;
}

static void expire_ask(struct ask_lane *lane, struct rpc_ask *ask)
{
	rpc_status_set(&ask->status, RPC_DEADLINE_EXCEEDED, "", "the deadline passed before it was sent");
	fail_later(batcher_of(lane), ask);
}

static void expire_queue(struct ask_lane *lane, int64_t now_ns)
{
	struct rpc_ask *ask, *expired = ask_lane_expire(lane, now_ns);

	while ((ask = expired)) {
		expired = ask->next;
		expire_ask(lane, ask);
	}
}

/* ---- sending ---- */

static void batch_ended(struct batch *batch);

static bool send_again(struct batch *batch);

static struct batch *get_batch(struct rpc_batcher *batcher)
{
	struct batch *batch = LIST_FIRST(&batcher->idle);

	if (batch) {
		LIST_REMOVE(batch, link);
		return batch;
	}
	batch = batch_new(
		batcher->loop, &batcher->shape, batcher->options.items_max, batcher->options.arena_bytes_max);
	batch->ended = batch_ended;
	batch->again = send_again;
	return batch;
}

static void fill_batch(struct ask_lane *lane, struct batch *batch, int64_t now_ns)
{
	struct rpc_ask *ask;

	while (batch->count < batch->room && (ask = ask_lane_take(lane))) {
		if (ask->deadline_ns <= now_ns)
			expire_ask(lane, ask);
		else
			batch_add(batch, ask, now_ns);
	}
}

/* gRPC refused the call: its asks go the way of those that never left. */
static void take_back(struct ask_lane *lane, struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		rpc_status_set(
			&batch->asks[i]->status, RPC_INTERNAL, "", "the call was refused at its start");
		fail_later(batcher_of(lane), batch->asks[i]);
		batch->asks[i] = NULL;
	}
	batch->count = 0;
}

static void send_batch(struct ask_lane *lane, struct rpc_channel *channel, int64_t now_ns)
{
	struct rpc_batcher *batcher = batcher_of(lane);
	struct batch *batch = get_batch(batcher);
	uint32_t count;

	fill_batch(lane, batch, now_ns);
	count = batch->count;
	if (count && batch_send(batch, channel, batcher->path, now_ns, batcher->options.prepare,
			     batcher->options.context, lane->shard)) {
		batch->owner = lane;
		batch->sent = count;
		lane->in_flight++;
		batcher->flying_items += count;
		LIST_INSERT_HEAD(&batcher->flying, batch, link);
		metric_observe(&batcher->metrics->batch_items, count);
		return;
	}
	take_back(lane, batch);
	LIST_INSERT_HEAD(&batcher->idle, batch, link);
}

/* A batch of reads whose instance went away goes to another, once. */
static bool send_again(struct batch *batch)
{
	struct ask_lane *lane = batch->owner;
	struct rpc_batcher *batcher = batcher_of(lane);
	struct rpc_channel *channel;
	int64_t now_ns = clock_mono_ns();
	bool wait;

	if (!batcher->options.read || batch->repeated || !batcher->pool || !batch_left(batch))
		return false;
	channel = rpc_pool_pick(batcher->pool, lane->shard, &wait);
	if (!channel || !rpc_pool_may_repeat(batcher->pool))
		return false;
	batch->repeated = true;
	rpc_channel_keep(channel); /* letting go of the old call may end a channel */
	rpc_unary_release(&batch->unary);
	batch_clean(batch, now_ns);
	if (!batch_send(batch, channel, batcher->path, now_ns, batcher->options.prepare,
		    batcher->options.context, lane->shard)) {
		batch_fail(batch, &batch->unary.status, true);
		batch->count = 0;
		batch->repeated = false;
		batch_ended(batch);
	}
	rpc_channel_drop(channel);
	return true;
}

/* A channel that is just connecting is worth a moment; one that is known to be down is not. */
static void wait_for_ready(struct ask_lane *lane, bool wait, int64_t now_ns)
{
	struct rpc_status status;

	if (wait && !lane->waiting_until_ns) {
		lane->waiting_until_ns = now_ns + RPC_READY_WAIT_MS * INT64_C(1000000);
		return;
	}
	if (wait && now_ns < lane->waiting_until_ns)
		return;
	rpc_pool_explain(batcher_of(lane)->pool, lane->shard, &status);
	fail_queue(lane, &status);
}

/* Whether what is queued waits for company: the next hop is busy, and these would only wait there. */
static bool gathers(struct ask_lane *lane, int64_t now_ns)
{
	struct rpc_batcher *batcher = batcher_of(lane), *next_hop = batcher->options.next_hop;

	if (!next_hop || batcher->lanes.queued >= next_hop->flying_items / 2) {
		lane->gather_until_ns = 0;
		return false;
	}
	if (!lane->gather_until_ns)
		lane->gather_until_ns = now_ns + GATHER_MAX_NS;
	if (now_ns < lane->gather_until_ns)
		return true;
	lane->gather_until_ns = 0;
	return false;
}

static void flush(struct ask_lane *lane, int64_t now_ns)
{
	struct rpc_batcher *batcher = batcher_of(lane);
	struct rpc_channel *channel;
	bool wait;

	expire_queue(lane, now_ns);
	while (lane->queue.first && lane->in_flight < batcher->options.in_flight_max) {
		if (gathers(lane, now_ns))
			return;
		channel = rpc_pool_pick(batcher->pool, lane->shard, &wait);
		if (!channel) {
			wait_for_ready(lane, wait, now_ns);
			return;
		}
		send_batch(lane, channel, now_ns);
	}
	lane->waiting_until_ns = 0;
}

/* ---- the turn ---- */

static void schedule(struct rpc_batcher *batcher)
{
	if (batcher->scheduled)
		return;
	batcher->scheduled = true;
	rpc_at_turn_end(batcher->loop, &batcher->turn);
}

static void arm_timer(struct rpc_batcher *batcher, int64_t now_ns)
{
	int64_t at_ns = ask_lanes_next_ns(&batcher->lanes);

	if (at_ns == INT64_MAX)
		rpc_timer_stop(batcher->loop, &batcher->timer);
	else if (!batcher->timer.position || batcher->timer.at_ns > at_ns)
		rpc_timer_start(batcher->loop, &batcher->timer, (at_ns - now_ns) / 1000000 + 1);
}

static void release(struct rpc_batcher *batcher);

static void turn_run(struct rpc_task *task)
{
	struct rpc_batcher *batcher = container_of(task, struct rpc_batcher, turn);
	int64_t now_ns = clock_mono_ns();

	batcher->scheduled = false;
	if (batcher->pool) {
		for (struct ask_lane *lane = batcher->lanes.first; lane; lane = lane->next)
			flush(lane, now_ns);
		arm_timer(batcher, now_ns);
	}
	batcher->busy = true; /* a done() may free the batcher */
	deliver_failed(batcher);
	batcher->busy = false;
	if (batcher->freed && !batcher->scheduled)
		release(batcher);
}

static void timer_run(struct rpc_task *task)
{
	schedule(container_of(task, struct rpc_batcher, timer.task));
}

static void pool_changed(struct rpc_pool_user *user)
{
	schedule(container_of(user, struct rpc_batcher, user));
}

/* The next batch leaves when the answers of this one have had their say: what they ask goes with it. */
static void batch_ended(struct batch *batch)
{
	struct ask_lane *lane = batch->owner;
	struct rpc_batcher *feeder;

	if (!lane) {
		batch_free(batch);
		return;
	}
	batch->owner = NULL;
	lane->in_flight--;
	batcher_of(lane)->flying_items -= batch->sent;
	LIST_REMOVE(batch, link);
	LIST_INSERT_HEAD(&batcher_of(lane)->idle, batch, link);
	schedule(batcher_of(lane));
	LIST_FOREACH (feeder, &batcher_of(lane)->feeders, feeder)
		schedule(feeder);
}

/* ---- what its owner calls ---- */

void rpc_ask(struct rpc_batcher *batcher, struct rpc_ask *ask)
{
	assert(!batcher->freed && rpc_on_loop(batcher->loop) && ask->done);
	if (!batcher->pool) {
		set_stopped(&ask->status);
		fail_later(batcher, ask);
	} else if (batcher->lanes.queued >= batcher->options.queue_max) {
		rpc_status_set(&ask->status, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", "%u asks wait already",
			batcher->lanes.queued);
		fail_later(batcher, ask);
	} else {
		ask_lane_put(ask_lanes_get(&batcher->lanes, ask->shard), ask);
	}
	schedule(batcher);
}

/* The pool ends: what waits comes back at the turn's end, what flies when its call was cancelled. */
static void pool_closed(struct rpc_pool_user *user)
{
	struct rpc_batcher *batcher = container_of(user, struct rpc_batcher, user);
	struct rpc_status status;
	struct batch *batch;

	set_stopped(&status);
	for (struct ask_lane *lane = batcher->lanes.first; lane; lane = lane->next)
		fail_queue(lane, &status);
	LIST_FOREACH (batch, &batcher->flying, link)
		rpc_unary_cancel(&batch->unary, true);
	rpc_timer_stop(batcher->loop, &batcher->timer);
	rpc_pool_leave(batcher->pool, user);
	batcher->pool = NULL;
	schedule(batcher);
}

struct rpc_batcher *rpc_batcher_new(const struct rpc_batcher_options *options)
{
	struct rpc_batcher *batcher = NEW(struct rpc_batcher);

	assert(options->items_max && options->in_flight_max && options->queue_max &&
		options->arena_bytes_max);
	batcher->options = *options;
	batch_shape_init(&batcher->shape, options->method);
	batcher->path = rpc_path(options->service, options->method);
	batcher->pool = options->pool;
	batcher->loop = rpc_pool_loop(options->pool);
	batcher->metrics = rpc_pool_metrics(options->pool);
	ask_lanes_init(&batcher->lanes, batcher->metrics);
	batcher->failed_last = &batcher->failed;
	batcher->turn.run = turn_run;
	batcher->timer.task.run = timer_run;
	batcher->user.changed = pool_changed;
	batcher->user.closed = pool_closed;
	LIST_INIT(&batcher->flying);
	LIST_INIT(&batcher->idle);
	LIST_INIT(&batcher->feeders);
	if (options->next_hop)
		LIST_INSERT_HEAD(&options->next_hop->feeders, batcher, feeder);
	assert(rpc_on_loop(batcher->loop));
	rpc_pool_join(batcher->pool, &batcher->user);
	return batcher;
}

static void release(struct rpc_batcher *batcher)
{
	struct batch *batch;

	ask_lanes_release(&batcher->lanes);
	while ((batch = LIST_FIRST(&batcher->idle))) {
		LIST_REMOVE(batch, link);
		batch_free(batch);
	}
	grpc_slice_unref(batcher->path);
	free(batcher);
}

/* Their calls are over for us; each batch frees itself when gRPC gave it back. */
static void abandon_flying(struct rpc_batcher *batcher)
{
	struct rpc_status status;
	struct batch *batch;

	set_stopped(&status);
	while ((batch = LIST_FIRST(&batcher->flying))) {
		LIST_REMOVE(batch, link);
		batch->owner = NULL;
		batch_abandon(batch);
		batch_fail(batch, &status, true);
	}
}

void rpc_batcher_free(struct rpc_batcher *batcher)
{
	if (!batcher)
		return;
	assert(!batcher->freed && rpc_on_loop(batcher->loop) && LIST_EMPTY(&batcher->feeders));
	if (batcher->options.next_hop)
		LIST_REMOVE(batcher, feeder);
	batcher->options.next_hop = NULL;
	if (batcher->pool)
		pool_closed(&batcher->user);
	batcher->freed = true;
	deliver_failed(batcher);
	abandon_flying(batcher);
	if (!batcher->scheduled && !batcher->busy)
		release(batcher);
}
