/* tests/simulation/archives.c - see archives.h. */
#include "archives.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "inventory/exporter.h"
#include "inventory_node.h"
#include "model.h"
#include "tally.h"

#define TRIES_MAX 60
#define WAIT_MAX_US (300 * MS)
#define PAGE_MAX_US (3 * MS)
#define ARENA_BYTES_MAX (8 << 20)

/* What an export told. */
struct told {
	uint32_t skus, number; /* of the model's */
	char digest[DIGEST_TEXT_LENGTH + 1];
};

static struct archivist {
	uint32_t shard;
	uint32_t skus; /* a bit each; 0: none is closed for us */
	uint32_t tries;
	uint64_t since; /* where the ledger was when they were closed */
	bool exporting, asking;
	struct exporter exporter;
	uint64_t incarnation; /* of the inventory that is being asked */
	struct arena arena;
	struct id *ids; /* of holds and orders */
	size_t id_count, id_room;
	uint64_t newest;
	struct told last, before; /* skus 0: there is none */
} archivists[WORLD_SHARDS_MAX];

bool archives_keep_closed(uint32_t sku)
{
	return archivists[world_inventory_of(sku)].skus >> sku & 1;
}

static void run_turn(void *context, uint64_t a, uint64_t b);

static void turn_later(struct archivist *self, int64_t us)
{
	world_after(NULL, us, run_turn, self, 0, 0);
}

/* ---- goods ---- */

static void unheard(void *context, struct wire_call *call, enum wire_end end)
{
}

static void ask_goods(const struct archivist *self, enum wire_kind kind)
{
	for (uint32_t sku = 0; sku < world.plan.skus; sku++) {
		struct wire_call *call;

		if (!(self->skus >> sku & 1))
			continue;
		call = wire_call_new(kind, self->shard, 1);
		call->deadline_us = call->items[0].deadline_us = world.now_us + 2 * SECOND;
		call->items[0].sku = sku;
		call->items[0].amount = (int64_t)world_below(world.plan.stock_max + 1);
		call->items[0].price_micros = world_between(1, 99) * 1000000;
		call->done = unheard;
		network_send(call);
	}
}

static uint32_t all_of(uint32_t shard)
{
	uint32_t skus = 0;

	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (world_inventory_of(sku) == shard && model_goods(sku)->exists)
			skus |= 1u << sku;
	return skus;
}

/* Orders have several goods: mostly a sale is all that there is. */
static void choose(struct archivist *self)
{
	uint32_t all = all_of(self->shard);

	self->skus = world_below(3) ? all : all & (uint32_t)world_below(UINT64_C(1) << WORLD_SKUS_MAX);
	self->tries = 0;
	self->since = model_head(self->shard);
	ask_goods(self, WIRE_CLOSE);
	turn_later(self, world_between(1, WAIT_MAX_US));
}

static void give_up(struct archivist *self)
{
	if (world_below(8))
		ask_goods(self, WIRE_OPEN);
	self->skus = 0;
	turn_later(self, random_wait(&world.random, world.plan.archive_us));
}

/* ---- exports ---- */

static void keep_id(struct archivist *self, const char *text)
{
	if (self->id_count == self->id_room) {
		self->id_room = self->id_room ? self->id_room * 2 : 256;
		self->ids = memory_resize(self->ids, self->id_room, sizeof(*self->ids));
	}
	WORLD_CHECK(id_parse(text, &self->ids[self->id_count++]), "an export tells of no id: %s", text);
}

static void hear(struct archivist *self, const Inventory__ExportGoodsResponse *page)
{
	for (size_t i = 0; i < page->n_entries; i++) {
		const Inventory__LedgerEntry *entry = page->entries[i];

		WORLD_CHECK(entry->sequence > self->newest, "an export goes back");
		self->newest = entry->sequence;
		if (entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CREATED)
			keep_id(self, entry->hold_created->hold->hold_id);
		if (entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED)
			keep_id(self, entry->order_changed->order_id);
	}
}

static void export_end(struct archivist *self)
{
	self->exporting = false;
	exporter_release(&self->exporter);
	arena_clear(&self->arena);
}

static void sale_of(uint32_t skus, struct archive_request *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (skus >> sku & 1)
			strcpy(ret->skus[ret->count++], world_sku(sku));
}

static void export_begin(struct archivist *self)
{
	struct archive_request sale;

	sale_of(self->skus, &sale);
	exporter_init(&self->exporter, inventory_store(self->shard), world.plan.hold_ttl_ms, &sale);
	self->exporting = true;
	self->incarnation = inventory_incarnation(self->shard);
	self->id_count = 0;
	self->newest = 0;
}

static void exported(struct archivist *self)
{
	self->before = self->last;
	self->last.skus = self->skus;
	memcpy(self->last.digest, self->exporter.digest, sizeof(self->last.digest));
	self->last.number = model_exported(self->shard, self->skus, self->ids, self->id_count, self->newest);
	world_note("goods are exported", self->shard, self->skus, self->id_count);
	tally_inventory(WIRE_EXPORT, COMMON__REASON__REASON_UNSPECIFIED, false);
	inventory_exported(self->shard, &self->exporter);
	export_end(self);
}

static Common__Reason reason_of(const struct rpc_status *status)
{
	const ProtobufCEnumValue *value;
	char name[64];

	snprintf(name, sizeof(name), "REASON_%s", status->reason);
	value = protobuf_c_enum_descriptor_get_value_by_name(&common__reason__descriptor, name);
	WORLD_CHECK(value, "an export fails: %s", status->message);
	return (Common__Reason)value->value;
}

static void export_refused(struct archivist *self, const struct rpc_status *status)
{
	Common__Reason reason = reason_of(status);

	tally_inventory(WIRE_EXPORT, reason, false);
	model_export_refused(self->shard, self->skus, reason);
	export_end(self);
	if (strstr(status->message, "archive them together")) {
		self->skus = all_of(self->shard);
		ask_goods(self, WIRE_CLOSE);
	} else if (world_below(4) == 0) {
		ask_goods(self, WIRE_CLOSE); /* it was lost, or somebody opened them */
	}
}

/* A page each turn: what changes between two of them is another sale. */
static void export_on(struct archivist *self)
{
	struct rpc_status status = {0};

	if (!inventory_up(self->shard) || self->incarnation != inventory_incarnation(self->shard)) {
		export_end(self);
		return;
	}
	if (!exporter_page(&self->exporter, &self->arena, &status)) {
		export_refused(self, &status);
		return;
	}
	hear(self, &self->exporter.response);
	arena_clear(&self->arena);
	if (self->exporter.ended)
		exported(self);
}

/* ---- archives ---- */

static void answered(void *context, struct wire_call *call, enum wire_end end)
{
	((struct archivist *)context)->asking = false;
}

/* Mostly the digest that we were told; now and then one that is older, or none at all. */
static void archive(struct archivist *self)
{
	struct wire_call *call = wire_call_new(WIRE_ARCHIVE, self->shard, 1);
	struct wire_item *item = &call->items[0];
	const struct told *told = self->before.skus && world_below(4) == 0 ? &self->before : &self->last;

	call->deadline_us = item->deadline_us = world.now_us + 2 * SECOND;
	item->skus = told->skus;
	item->export = told->number;
	memcpy(item->digest, told->digest, sizeof(item->digest));
	if (world_below(8) == 0) {
		item->digest[world_below(sizeof(item->digest) - 1)] ^= 1;
		item->export = MODEL_NO_EXPORT;
	}
	model_archive_asked(item->export);
	call->done = answered;
	call->context = self;
	self->asking = true;
	network_send(call);
}

/* Somebody wants the money back for what is about to go. Nobody waits for the answer, so nobody is told no. */
static void refund_too_late(const struct archivist *self)
{
	const struct id *id = &self->ids[world_below(self->id_count)];
	struct wire_call *call;

	if (!model_order_find(id))
		return;
	call = wire_call_new(WIRE_REFUND, self->shard, 1);
	call->deadline_us = call->items[0].deadline_us = world.now_us + 2 * SECOND;
	call->items[0].id = *id;
	call->done = unheard;
	model_order_waits(id, WIRE_REFUND, 0);
	model_order_told(id, WIRE_REFUND, 0, MODEL_TOLD_UNKNOWN, COMMON__REASON__REASON_OUTCOME_UNKNOWN);
	network_send(call);
}

/* They are open for a moment, and what was told of them may become old. */
static void sell_again(struct archivist *self)
{
	ask_goods(self, WIRE_OPEN);
	self->skus = 0;
	turn_later(self, world_between(1, WAIT_MAX_US));
}

static void run_turn(void *context, uint64_t a, uint64_t b)
{
	struct archivist *self = context;

	if (world.calm) {
		turn_later(self, world_between(1, WAIT_MAX_US));
		return;
	}
	if (self->exporting) {
		export_on(self);
		turn_later(self, world_between(1, PAGE_MAX_US));
		return;
	}
	if (!self->skus) {
		choose(self);
		return;
	}
	if (model_archived_since(self->shard, self->skus, self->since) || ++self->tries > TRIES_MAX) {
		give_up(self);
		return;
	}
	for (int i = 0; model_archiving_now(self->shard) && self->id_count && i < 4; i++)
		refund_too_late(self);
	if ((model_archiving_now(self->shard) & self->skus) && world_below(4) == 0)
		ask_goods(self, WIRE_OPEN); /* too soon */
	if (self->last.skus == self->skus && !self->asking && world_below(3))
		archive(self);
	else if (self->last.skus && !self->asking && world_below(12) == 0) {
		sell_again(self);
		return;
	} else if (inventory_up(self->shard) && !self->asking)
		export_begin(self);
	turn_later(self, world_between(1, world_below(2) ? PAGE_MAX_US : WAIT_MAX_US));
}

/* ---- a run ---- */

void archives_begin(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		struct archivist *self = &archivists[shard];

		memset(self, 0, sizeof(*self));
		self->shard = shard;
		arena_init(&self->arena, 64 << 10, ARENA_BYTES_MAX);
		if (world.plan.archive_us)
			turn_later(self, random_wait(&world.random, world.plan.archive_us));
	}
}

void archives_end(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		struct archivist *self = &archivists[shard];

		if (self->exporting)
			export_end(self);
		arena_release(&self->arena);
		free(self->ids);
	}
	memset(archivists, 0, sizeof(archivists));
}
