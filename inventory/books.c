#include "inventory/books.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/books_rows.h"

const char *const books_tables[TABLE_COUNT] = {
	"goods", "holds", "expiry", "ledger", "fences", "requests", "orders"};

const struct store_options books_store_options = {.service = "inventory",
	.format = INVENTORY_FORMAT,
	.tables = books_tables,
	.table_count = TABLE_COUNT};

/* `meta`: time and shift, 8 bytes each; number of cart shards; the lineage that the fences are of. */
#define META_TIME "time"
#define META_CARTS "cart_shards"
#define META_LINEAGE "fences_lineage"

/* A tick looks for due holds at least this often: a command of this group may have made one that ends sooner than all before. */
#define TICK_MAX_MS 100
#define ROOM_CHECK_MS 1000
#define ROOM_CHECK_GROUPS 64
/* While holds live the time is committed at least this often: the next start measures its outage from there. */
#define TIME_KEPT_MS 1000
/* NTP slews; somebody who sets a clock moves it by more. */
#define DRIFT_TOLD_MS 1000
/* What the end of a live hold may still need: a ledger entry with a long payment reference, the same of an order with that one hold, and their
 * share of pages. */
#define END_BYTES 768
#define DISK_RESERVE_BYTES INT64_C(67108864)
/* What a new one needs: its row, its entry with long names, its place in the expiry. */
#define HOLD_BYTES 640
/* Whatever the map: every commit writes new copies of the pages that it touches, and those it replaces are free only a commit or two later. */
#define MAP_RESERVE_BYTES_MIN (512 << 10)

/* --- reading --- */

int books_read_goods(struct store *store, MDB_txn *txn, const char *sku, struct goods *ret)
{
	MDB_val key = books_value(sku, strlen(sku)), value;
	int rc = mdb_get(txn, store->tables[TABLE_GOODS], &key, &value);

	if (rc)
		return rc;
	return goods_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, ret) ? 0 : MDB_CORRUPTED;
}

int books_read_hold(struct store *store, MDB_txn *txn, const struct id *id, struct hold *ret)
{
	MDB_val key = books_value(id->bytes, ID_BYTES), value;
	int rc = mdb_get(txn, store->tables[TABLE_HOLDS], &key, &value);

	if (rc)
		return rc;
	return hold_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, ret) ? 0 : MDB_CORRUPTED;
}

int books_read_order(struct store *store, MDB_txn *txn, const struct id *id, struct order *ret)
{
	MDB_val key = books_value(id->bytes, ID_BYTES), value;
	int rc = mdb_get(txn, store->tables[TABLE_ORDERS], &key, &value);

	if (rc)
		return rc;
	return order_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, ret) ? 0 : MDB_CORRUPTED;
}

int books_read_ledger(struct store *store, MDB_txn *txn, uint64_t sequence, struct ledger_entry *ret)
{
	uint8_t bytes[8];
	MDB_val key, value;
	int rc;

	store_put_be64(bytes, sequence);
	key = books_value(bytes, sizeof(bytes));
	rc = mdb_get(txn, store->tables[TABLE_LEDGER], &key, &value);
	if (rc)
		return rc;
	return ledger_unpack(value.mv_data, value.mv_size, ret) ? 0 : MDB_CORRUPTED;
}

/* --- opening --- */

static int row_by_number(const void *a, const void *b)
{
	uint32_t one = (*(struct goods_row *const *)a)->now.number,
		 other = (*(struct goods_row *const *)b)->now.number;

	return one < other ? -1 : one > other;
}

/* Rows come by SKU; they are put in order by number, which must have no gap. */
static int load_goods(struct books *books, MDB_txn *txn)
{
	struct goods_row **rows;
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_stat stat;
	size_t count = 0;
	int rc = mdb_stat(txn, books->store->tables[TABLE_GOODS], &stat);

	if (!rc)
		rc = mdb_cursor_open(txn, books->store->tables[TABLE_GOODS], &cursor);
	if (rc)
		return rc;
	rows = NEW_ARRAY(stat.ms_entries + 1, struct goods_row *);
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0 && count < stat.ms_entries) {
		rows[count] = NEW(struct goods_row);
		if (!goods_unpack(
			    value.mv_data, value.mv_size, key.mv_data, key.mv_size, &rows[count]->now)) {
			free(rows[count]);
			rc = MDB_CORRUPTED;
			break;
		}
		rows[count]->committed = rows[count]->now;
		count++;
	}
	mdb_cursor_close(cursor);
	qsort(rows, count, sizeof(rows[0]), row_by_number);
	rc = rc == MDB_NOTFOUND ? 0 : rc;
	for (size_t i = 0; i < count; i++) {
		if (!rc && rows[i]->now.number == i)
			books_row_insert(books, rows[i]);
		else {
			rc = rc ? rc : MDB_CORRUPTED;
			free(rows[i]);
		}
	}
	free(rows);
	return rc;
}

static int load_fences(struct books *books, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, books->store->tables[TABLE_FENCES], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		struct cart_row *cart;

		if (key.mv_size != 8 || store_get_be64(key.mv_data) >= CART_SHARDS_MAX) {
			rc = MDB_CORRUPTED;
			break;
		}
		cart = books_cart(books, (uint32_t)store_get_be64(key.mv_data));
		if (!fence_unpack(value.mv_data, value.mv_size, &cart->now)) {
			rc = MDB_CORRUPTED;
			break;
		}
		cart->committed = cart->now;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A restored store has a history of its own: what carts know of the other one must not lead to grants in this one. So no epoch of that time is in
 * force, until its cart has taken a newer one, for which it must have heard of the lineage. */
static int void_old_fences(struct books *books, MDB_txn *txn)
{
	struct cart_row *cart, *next;
	struct id lineage;
	int rc = store_meta_get(books->store, txn, META_LINEAGE, lineage.bytes, ID_BYTES);

	if (rc == 0 && id_compare(&lineage, &books->store->lineage) == 0)
		return 0;
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	HASH_ITER (hh, books->carts, cart, next) {
		memset(cart->now.instance, 0, INSTANCE_BYTES);
		cart->now.position = 0; /* what it has stored is of the other history */
		books_cart_touch(books, cart);
	}
	return store_meta_put(books->store, txn, META_LINEAGE, books->store->lineage.bytes, ID_BYTES);
}

static int load_meta(struct books *books, MDB_txn *txn, int64_t *ret_last_ms, int64_t *ret_shift_ms)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	uint8_t time[16], carts[8];
	int rc = store_meta_get(books->store, txn, META_TIME, time, sizeof(time));

	*ret_last_ms = INT64_MIN;
	*ret_shift_ms = 0;
	if (rc == 0) {
		*ret_last_ms = (int64_t)store_get_be64(time);
		*ret_shift_ms = (int64_t)store_get_be64(time + 8);
	} else if (rc != MDB_NOTFOUND) {
		return rc;
	}
	rc = store_meta_get(books->store, txn, META_CARTS, carts, sizeof(carts));
	if (rc == 0)
		books->cart_shards = (uint32_t)store_get_be64(carts);
	else if (rc != MDB_NOTFOUND)
		return rc;
	rc = mdb_cursor_open(txn, books->store->tables[TABLE_LEDGER], &cursor);
	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (rc == 0) {
		if (key.mv_size == 8)
			books->sequence = store_get_be64(key.mv_data);
		else
			rc = MDB_CORRUPTED;
	}
	mdb_cursor_close(cursor);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	rc = compaction_load(books, txn);
	return rc ? rc : archive_load(books, txn);
}

static int begin_group(struct books *books, MDB_txn *txn, int64_t now_ms)
{
	const MDB_dbi *tables = books->store->tables;
	int rc = mdb_cursor_open(txn, tables[TABLE_HOLDS], &books->holds);

	if (!rc)
		rc = mdb_cursor_open(txn, tables[TABLE_EXPIRY], &books->expiry);
	if (!rc)
		rc = mdb_cursor_open(txn, tables[TABLE_LEDGER], &books->ledger);
	books->txn = txn; /* its end closes the cursors */
	books->now_ms = now_ms;
	books->group_ns = clock_mono_ns();
	books->wrote = false;
	books->compaction.dropped = 0;
	memset(&books->counts, 0, sizeof(books->counts));
	return rc;
}

static int open_transaction(struct books *books, MDB_txn *txn)
{
	struct ledger_entry entry = {.kind = LEDGER_INCARNATION, .cart_shard = LEDGER_NO_CART};
	int64_t last_ms, shift_ms;
	int rc = load_goods(books, txn);

	if (!rc)
		rc = load_fences(books, txn);
	if (!rc)
		rc = void_old_fences(books, txn);
	if (!rc)
		rc = load_meta(books, txn, &last_ms, &shift_ms);
	if (rc)
		return rc;
	inventory_time_start(
		&books->time, books->options.clock, last_ms, shift_ms, books->options.outage_grace_max_ms);
	books->last_ms = books->time.start_ms;
	rc = begin_group(books, txn, books_now_ms(books));
	if (rc)
		return rc;
	entry.incarnation.number = books->store->incarnation;
	entry.incarnation.moved_ms = books->time.moved_ms;
	rc = books_ledger_append(books, &entry);
	return rc ? rc : books_finish(books, txn, books->now_ms);
}

struct books *books_open(struct store *store, const struct books_options *options, struct error *error)
{
	struct books *books = NEW(struct books);
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	assert(options->expiry_step >= 1 && options->hold_ttl_ms > 0);
	books->store = store;
	books->options = *options;
	books->room_checked_ms = INT64_MIN;
	if (!rc) {
		rc = open_transaction(books, txn);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	if (rc) {
		error_set(
			error, "inventory: opening the books in %s: %s", store->directory, mdb_strerror(rc));
		books_close(books);
		return NULL;
	}
	books_committed(books);
	for (uint32_t i = 0; options->goods_changed && i < books->row_count; i++)
		options->goods_changed(options->context, &books->rows[i]->now);
	return books;
}

void books_close(struct books *books)
{
	struct cart_row *cart, *next;

	if (!books)
		return;
	books_rows_truncate(books, 0);
	free(books->rows);
	HASH_ITER (hh, books->carts, cart, next) {
		HASH_DEL(books->carts, cart);
		free(cart);
	}
	free(books);
}

/* --- the group --- */

int64_t books_now_ms(void *domain)
{
	struct books *books = domain;
	int64_t now_ms = inventory_time_now_ms(&books->time);

	if (now_ms > books->last_ms)
		books->last_ms = now_ms;
	return books->last_ms;
}

/* Counting free pages takes a while, so it is not done in each group: only while the new holds since the last look can have used but a
 * part of the reserve. */
static bool room_is_known(const struct books *books, int64_t now_ms)
{
	int64_t reserve = books->store->map_bytes / 16;

	if (reserve > DISK_RESERVE_BYTES)
		reserve = DISK_RESERVE_BYTES;
	return books->room_checked_ms != INT64_MIN && books->room_groups < ROOM_CHECK_GROUPS &&
	       books->room_granted * HOLD_BYTES < reserve / 4 &&
	       now_ms - books->room_checked_ms < ROOM_CHECK_MS;
}

/* New holds are refused while what all live ones need for their ends might not fit. */
static void check_room(struct books *books, int64_t now_ms)
{
	struct store_usage usage;
	MDB_stat stat;
	int64_t needed, reserve;

	books->room_groups++;
	if (room_is_known(books, now_ms))
		return;
	books->room_checked_ms = now_ms;
	books->room_groups = 0;
	books->room_granted = 0;
	if (mdb_stat(books->txn, books->store->tables[TABLE_EXPIRY], &stat))
		return;
	store_usage(books->store, &usage);
	books->live_holds = (int64_t)stat.ms_entries;
	needed = books->live_holds * END_BYTES;
	reserve = usage.map_bytes / 16 > MAP_RESERVE_BYTES_MIN ? usage.map_bytes / 16 : MAP_RESERVE_BYTES_MIN;
	books->full = usage.used_bytes + needed + reserve > usage.map_bytes ||
		      usage.disk_free_bytes < needed + DISK_RESERVE_BYTES;
}

/* Tells when the wall clock was set; nothing depends on it. */
static void check_drift(struct books *books)
{
	int64_t drift_ms = inventory_time_drift_ms(&books->time), since_ms = drift_ms - books->told_drift_ms;

	if (since_ms < DRIFT_TOLD_MS && since_ms > -DRIFT_TOLD_MS)
		return;
	books->told_drift_ms = drift_ms;
	if (books->options.clock_moved)
		books->options.clock_moved(books->options.context, drift_ms);
}

int books_tick(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed)
{
	struct books *books = domain;
	int rc = begin_group(books, txn, now_ms);
	int64_t compaction_ms, archive_ms;

	if (rc)
		return rc;
	check_room(books, now_ms);
	check_drift(books);
	rc = books_expire_due(books, ret_next_ms);
	if (!rc)
		rc = compaction_step(books, &compaction_ms);
	if (!rc)
		rc = archive_step(books, &archive_ms);
	if (rc)
		return rc;
	books->counts.dropped = (int64_t)books->compaction.dropped;
	if (*ret_next_ms != INT64_MAX && now_ms - books->kept_ms >= TIME_KEPT_MS)
		books->wrote = true;
	if (*ret_next_ms > compaction_ms)
		*ret_next_ms = compaction_ms;
	if (*ret_next_ms > archive_ms)
		*ret_next_ms = archive_ms;
	if (*ret_next_ms > now_ms + TICK_MAX_MS)
		*ret_next_ms = now_ms + TICK_MAX_MS;
	*ret_changed = books->wrote;
	return 0;
}

static int write_goods(struct books *books)
{
	for (struct goods_row *row = books->dirty; row; row = row->next_dirty) {
		uint8_t record[GOODS_RECORD_BYTES];
		MDB_val key = books_value(row->now.sku, strlen(row->now.sku));
		MDB_val value = books_value(record, goods_pack(&row->now, record));
		int rc = mdb_put(books->txn, books->store->tables[TABLE_GOODS], &key, &value, 0);

		if (rc)
			return rc;
	}
	return 0;
}

static int write_fences(struct books *books)
{
	uint8_t count[8];

	for (struct cart_row *cart = books->dirty_carts; cart; cart = cart->next_dirty) {
		uint8_t record[FENCE_RECORD_BYTES], shard[8];
		MDB_val key, value = books_value(record, fence_pack(&cart->now, record));
		int rc;

		store_put_be64(shard, cart->shard);
		key = books_value(shard, sizeof(shard));
		rc = mdb_put(books->txn, books->store->tables[TABLE_FENCES], &key, &value, 0);
		if (rc)
			return rc;
	}
	if (books->cart_shards == books->committed_cart_shards)
		return 0;
	store_put_be64(count, books->cart_shards);
	return store_meta_put(books->store, books->txn, META_CARTS, count, sizeof(count));
}

int books_finish(void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct books *books = domain;
	uint8_t time[16];
	int rc;

	assert(txn == books->txn);
	if (!books->wrote)
		return 0;
	store_put_be64(time, (uint64_t)now_ms);
	store_put_be64(time + 8, (uint64_t)books->time.shift_ms);
	rc = write_goods(books);
	if (!rc)
		rc = write_fences(books);
	return rc ? rc : store_meta_put(books->store, txn, META_TIME, time, sizeof(time));
}

void books_rollback(void *domain)
{
	struct books *books = domain;

	for (struct goods_row *row = books->dirty; row; row = row->next_dirty) {
		row->now = row->committed;
		row->dirty = false;
	}
	for (struct cart_row *cart = books->dirty_carts; cart; cart = cart->next_dirty) {
		cart->now = cart->committed;
		cart->dirty = false;
	}
	books->dirty = NULL;
	books->dirty_carts = NULL;
	books_rows_truncate(books, books->committed_row_count);
	books->cart_shards = books->committed_cart_shards;
	books->sequence = books->committed_sequence;
	compaction_rolled_back(books);
	archive_rolled_back(books);
	books->txn = NULL;
}

void books_committed(void *domain)
{
	struct books *books = domain;
	struct goods_row *changed = books->dirty;

	for (struct cart_row *cart = books->dirty_carts; cart; cart = cart->next_dirty) {
		cart->committed = cart->now;
		cart->dirty = false;
	}
	books->dirty = NULL;
	books->dirty_carts = NULL;
	books->committed_row_count = books->row_count;
	books->committed_cart_shards = books->cart_shards;
	books->committed_sequence = books->sequence;
	compaction_committed(books);
	archive_committed(books);
	books->room_granted += books->counts.granted;
	if (books->wrote)
		books->kept_ms = books->now_ms;
	books->txn = NULL;
	atomic_store(&books->head, books->sequence);
	for (struct goods_row *row = changed; row; row = row->next_dirty) {
		row->committed = row->now;
		row->dirty = false;
		if (books->options.goods_changed)
			books->options.goods_changed(books->options.context, &row->now);
	}
	if (books->options.published)
		books->options.published(books->options.context, books->sequence, &books->counts);
}
