/* cart/archiving.c - see archiving.h. */
#include "cart/archiving.h"

#include <assert.h>

#include "base/memory.h"
#include "cart/orders.h"
#include "cart/service.h"

#define STEP_SLOTS 8192 /* a few milliseconds where all of them are of the sale */
#define PACE_MS 1
#define FULL_PACE_MS 100

/* False: there is nothing left. */
static bool archiving_step(struct archiving *archiving)
{
	struct cart_service *service = archiving->service;
	struct span sku = span_of(archiving->sku);

	return cart_archive(service->cart, sku, &archiving->lines, STEP_SLOTS) ||
	       orders_archive(service->orders, archiving->shard, sku, &archiving->orders, STEP_SLOTS);
}

static void archiving_run(struct rpc_task *task)
{
	struct archiving *archiving = container_of(task, struct archiving, timer.task);
	bool full = shelf_full(archiving->service->shelf);

	if (full || archiving_step(archiving)) {
		rpc_timer_start(archiving->service->loop, &archiving->timer, full ? FULL_PACE_MS : PACE_MS);
		return;
	}
	archiving->running = false;
	archiving->done(archiving);
}

void archiving_start(struct archiving *archiving, const struct entry *entry)
{
	assert(!archiving->running && entry->kind == ENTRY_ARCHIVED && entry->sku.length <= LINES_NAME_MAX);
	archiving->running = true;
	archiving->sequence = entry->sequence;
	memcpy(archiving->sku, entry->sku.text, entry->sku.length);
	archiving->sku[entry->sku.length] = '\0';
	archiving->lines = archiving->orders = (struct map_walk){0};
	archiving->timer.task.run = archiving_run;
	rpc_timer_start(archiving->service->loop, &archiving->timer, 0);
}

void archiving_stop(struct archiving *archiving)
{
	if (archiving->running)
		rpc_timer_stop(archiving->service->loop, &archiving->timer);
	archiving->running = false;
}
