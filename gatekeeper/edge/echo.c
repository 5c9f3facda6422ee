/* echo.c - /bench/echo: three batched hops in a row to echo services, which do nothing, and an answer of a buy's size: what a buy's way costs without its work.
 * Hop n goes to shard n of the service "echo"; one process may be all of them. Only with the option `bench`. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flashsale/bench/v1/echo.pb-c.h"
#include "gatekeeper/edge/edge_internal.h"

#define HOPS 3
#define PAYLOAD_BYTES 64
#define BATCH_ITEMS_MAX 4096
#define BATCH_ANSWER_BYTES_MAX (8 << 20)

struct echo {
	struct edge *edge;
	struct rpc_pool *pool;
	struct rpc_batcher *hops[HOPS];
};

struct walk {
	struct work *work;
	int hop;
	struct rpc_ask ask;
	Bench__Echo item;
	uint8_t payload[PAYLOAD_BYTES];
};

struct echo *echo_new(struct edge *edge)
{
	struct echo *echo = NEW(struct echo);

	echo->edge = edge;
	echo->pool = rpc_pool_new(edge->loop, edge->discovery, "echo", NULL);
	return echo;
}

void echo_open(struct echo *echo)
{
	for (int hop = 0; hop < HOPS; hop++)
		echo->hops[hop] = rpc_batcher_new(&(struct rpc_batcher_options){
			.pool = echo->pool,
			.service = &bench__echo_service__descriptor,
			.method = protobuf_c_service_descriptor_get_method_by_name(
				&bench__echo_service__descriptor, "BatchEcho"),
			.items_max = BATCH_ITEMS_MAX,
			.in_flight_max = 1,
			.queue_max = echo->edge->options.queue_max,
			.arena_bytes_max = BATCH_ANSWER_BYTES_MAX,
		});
}

void echo_close(struct echo *echo)
{
	for (int hop = 0; hop < HOPS; hop++)
		rpc_batcher_free(echo->hops[hop]);
}

void echo_free(struct echo *echo)
{
	rpc_pool_free(echo->pool);
	free(echo);
}

static void go_on(struct walk *walk)
{
	walk->ask.shard = walk->hop;
	rpc_ask(walk->work->edge->echo->hops[walk->hop], &walk->ask);
}

static void came(struct rpc_ask *ask)
{
	struct walk *walk = container_of(ask, struct walk, ask);
	struct problem problem;

	if (ask->answer && ++walk->hop < HOPS) {
		go_on(walk);
		return;
	}
	if (ask->answer) {
		answer_flags(walk->work, 200, "echoed", true, false);
	} else {
		problem_from_reason(
			&problem, COMMON__REASON__REASON_DEPENDENCY_DOWN, "hop %d failed", walk->hop);
		answer_problem(walk->work, &problem);
	}
	work_finish(walk->work);
}

void echo_start(struct work *work)
{
	struct walk *walk = ARENA_NEW(&work->request->arena, struct walk);

	assert(walk); /* nothing of a stranger's is in this arena */
	work->own = walk;
	walk->work = work;
	bench__echo__init(&walk->item);
	walk->item.payload.data = walk->payload;
	walk->item.payload.len = PAYLOAD_BYTES;
	walk->ask.deadline_ns = work->deadline_ns;
	walk->ask.item = &walk->item.base;
	walk->ask.done = came;
	go_on(walk);
}
