/* snapshots.c - the streams that feed the marks of stock, the bans and the rules, and how old these are. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "gatekeeper/edge/edge_internal.h"

static bool apply_stock(
	void *edge, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	stock_marks_apply(
		((struct edge *)edge)->marks, shard, (const Inventory__WatchStockResponse *)message);
	return true;
}

static bool apply_rules(
	void *edge, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	rule_list_apply(((struct edge *)edge)->rules, (const Policy__WatchPoliciesResponse *)message);
	return true;
}

static bool apply_bans(
	void *list, uint32_t place, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	static_assert(FOLLOWERS_MAX <= BAN_SOURCES_MAX, "each has a table");
	return ban_list_apply(list, place, (const Protector__WatchBansResponse *)message);
}

struct followers *snapshots_ban_followers(struct ban_list *list)
{
	return followers_new(&(struct followers_options){
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.apply = apply_bans,
		.context = list,
	});
}

void snapshots_open(struct edge *edge)
{
	edge->stock_followers = NEW_ARRAY(edge->options.inventory_shards, struct follower *);
	for (uint32_t shard = 0; shard < edge->options.inventory_shards; shard++)
		edge->stock_followers[shard] = follower_new(&(struct follower_options){
			.pool = edge->pools[EDGE_INVENTORY],
			.service = &inventory__inventory_service__descriptor,
			.method = "WatchStock",
			.shard = (int32_t)shard,
			.apply = apply_stock,
			.context = edge,
		});
	followers_open(edge->ban_followers, edge->loop, edge->pools[EDGE_PROTECTOR]);
	edge->rule_follower = follower_new(&(struct follower_options){
		.pool = edge->pools[EDGE_POLICY],
		.service = &policy__policy_service__descriptor,
		.method = "WatchPolicies",
		.shard = RPC_ANY_SHARD,
		.apply = apply_rules,
		.context = edge,
	});
}

void snapshots_close(struct edge *edge)
{
	for (uint32_t shard = 0; shard < edge->options.inventory_shards; shard++)
		follower_free(edge->stock_followers[shard]);
	free(edge->stock_followers);
	followers_close(edge->ban_followers);
	follower_free(edge->rule_follower);
}

/* ---- their age ---- */

/* Never heard: since the system's start, which is long enough for any alert. */
static int64_t age_ns(int64_t heard_ns)
{
	return clock_mono_ns() - heard_ns;
}

static int64_t stock_age_ns(void *context)
{
	const struct edge *edge = context;
	int64_t oldest = 0;

	for (uint32_t shard = 0; shard < edge->options.inventory_shards; shard++) {
		const int64_t age = age_ns(follower_heard_ns(edge->stock_followers[shard]));

		oldest = age > oldest ? age : oldest;
	}
	return oldest;
}

static int64_t bans_age_ns(void *context)
{
	return age_ns(followers_heard_ns(((struct edge *)context)->ban_followers));
}

static int64_t rules_age_ns(void *context)
{
	return age_ns(follower_heard_ns(((struct edge *)context)->rule_follower));
}

void snapshots_count(struct edge *edge)
{
	static const struct {
		const char *labels;
		int64_t (*read)(void *context);
	} gauges[] = {
		{"snapshot=\"stock\"", stock_age_ns},
		{"snapshot=\"bans\"", bans_age_ns},
		{"snapshot=\"rules\"", rules_age_ns},
	};

	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		edge->ages[i] = (struct metric){
			.kind = METRIC_GAUGE,
			.name = "flashsale_gatekeeper_snapshot_age_seconds",
			.help = "Time since the stream that feeds a snapshot was heard.",
			.labels = gauges[i].labels,
			.read = gauges[i].read,
			.scale = 1e-9,
			.context = edge,
		};
		metrics_register(&edge->ages[i]);
	}
}

void snapshots_uncount(struct edge *edge)
{
	for (size_t i = 0; i < sizeof(edge->ages) / sizeof(edge->ages[0]); i++)
		metrics_unregister(&edge->ages[i]);
}

bool snapshots_stock_fresh(const struct edge *edge, const char *sku, int64_t now_ns)
{
	const uint32_t shard = hash_shard(sku, edge->options.inventory_shards);

	return follower_fresh(edge->stock_followers[shard], now_ns, FOLLOWER_SILENCE_MS);
}

bool snapshots_rules_fresh(const struct edge *edge, int64_t now_ns, int64_t max_ms)
{
	return follower_fresh(edge->rule_follower, now_ns, max_ms);
}
