/* AuditStock, on a thread of its own: one at a time, for it reads the whole store. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/audit.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "rpc/reason.h"

#define ITEMS_MAX 10000

/* The loop starts and joins the thread; between the two the rest is the thread's. */
struct audit_job {
	struct store *store;
	pthread_t thread;
	bool started;
	_Atomic bool running, cancel;
	struct rpc_call *call;
	Inventory__AuditStockResponse_Closure answer;
	char sku[SKU_MAX + 1]; /* "": all */
};

static void set_count(Inventory__StockCount *message, const struct stock_count *count)
{
	inventory__stock_count__init(message);
	message->stock = (uint64_t)count->stock;
	message->available = (uint64_t)count->available;
	message->held = (uint64_t)count->held;
	message->sold = (uint64_t)count->sold;
}

struct item_message {
	Inventory__StockAudit audit;
	Inventory__StockCount row, holds, ledger;
};

static void set_item(struct item_message *message, struct audit_item *item, char *finding)
{
	inventory__stock_audit__init(&message->audit);
	set_count(&message->row, &item->row);
	set_count(&message->holds, &item->holds);
	set_count(&message->ledger, &item->ledger);
	message->audit.sku = item->sku;
	message->audit.row = &message->row;
	message->audit.holds = &message->holds;
	message->audit.ledger = &message->ledger;
	message->audit.consistent = item->consistent && !finding[0];
	message->audit.finding = item->finding[0] ? item->finding : finding;
}

/* What belongs to no SKU is shown with each: nothing is consistent then. False: the arena is at its cap. */
static bool fill(struct arena *arena, struct audit *audit, Inventory__AuditStockResponse *response)
{
	size_t count = audit->count < ITEMS_MAX ? audit->count : ITEMS_MAX;
	struct item_message *messages = ARENA_ARRAY(arena, count, struct item_message);
	struct audit_item *items = arena_copy(arena, audit->items, count * sizeof(audit->items[0]));
	char *finding = arena_text(arena, audit->finding, strlen(audit->finding));

	response->items = ARENA_ARRAY(arena, count, Inventory__StockAudit *);
	if (count && (!messages || !items || !finding || !response->items))
		return false;
	response->n_items = count;
	for (size_t i = 0; i < count; i++) {
		set_item(&messages[i], &items[i], finding);
		response->items[i] = &messages[i].audit;
	}
	response->consistent = audit->consistent;
	response->sequence = audit->sequence;
	return true;
}

/* The answer lives in the call's arena: it is packed on the loop. */
static void conclude(struct audit_job *job, int rc, struct audit *audit)
{
	struct arena *arena = rpc_arena(job->call);
	Inventory__AuditStockResponse *response = ARENA_NEW(arena, Inventory__AuditStockResponse);

	if (rc == ECANCELED) {
		rpc_fail_reason(job->call, COMMON__REASON__REASON_OVERLOADED, "the service is ending");
		return;
	}
	if (rc) {
		inventory_fail_store(job->call, rc);
		return;
	}
	if (response)
		inventory__audit_stock_response__init(response);
	if (!response || !fill(arena, audit, response)) {
		inventory_fail_large(job->call);
		return;
	}
	job->answer(response, job->call);
}

static void *run(void *argument)
{
	struct audit_job *job = argument;
	struct audit audit;
	int rc = audit_run(job->store, job->sku[0] ? job->sku : NULL, &job->cancel, &audit);

	atomic_store(&job->running,
		false); /* before the answer: who has it may ask for the next, and join() waits for the rest */
	conclude(job, rc, &audit);
	audit_release(&audit);
	return NULL;
}

struct audit_job *audit_job_new(struct store *store)
{
	struct audit_job *job = NEW(struct audit_job);

	job->store = store;
	return job;
}

static void join(struct audit_job *job)
{
	if (job->started)
		pthread_join(job->thread, NULL);
	job->started = false;
}

void audit_job_free(struct audit_job *job)
{
	atomic_store(&job->cancel, true);
	join(job);
	free(job);
}

INVENTORY_METHOD(audit_stock, AuditStock)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct audit_job *job = inventory->audit;

	if (request->sku[0] && !sku_valid(request->sku)) {
		rpc_refuse(call, "sku", "expected 1 to 64 characters of A-Z a-z 0-9 . _ -, or nothing");
		return;
	}
	if (atomic_load(&job->running) || atomic_load(&job->cancel)) {
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED, "an audit is under way");
		return;
	}
	join(job);
	strcpy(job->sku, request->sku);
	job->call = call;
	job->answer = answer;
	atomic_store(&job->running, true);
	if (pthread_create(&job->thread, NULL, run, job) != 0) {
		atomic_store(&job->running, false);
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED, "no thread can be started");
		return;
	}
	job->started = true;
}
