/* rpc/pool_pick.c - which instance a call goes to, and whether it may go twice; see rpc/pool.h. */
#include <string.h>

#include "base/clock.h"
#include "rpc/pool.h"

#define AVOID_FIRST_NS (50 * INT64_C(1000000)) /* its channel knows by then */
#define AVOID_DOUBLINGS_MAX 6		       /* 3.2 s */
#define BUDGET_MAX 1000			       /* tenths: a hundred calls at once */
#define BUDGET_COST 10

/* ---- a budget for repetitions: without it, a service that staggers gets twice the calls ---- */

void rpc_pool_earn(struct rpc_pool *pool)
{
	if (pool->budget < BUDGET_MAX)
		pool->budget++;
}

bool rpc_pool_may_repeat(struct rpc_pool *pool)
{
	if (pool->closing || pool->budget < BUDGET_COST)
		return false;
	pool->budget -= BUDGET_COST;
	metric_add(&pool->metrics->repeated, 1);
	return true;
}

/* ---- which one ---- */

/* xorshift: it only spreads calls */
uint64_t rpc_pool_random(struct rpc_pool *pool)
{
	pool->random ^= pool->random << 13;
	pool->random ^= pool->random >> 7;
	pool->random ^= pool->random << 17;
	return pool->random;
}

void rpc_channel_judge(struct rpc_channel *channel, enum rpc_code code, int64_t now_ns)
{
	uint32_t doublings =
		channel->failures < AVOID_DOUBLINGS_MAX ? channel->failures : AVOID_DOUBLINGS_MAX;

	if (code != RPC_UNAVAILABLE && code != RPC_DEADLINE_EXCEEDED) {
		channel->failures = 0;
		channel->avoid_until_ns = 0;
		return;
	}
	if (now_ns < channel->avoid_until_ns) /* one of several that failed together */
		return;
	channel->failures++;
	channel->avoid_until_ns = now_ns + (AVOID_FIRST_NS << doublings);
}

static bool fits(const struct rpc_channel *channel, int32_t shard)
{
	return channel->listed && (shard == RPC_ANY_SHARD || channel->shard == shard);
}

/* The watch's event may still be on its way: the library knows better. */
static bool still_ready(struct rpc_channel *channel)
{
	return channel->state == GRPC_CHANNEL_READY &&
	       grpc_channel_check_connectivity_state(channel->channel, 0) == GRPC_CHANNEL_READY;
}

static bool is_down(const struct rpc_channel *channel)
{
	return channel->state == GRPC_CHANNEL_TRANSIENT_FAILURE || channel->state == GRPC_CHANNEL_SHUTDOWN;
}

/* Two of those that were offered, each pair as likely as any other. */
struct choice {
	struct rpc_channel *two[2];
	uint32_t seen;
};

static void offer(struct rpc_pool *pool, struct choice *choice, struct rpc_channel *channel)
{
	uint64_t place = choice->seen++;

	if (place >= 2)
		place = rpc_pool_random(pool) % choice->seen;
	if (place < 2)
		choice->two[place] = channel;
}

/* The less busy one; a tie is chance's. */
static struct rpc_channel *choose(struct rpc_pool *pool, const struct choice *choice)
{
	struct rpc_channel *one = choice->two[0], *other = choice->two[1];

	if (!one || !other)
		return one;
	if (one->calls == other->calls)
		return choice->two[rpc_pool_random(pool) >> 32 & 1];
	return one->calls < other->calls ? one : other;
}

struct rpc_channel *rpc_pool_pick(struct rpc_pool *pool, int32_t shard, bool *ret_wait)
{
	struct choice good = {0}, second = {0};
	struct rpc_channel *channel;
	int64_t now_ns = clock_mono_ns();

	*ret_wait = !pool->closing && !pool->known;
	if (pool->closing)
		return NULL;
	TAILQ_FOREACH (channel, &pool->channels, link) {
		if (!fits(channel, shard))
			continue;
		if (!still_ready(channel))
			*ret_wait |= !is_down(channel);
		else if (channel->health == INSTANCE_CRITICAL || channel->avoid_until_ns > now_ns)
			offer(pool, &second, channel);
		else
			offer(pool, &good, channel);
	}
	return choose(pool, good.seen ? &good : &second);
}

struct rpc_channel *rpc_pool_pick_instance(struct rpc_pool *pool, const char *id)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed && !strcmp(channel->id, id) && still_ready(channel))
			return pool->closing ? NULL : channel;
	return NULL;
}

void rpc_pool_each_id(const struct rpc_pool *pool, void (*each)(void *context, const char *id), void *context)
{
	const struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed)
			each(context, channel->id);
}

void rpc_pool_explain(const struct rpc_pool *pool, int32_t shard, struct rpc_status *status)
{
	const struct rpc_channel *channel;
	size_t count = 0;

	TAILQ_FOREACH (channel, &pool->channels, link)
		count += fits(channel, shard);
	if (pool->closing)
		rpc_status_set(status, RPC_UNAVAILABLE, "", "this process stops asking %s", pool->service);
	else if (shard == RPC_ANY_SHARD)
		rpc_status_set(status, RPC_UNAVAILABLE, "", "none of %zu instances of %s is connected", count,
			pool->service);
	else
		rpc_status_set(status, RPC_UNAVAILABLE, "",
			"none of %zu instances of %s with shard %d is connected", count, pool->service,
			shard);
}
