/* cart/placement.c - see placement.h. */
#include "cart/placement.h"

#include <stdio.h>

#include "rpc/reason.h"

bool placement_check(
	const struct cart_service *service, const Common__Placement *placement, struct rpc_call *call)
{
	if (!placement || (placement->shard == service->shard && placement->shards == service->shards))
		return true;
	rpc_fail_reason(call, COMMON__REASON__REASON_WRONG_SHARD,
		"sent to shard %u of %u, this is cart shard %u of %u", placement->shard, placement->shards,
		service->shard, service->shards);
	return false;
}

bool placement_owns(const struct cart_service *service, const char *user)
{
	return service->shards == 1 || hash_shard(user, service->shards) == service->shard;
}

bool placement_check_user(const struct cart_service *service, const char *user, struct rpc_call *call)
{
	if (placement_owns(service, user))
		return true;
	rpc_fail_reason(call, COMMON__REASON__REASON_WRONG_SHARD,
		"this person belongs to cart shard %u of %u, this is shard %u",
		hash_shard(user, service->shards), service->shards, service->shard);
	return false;
}

uint32_t placement_of_sku(const struct cart_service *service, const char *sku)
{
	return hash_shard(sku, service->inventory_shards);
}

/* Whether each of these links has been heard; one that stopped before it was is passed over, or not. */
static bool heard(const struct cart_service *service, uint32_t first, uint32_t last, bool pass_stopped,
	struct rpc_call *call)
{
	for (uint32_t shard = first; shard <= last; shard++) {
		const struct cart_link *link = &service->cart->links[shard];

		if (link->was_usable || (pass_stopped && link->stopped))
			continue;
		rpc_fail_reason(call,
			link->stopped ? COMMON__REASON__REASON_DEPENDENCY_DOWN
				      : COMMON__REASON__REASON_STARTING,
			"inventory shard %u has not been heard yet", shard);
		return false;
	}
	return true;
}

bool placement_heard(const struct cart_service *service, const char *sku, struct rpc_call *call)
{
	uint32_t first = sku ? placement_of_sku(service, sku) : 0;

	return heard(service, first, sku ? first : service->inventory_shards - 1, !sku, call);
}

bool placement_heard_all(const struct cart_service *service, struct rpc_call *call)
{
	return heard(service, 0, service->inventory_shards - 1, false, call);
}

void item_fail(struct rpc_call *call, bool nested, const struct complaint *complaint)
{
	char field[64];

	snprintf(field, sizeof(field), "%s%s", nested ? "item." : "", complaint->field);
	rpc_refuse(call, field, "%s", complaint->why);
}

void outcome_fail(struct rpc_call *call, const struct outcome *outcome)
{
	struct rpc_status status;

	rpc_status_set_reason(&status, outcome->reason, "%s", "");
	if (outcome->retry_after_ms)
		status.retry_after_ms = outcome->retry_after_ms;
	rpc_fail(call, &status);
}
