/* Who follows the ledger: how far each has stored it, and who is waited for no longer. See inventory/compaction.h. */
#include <errno.h>

#include "base/log.h"
#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/change.h"
#include "rpc/reason.h"

/* ---- AcknowledgeLedger ---- */

struct acknowledgement {
	struct change change;
	struct inventory *inventory;
	Inventory__AcknowledgeLedgerResponse_Closure answer;
	struct sender sender;
	struct stored_ledger stored;
	enum verdict verdict;
};

static int apply_acknowledgement(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct acknowledgement *self = container_of(change, struct acknowledgement, change);

	return books_acknowledge(domain, &self->sender, &self->stored, &self->verdict);
}

static void settle_acknowledgement(struct change *change)
{
	struct acknowledgement *self = container_of(change, struct acknowledgement, change);
	Inventory__AcknowledgeLedgerResponse response = INVENTORY__ACKNOWLEDGE_LEDGER_RESPONSE__INIT;

	if (self->verdict == VERDICT_INVALID) {
		rpc_fail_reason(change->call, COMMON__REASON__REASON_LEDGER_AHEAD, "%s", "");
		return;
	}
	if (self->verdict == VERDICT_LINEAGE_CHANGED) {
		inventory_fail_lineage(self->inventory, change->call);
		return;
	}
	if (!verdict_is_yes(self->verdict)) {
		rpc_fail_reason(change->call, verdict_reason(self->verdict), "%s", "");
		return;
	}
	response.floor = atomic_load(&self->inventory->books->compaction.shown_floor);
	self->answer(&response, change->call);
}

INVENTORY_METHOD(acknowledge_ledger, AcknowledgeLedger)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct acknowledgement *self;
	struct sender sender;
	struct stored_ledger stored;
	struct complaint complaint = sender_fill(request->sender, &sender);

	if (!request->sender)
		complaint = (struct complaint){"sender", "must be given"};
	else if (!complaint.field)
		complaint = stored_fill(request->lineage, request->sequence, &stored);
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	if (!inventory_placed(inventory, request->placement, call))
		return;
	self = ARENA_NEW(rpc_arena(call), struct acknowledgement);
	if (!self) {
		inventory_fail_large(call);
		return;
	}
	self->change = (struct change){.apply = apply_acknowledgement,
		.settle = settle_acknowledgement,
		.call = call,
		.loop = inventory->loop};
	self->inventory = inventory;
	self->answer = answer;
	self->sender = sender;
	self->stored = stored;
	change_submit(&self->change, inventory->writer);
}

/* ---- ListFollowers ---- */

static void set_follower(Inventory__Follower *message, uint32_t cart_shard, const struct fence *fence)
{
	inventory__follower__init(message);
	message->cart_shard = cart_shard;
	message->epoch = fence->epoch;
	message->position = fence->position;
	message->gone = fence->gone;
}

/* There are at most CART_SHARDS_MAX. */
static int list_all(MDB_cursor *cursor, struct arena *arena, Inventory__ListFollowersResponse *response)
{
	MDB_val key, value;
	int rc;

	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0 &&
		response->n_followers < CART_SHARDS_MAX) {
		Inventory__Follower *message = arena_alloc(arena, sizeof(*message));
		struct fence fence;

		if (key.mv_size != 8 || !fence_unpack(value.mv_data, value.mv_size, &fence))
			return MDB_CORRUPTED;
		if (!message)
			return ENOMEM;
		if (fence.epoch == 0)
			continue;
		set_follower(message, (uint32_t)store_get_be64(key.mv_data), &fence);
		response->followers[response->n_followers++] = message;
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int list(struct store *store, struct arena *arena, Inventory__ListFollowersResponse *response)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);

	if (rc)
		return rc;
	rc = compaction_read_floor(store, txn, &response->floor);
	if (!rc)
		rc = mdb_cursor_open(txn, store->tables[TABLE_FENCES], &cursor);
	if (!rc) {
		rc = list_all(cursor, arena, response);
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc;
}

INVENTORY_METHOD(list_followers, ListFollowers)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__ListFollowersResponse response = INVENTORY__LIST_FOLLOWERS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	int rc;

	response.followers = ARENA_ARRAY(arena, CART_SHARDS_MAX, Inventory__Follower *);
	rc = response.followers ? list(inventory->store, arena, &response) : ENOMEM;
	if (rc) {
		inventory_fail_store(call, rc);
		return;
	}
	response.head = atomic_load(&inventory->books->head);
	answer(&response, call);
}

/* ---- UnregisterFollower ---- */

struct unregistration {
	struct change change;
	Inventory__UnregisterFollowerResponse_Closure answer;
	uint32_t cart_shard;
	enum verdict verdict;
	struct fence fence;
};

static int apply_unregistration(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct unregistration *self = container_of(change, struct unregistration, change);

	return books_unregister(domain, self->cart_shard, &self->verdict, &self->fence);
}

static void settle_unregistration(struct change *change)
{
	struct unregistration *self = container_of(change, struct unregistration, change);
	Inventory__UnregisterFollowerResponse response = INVENTORY__UNREGISTER_FOLLOWER_RESPONSE__INIT;
	Inventory__Follower follower;

	if (!verdict_is_yes(self->verdict)) {
		rpc_fail_reason(change->call, verdict_reason(self->verdict), "no cart shard %u is known here",
			self->cart_shard);
		return;
	}
	if (self->verdict == VERDICT_YES)
		log_warn("an operator unregistered a cart shard: the ledger's floor waits for it no longer",
			LOG_INT("cart_shard", self->cart_shard),
			LOG_INT("position", (int64_t)self->fence.position));
	set_follower(&follower, self->cart_shard, &self->fence);
	response.follower = &follower;
	self->answer(&response, change->call);
}

INVENTORY_METHOD(unregister_follower, UnregisterFollower)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct unregistration *self;

	if (!inventory_placed(inventory, request->placement, call))
		return;
	self = ARENA_NEW(rpc_arena(call), struct unregistration);
	if (!self) {
		inventory_fail_large(call);
		return;
	}
	self->change = (struct change){.apply = apply_unregistration,
		.settle = settle_unregistration,
		.call = call,
		.loop = inventory->loop};
	self->answer = answer;
	self->cart_shard = request->cart_shard;
	change_submit(&self->change, inventory->writer);
}
