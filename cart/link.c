/* cart/link.c - see link.h. */
#include "cart/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cart/archiving.h"
#include "cart/entries.h"
#include "cart/service.h"

#define FENCE_TIMEOUT_MS 2000
#define FENCE_BACKOFF_FIRST_MS 50
#define FENCE_BACKOFF_LAST_MS 1000
#define FENCE_ARENA_BYTES 4096
#define ACKNOWLEDGE_MS 1000
#define LEDGER_SILENCE_MS 1000 /* four messages a second are promised */
#define LEDGER_MESSAGE_BYTES_MAX (32 << 20)

struct link {
	struct cart_service *service;
	struct cart_link *domain;
	uint32_t shard;
	bool open, fence_flying, acknowledging, following;
	char why[256]; /* it stopped; empty: it goes on */
	struct rpc_request fence;
	struct arena fence_arena;
	struct rpc_timer fence_timer;
	int64_t fence_backoff_ms;
	struct rpc_request acknowledgement;
	struct arena acknowledgement_arena;
	uint64_t loaded; /* the position that the store had at the start */
	uint64_t acknowledged, acknowledging_to;
	int64_t acknowledged_ns;
	struct rpc_subscription *ledger; /* NULL: not yet, or no more, or not while a sale is forgotten */
	struct archiving archiving;
	Common__Placement placement;
	char lineage[ID_TEXT_LENGTH + 1];
	struct link_waiter *waiters;
};

/* ---- who waits ---- */

static bool waiter_holds(const struct link *link, const struct link_waiter *waiter)
{
	if (link->domain->stopped)
		return true;
	return waiter->sequence ? link->domain->position >= waiter->sequence : link->domain->usable;
}

void link_wait(struct link *link, struct link_waiter *waiter)
{
	if (waiter_holds(link, waiter)) {
		waiter->ready(waiter);
		return;
	}
	waiter->previous = NULL;
	waiter->next = link->waiters;
	if (waiter->next)
		waiter->next->previous = waiter;
	link->waiters = waiter;
}

void link_forget(struct link *link, struct link_waiter *waiter)
{
	*(waiter->previous ? &waiter->previous->next : &link->waiters) = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
}

/* ready() may make others wait or leave: so from the start again after each. */
void link_look(struct link *link)
{
	struct link_waiter *waiter = link->waiters;

	while (waiter) {
		if (!waiter_holds(link, waiter)) {
			waiter = waiter->next;
			continue;
		}
		link_forget(link, waiter);
		waiter->ready(waiter);
		waiter = link->waiters;
	}
	cart_service_look(link->service);
}

const char *link_stopped(const struct link *link)
{
	return link->why[0] ? link->why : NULL;
}

static void link_stop(struct link *link, const char *why)
{
	if (link->why[0])
		return;
	snprintf(link->why, sizeof(link->why), "%s", why);
	log_error("a link to inventory has stopped: nothing of this shard is sold here until an operator "
		  "reconciles it",
		LOG_INT("inventory_shard", link->shard), LOG_TEXT("why", why),
		LOG_INT("position", (int64_t)link->domain->position));
	rpc_unsubscribe(link->ledger);
	link->ledger = NULL;
	archiving_stop(&link->archiving);
	rpc_timer_stop(link->service->loop, &link->fence_timer);
	cart_stop_link(link->service->cart, link->shard);
	link_look(link);
}

static void link_stop_lineage(struct link *link, const char *theirs)
{
	char ours[ID_TEXT_LENGTH + 1], why[256];

	id_format(&link->domain->lineage, ours);
	snprintf(why, sizeof(why),
		"the ledger has lineage %.40s, ours is from %s: the store was restored or made anew; stop "
		"the "
		"cart and run `flashsale-cart reconcile`",
		theirs, ours);
	link_stop(link, why);
}

static void link_stop_refused(struct link *link, const struct rpc_status *status)
{
	char why[sizeof(status->message) + 128];

	snprintf(why, sizeof(why), "%s: %s; stop the cart and run `flashsale-cart reconcile`", status->reason,
		status->message);
	link_stop(link, why);
}

/* Of the positions that we tell inventory; empty: not known yet. */
static char *link_lineage(const struct link *link, char ret[ID_TEXT_LENGTH + 1])
{
	ret[0] = '\0';
	return id_is_zero(&link->domain->lineage) ? ret : id_format(&link->domain->lineage, ret);
}

/* How far the ledger is in our store. */
static uint64_t link_stored(const struct link *link)
{
	uint64_t stored = shelf_stored(link->service->shelf, link->shard);

	return stored > link->loaded ? stored : link->loaded;
}

/* ---- the fence ---- */

static void ledger_follow(struct link *link);
static void fence_send(struct link *link);

static void fence_timer_run(struct rpc_task *task)
{
	fence_send(container_of(task, struct link, fence_timer.task));
}

static void fence_again_later(struct link *link)
{
	if (!link->open || link->why[0])
		return;
	rpc_timer_start(link->service->loop, &link->fence_timer, link->fence_backoff_ms);
	link->fence_backoff_ms *= 2;
	if (link->fence_backoff_ms > FENCE_BACKOFF_LAST_MS)
		link->fence_backoff_ms = FENCE_BACKOFF_LAST_MS;
}

static void fence_answer(struct link *link, const Inventory__FenceCartResponse *answer)
{
	struct cart *cart = link->service->cart;
	struct id lineage, removed;

	link->fence_backoff_ms = FENCE_BACKOFF_FIRST_MS;
	if (!id_parse(answer->lineage, &lineage) || !cart_lineage(cart, link->shard, &lineage)) {
		link_stop_lineage(link, answer->lineage);
		return;
	}
	log_info(answer->accepted ? "epoch accepted" : "epoch refused: a newer one is in force",
		LOG_INT("inventory_shard", link->shard), LOG_INT("epoch", (int64_t)answer->epoch),
		LOG_INT("sequence", (int64_t)answer->sequence));
	if (id_parse(answer->removed_id, &removed))
		cart_removed(cart, link->shard, &removed);
	cart_fenced(cart, link->shard, answer->accepted, answer->epoch, answer->sequence,
		cart_service_now_ms(link->service, clock_mono_ns()));
	if (answer->accepted && link->open && !link->why[0] && !link->ledger && !link->archiving.running)
		ledger_follow(link);
	link_look(link);
}

static void fence_done(struct rpc_request *request)
{
	struct link *link = container_of(request, struct link, fence);

	link->fence_flying = false;
	if (!link->open || link->why[0]) {
		arena_clear(&link->fence_arena);
		return;
	}
	if (request->output && link->domain->fence.proposed) {
		fence_answer(link, (const Inventory__FenceCartResponse *)request->output);
	} else if (!strcmp(request->status.reason, "LINEAGE_CHANGED")) {
		link_stop_refused(link, &request->status);
	} else {
		LOG_LIMITED(LOG_WARN, "no fence yet", LOG_INT("inventory_shard", link->shard),
			LOG_TEXT("status", rpc_code_name(request->status.code)),
			LOG_TEXT("why", request->status.message));
		fence_again_later(link);
	}
	if (!link->fence_flying)
		arena_clear(&link->fence_arena);
}

static void fence_send(struct link *link)
{
	Inventory__FenceCartRequest request = INVENTORY__FENCE_CART_REQUEST__INIT;
	Inventory__Sender sender;
	Common__Placement placement;
	char lineage[ID_TEXT_LENGTH + 1];

	if (!link->open || link->fence_flying || link->why[0] || !link->domain->fence.proposed)
		return;
	cart_service_sender(link->service, link->shard, &placement, &sender);
	sender.epoch = link->domain->fence.proposed;
	request.position = link_stored(link);
	request.lineage = link_lineage(link, lineage);
	request.placement = &placement;
	request.sender = &sender;
	link->fence = (struct rpc_request){
		.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, "FenceCart"),
		.input = &request.base,
		.shard = (int32_t)link->shard,
		.deadline_ns = clock_mono_ns() + FENCE_TIMEOUT_MS * INT64_C(1000000),
		.arena = &link->fence_arena,
		.done = fence_done,
	};
	link->fence_flying = true;
	rpc_request_start(link->service->inventory, &link->fence);
}

void link_fence(struct link *link)
{
	rpc_timer_stop(link->service->loop, &link->fence_timer);
	fence_send(link);
}

/* ---- what is stored ---- */

static void acknowledged(struct rpc_request *request)
{
	struct link *link = container_of(request, struct link, acknowledgement);

	link->acknowledging = false;
	if (request->output)
		link->acknowledged = link->acknowledging_to;
	arena_clear(&link->acknowledgement_arena);
}

/* A failure is nothing: the next one says more. */
void link_acknowledge(struct link *link)
{
	Inventory__AcknowledgeLedgerRequest request = INVENTORY__ACKNOWLEDGE_LEDGER_REQUEST__INIT;
	uint64_t stored = link_stored(link);
	int64_t now_ns = clock_mono_ns();
	Inventory__Sender sender;
	Common__Placement placement;
	char lineage[ID_TEXT_LENGTH + 1];

	if (!link->open || link->acknowledging || link->why[0] || !link->domain->usable ||
		stored <= link->acknowledged ||
		now_ns - link->acknowledged_ns < ACKNOWLEDGE_MS * INT64_C(1000000))
		return;
	cart_service_sender(link->service, link->shard, &placement, &sender);
	request.placement = &placement;
	request.sender = &sender;
	request.sequence = link->acknowledging_to = stored;
	request.lineage = link_lineage(link, lineage);
	link->acknowledged_ns = now_ns;
	link->acknowledgement = (struct rpc_request){
		.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, "AcknowledgeLedger"),
		.input = &request.base,
		.shard = (int32_t)link->shard,
		.deadline_ns = now_ns + ACKNOWLEDGE_MS * INT64_C(1000000),
		.arena = &link->acknowledgement_arena,
		.done = acknowledged,
	};
	link->acknowledging = true;
	rpc_request_start(link->service->inventory, &link->acknowledgement);
}

/* ---- the ledger ---- */

static void ledger_open(void *context, ProtobufCMessage *message)
{
	struct link *link = context;
	Inventory__ReadLedgerRequest *request = (Inventory__ReadLedgerRequest *)message;

	link->placement = (Common__Placement)COMMON__PLACEMENT__INIT;
	link->placement.shard = link->shard;
	link->placement.shards = link->service->inventory_shards;
	request->placement = &link->placement;
	request->lineage = link_lineage(link, link->lineage);
	request->after_sequence = link->domain->position;
	request->floor = link->domain->floor;
	request->filter_case = INVENTORY__READ_LEDGER_REQUEST__FILTER_CART_SHARD;
	request->cart_shard = link->service->shard;
	request->follow = true;
}

static bool ledger_apply_order(struct link *link, const Inventory__LedgerEntry *message)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_entry entry;

	if (!entry_read_order(message, items, &entry))
		return false;
	orders_apply(link->service->orders, link->shard, &entry);
	return true;
}

/* False: the link stopped. Where a sale was archived it ends early: what follows is read again when that is done. */
static bool ledger_apply(struct link *link, const Inventory__ReadLedgerResponse *message)
{
	struct entry entry;
	char why[128];

	for (size_t i = 0; i < message->n_entries; i++) {
		bool good = entry_read(message->entries[i], link->service->shard, &entry);

		if (good && entry.sequence > link->domain->position) {
			if (entry.kind == ENTRY_ARCHIVED) {
				archiving_start(&link->archiving, &entry);
				return true;
			}
			cart_apply(link->service->cart, link->shard, &entry);
			if (entry.kind == ENTRY_ORDER)
				good = ledger_apply_order(link, message->entries[i]);
		}
		if (!good) {
			snprintf(why, sizeof(why), "the ledger's entry %llu can't be understood",
				(unsigned long long)message->entries[i]->sequence);
			link_stop(link, why);
			return false;
		}
	}
	return true;
}

static void ledger_keep_position(struct link *link)
{
	const struct position position = {
		.lineage = link->domain->lineage,
		.sequence = link->domain->position,
		.epoch = link->domain->fence.known,
		.moved_ms = link->service->cart->lines.moved_ms[link->shard],
		.floor = link->domain->floor,
	};

	shelf_position(link->service->shelf, link->shard, &position);
}

/* The position was `before`, and is now at least `position`. */
static void ledger_moved(struct link *link, uint64_t before, uint64_t position)
{
	cart_applied(link->service->cart, link->shard, position,
		cart_service_now_ms(link->service, clock_mono_ns()));
	if (link->domain->position != before)
		ledger_keep_position(link);
	link_look(link);
}

static bool ledger_message(void *context, const ProtobufCMessage *base)
{
	struct link *link = context;
	const Inventory__ReadLedgerResponse *message = (const Inventory__ReadLedgerResponse *)base;
	uint64_t before = link->domain->position;
	struct id lineage;

	if (shelf_full(link->service->shelf)) {
		LOG_LIMITED(LOG_ERROR, "the store does not keep up: the ledger has to wait");
		return false;
	}
	if (!id_parse(message->lineage, &lineage) ||
		!cart_lineage(link->service->cart, link->shard, &lineage)) {
		link_stop_lineage(link, message->lineage);
		return false;
	}
	if (!link->following)
		log_info("following the ledger", LOG_INT("inventory_shard", link->shard),
			LOG_INT("position", (int64_t)before), LOG_INT("head", (int64_t)message->head));
	link->following = true;
	link->domain->floor = message->floor;
	if (!ledger_apply(link, message))
		return false;
	if (link->archiving.running) {
		rpc_unsubscribe(link->ledger);
		link->ledger = NULL;
		ledger_moved(link, before, link->domain->position);
		return false;
	}
	ledger_moved(link, before, message->position);
	return true;
}

static void ledger_archived(struct archiving *archiving)
{
	struct link *link = container_of(archiving, struct link, archiving);
	const struct entry entry = {
		.kind = ENTRY_ARCHIVED, .sequence = archiving->sequence, .sku = span_of(archiving->sku)};
	uint64_t before = link->domain->position;

	log_info("a sale was archived: what was sold of it is forgotten", LOG_TEXT("sku", archiving->sku));
	cart_apply(link->service->cart, link->shard, &entry);
	ledger_moved(link, before, entry.sequence);
	if (!link->why[0])
		ledger_follow(link);
}

static void ledger_lost(void *context, const struct rpc_status *status)
{
	struct link *link = context;

	if (link->following)
		log_warn("the ledger's stream was lost", LOG_INT("inventory_shard", link->shard),
			LOG_TEXT("status", rpc_code_name(status->code)), LOG_TEXT("why", status->message));
	link->following = false;
	if (!strcmp(status->reason, "LINEAGE_CHANGED") || !strcmp(status->reason, "LEDGER_AHEAD") ||
		!strcmp(status->reason, "LEDGER_COMPACTED"))
		link_stop_refused(link, status);
}

/* ---- its life ---- */

struct link *link_new(struct cart_service *service, uint32_t shard)
{
	struct link *link = NEW(struct link);

	link->service = service;
	link->shard = shard;
	link->domain = &service->cart->links[shard];
	link->fence_timer.task.run = fence_timer_run;
	link->fence_backoff_ms = FENCE_BACKOFF_FIRST_MS;
	link->archiving = (struct archiving){.service = service, .shard = shard, .done = ledger_archived};
	link->loaded = link->acknowledged = link->domain->position;
	arena_init(&link->fence_arena, FENCE_ARENA_BYTES, FENCE_ARENA_BYTES);
	arena_init(&link->acknowledgement_arena, FENCE_ARENA_BYTES, FENCE_ARENA_BYTES);
	return link;
}

static void ledger_follow(struct link *link)
{
	const struct rpc_subscription_options options = {
		.pool = link->service->inventory,
		.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, "ReadLedger"),
		.shard = (int32_t)link->shard,
		.silence_ms = LEDGER_SILENCE_MS,
		.open = ledger_open,
		.message = ledger_message,
		.lost = ledger_lost,
		.context = link,
		.message_arena_bytes_max = LEDGER_MESSAGE_BYTES_MAX,
	};

	link->ledger = rpc_subscribe(&options);
}

void link_open(struct link *link)
{
	link->open = true;
}

void link_close(struct link *link)
{
	link->open = false;
	archiving_stop(&link->archiving);
	rpc_unsubscribe(link->ledger);
	link->ledger = NULL;
	rpc_timer_stop(link->service->loop, &link->fence_timer);
}

void link_free(struct link *link)
{
	if (!link)
		return;
	assert(!link->fence_flying && !link->acknowledging && !link->waiters);
	arena_release(&link->fence_arena);
	arena_release(&link->acknowledgement_arena);
	free(link);
}
