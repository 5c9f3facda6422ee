/* tests/simulation/cart_wires.c - a cart's link to one inventory shard, after cart/link.c: the fence until it is accepted, the ledger for ever. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "cart/entries.h"
#include "cart_process.h"
#include "inventory_node.h"
#include "model.h"

#define FENCE_TIMEOUT_US (2 * SECOND)
#define FENCE_BACKOFF_FIRST_US (50 * MS)
#define FENCE_BACKOFF_LAST_US (1 * SECOND)
#define STREAM_RETRY_MAX_US (100 * MS)
#define STREAM_POLL_MAX_US (4 * MS)
#define STREAM_DELAY_MAX_US (2 * MS)
#define ACKNOWLEDGE_TIMEOUT_US (1 * SECOND)
#define ARENA_BYTES_MAX (32 << 20)

static struct cart_link *domain(const struct cart_wire *wire)
{
	return &wire->process->cart->links[wire->shard];
}

static void wire_stop(struct cart_wire *wire, const char *why)
{
	if (wire->why)
		return;
	WORLD_CHECK(inventory_was_restored(wire->shard) || wire->compacted,
		"a link stops (%s), and nothing was restored", why);
	world_note("link stops", wire->process->number, wire->shard, 0);
	wire->why = why;
	wire->incarnation = 0;
	archiving_stop(&wire->archiving);
	cart_stop_link(wire->process->cart, wire->shard);
	if (wire->compacted)
		cart_process_anew(wire->process);
	changes_look(wire->process);
}

/* ---- the fence ---- */

void wire_sender_fill(const struct cart_wire *wire, struct wire_sender *ret)
{
	*ret = (struct wire_sender){.given = true,
		.cart = wire->process->shard,
		.carts = world.plan.carts,
		.epoch = domain(wire)->fence.accepted,
		.instance = domain(wire)->fence.instance};
}

/* How far the ledger is in our store, as the shelf says; and so it is. */
static uint64_t stored(const struct cart_wire *wire)
{
	uint64_t position = shelf_stored(wire->process->shelf, wire->shard);
	struct position kept = {0};
	uint8_t number[4] = {0, 0, 0, (uint8_t)wire->shard};
	MDB_val key = {sizeof(number), number}, data;
	MDB_txn *txn;

	if (position < wire->loaded)
		position = wire->loaded;
	if (!position)
		return 0;
	WORLD_CHECK(store_read_begin(wire->process->store, &txn) == 0, "a read transaction");
	WORLD_CHECK(mdb_get(txn, wire->process->store->tables[SHELF_POSITIONS], &key, &data) == 0 &&
			    record_position_unpack(data.mv_data, data.mv_size, &kept),
		"a position that was stored is missing");
	mdb_txn_abort(txn);
	WORLD_CHECK(kept.sequence >= position,
		"the ledger is said to be stored up to %" PRIu64 ", it is to %" PRIu64, position,
		kept.sequence);
	return position;
}

static void run_fence_timer(void *context, uint64_t ticket, uint64_t unused)
{
	struct cart_wire *wire = context;

	if (ticket == wire->fence_timer)
		wire_fence(wire);
}

static void fence_again_later(struct cart_wire *wire)
{
	if (wire->why)
		return;
	world_after(
		&wire->process->base, wire->fence_backoff_us, run_fence_timer, wire, ++wire->fence_timer, 0);
	wire->fence_backoff_us *= 2;
	if (wire->fence_backoff_us > FENCE_BACKOFF_LAST_US)
		wire->fence_backoff_us = FENCE_BACKOFF_LAST_US;
}

static void fence_done(void *context, struct wire_call *call, enum wire_end end)
{
	struct cart_wire *wire = context;
	struct cart *cart = wire->process->cart;

	wire->fence_flying = false;
	if (wire->why)
		return;
	if (end == WIRE_DECIDED && call->answers[0].reason == COMMON__REASON__REASON_LINEAGE_CHANGED) {
		wire_stop(wire, "the fence is refused: LINEAGE_CHANGED");
		return;
	}
	if (end != WIRE_DECIDED || call->answers[0].reason || !domain(wire)->fence.proposed) {
		fence_again_later(wire);
		return;
	}
	wire->fence_backoff_us = FENCE_BACKOFF_FIRST_US;
	if (!cart_lineage(cart, wire->shard, &call->fenced.lineage)) {
		wire_stop(wire, "the fence's answer has another lineage");
		return;
	}
	cart_removed(cart, wire->shard, &call->fenced.removed);
	wire->following |= call->fenced.accepted;
	cart_fenced(cart, wire->shard, call->fenced.accepted, call->fenced.epoch, call->fenced.sequence,
		cart_process_now_ms(wire->process));
	changes_look(wire->process);
}

void wire_fence(struct cart_wire *wire)
{
	struct wire_call *call;

	wire->fence_timer++;
	if (wire->fence_flying || wire->why || !domain(wire)->fence.proposed)
		return;
	call = wire_call_new(WIRE_FENCE, wire->shard, 1);
	wire_sender_fill(wire, &call->sender);
	call->sender.epoch = domain(wire)->fence.proposed;
	call->deadline_us = world.now_us + FENCE_TIMEOUT_US;
	call->items[0].deadline_us = call->deadline_us;
	call->items[0].position = stored(wire);
	call->items[0].lineage = domain(wire)->lineage;
	model_stored(wire->shard, &call->sender, &call->items[0].lineage, call->items[0].position);
	call->from = &wire->process->base;
	call->done = fence_done;
	call->context = wire;
	wire->fence_flying = true;
	network_send(call);
}

/* ---- what is stored ---- */

static void acknowledged(void *context, struct wire_call *call, enum wire_end end)
{
	struct cart_wire *wire = context;

	wire->acknowledging = false;
	if (end == WIRE_DECIDED && !call->answers[0].reason)
		wire->acknowledged = wire->acknowledging_to;
}

void wire_acknowledge(struct cart_wire *wire)
{
	struct wire_call *call;
	uint64_t position;

	if (wire->acknowledging || wire->why || !domain(wire)->usable)
		return;
	position = stored(wire);
	if (position <= wire->acknowledged)
		return;
	call = wire_call_new(WIRE_ACKNOWLEDGE, wire->shard, 1);
	wire_sender_fill(wire, &call->sender);
	call->deadline_us = call->items[0].deadline_us = world.now_us + ACKNOWLEDGE_TIMEOUT_US;
	call->items[0].position = wire->acknowledging_to = position;
	call->items[0].lineage = domain(wire)->lineage;
	model_stored(wire->shard, &call->sender, &call->items[0].lineage, position);
	call->from = &wire->process->base;
	call->done = acknowledged;
	call->context = wire;
	wire->acknowledging = true;
	network_send(call);
}

/* ---- the ledger ---- */

static void run_poll(void *context, uint64_t a, uint64_t b);

static void poll_later(struct cart_wire *wire, int64_t max_us)
{
	world_after(&wire->process->base, world_between(1, max_us), run_poll, wire, 0, 0);
}

static void keep_position(struct cart_wire *wire)
{
	const struct position position = {
		.lineage = domain(wire)->lineage,
		.sequence = domain(wire)->position,
		.epoch = domain(wire)->fence.known,
		.moved_ms = wire->process->cart->lines.moved_ms[wire->shard],
		.floor = domain(wire)->floor,
	};

	shelf_position(wire->process->shelf, wire->shard, &position);
}

static void order_apply(struct cart_wire *wire, const Inventory__LedgerEntry *message)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_entry entry;

	WORLD_CHECK(entry_read_order(message, items, &entry), "an order that a cart can't understand");
	orders_apply(wire->process->orders, wire->shard, &entry);
}

static void moved(struct cart_wire *wire, uint64_t before, uint64_t position)
{
	cart_applied(wire->process->cart, wire->shard, position, cart_process_now_ms(wire->process));
	if (domain(wire)->position != before)
		keep_position(wire);
	world_note("cart follows", wire->process->number, wire->shard, domain(wire)->position);
	changes_look(wire->process);
}

static void message_apply(struct cart_wire *wire)
{
	struct cart *cart = wire->process->cart;
	uint64_t before = domain(wire)->position;

	if (!cart_lineage(cart, wire->shard, &wire->lineage)) {
		wire_stop(wire, "the ledger has another lineage");
		return;
	}
	domain(wire)->floor = wire->message.floor;
	for (size_t i = 0; i < wire->message.n_entries; i++) {
		struct entry entry;

		WORLD_CHECK(entry_read(wire->message.entries[i], wire->process->shard, &entry),
			"an entry that a cart can't understand");
		if (entry.sequence <= domain(wire)->position)
			continue;
		if (entry.kind == ENTRY_ARCHIVED) { /* what follows is read again when that is done */
			archiving_start(&wire->archiving, &entry);
			wire->incarnation = 0;
			moved(wire, before, domain(wire)->position);
			return;
		}
		cart_apply(cart, wire->shard, &entry);
		if (entry.kind == ENTRY_ORDER)
			order_apply(wire, wire->message.entries[i]);
	}
	moved(wire, before, wire->message.position);
}

static void archived(struct archiving *archiving)
{
	struct cart_wire *wire = container_of(archiving, struct cart_wire, archiving);
	const struct entry entry = {
		.kind = ENTRY_ARCHIVED, .sequence = archiving->sequence, .sku = span_of(archiving->sku)};
	uint64_t before = domain(wire)->position;

	cart_apply(wire->process->cart, wire->shard, &entry);
	moved(wire, before, entry.sequence);
}

static void run_message(void *context, uint64_t incarnation, uint64_t unused)
{
	struct cart_wire *wire = context;

	wire->arriving = false;
	if (wire->incarnation == incarnation && !wire->why && !wire->archiving.running &&
		!shelf_full(wire->process->shelf)) {
		message_apply(wire);
		if (!wire->why && !wire->archiving.running && world_chance(world.plan.twice))
			message_apply(wire);
	}
	arena_clear(&wire->arena);
	poll_later(wire, STREAM_POLL_MAX_US);
}

/* True: the stream is open now. */
static bool stream_open(struct cart_wire *wire)
{
	const struct cart_link *link = domain(wire);

	switch (inventory_may_read(wire->shard, &link->lineage, link->position)) {
	case COMMON__REASON__REASON_UNSPECIFIED:
		wire->incarnation = inventory_incarnation(wire->shard);
		wire->read = link->position;
		wire->read_floor = link->floor;
		return true;
	case COMMON__REASON__REASON_LINEAGE_CHANGED:
		wire_stop(wire, "LINEAGE_CHANGED");
		return false;
	case COMMON__REASON__REASON_LEDGER_AHEAD:
		wire_stop(wire, "LEDGER_AHEAD");
		return false;
	default:
		return false;
	}
}

/* Inventory's side of the stream too: what is new leaves in pages, one on the way at a time. */
static void run_poll(void *context, uint64_t a, uint64_t b)
{
	struct cart_wire *wire = context;
	uint64_t before;

	if (wire->why)
		return;
	if (wire->incarnation && (wire->incarnation != inventory_incarnation(wire->shard) ||
					 world_chance(world.plan.stream_break))) {
		world.troubles.broken_streams++;
		wire->incarnation = 0;
	}
	if (!wire->incarnation && (!wire->following || wire->archiving.running || !stream_open(wire))) {
		poll_later(wire, STREAM_RETRY_MAX_US);
		return;
	}
	inventory__read_ledger_response__init(&wire->message);
	before = wire->read;
	if (!inventory_read(wire->shard, wire->process->shard, &wire->read, &wire->arena, &wire->message)) {
		poll_later(wire, STREAM_POLL_MAX_US);
		return;
	}
	if (before < wire->message.floor && before > wire->read_floor) { /* as inventory's reader sees it */
		world.troubles.compacted_readers++;
		wire->compacted = true;
		wire_stop(wire, "LEDGER_COMPACTED");
		return;
	}
	wire->read_floor = wire->message.floor;
	wire->lineage = inventory_lineage(wire->shard);
	wire->arriving = true;
	world_after(&wire->process->base, world_between(1, STREAM_DELAY_MAX_US), run_message, wire,
		wire->incarnation, 0);
}

/* ---- its life ---- */

void wire_begin(struct cart_process *process, uint32_t shard)
{
	struct cart_wire *wire = &process->wires[shard];

	memset(wire, 0, sizeof(*wire));
	wire->process = process;
	wire->shard = shard;
	wire->fence_backoff_us = FENCE_BACKOFF_FIRST_US;
	wire->archiving = (struct archiving){.service = &process->service, .shard = shard, .done = archived};
	wire->loaded = wire->acknowledged = domain(wire)->position;
	arena_init(&wire->arena, 64 << 10, ARENA_BYTES_MAX);
	lanes_begin(wire);
	poll_later(wire, STREAM_POLL_MAX_US);
}

void wire_release(struct cart_wire *wire)
{
	archiving_stop(&wire->archiving);
	lanes_release(wire);
	arena_release(&wire->arena);
}
