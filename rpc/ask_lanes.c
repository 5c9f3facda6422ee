#include "rpc/ask_lanes.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

#define SHARDS_MAX 65536

/* ---- one ---- */

static void count_queued(struct ask_lanes *lanes, int32_t more)
{
	lanes->queued += (uint32_t)more;
	metric_add(&lanes->metrics->queued, more);
}

static void note_empty(struct ask_lane *lane)
{
	if (!lane->queue.first && lane->since_ns)
		atomic_store_explicit(lane->since_ns, 0, memory_order_relaxed);
}

void ask_lane_put(struct ask_lane *lane, struct rpc_ask *ask)
{
	if (!lane->queue.first && lane->since_ns)
		atomic_store_explicit(lane->since_ns, clock_mono_ns(), memory_order_relaxed);
	ask_queue_put(&lane->queue, ask);
	count_queued(lane->lanes, 1);
}

struct rpc_ask *ask_lane_take(struct ask_lane *lane)
{
	struct rpc_ask *ask = ask_queue_take(&lane->queue);

	if (!ask)
		return NULL;
	count_queued(lane->lanes, -1);
	note_empty(lane);
	return ask;
}

struct rpc_ask *ask_lane_expire(struct ask_lane *lane, int64_t now_ns)
{
	struct rpc_ask *expired = ask_queue_expire(&lane->queue, now_ns);

	if (expired)
		note_empty(lane);
	for (struct rpc_ask *ask = expired; ask; ask = ask->next)
		count_queued(lane->lanes, -1);
	return expired;
}

/* ---- all ---- */

void ask_lanes_init(struct ask_lanes *lanes, struct client_metrics *metrics)
{
	*lanes = (struct ask_lanes){.metrics = metrics};
}

void ask_lanes_release(struct ask_lanes *lanes)
{
	struct ask_lane *lane;

	assert(!lanes->queued);
	while ((lane = lanes->first)) {
		lanes->first = lane->next;
		client_metrics_give_queue(lanes->metrics, lane->since_ns);
		free(lane);
	}
	free(lanes->by_shard);
}

static struct ask_lane *add_lane(struct ask_lanes *lanes, int32_t shard)
{
	struct ask_lane *lane = NEW(struct ask_lane);

	lane->lanes = lanes;
	lane->shard = shard;
	lane->since_ns = client_metrics_take_queue(lanes->metrics);
	ask_queue_init(&lane->queue);
	lane->next = lanes->first;
	lanes->first = lane;
	return lane;
}

struct ask_lane *ask_lanes_get(struct ask_lanes *lanes, int32_t shard)
{
	uint32_t at = (uint32_t)(shard + 1), room = lanes->by_shard_room;

	assert(shard >= RPC_ANY_SHARD && shard < SHARDS_MAX);
	if (at >= room) {
		lanes->by_shard_room = at + 16;
		lanes->by_shard =
			memory_resize(lanes->by_shard, lanes->by_shard_room, sizeof(struct ask_lane *));
		while (room < lanes->by_shard_room)
			lanes->by_shard[room++] = NULL;
	}
	if (!lanes->by_shard[at])
		lanes->by_shard[at] = add_lane(lanes, shard);
	return lanes->by_shard[at];
}

int64_t ask_lanes_next_ns(const struct ask_lanes *lanes)
{
	int64_t at_ns = INT64_MAX;

	for (const struct ask_lane *lane = lanes->first; lane; lane = lane->next) {
		if (lane->queue.look_ns < at_ns)
			at_ns = lane->queue.look_ns;
		if (lane->waiting_until_ns && lane->waiting_until_ns < at_ns)
			at_ns = lane->waiting_until_ns;
		if (lane->gather_until_ns && lane->gather_until_ns < at_ns)
			at_ns = lane->gather_until_ns;
	}
	return at_ns;
}
