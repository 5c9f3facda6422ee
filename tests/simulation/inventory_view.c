/* tests/simulation/inventory_view.c - see inventory_view.h. */
#include "inventory_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inventory/audit.h"
#include "inventory/books.h"
#include "inventory/compaction.h"
#include "inventory/records.h"
#include "inventory/replay.h"
#include "model.h"

static void hash_of(struct bytes bytes, struct hash128 *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (bytes.size == sizeof(ret->bytes))
		memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
}

static uint32_t payment_of(struct bytes payment)
{
	char text[PAYMENT_MAX + 1];

	memcpy(text, payment.size ? payment.data : "", payment.size);
	text[payment.size] = '\0';
	return payment.size > 4 ? (uint32_t)strtoul(text + 4, NULL, 10) : 0;
}

static void goods_of(const struct goods *goods, struct model_entry *ret)
{
	ret->kind = MODEL_GOODS;
	ret->sku = world_number(goods->sku, strlen(goods->sku));
	ret->stock = goods->stock;
	ret->available = goods->available;
	ret->held = goods->held;
	ret->sold = goods->sold;
	ret->closed = goods->closed;
	ret->price_micros = goods->price_micros;
	ret->goods_version = goods->version;
}

static void changed_of(const struct ledger_entry *entry, struct model_entry *ret)
{
	ret->kind = MODEL_CHANGED;
	ret->id = entry->changed.id;
	ret->order = entry->changed.order;
	ret->state = (enum model_state)entry->changed.state;
	ret->sku = world_number(entry->changed.sku.data, entry->changed.sku.size);
	ret->quantity = entry->changed.quantity;
	ret->quantity_before = entry->changed.quantity_before;
	ret->version = entry->changed.version;
	ret->deadline_ms = entry->changed.deadline_ms;
	ret->payment = payment_of(entry->changed.payment);
}

static void created_of(const struct ledger_entry *entry, struct model_entry *ret)
{
	ret->kind = MODEL_CREATED;
	ret->id = entry->created.id;
	ret->user = world_number(entry->created.user.data, entry->created.user.size);
	ret->sku = world_number(entry->created.sku.data, entry->created.sku.size);
	ret->quantity = entry->created.quantity;
	ret->deadline_ms = entry->created.deadline_ms;
	ret->epoch = entry->created.epoch;
	ret->price_micros = entry->created.price_micros;
	ret->keyed = entry->created.key_hash.size != 0;
	hash_of(entry->created.key_hash, &ret->key);
	hash_of(entry->created.fingerprint, &ret->fingerprint);
}

/* Items of the entry that is shown: valid until the next one. */
static struct model_item items[ORDER_HOLDS_MAX];

static void order_of(const struct ledger_entry *entry, struct model_entry *ret)
{
	struct order_item item;
	size_t at = 0;

	ret->kind = MODEL_ORDER;
	ret->id = entry->order.id;
	ret->state = (enum model_state)entry->order.state;
	ret->deadline_ms = entry->order.deadline_ms;
	ret->payment = payment_of(entry->order.payment);
	ret->user = world_number(entry->order.user.data, entry->order.user.size);
	ret->items = items;
	while (ledger_order_item(entry, &at, &item))
		items[ret->item_count++] = (struct model_item){item.hold,
			world_number(item.sku, strlen(item.sku)), item.quantity, item.price_micros};
}

static void translate(const struct ledger_entry *entry, uint64_t sequence, struct model_entry *ret)
{
	*ret = (struct model_entry){
		.sequence = sequence, .time_ms = entry->time_ms, .cart = entry->cart_shard};
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		created_of(entry, ret);
		break;
	case LEDGER_HOLD_CHANGED:
		changed_of(entry, ret);
		break;
	case LEDGER_GOODS_CHANGED:
		goods_of(&entry->goods, ret);
		break;
	case LEDGER_CART_FENCED:
		ret->kind = MODEL_FENCED;
		ret->epoch = entry->fenced.epoch;
		memcpy(ret->instance.bytes, entry->fenced.instance, ID_BYTES);
		break;
	case LEDGER_GOODS_ARCHIVED:
		ret->kind = MODEL_ARCHIVED;
		ret->sku = world_number(entry->archived.sku.data, entry->archived.sku.size);
		ret->units = (int64_t)entry->archived.units;
		break;
	case LEDGER_INCARNATION:
		ret->kind = MODEL_INCARNATION;
		ret->moved_ms = entry->incarnation.moved_ms;
		break;
	case LEDGER_ORDER_CHANGED:
		order_of(entry, ret);
		break;
	}
}

static void show_row(struct store *store, MDB_txn *txn, uint32_t shard, uint32_t sku)
{
	struct model_row row = {0};
	struct goods goods;
	int rc = books_read_goods(store, txn, world_sku(sku), &goods);

	WORLD_CHECK(rc == 0 || rc == MDB_NOTFOUND, "the row of %s: %s", world_sku(sku), mdb_strerror(rc));
	if (!rc)
		row = (struct model_row){true, goods.closed, goods.stock, goods.available, goods.held,
			goods.sold, goods.price_micros, goods.archived, goods.version};
	model_row(shard, sku, &row);
}

static uint32_t show_entries(struct store *store, MDB_txn *txn, uint32_t shard)
{
	uint8_t first[8];
	MDB_val key = {sizeof(first), first}, value;
	uint32_t touched = 0;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, store->tables[TABLE_LEDGER], &cursor);

	store_put_be64(first, model_head(shard) + 1);
	if (!rc)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (; !rc; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		struct ledger_entry entry;
		struct model_entry ours;

		WORLD_CHECK(ledger_unpack(value.mv_data, value.mv_size, &entry), "an entry can't be read");
		translate(&entry, store_get_be64(key.mv_data), &ours);
		world_note_bytes(value.mv_data, value.mv_size);
		model_entry(shard, &ours);
		if (ours.kind <= MODEL_GOODS ||
			ours.kind == MODEL_ARCHIVED) /* those that are about one SKU */
			touched |= 1u << ours.sku;
	}
	WORLD_CHECK(rc == MDB_NOTFOUND, "reading the ledger: %s", mdb_strerror(rc));
	mdb_cursor_close(cursor);
	return touched;
}

/* ---- an archive under way ---- */

static struct store *archived_store;
static MDB_txn *archived_txn;
static int64_t units_left[WORLD_SKUS_MAX];
static uint32_t archived_skus;

/* Only what was sold goes, and an order with its holds. */
static void look_at_row(const struct model_hold *ours)
{
	struct hold hold;
	struct order order;
	int rc;

	if (ours->gone || !(archived_skus >> ours->sku & 1))
		return;
	rc = books_read_hold(archived_store, archived_txn, &ours->id, &hold);
	WORLD_CHECK(rc == 0 || rc == MDB_NOTFOUND, "a hold of a sale: %s", mdb_strerror(rc));
	if (rc == 0 && hold.state == HOLD_SOLD)
		units_left[ours->sku] += hold.quantity;
	if (!id_is_zero(&ours->order))
		WORLD_CHECK(books_read_order(archived_store, archived_txn, &ours->order, &order) == rc,
			"an order and its holds are archived apart");
}

/* At each step: what was sold is in rows, or counted as archived. */
static void check_steps(struct store *store, MDB_txn *txn, uint32_t skus)
{
	archived_store = store;
	archived_txn = txn;
	archived_skus = skus;
	memset(units_left, 0, sizeof(units_left));
	model_each(look_at_row);
	for (uint32_t sku = 0; sku < world.plan.skus; sku++) {
		struct goods goods;

		if (!(skus >> sku & 1))
			continue;
		WORLD_CHECK(books_read_goods(store, txn, world_sku(sku), &goods) == 0 &&
				    goods.sold == units_left[sku] + goods.archived,
			"promise 1: of %" PRId64 " units of %s that were sold %" PRId64
			" are in holds and %" PRId64 " archived",
			goods.sold, world_sku(sku), units_left[sku], goods.archived);
	}
}

/* Which goods are being archived now. */
static uint32_t show_archive(struct store *store, MDB_txn *txn, uint32_t shard)
{
	struct archive archive;
	struct goods goods;
	uint32_t skus = 0;

	WORLD_CHECK(archive_read(store, txn, &archive) == 0, "the archive's record");
	for (uint32_t sku = 0; archive.phase != ARCHIVE_NONE && sku < world.plan.skus; sku++)
		if (world_inventory_of(sku) == shard &&
			books_read_goods(store, txn, world_sku(sku), &goods) == 0 &&
			archive_has(&archive, goods.number))
			skus |= 1u << sku;
	model_archiving(shard, skus);
	if (skus && world_below(16) == 0)
		check_steps(store, txn, skus);
	return skus;
}

void view_commit(struct store *store, uint32_t shard, int64_t now_ms)
{
	uint64_t before = model_head(shard);
	uint64_t floor;
	uint32_t touched;
	MDB_txn *txn;

	WORLD_CHECK(store_read_begin(store, &txn) == 0, "a read transaction");
	model_commit_begin(shard);
	touched = show_entries(store, txn, shard);
	WORLD_CHECK(compaction_read_floor(store, txn, &floor) == 0, "the floor");
	model_compacted(shard, floor, now_ms);
	touched |= show_archive(store, txn, shard);
	model_commit_end(shard);
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (world_inventory_of(sku) == shard && (touched >> sku & 1))
			show_row(store, txn, shard, sku);
	mdb_txn_abort(txn);
	world_note("commit", shard, before, model_head(shard));
}

/* ---- the whole store ---- */

static struct store *checked;
static MDB_txn *checked_txn;
static uint32_t checked_shard;

static void check_hold(const struct model_hold *ours)
{
	struct hold hold;
	int rc;

	if (ours->shard != checked_shard)
		return;
	rc = books_read_hold(checked, checked_txn, &ours->id, &hold);
	if (ours->gone) {
		WORLD_CHECK(rc == MDB_NOTFOUND, "a hold that was dropped has a record");
		return;
	}
	WORLD_CHECK(rc == 0, "promise 2: a hold that was committed: %s", mdb_strerror(rc));
	WORLD_CHECK((int)hold.state == (int)ours->state && hold.quantity == ours->quantity &&
			    hold.version == ours->version && hold.changed == ours->sequence &&
			    hold.cart_shard == ours->cart,
		"a hold's record has state %d, %u units, version %u; its ledger %d, %u, %u", hold.state,
		hold.quantity, hold.version, ours->state, ours->quantity, ours->version);
}

static void check_order(const struct model_order *ours)
{
	struct order order;
	int rc;

	if (ours->shard != checked_shard)
		return;
	rc = books_read_order(checked, checked_txn, &ours->id, &order);
	if (ours->gone) {
		WORLD_CHECK(rc == MDB_NOTFOUND, "an order that was dropped has a record");
		return;
	}
	WORLD_CHECK(rc == 0, "promise 2: an order that was committed: %s", mdb_strerror(rc));
	WORLD_CHECK((int)order.state == (int)ours->state && order.hold_count == ours->hold_count &&
			    order.changed == ours->sequence && order.cart_shard == ours->cart,
		"an order's record has state %d, %u holds; its ledger %d, %u", order.state, order.hold_count,
		ours->state, ours->hold_count);
}

static uint64_t rows_of(struct store *store, MDB_txn *txn, enum books_table table)
{
	MDB_stat stat;

	WORLD_CHECK(mdb_stat(txn, store->tables[table], &stat) == 0, "a table's size");
	return stat.ms_entries;
}

/* Up to the floor what still matters is there, and nothing else; after it, everything. */
static void check_ledger(struct store *store, MDB_txn *txn, uint32_t shard)
{
	uint64_t next = 1, sequence;
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, store->tables[TABLE_LEDGER], &cursor);

	while (!rc && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		sequence = store_get_be64(key.mv_data);
		for (; next < sequence; next++)
			WORLD_CHECK(!model_kept(shard, next), "promise 2: the ledger has lost entry %" PRIu64,
				next);
		WORLD_CHECK(model_kept(shard, sequence), "the ledger still has entry %" PRIu64, sequence);
		next++;
	}
	WORLD_CHECK(rc == MDB_NOTFOUND, "reading the ledger: %s", mdb_strerror(rc));
	for (; next <= model_head(shard); next++)
		WORLD_CHECK(!model_kept(shard, next), "promise 2: the ledger has lost entry %" PRIu64, next);
	mdb_cursor_close(cursor);
}

static void check_audit(struct store *store)
{
	struct audit audit;
	int rc = audit_run(store, NULL, NULL, &audit);

	WORLD_CHECK(rc == 0, "the audit: %s", mdb_strerror(rc));
	WORLD_CHECK(audit.consistent, "the audit finds: %s", audit.finding);
	audit_release(&audit);
}

static void check_found(void *context, const char *line)
{
	WORLD_CHECK(false, "the replay finds: %s", line);
}

static void check_replay(struct store *store)
{
	struct replay_result result;
	int rc = replay_run(store, check_found, NULL, &result);

	WORLD_CHECK(rc == 0, "the replay: %s", mdb_strerror(rc));
}

void view_check(struct store *store, uint32_t shard)
{
	MDB_txn *txn;

	WORLD_CHECK(store_read_begin(store, &txn) == 0, "a read transaction");
	checked = store;
	checked_txn = txn;
	checked_shard = shard;
	model_each(check_hold);
	model_orders_each(check_order);
	WORLD_CHECK(rows_of(store, txn, TABLE_HOLDS) == model_holds(shard),
		"%" PRIu64 " records of holds, the ledger has %" PRIu64, rows_of(store, txn, TABLE_HOLDS),
		model_holds(shard));
	WORLD_CHECK(rows_of(store, txn, TABLE_ORDERS) == model_orders(shard),
		"%" PRIu64 " records of orders, the ledger has %" PRIu64, rows_of(store, txn, TABLE_ORDERS),
		model_orders(shard));
	WORLD_CHECK(rows_of(store, txn, TABLE_EXPIRY) == model_live(shard),
		"%" PRIu64 " deadlines, %" PRIu64 " live holds", rows_of(store, txn, TABLE_EXPIRY),
		model_live(shard));
	check_ledger(store, txn, shard);
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (world_inventory_of(sku) == shard)
			show_row(store, txn, shard, sku);
	mdb_txn_abort(txn);
	check_audit(store);
	check_replay(store);
}
