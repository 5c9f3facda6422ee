/* rpc/batcher.c - asks gather in lanes, one a shard, and leave in batches; see rpc/client.h. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/ask_queue.h"
#include "rpc/batch.h"

#define SHARDS_MAX 65536
#define GATHER_MAX_NS (2 * INT64_C(1000000)) /* a next hop that hangs holds nothing up for longer */

/* What waits for one shard, or for any instance. */
struct lane {
	struct lane *next;
	struct rpc_batcher *batcher;
	int32_t shard;
	struct ask_queue queue;
	_Atomic int64_t *since_ns; /* when it was empty last; NULL: it is not counted */
	uint32_t in_flight;
	int64_t waiting_until_ns; /* for a channel that is just connecting; 0: not waiting */
	int64_t gather_until_ns;  /* for company, see next_hop; 0: not gathering */
};

LIST_HEAD(batch_list, batch);

struct rpc_batcher {
	struct rpc_batcher_options options;
	struct batch_shape shape;
	grpc_slice path;
	struct rpc_pool *pool; /* NULL: closed, nothing leaves any more */
	struct rpc_pool_user user;
	struct rpc_loop *loop;
	struct client_metrics *metrics;
	struct lane *lanes;
	struct lane **by_shard; /* at shard + 1, grown as needed */
	uint32_t by_shard_room;
	struct batch_list flying, idle;
	uint32_t queued, flying_items;
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

static void count_queued(struct rpc_batcher *batcher, int32_t more)
{
	batcher->queued += (uint32_t)more;
	metric_add(&batcher->metrics->queued, more);
}

static void queue_put(struct lane *lane, struct rpc_ask *ask)
{
	if (!lane->queue.first && lane->since_ns)
		atomic_store_explicit(lane->since_ns, clock_mono_ns(), memory_order_relaxed);
	ask_queue_put(&lane->queue, ask);
	count_queued(lane->batcher, 1);
}

static void note_empty(struct lane *lane)
{
	if (!lane->queue.first && lane->since_ns)
		atomic_store_explicit(lane->since_ns, 0, memory_order_relaxed);
}

static struct rpc_ask *queue_take(struct lane *lane)
{
	struct rpc_ask *ask = ask_queue_take(&lane->queue);

	if (!ask)
		return NULL;
	count_queued(lane->batcher, -1);
	note_empty(lane);
	return ask;
}

static void fail_queue(struct lane *lane, const struct rpc_status *status)
{
	struct rpc_ask *ask;

	while ((ask = queue_take(lane))) {
		ask->status = *status;
		fail_later(lane->batcher, ask);
	}
	lane->waiting_until_ns = 0;
}

static void expire_ask(struct lane *lane, struct rpc_ask *ask)
{
	rpc_status_set(&ask->status, RPC_DEADLINE_EXCEEDED, "", "the deadline passed before it was sent");
	fail_later(lane->batcher, ask);
}

static void expire_queue(struct lane *lane, int64_t now_ns)
{
	struct rpc_ask *ask, *expired = ask_queue_expire(&lane->queue, now_ns);

	if (expired)
		note_empty(lane);
	while ((ask = expired)) {
		expired = ask->next;
		count_queued(lane->batcher, -1);
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

static void fill_batch(struct lane *lane, struct batch *batch, int64_t now_ns)
{
	struct rpc_ask *ask;

	while (batch->count < batch->room && (ask = queue_take(lane))) {
		if (ask->deadline_ns <= now_ns)
			expire_ask(lane, ask);
		else
			batch_add(batch, ask, now_ns);
	}
}

/* gRPC refused the call: its asks go the way of those that never left. */
static void take_back(struct lane *lane, struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		rpc_status_set(
			&batch->asks[i]->status, RPC_INTERNAL, "", "the call was refused at its start");
		fail_later(lane->batcher, batch->asks[i]);
		batch->asks[i] = NULL;
	}
	batch->count = 0;
}

static void send_batch(struct lane *lane, struct rpc_channel *channel, int64_t now_ns)
{
	struct rpc_batcher *batcher = lane->batcher;
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
	struct lane *lane = batch->owner;
	struct rpc_batcher *batcher = lane->batcher;
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
static void wait_for_ready(struct lane *lane, bool wait, int64_t now_ns)
{
	struct rpc_status status;

	if (wait && !lane->waiting_until_ns) {
		lane->waiting_until_ns = now_ns + RPC_READY_WAIT_MS * INT64_C(1000000);
		return;
	}
	if (wait && now_ns < lane->waiting_until_ns)
		return;
	rpc_pool_explain(lane->batcher->pool, lane->shard, &status);
	fail_queue(lane, &status);
}

/* Whether what is queued waits for company: the next hop is busy, and these would only wait there. */
static bool gathers(struct lane *lane, int64_t now_ns)
{
	struct rpc_batcher *batcher = lane->batcher, *next_hop = batcher->options.next_hop;

	if (!next_hop || batcher->queued >= next_hop->flying_items / 2) {
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

static void flush(struct lane *lane, int64_t now_ns)
{
	struct rpc_batcher *batcher = lane->batcher;
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
	int64_t at_ns = INT64_MAX;

	for (struct lane *lane = batcher->lanes; lane; lane = lane->next) {
		if (lane->queue.look_ns < at_ns)
			at_ns = lane->queue.look_ns;
		if (lane->waiting_until_ns && lane->waiting_until_ns < at_ns)
			at_ns = lane->waiting_until_ns;
		if (lane->gather_until_ns && lane->gather_until_ns < at_ns)
			at_ns = lane->gather_until_ns;
	}
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
		for (struct lane *lane = batcher->lanes; lane; lane = lane->next)
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
	struct lane *lane = batch->owner;
	struct rpc_batcher *feeder;

	if (!lane) {
		batch_free(batch);
		return;
	}
	batch->owner = NULL;
	lane->in_flight--;
	lane->batcher->flying_items -= batch->sent;
	LIST_REMOVE(batch, link);
	LIST_INSERT_HEAD(&lane->batcher->idle, batch, link);
	schedule(lane->batcher);
	LIST_FOREACH (feeder, &lane->batcher->feeders, feeder)
		schedule(feeder);
}

/* ---- what its owner calls ---- */

static struct lane *add_lane(struct rpc_batcher *batcher, int32_t shard)
{
	struct lane *lane = NEW(struct lane);

	lane->batcher = batcher;
	lane->shard = shard;
	lane->since_ns = client_metrics_take_queue(batcher->metrics);
	ask_queue_init(&lane->queue);
	lane->next = batcher->lanes;
	batcher->lanes = lane;
	return lane;
}

static struct lane *get_lane(struct rpc_batcher *batcher, int32_t shard)
{
	uint32_t at = (uint32_t)(shard + 1), room = batcher->by_shard_room;

	assert(shard >= RPC_ANY_SHARD && shard < SHARDS_MAX);
	if (at >= room) {
		batcher->by_shard_room = at + 16;
		batcher->by_shard =
			memory_resize(batcher->by_shard, batcher->by_shard_room, sizeof(struct lane *));
		while (room < batcher->by_shard_room)
			batcher->by_shard[room++] = NULL;
	}
	if (!batcher->by_shard[at])
		batcher->by_shard[at] = add_lane(batcher, shard);
	return batcher->by_shard[at];
}

void rpc_ask(struct rpc_batcher *batcher, struct rpc_ask *ask)
{
	assert(!batcher->freed && rpc_on_loop(batcher->loop) && ask->done);
	if (!batcher->pool) {
		set_stopped(&ask->status);
		fail_later(batcher, ask);
	} else if (batcher->queued >= batcher->options.queue_max) {
		rpc_status_set(&ask->status, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", "%u asks wait already",
			batcher->queued);
		fail_later(batcher, ask);
	} else {
		queue_put(get_lane(batcher, ask->shard), ask);
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
	for (struct lane *lane = batcher->lanes; lane; lane = lane->next)
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
	struct lane *lane;
	struct batch *batch;

	while ((lane = batcher->lanes)) {
		batcher->lanes = lane->next;
		client_metrics_give_queue(batcher->metrics, lane->since_ns);
		free(lane);
	}
	while ((batch = LIST_FIRST(&batcher->idle))) {
		LIST_REMOVE(batch, link);
		batch_free(batch);
	}
	grpc_slice_unref(batcher->path);
	free(batcher->by_shard);
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
