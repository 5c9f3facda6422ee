/* The ledger as a stream, and the fence that carts find in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/ledger_page.h"
#include "inventory/messages.h"
#include "rpc/change.h"
#include "rpc/reason.h"

#define HEARTBEAT_MS 200 /* at least four a second */

/* ---- ReadLedger ---- */

struct reader {
	struct inventory *inventory;
	struct follower follower;
	struct ledger_filter filter;
	Inventory__ReadLedgerResponse response;
	uint64_t position;
	uint64_t floor;	 /* as of the last page */
	int64_t said_ns; /* when the last message was made; 0: none yet */
	bool follow;
};

static bool heartbeat_due(const struct reader *reader)
{
	return clock_mono_ns() - reader->said_ns >= HEARTBEAT_MS * INT64_C(1000000);
}

static enum rpc_pull reader_failed(struct rpc_status *status, int rc)
{
	if (rc == ENOMEM)
		rpc_status_set_reason(
			status, COMMON__REASON__REASON_OVERLOADED, "a page is larger than a message may be");
	else
		rpc_status_set_reason(status, COMMON__REASON__REASON_STORE_FAILED,
			"the ledger can't be read: %s", mdb_strerror(rc));
	return RPC_FAILED;
}

/* What it has read above the floor of then is below the floor by now: the ends of holds that it knows may be gone. */
static enum rpc_pull reader_passed(struct rpc_status *status, uint64_t position, uint64_t floor)
{
	rpc_status_set_reason(status, COMMON__REASON__REASON_LEDGER_COMPACTED,
		"the ledger is sparse up to %llu, a reader that knows it up to %llu has to begin at 0",
		(unsigned long long)floor, (unsigned long long)position);
	return RPC_FAILED;
}

static enum rpc_pull reader_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct reader *reader = cursor;
	struct inventory *inventory = reader->inventory;
	uint64_t head = atomic_load(&inventory->books->head);
	bool at_head = reader->position >= head;

	if (at_head && reader->said_ns && !reader->follow)
		return RPC_END;
	if (at_head && reader->said_ns && !heartbeat_due(reader))
		return RPC_WAIT;
	inventory__read_ledger_response__init(&reader->response);
	reader->response.floor = reader->floor; /* of what it has read, not of now */
	if (!at_head) {
		uint64_t before = reader->position;
		int rc = ledger_page_read(inventory->store, scratch, &reader->filter,
			inventory->settings->hold_ttl_ms, head, &reader->position, &reader->response);

		if (rc)
			return reader_failed(status, rc);
		if (before < reader->response.floor && before > reader->floor)
			return reader_passed(status, before, reader->response.floor);
		reader->floor = reader->response.floor;
	}
	reader->response.lineage = inventory->lineage;
	reader->response.position = reader->position;
	reader->response.head = head;
	reader->said_ns = clock_mono_ns();
	*ret = &reader->response.base;
	return RPC_MORE;
}

static void reader_end(void *cursor)
{
	struct reader *reader = cursor;

	if (reader->follow)
		followers_leave(&reader->inventory->followers, &reader->follower);
	free(reader);
}

/* False: the call was ended. */
static bool may_read(
	struct inventory *inventory, const Inventory__ReadLedgerRequest *request, struct rpc_call *call)
{
	uint64_t head = atomic_load(&inventory->books->head);
	struct id lineage;

	if (!inventory_placed(inventory, request->placement, call))
		return false;
	if (request->lineage[0] && !id_parse(request->lineage, &lineage)) {
		rpc_refuse(call, "lineage", "expected a UUID in its canonical form, or nothing");
		return false;
	}
	if (request->lineage[0] && id_compare(&lineage, &inventory->store->lineage) != 0) {
		inventory_fail_lineage(inventory, call);
		return false;
	}
	if (request->after_sequence > head) {
		rpc_fail_reason(call, COMMON__REASON__REASON_LEDGER_AHEAD, "the ledger ends at %llu",
			(unsigned long long)head);
		return false;
	}
	return true;
}

void inventory_read_ledger(Inventory__InventoryService_Service *service,
	const Inventory__ReadLedgerRequest *request, Inventory__ReadLedgerResponse_Closure answer, void *call)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct rpc_stream stream = {.next = reader_next, .end = reader_end, .heartbeat_ms = HEARTBEAT_MS};
	struct reader *reader;

	if (!may_read(inventory, request, call))
		return;
	reader = NEW(struct reader);
	reader->inventory = inventory;
	reader->position = request->after_sequence;
	reader->floor = request->floor;
	reader->follow = request->follow;
	reader->follower.call = call;
	if (request->filter_case == INVENTORY__READ_LEDGER_REQUEST__FILTER_CART_SHARD) {
		reader->filter.by_cart = true;
		reader->filter.cart_shard = request->cart_shard;
	}
	stream.cursor = reader;
	if (reader->follow)
		followers_join(&inventory->followers, &reader->follower);
	else
		stream.heartbeat_ms = 0;
	rpc_stream_open(call, &stream);
}

/* ---- FenceCart ---- */

struct fence_change {
	struct change change;
	struct inventory *inventory;
	Inventory__FenceCartResponse_Closure answer;
	struct sender sender;
	struct stored_ledger stored;
	struct fence_answer result;
};

static int apply_fence(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct fence_change *self = container_of(change, struct fence_change, change);

	return books_fence(domain, &self->sender, &self->stored, &self->result);
}

static void settle_fence(struct change *change)
{
	struct fence_change *self = container_of(change, struct fence_change, change);
	Inventory__FenceCartResponse response = INVENTORY__FENCE_CART_RESPONSE__INIT;
	char removed[ID_TEXT_LENGTH + 1];

	if (self->result.verdict == VERDICT_WRONG_SHARD) {
		rpc_fail_reason(change->call, COMMON__REASON__REASON_WRONG_SHARD,
			"this store knows another number of cart shards");
		return;
	}
	if (self->result.verdict == VERDICT_LINEAGE_CHANGED) {
		inventory_fail_lineage(self->inventory, change->call);
		return;
	}
	if (self->result.verdict == VERDICT_YES)
		log_info("a cart shard has a new epoch", LOG_INT("cart_shard", self->sender.cart_shard),
			LOG_INT("epoch", (int64_t)self->result.fence.epoch),
			LOG_INT("sequence", (int64_t)self->result.fence.sequence));
	response.accepted = verdict_is_yes(self->result.verdict);
	response.epoch = self->result.fence.epoch;
	response.sequence = self->result.fence.sequence;
	response.lineage = self->inventory->lineage;
	if (!id_is_zero(&self->result.fence.removed))
		response.removed_id = id_format(&self->result.fence.removed, removed);
	self->answer(&response, change->call);
}

INVENTORY_METHOD(fence_cart, FenceCart)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct fence_change *self;
	struct sender sender;
	struct stored_ledger stored;
	struct complaint complaint = sender_fill(request->sender, &sender);

	if (!request->sender)
		complaint = (struct complaint){"sender", "must be given"};
	else if (!complaint.field)
		complaint = stored_fill(request->lineage, request->position, &stored);
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	if (!inventory_placed(inventory, request->placement, call))
		return;
	self = ARENA_NEW(rpc_arena(call), struct fence_change);
	if (!self) {
		inventory_fail_large(call);
		return;
	}
	self->change = (struct change){
		.apply = apply_fence, .settle = settle_fence, .call = call, .loop = inventory->loop};
	self->inventory = inventory;
	self->answer = answer;
	self->sender = sender;
	self->stored = stored;
	change_submit(&self->change, inventory->writer);
}
