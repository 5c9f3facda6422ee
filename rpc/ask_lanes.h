/* rpc/ask_lanes.h - what waits in one batcher: a lane a shard, and one for what any instance may answer. For rpc/batcher.c only.
 *
 * A lane is a queue and what its batcher knows of its way out: how many batches are in flight, and until when it waits. Lanes are made when they are first asked for and stay, at
 * one place each, to the end. What waits is counted here, over all lanes and in the client's metrics, with since when; asks themselves are their owners', who put
 * them in and whom they go back to.
 * One thread, the batcher's loop; since_ns is also read by who shows the metrics. */
#ifndef FLASHSALE_RPC_ASK_LANES_H
#define FLASHSALE_RPC_ASK_LANES_H

#include "rpc/ask_queue.h"
#include "rpc/client_metrics.h"

struct ask_lane {
	struct ask_lane *next;
	struct ask_lanes *lanes;
	int32_t shard;
	struct ask_queue queue;
	_Atomic int64_t *since_ns; /* when it was empty last; NULL: it is not counted */
	uint32_t in_flight;
	int64_t waiting_until_ns; /* for a channel that is just connecting; 0: not waiting */
	int64_t gather_until_ns;  /* for company, see next_hop; 0: not gathering */
};

struct ask_lanes {
	struct ask_lane *first;
	struct ask_lane **by_shard; /* at shard + 1, grown as needed */
	uint32_t by_shard_room;
	uint32_t queued;
	struct client_metrics *metrics;
};

void ask_lanes_init(struct ask_lanes *lanes, struct client_metrics *metrics);
void ask_lanes_release(struct ask_lanes *lanes); /* nothing waits in them any more */
struct ask_lane *ask_lanes_get(struct ask_lanes *lanes, int32_t shard);
int64_t ask_lanes_next_ns(const struct ask_lanes *lanes); /* when one of them is to be looked at; INT64_MAX: nothing waits */

void ask_lane_put(struct ask_lane *lane, struct rpc_ask *ask);
struct rpc_ask *ask_lane_take(struct ask_lane *lane); /* or NULL */
struct rpc_ask *ask_lane_expire(struct ask_lane *lane, int64_t now_ns); /* ask_queue_expire() */

#endif
