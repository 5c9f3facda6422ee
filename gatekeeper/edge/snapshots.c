/* snapshots.c - the streams that feed the marks of stock, the bans and the rules, and how old these are. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "gatekeeper/edge/edge_internal.h"

static void apply_stock(
	void *edge, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	stock_marks_apply(
		((struct edge *)edge)->marks, shard, (const Inventory__WatchStockResponse *)message);
}

static void apply_bans(
	void *edge, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	ban_list_apply(((struct edge *)edge)->bans, (const Protector__WatchBansResponse *)message);
}

static void apply_rules(
	void *edge, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	rule_list_apply(((struct edge *)edge)->rules, (const Policy__WatchPoliciesResponse *)message);
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
	edge->ban_follower = follower_new(&(struct follower_options){
		.pool = edge->pools[EDGE_PROTECTOR],
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.shard = RPC_ANY_SHARD,
		.apply = apply_bans,
		.context = edge,
	});
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
	follower_free(edge->ban_follower);
	follower_free(edge->rule_follower);
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
