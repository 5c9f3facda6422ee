#include "inventory/inventory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/reason.h"

#define GROUP_MAX 4096
#define EXPIRY_STEP 2048
#define COMPACTION_STEP 512

static void on_goods_changed(void *context, const struct goods *goods)
{
	struct inventory *inventory = context;

	stock_show(inventory->board, goods);
}

static void on_published(void *context, uint64_t head, const struct books_counts *counts)
{
	struct inventory *inventory = context;

	watch_board_flush(inventory->board);
	followers_wake(&inventory->followers);
	if (inventory->books) /* not yet, while it opens */
		inventory_metrics_count(inventory->books, counts);
}

static void on_clock_moved(void *context, int64_t drift_ms)
{
	inventory_metrics_drift(drift_ms);
	log_warn("the wall clock was set while this process runs; holds expire by elapsed time as before",
		LOG_INT("drift_ms", drift_ms));
}

static struct books *open_books(struct inventory *inventory, struct error *error)
{
	struct books_options options = {.clock = inventory->clock,
		.hold_ttl_ms = inventory->settings->hold_ttl_ms,
		.outage_grace_max_ms = inventory->settings->outage_grace_max_ms,
		.expiry_step = EXPIRY_STEP,
		.retention_ms = inventory->settings->retention_ms,
		.compaction_step = COMPACTION_STEP,
		.goods_changed = on_goods_changed,
		.published = on_published,
		.clock_moved = on_clock_moved,
		.context = inventory};

	return books_open(inventory->store, &options, error);
}

static struct writer *start_writer(struct inventory *inventory, const struct inventory_parts *parts)
{
	struct writer_options options = {.store = inventory->store,
		.domain = inventory->books,
		.group_max = GROUP_MAX,
		.queue_max = (uint32_t)inventory->settings->queue_max,
		.now_ms = books_now_ms,
		.tick = books_tick,
		.finish = books_finish,
		.rollback = books_rollback,
		.committed = books_committed,
		.fatal = parts->fatal,
		.fatal_context = parts->fatal_context,
		.name = "writer"};

	return writer_new(&options);
}

static void log_opened(const struct inventory *inventory)
{
	const struct books *books = inventory->books;

	log_info("the books are open", LOG_TEXT("lineage", inventory->lineage),
		LOG_INT("incarnation", (int64_t)inventory->store->incarnation),
		LOG_INT("goods", books->row_count), LOG_INT("ledger_head", (int64_t)books->sequence),
		LOG_INT("outage_ms", books->time.outage_ms),
		LOG_INT("deadlines_moved_ms", books->time.moved_ms));
}

struct inventory *inventory_new(const struct inventory_parts *parts, struct error *error)
{
	struct inventory *inventory = NEW(struct inventory);

	inventory->methods =
		(Inventory__InventoryService_Service)INVENTORY__INVENTORY_SERVICE__INIT(inventory_);
	inventory->settings = parts->settings;
	inventory->clock = parts->clock;
	inventory->loop = parts->loop;
	inventory->store = parts->store;
	id_format(&parts->store->lineage, inventory->lineage);
	inventory_metrics_register();
	followers_init(&inventory->followers);
	inventory->board = stock_board_new(&parts->incarnation);
	inventory->books = open_books(inventory, error);
	if (!inventory->books) {
		inventory_free(inventory);
		return NULL;
	}
	log_opened(inventory);
	inventory->audit = audit_job_new(inventory->store);
	inventory->writer = start_writer(inventory, parts);
	return inventory;
}

void inventory_end(struct inventory *inventory)
{
	audit_job_free(inventory->audit);
	writer_free(inventory->writer);
}

void inventory_free(struct inventory *inventory)
{
	books_close(inventory->books);
	watch_board_free(inventory->board);
	followers_release(&inventory->followers);
	free(inventory);
}

bool inventory_placed(
	const struct inventory *inventory, const Common__Placement *placement, struct rpc_call *call)
{
	const struct store *store = inventory->store;

	if (!placement || (placement->shard == store->shard && placement->shards == store->shards))
		return true;
	rpc_fail_reason(call, COMMON__REASON__REASON_WRONG_SHARD,
		"this is shard %u of %u, the request is for %u of %u", store->shard, store->shards,
		placement->shard, placement->shards);
	return false;
}

void inventory_fail_missing(const struct inventory *inventory, const char *sku, struct rpc_call *call)
{
	bool ours = hash_shard(sku, inventory->store->shards) == inventory->store->shard;

	if (ours)
		rpc_fail_reason(call, COMMON__REASON__REASON_UNKNOWN_SKU,
			"no goods with the SKU %s are on sale", sku);
	else
		rpc_fail_reason(call, COMMON__REASON__REASON_WRONG_SHARD,
			"the SKU %s belongs to shard %u of %u", sku,
			hash_shard(sku, inventory->store->shards), inventory->store->shards);
}

void inventory_fail_store(struct rpc_call *call, int rc)
{
	if (rc == ENOMEM)
		inventory_fail_large(call);
	else
		rpc_fail_reason(call, COMMON__REASON__REASON_STORE_FAILED, "the store can't be read: %s",
			mdb_strerror(rc));
}

void inventory_fail_lineage(const struct inventory *inventory, struct rpc_call *call)
{
	rpc_fail_reason(call, COMMON__REASON__REASON_LINEAGE_CHANGED,
		"this store is %s: it was restored, or is another one", inventory->lineage);
}

void inventory_fail_large(struct rpc_call *call)
{
	rpc_fail_reason(
		call, COMMON__REASON__REASON_OVERLOADED, "this needs more memory than one call may have");
}
