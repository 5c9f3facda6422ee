/* cart/reconcile.c - both sides read, and what differs. See reconcile.h; it is carried out in reconcile_carry.c. */
#include "cart/reconcile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cart/entries.h"

#define ARENA_BYTES 4096
#define ARENA_BYTES_MAX (1 << 20)

/* ---- a cart that only remembers ---- */

static void ignore_attempt(void *context, struct attempt *attempt)
{
}

static void ignore_waiter(void *context, struct waiter *waiter)
{
}

static void ignore_shard(void *context, uint32_t shard)
{
}

static void ignore_line(void *context, const struct line *line)
{
}

static void ignore_order_to_do(void *context, struct order *order)
{
}

static void ignore_order(void *context, const struct order *order)
{
}

static void ignore_told(void *context, struct order_waiter *waiter, const struct order *order)
{
}

static struct cart *new_cart(const struct reconcile *r)
{
	const struct cart_options options = {.shards = r->inventory_shards,
		.attempts_max = 1,
		.queue_max = 1,
		.ended_max = SIZE_MAX,
		.clock = &clock_system,
		.effects = {ignore_attempt, ignore_waiter, ignore_shard, ignore_shard, ignore_shard,
			ignore_line, ignore_line}};

	return cart_new(&options);
}

static struct orders *new_orders(const struct reconcile *r, struct cart *cart)
{
	const struct orders_options options = {.cart = cart,
		.cart_shard = r->cart_shard,
		.cart_shards = r->cart_shards,
		.asks_max = 1,
		.ended_max = SIZE_MAX,
		.effects = {ignore_order_to_do, ignore_order_to_do, ignore_order_to_do, ignore_told,
			ignore_order, ignore_order, ignore_order}};

	return orders_new(&options);
}

/* ---- theirs ---- */

static void keep_told(struct reconcile *r, const struct id *id)
{
	if (r->told_count == r->told_room) {
		r->told_room = r->told_room ? r->told_room * 2 : 64;
		r->told = memory_resize(r->told, r->told_room, sizeof(r->told[0]));
	}
	r->told[r->told_count++] = *id;
}

static bool apply_order(struct reconcile *r, const Inventory__LedgerEntry *message)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_entry entry;

	if (!entry_read_order(message, items, &entry))
		return false;
	orders_apply(r->their_orders, r->inventory_shard, &entry);
	return true;
}

static void apply_archived(struct reconcile *r, const struct entry *entry)
{
	struct map_walk lines = {0}, orders = {0};

	cart_archive(r->theirs, entry->sku, &lines, SIZE_MAX);
	orders_archive(r->their_orders, r->inventory_shard, entry->sku, &orders, SIZE_MAX);
	reconcile_hear_archived(r, entry->sku, entry->hold.created_ms);
}

static bool hear(void *context, const Inventory__ReadLedgerResponse *message)
{
	struct reconcile *r = context;
	struct id lineage;
	struct entry entry;

	if (!id_parse(message->lineage, &lineage) || (r->head && id_compare(&lineage, &r->lineage) != 0))
		return false;
	r->lineage = lineage;
	r->head = message->head;
	r->floor = message->floor;
	for (size_t i = 0; i < message->n_entries; i++) {
		if (!entry_read(message->entries[i], r->cart_shard, &entry))
			return false;
		if (entry.kind == ENTRY_CREATED && entry.sequence <= r->position.sequence &&
			!lines_find(&r->ours->lines, &entry.hold.id))
			keep_told(r, &entry.hold.id);
		if (entry.kind == ENTRY_ARCHIVED)
			apply_archived(r, &entry);
		cart_apply(r->theirs, r->inventory_shard, &entry);
		if (entry.kind == ENTRY_ORDER && !apply_order(r, message->entries[i]))
			return false;
	}
	return true;
}

/* ---- ours ---- */

static bool read_position(struct reconcile *r, struct error *error)
{
	const uint32_t shard = r->inventory_shard;
	uint8_t number[4] = {
		(uint8_t)(shard >> 24), (uint8_t)(shard >> 16), (uint8_t)(shard >> 8), (uint8_t)shard};
	MDB_val key = {sizeof(number), number}, data;
	MDB_txn *txn;
	int rc = store_read_begin(r->store, &txn);

	if (rc)
		return error_set(error, "store %s: %s", r->store->directory, mdb_strerror(rc));
	rc = mdb_get(txn, r->store->tables[SHELF_POSITIONS], &key, &data);
	if (rc == 0 && !record_position_unpack(data.mv_data, data.mv_size, &r->position))
		rc = MDB_CORRUPTED;
	mdb_txn_abort(txn);
	return rc == 0 || rc == MDB_NOTFOUND ||
	       error_set(error, "store %s: its position can't be read: %s", r->store->directory,
		       mdb_strerror(rc));
}

bool reconcile_load(struct reconcile *r, struct error *error)
{
	arena_init(&r->arena, ARENA_BYTES, ARENA_BYTES_MAX);
	r->placement = (Common__Placement)COMMON__PLACEMENT__INIT;
	r->placement.shard = r->inventory_shard;
	r->placement.shards = r->inventory_shards;
	r->sender = (Inventory__Sender)INVENTORY__SENDER__INIT;
	r->sender.cart_shard = r->cart_shard;
	r->sender.cart_shards = r->cart_shards;
	id_random((struct id *)(void *)r->instance);
	r->sender.instance = (ProtobufCBinaryData){sizeof(r->instance), r->instance};
	r->ours = new_cart(r);
	r->theirs = new_cart(r);
	r->our_orders = new_orders(r, r->ours);
	r->their_orders = new_orders(r, r->theirs);
	return read_position(r, error) && shelf_load(r->store, r->ours, error) &&
	       shelf_load_orders(r->store, r->our_orders, error) &&
	       tool_client_read_ledger(r->client, &r->placement, r->cart_shard, hear, r, error);
}

void reconcile_release(struct reconcile *r)
{
	struct reconcile_sku *sku, *next;

	HASH_ITER (hh, r->skus, sku, next) {
		HASH_DEL(r->skus, sku);
		free(sku);
	}
	reconcile_release_archived(r);
	orders_free(r->our_orders);
	orders_free(r->their_orders);
	cart_free(r->ours);
	cart_free(r->theirs);
	free(r->promises);
	free(r->pacts);
	free(r->told);
	arena_release(&r->arena);
}

bool reconcile_needed(const struct reconcile *r)
{
	const struct position *ours = &r->position;

	return !id_is_zero(&ours->lineage) &&
	       (id_compare(&ours->lineage, &r->lineage) != 0 || ours->sequence > r->head ||
		       (ours->sequence < r->floor && ours->sequence > ours->floor));
}

/* ---- the plan ---- */

/* The id that takes the place of one that has ended there. Its time stays, so that it sorts where it did. */
static struct id id_instead(const struct reconcile *r, const struct id *id, uint32_t number)
{
	struct hash_part parts[] = {
		{id->bytes, ID_BYTES}, {r->lineage.bytes, ID_BYTES}, {&number, sizeof(number)}};
	struct hash128 hash = hash128_parts(parts, 3);
	struct id ret = *id;

	memcpy(ret.bytes + 6, hash.bytes, ID_BYTES - 6);
	ret.bytes[6] = (uint8_t)(0x70 | (ret.bytes[6] & 0x0f));
	ret.bytes[8] = (uint8_t)(0x80 | (ret.bytes[8] & 0x3f));
	return ret;
}

/* An order's id leads to its cart shard. */
static struct id order_id_instead(const struct reconcile *r, const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];
	struct id ret;

	for (uint32_t number = 1;; number++) {
		ret = id_instead(r, id, number);
		if (hash_shard(id_format(&ret, text), r->cart_shards) == r->cart_shard)
			return ret;
	}
}

/* A millisecond after all that inventory has let go of; the rest stays, so that another run comes to the same. */
struct id reconcile_newer_id(const struct reconcile *r, const struct id *id, bool order)
{
	struct id ret = *id;
	uint64_t time_ms = 0;

	for (int i = 0; i < 6; i++)
		time_ms = time_ms << 8 | r->removed.bytes[i];
	time_ms++;
	for (int i = 5; i >= 0; i--, time_ms >>= 8)
		ret.bytes[i] = (uint8_t)time_ms;
	return order ? order_id_instead(r, &ret) : ret;
}

static enum fate fate_of_hold(const struct reconcile *r, const struct promise *promise)
{
	const struct line *ours = promise->ours, *theirs = promise->theirs;

	if (reconcile_hold_is_gone(r, ours))
		return !reconcile_counts(ours->state) || (theirs && theirs->state == ours->state)
			       ? FATE_SAME
			       : FATE_THEIRS;
	if (!reconcile_counts(ours->state))
		return theirs && theirs->state == LINE_HELD ? FATE_GIVE_BACK : FATE_SAME;
	if (!theirs || theirs->state == LINE_EXPIRED)
		return FATE_MAKE;
	if (theirs->state == LINE_RELEASED || theirs->state == LINE_REFUNDED)
		return FATE_THEIRS;
	if (theirs->quantity < ours->quantity)
		return FATE_THEIRS;
	if (theirs->quantity > ours->quantity)
		return theirs->state == LINE_HELD ? FATE_SHRINK : FATE_THEIRS;
	if (ours->state == LINE_SOLD && theirs->state == LINE_HELD)
		return FATE_SELL;
	return ours->state == theirs->state ? FATE_SAME : FATE_THEIRS;
}

static struct promise *promise_new(struct reconcile *r)
{
	if (r->promise_count == r->promise_room) {
		r->promise_room = r->promise_room ? r->promise_room * 2 : 256;
		r->promises = memory_resize(r->promises, r->promise_room, sizeof(r->promises[0]));
	}
	return &r->promises[r->promise_count++];
}

static void plan_hold(struct reconcile *r, struct line *ours)
{
	struct promise *promise;

	if (ours->usage->goods->shard != r->inventory_shard)
		return;
	promise = promise_new(r);
	*promise = (struct promise){
		.ours = ours, .theirs = lines_find(&r->theirs->lines, &ours->id), .there = ours->id};
	promise->fate = fate_of_hold(r, promise);
	if (promise->fate == FATE_MAKE && promise->theirs) {
		promise->there = id_instead(r, &ours->id, 0);
		promise->theirs = lines_find(&r->theirs->lines, &promise->there);
		promise->fate = fate_of_hold(r, promise);
	}
}

static void plan_order(struct reconcile *r, struct order *ours)
{
	struct pact *pact = &r->pacts[r->pact_count];
	const struct order *theirs = orders_find(r->their_orders, &ours->id);
	bool counts = reconcile_counts(ours->truth);

	if (ours->shard != r->inventory_shard || !ours->truth)
		return;
	*pact = (struct pact){.ours = ours, .theirs = theirs, .there = ours->id};
	r->pact_count++;
	if (reconcile_order_is_gone(r, ours)) {
		pact->fate = !counts || (theirs && theirs->truth == ours->truth) ? FATE_SAME : FATE_THEIRS;
		return;
	}
	if (counts && theirs && theirs->truth == LINE_EXPIRED) {
		pact->there = order_id_instead(r, &ours->id);
		pact->theirs = theirs = orders_find(r->their_orders, &pact->there);
	}
	if (!counts)
		pact->fate = theirs && (theirs->truth == LINE_HELD ||
					       (theirs->truth == LINE_SOLD && ours->truth == LINE_REFUNDED))
				     ? FATE_GIVE_BACK
				     : FATE_SAME;
	else if (!theirs || theirs->truth == LINE_EXPIRED)
		pact->fate = FATE_MAKE;
	else if (ours->truth == LINE_SOLD && theirs->truth == LINE_HELD)
		pact->fate = FATE_SELL;
	else
		pact->fate = ours->truth == theirs->truth ? FATE_SAME : FATE_THEIRS;
}

/* Calls visit for each id of a table of our store, in their order. */
static bool each_id(struct reconcile *r, enum shelf_table table,
	void (*visit)(struct reconcile *, const struct id *), struct error *error)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	struct id id;
	MDB_txn *txn;
	int rc = store_read_begin(r->store, &txn);

	if (!rc)
		rc = mdb_cursor_open(txn, r->store->tables[table], &cursor);
	if (rc)
		return error_set(error, "store %s: %s", r->store->directory, mdb_strerror(rc));
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		memcpy(id.bytes, key.mv_data, ID_BYTES);
		visit(r, &id);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND || error_set(error, "store %s: %s", r->store->directory, mdb_strerror(rc));
}

static void visit_hold(struct reconcile *r, const struct id *id)
{
	struct line *line = lines_find(&r->ours->lines, id);

	if (line)
		plan_hold(r, line);
}

static void visit_order(struct reconcile *r, const struct id *id)
{
	struct order *order = orders_find(r->our_orders, id);

	if (order)
		plan_order(r, order);
}

static struct promise *promise_find(struct reconcile *r, const struct id *id)
{
	size_t low = 0, high = r->our_count;

	while (low < high) { /* they are in the order of their ids here */
		size_t middle = (low + high) / 2;
		int order = id_compare(&r->promises[middle].ours->id, id);

		if (order == 0)
			return &r->promises[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool tie(struct reconcile *r, struct pact *pact, struct error *error)
{
	char text[ID_TEXT_LENGTH + 1];

	for (uint32_t i = 0; reconcile_counts(pact->ours->truth) && i < pact->ours->item_count; i++) {
		pact->promises[i] = promise_find(r, &pact->ours->items[i].hold);
		if (!pact->promises[i])
			return error_set(error, "store %s: hold %s of an order has no line",
				r->store->directory, id_format(&pact->ours->items[i].hold, text));
		pact->promises[i]->pact = pact;
	}
	return true;
}

/* Holds that inventory still has, and that ended here so long ago that the cart has forgotten them. */
static void plan_told(struct reconcile *r)
{
	for (size_t i = 0; i < r->told_count; i++) {
		const struct line *theirs = lines_find(&r->theirs->lines, &r->told[i]);

		if (!theirs || theirs->state != LINE_HELD || !id_is_zero(&theirs->order))
			continue;
		*promise_new(r) =
			(struct promise){.theirs = theirs, .there = theirs->id, .fate = FATE_GIVE_BACK};
	}
}

bool reconcile_plan(struct reconcile *r, struct error *error)
{
	if (!each_id(r, SHELF_HOLDS, visit_hold, error))
		return false;
	r->our_count = r->promise_count;
	plan_told(r); /* behind ours: from here on nothing moves them */
	r->pacts = NEW_ARRAY(r->our_orders->by_id.count + 1, struct pact);
	if (!each_id(r, SHELF_ORDERS, visit_order, error))
		return false;
	for (size_t i = 0; i < r->pact_count; i++)
		if (!tie(r, &r->pacts[i], error))
			return false;
	return true;
}
