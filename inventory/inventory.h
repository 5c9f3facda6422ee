/* inventory/inventory.h - the inventory service: what its RPC files share.
 *
 * The writer's thread owns the books: every command goes through it, and every answer to one leaves after its commit. Plain reads (GetGoods,
 * ListHolds, ReadLedger, ...) look at what is committed, in short read transactions on the loop. AuditStock has a thread of its own.
 * An answer's memory is taken before its command is submitted, so that what was committed can always be answered.
 * A refusal with OVERLOADED, STORE_FAILED, STALE_EPOCH or WRONG_SHARD, and STORE_FULL, says that this sending changed nothing. It does not say that
 * an earlier sending of the same hold id did not; every other refusal does. */
#ifndef FLASHSALE_INVENTORY_INVENTORY_H
#define FLASHSALE_INVENTORY_INVENTORY_H

#include "base/writer.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "inventory/books.h"
#include "inventory/exporter.h"
#include "inventory/followers.h"
#include "rpc/service.h"
#include "rpc/watch.h"

struct inventory_settings {
	struct service_settings common;
	int64_t hold_ttl_ms;         /* --hold-ttl 10m */
	int64_t outage_grace_max_ms; /* --outage-grace-max 10m */
	int64_t retention_ms;        /* --retention 25h */
	int64_t queue_max;           /* --queue-max 65536: items that wait for the writer */
};

struct audit_job;

struct inventory {
	Inventory__InventoryService_Service methods; /* what rpc_serve gets, and the methods are called with */
	const struct inventory_settings *settings;
	const struct clock_source *clock;
	struct rpc_loop *loop;
	struct store *store;
	struct books *books;   /* the writer's, but for its time and head */
	struct writer *writer;
	struct watch_board *board;
	struct followers followers;
	struct audit_job *audit;
	struct exports exports; /* the loop's */
	char lineage[ID_TEXT_LENGTH + 1];
};

/* What it stands on; all must outlive it. */
struct inventory_parts {
	const struct inventory_settings *settings;
	const struct clock_source *clock;
	struct id incarnation; /* of this process: for the watch board */
	struct rpc_loop *loop;
	struct store *store;
	void (*fatal)(void *context, const char *why); /* as for the writer */
	void *fatal_context;
};

/* Opens the books and starts the writer; then `methods` can be served. NULL: *error says why. */
struct inventory *inventory_new(const struct inventory_parts *parts, struct error *error);
void inventory_end(struct inventory *inventory);  /* its threads end; what was taken is answered. Not from the loop */
void inventory_free(struct inventory *inventory); /* after its end and the server's */

/* stock_watch.c: after each commit, on the writer's thread (before it runs: the main thread). */
struct watch_board *stock_board_new(const struct id *incarnation);
void stock_show(struct watch_board *board, const struct goods *goods);

/* metrics.c */
void inventory_metrics_register(void);
void inventory_metrics_count(const struct books *books, const struct books_counts *counts);
void inventory_metrics_drift(int64_t drift_ms);

/* rpc_audit.c */
struct audit_job *audit_job_new(struct store *store);
void audit_job_free(struct audit_job *job); /* ends one that is under way; not from the loop */

/* Whether a request was sent to where it was meant to go; no: the call was ended. */
bool inventory_placed(const struct inventory *inventory, const Common__Placement *placement, struct rpc_call *call);
/* The SKU is nowhere in this store: ends the call, with WRONG_SHARD if it belongs elsewhere. */
void inventory_fail_missing(const struct inventory *inventory, const char *sku, struct rpc_call *call);
/* Ends the call for an error of the store or an arena at its cap. */
void inventory_fail_store(struct rpc_call *call, int rc);
void inventory_fail_large(struct rpc_call *call);
/* Ends the call: it is about the ledger of another lineage. */
void inventory_fail_lineage(const struct inventory *inventory, struct rpc_call *call);

/* The methods; each gets `service`, `request`, the closure `answer` and `call`. */
#define INVENTORY_METHOD(name, Type)                                                                                 \
	void inventory_##name(Inventory__InventoryService_Service *service, const Inventory__##Type##Request *request, \
		Inventory__##Type##Response_Closure answer, void *call)
/* rpc_goods.c */
INVENTORY_METHOD(create_goods, CreateGoods);
INVENTORY_METHOD(update_goods, UpdateGoods);
INVENTORY_METHOD(close_goods, CloseGoods);
INVENTORY_METHOD(set_available, SetAvailable);
INVENTORY_METHOD(adjust_stock, AdjustStock);
/* rpc_goods_read.c */
INVENTORY_METHOD(get_goods, GetGoods);
INVENTORY_METHOD(list_goods, ListGoods);
INVENTORY_METHOD(validate_stock, ValidateStock);
INVENTORY_METHOD(watch_stock, WatchStock);
/* rpc_holds.c */
INVENTORY_METHOD(create_hold, CreateHold);
INVENTORY_METHOD(batch_create_holds, BatchCreateHolds);
INVENTORY_METHOD(release_hold, ReleaseHold);
INVENTORY_METHOD(batch_release_holds, BatchReleaseHolds);
INVENTORY_METHOD(confirm_hold, ConfirmHold);
INVENTORY_METHOD(batch_confirm_holds, BatchConfirmHolds);
INVENTORY_METHOD(resize_hold, ResizeHold);
/* rpc_holds_read.c */
INVENTORY_METHOD(get_hold, GetHold);
INVENTORY_METHOD(list_holds, ListHolds);
/* rpc_orders.c */
INVENTORY_METHOD(bind_order_holds, BindOrderHolds);
INVENTORY_METHOD(confirm_order_holds, ConfirmOrderHolds);
INVENTORY_METHOD(release_order_holds, ReleaseOrderHolds);
INVENTORY_METHOD(refund_order_holds, RefundOrderHolds);
/* rpc_ledger.c */
INVENTORY_METHOD(fence_cart, FenceCart);
INVENTORY_METHOD(read_ledger, ReadLedger);
/* rpc_followers.c */
INVENTORY_METHOD(acknowledge_ledger, AcknowledgeLedger);
INVENTORY_METHOD(list_followers, ListFollowers);
INVENTORY_METHOD(unregister_follower, UnregisterFollower);
/* rpc_archive.c */
INVENTORY_METHOD(export_goods, ExportGoods);
INVENTORY_METHOD(archive_goods, ArchiveGoods);
/* rpc_audit.c */
INVENTORY_METHOD(audit_stock, AuditStock);

#endif
