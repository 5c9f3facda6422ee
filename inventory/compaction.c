#include "inventory/compaction.h"

#include <assert.h>
#include <string.h>

#include "inventory/books.h"
#include "inventory/books_rows.h"

#define META_FLOOR "floor"

/* While there is more to do, a step each so often; otherwise a look each so often, the more often the shorter the retention. */
#define PACE_MS 5
#define LOOK_MAX_MS 1000

int compaction_read_floor(struct store *store, MDB_txn *txn, uint64_t *ret)
{
	uint8_t bytes[8] = {0};
	int rc = store_meta_get(store, txn, META_FLOOR, bytes, sizeof(bytes));

	*ret = rc ? 0 : store_get_be64(bytes);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int compaction_read_loose(struct store *store, MDB_txn *txn, uint64_t *ret)
{
	uint8_t bytes[8] = {0};
	int rc = store_meta_get(store, txn, META_RETOLD, bytes, sizeof(bytes));

	if (rc && rc != MDB_NOTFOUND)
		return rc;
	rc = compaction_read_floor(store, txn, ret);
	if (store_get_be64(bytes) > *ret)
		*ret = store_get_be64(bytes);
	return rc;
}

int compaction_load(struct books *books, MDB_txn *txn)
{
	struct compaction *compaction = &books->compaction;
	int rc = compaction_read_floor(books->store, txn, &compaction->floor);

	compaction->next_ms = INT64_MIN;
	if (!rc && books->sequence < compaction->floor)
		books->sequence =
			compaction
				->floor; /* the last entries may be gone; their numbers are not given again */
	return rc;
}

void compaction_committed(struct books *books)
{
	books->compaction.committed_floor = books->compaction.floor;
	atomic_store(&books->compaction.shown_floor, books->compaction.floor);
}

void compaction_rolled_back(struct books *books)
{
	books->compaction.floor = books->compaction.committed_floor;
	books->compaction.next_ms =
		books->now_ms + LOOK_MAX_MS; /* if that was to blame, what follows goes without */
}

bool compaction_may_be_gone(const struct books *books, uint32_t cart_shard, const struct id *id)
{
	const struct cart_row *cart;

	if (cart_shard != UINT32_MAX) {
		HASH_FIND(hh, books->carts, &cart_shard, sizeof(cart_shard), cart);
		return cart && id_compare(id, &cart->now.removed) <= 0;
	}
	for (cart = books->carts; cart; cart = cart->hh.next)
		if (id_compare(id, &cart->now.removed) <= 0)
			return true;
	return false;
}

/* ---- dropping ---- */

static int drop_entry(struct books *books, uint64_t sequence)
{
	uint8_t bytes[8];
	MDB_val key, value;
	int rc;

	store_put_be64(bytes, sequence);
	key = books_value(bytes, sizeof(bytes));
	rc = mdb_cursor_get(books->ledger, &key, &value, MDB_SET);
	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	books->compaction.dropped++;
	return mdb_cursor_del(books->ledger, 0);
}

/* Drops the entry that another one has superseded, if there is one. */
static int supersede(struct books *books, uint64_t *kept, uint64_t sequence)
{
	uint64_t before = *kept;

	assert(before < sequence);
	*kept = sequence;
	return before ? drop_entry(books, before) : 0;
}

static void mark_removed(struct books *books, uint32_t cart_shard, const struct id *id)
{
	struct cart_row *cart = books_cart(books, cart_shard);

	if (id_compare(id, &cart->now.removed) <= 0)
		return;
	books_cart_touch(books, cart);
	cart->now.removed = *id;
}

int compaction_drop_row(struct books *books, enum books_table table, uint32_t cart_shard, const struct id *id)
{
	MDB_val key = books_value(id->bytes, ID_BYTES);
	int rc = mdb_del(books->txn, books->store->tables[table], &key, NULL);

	mark_removed(books, cart_shard, id);
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

/* With all its holds: they share one state and one end. */
static int drop_order(struct books *books, const struct id *id, uint32_t *ret_rows)
{
	struct order order;
	int rc = books_read_order(books->store, books->txn, id, &order);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (order.state != HOLD_RELEASED && order.state != HOLD_EXPIRED)
		return MDB_CORRUPTED;
	for (uint32_t i = 0; !rc && i < order.hold_count; i++)
		rc = compaction_drop_row(books, TABLE_HOLDS, order.cart_shard, &order.holds[i]);
	*ret_rows = order.hold_count + 1;
	return rc ? rc : compaction_drop_row(books, TABLE_ORDERS, order.cart_shard, id);
}

/* The id that AdjustStock remembers under the entry it has made. */
static int drop_request(struct books *books, uint64_t sequence)
{
	MDB_dbi table = books->store->tables[TABLE_REQUESTS];
	uint8_t bytes[8];
	MDB_val key, value;
	struct id id;
	int rc;

	store_put_be64(bytes, sequence);
	key = books_value(bytes, sizeof(bytes));
	rc = mdb_get(books->txn, table, &key, &value);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (value.mv_size != ID_BYTES)
		return MDB_CORRUPTED;
	memcpy(id.bytes, value.mv_data, ID_BYTES);
	rc = mdb_del(books->txn, table, &key, NULL);
	key = books_value(id.bytes, ID_BYTES);
	return rc ? rc : mdb_del(books->txn, table, &key, NULL);
}

/* ---- passing ---- */

static bool is_young(const struct books *books, int64_t time_ms, int64_t *ret_old_ms)
{
	int64_t age_ms = inventory_time_shown_ms(&books->time, books->now_ms) - time_ms;

	*ret_old_ms = books->now_ms + books->options.retention_ms - age_ms;
	return age_ms < books->options.retention_ms;
}

/* What a step is about: one entry, and what it comes to. */
struct passing {
	uint64_t sequence;
	enum compaction_stop stop; /* MORE: it is passed */
	bool drop;		   /* the entry goes */
	uint32_t rows;		   /* that went with it */
	int64_t old_ms;		   /* YOUNG: when it will be old enough */
};

static int pass_created(struct books *books, const struct id *id, struct passing *passing)
{
	struct ledger_entry end;
	struct goods_row *row;
	struct hold hold;
	int rc = books_load_hold(books, id, &hold, &row);

	passing->drop = rc == MDB_NOTFOUND; /* its order took it along */
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (hold.state == HOLD_HELD) {
		passing->stop = COMPACTION_LIVE;
		return 0;
	}
	if (hold.state == HOLD_SOLD || hold.state == HOLD_REFUNDED)
		return 0;
	rc = books_read_ledger(books->store, books->txn, hold.changed, &end);
	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (is_young(books, end.time_ms, &passing->old_ms)) {
		passing->stop = COMPACTION_YOUNG;
		return 0;
	}
	passing->drop = true;
	passing->rows = 1;
	if (!id_is_zero(&hold.order))
		return drop_order(books, &hold.order, &passing->rows);
	return compaction_drop_row(books, TABLE_HOLDS, hold.cart_shard, &hold.id);
}

/* A later entry of a hold or an order is kept as long as that is. */
static int pass_later(
	struct books *books, enum books_table table, const struct id *id, struct passing *passing)
{
	MDB_val key = books_value(id->bytes, ID_BYTES), value;
	int rc = mdb_get(books->txn, books->store->tables[table], &key, &value);

	passing->drop = rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int pass_goods(struct books *books, const char *sku, struct passing *passing)
{
	struct goods_row *row = books_row(books, sku, strlen(sku), books_sku_hash(sku, strlen(sku)));
	int rc;

	if (!row)
		return MDB_CORRUPTED;
	books_row_touch(books, row);
	rc = supersede(books, &row->now.kept, passing->sequence);
	return rc ? rc : drop_request(books, passing->sequence);
}

static int pass_fence(struct books *books, uint32_t cart_shard, struct passing *passing)
{
	struct cart_row *cart = books_cart(books, cart_shard);

	books_cart_touch(books, cart);
	return supersede(books, &cart->now.kept, passing->sequence);
}

/* The entry points into the store, where nothing stays put once something is written: each case takes a copy first. */
static int pass(struct books *books, const struct ledger_entry *entry, struct passing *passing)
{
	char sku[SKU_MAX + 1];
	struct id id;

	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		id = entry->created.id;
		return pass_created(books, &id, passing);
	case LEDGER_HOLD_CHANGED:
		id = entry->changed.id;
		return pass_later(books, TABLE_HOLDS, &id, passing);
	case LEDGER_ORDER_CHANGED:
		id = entry->order.id;
		return pass_later(books, TABLE_ORDERS, &id, passing);
	case LEDGER_GOODS_CHANGED:
		strcpy(sku, entry->goods.sku);
		return pass_goods(books, sku, passing);
	case LEDGER_CART_FENCED:
		return pass_fence(books, entry->cart_shard, passing);
	case LEDGER_INCARNATION:
	case LEDGER_GOODS_ARCHIVED:
		break;
	}
	return 0;
}

static int pass_next(struct books *books, struct passing *passing)
{
	struct ledger_entry entry;
	int rc = books_read_ledger(books->store, books->txn, passing->sequence, &entry);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (is_young(books, entry.time_ms, &passing->old_ms)) {
		passing->stop = COMPACTION_YOUNG;
		return 0;
	}
	rc = pass(books, &entry, passing);
	if (!rc && passing->drop)
		rc = drop_entry(books, passing->sequence);
	return rc;
}

/* How far it may go: not beyond what the slowest follower has stored. */
static uint64_t reach(struct books *books)
{
	uint64_t reach = books->sequence;

	for (const struct cart_row *cart = books->carts; cart; cart = cart->hh.next) {
		if (cart->now.epoch == 0 || cart->now.gone || cart->now.position >= reach)
			continue;
		reach = cart->now.position;
		books->compaction.behind = cart->shard;
	}
	return reach;
}

static int64_t next_look(const struct books *books, int64_t old_ms)
{
	int64_t pause_ms = books->options.retention_ms / 4;

	switch (books->compaction.stop) {
	case COMPACTION_MORE:
		return books->now_ms + PACE_MS;
	case COMPACTION_YOUNG: /* not for each entry that gets old: some are to come together */
		pause_ms = pause_ms > old_ms - books->now_ms ? pause_ms : old_ms - books->now_ms;
		break;
	default:
		break;
	}
	if (pause_ms < PACE_MS)
		pause_ms = PACE_MS;
	return books->now_ms + (pause_ms < LOOK_MAX_MS ? pause_ms : LOOK_MAX_MS);
}

static int walk(struct books *books, int64_t *ret_old_ms)
{
	struct compaction *compaction = &books->compaction;
	uint64_t bound = reach(books);

	compaction->stop = COMPACTION_MORE;
	for (uint32_t left = books->options.compaction_step; left > 0;) {
		struct passing passing = {.sequence = compaction->floor + 1};
		int rc;

		if (compaction->floor >= bound) {
			compaction->stop = bound < books->sequence ? COMPACTION_FOLLOWER : COMPACTION_HEAD;
			return 0;
		}
		rc = pass_next(books, &passing);
		if (rc)
			return rc;
		compaction->stop = passing.stop;
		*ret_old_ms = passing.old_ms;
		if (passing.stop != COMPACTION_MORE)
			return 0;
		compaction->floor++;
		left = left > 1 + passing.rows ? left - 1 - passing.rows : 0;
	}
	return 0;
}

int compaction_step(struct books *books, int64_t *ret_next_ms)
{
	struct compaction *compaction = &books->compaction;
	uint64_t before = compaction->floor;
	int64_t old_ms = 0;
	uint8_t bytes[8];
	int rc;

	*ret_next_ms = INT64_MAX;
	if (books->options.compaction_step == 0)
		return 0;
	if (books->now_ms >= compaction->next_ms) {
		rc = walk(books, &old_ms);
		if (rc)
			return rc;
		compaction->next_ms = next_look(books, old_ms);
	}
	*ret_next_ms = compaction->next_ms;
	if (compaction->floor == before)
		return 0;
	books->wrote = true;
	store_put_be64(bytes, compaction->floor);
	return store_meta_put(books->store, books->txn, META_FLOOR, bytes, sizeof(bytes));
}
