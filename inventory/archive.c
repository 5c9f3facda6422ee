#include "inventory/archive.h"

#include <assert.h>
#include <string.h>

#include "inventory/books.h"
#include "inventory/books_rows.h"
#include "inventory/packing.h"

#define META_ARCHIVE "archive"
#define RECORD_BYTES (1 + 4 + ARCHIVE_GOODS_MAX * (4 + 8) + ID_BYTES + 8 + 8)
#define PACE_MS 5
#define RETRY_MS 1000

/* ---- its record ---- */

static void archive_pack(const struct archive *archive, uint8_t to[RECORD_BYTES])
{
	struct packer p = {to};

	pack_u8(&p, (uint8_t)archive->phase);
	pack_u32(&p, archive->count);
	for (uint32_t i = 0; i < ARCHIVE_GOODS_MAX; i++) {
		pack_u32(&p, archive->numbers[i]);
		pack_i64(&p, archive->units[i]);
	}
	pack_raw(&p, archive->after.bytes, ID_BYTES);
	pack_u64(&p, archive->sequence);
	pack_u64(&p, archive->end);
	assert(p.at - to == RECORD_BYTES);
}

static bool archive_unpack(const uint8_t from[RECORD_BYTES], struct archive *ret)
{
	struct unpacker u = {from, from + RECORD_BYTES, false};
	uint8_t phase = unpack_u8(&u);

	ret->phase = phase;
	ret->count = unpack_u32(&u);
	for (uint32_t i = 0; i < ARCHIVE_GOODS_MAX; i++) {
		ret->numbers[i] = unpack_u32(&u);
		ret->units[i] = unpack_i64(&u);
	}
	unpack_copy(&u, ret->after.bytes, ID_BYTES);
	ret->sequence = unpack_u64(&u);
	ret->end = unpack_u64(&u);
	return unpack_end(&u) && phase <= ARCHIVE_ENTRIES && ret->count <= ARCHIVE_GOODS_MAX;
}

int archive_read(struct store *store, MDB_txn *txn, struct archive *ret)
{
	uint8_t record[RECORD_BYTES];
	int rc = store_meta_get(store, txn, META_ARCHIVE, record, sizeof(record));

	memset(ret, 0, sizeof(*ret));
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	return archive_unpack(record, ret) ? 0 : MDB_CORRUPTED;
}

static int archive_write(struct books *books)
{
	uint8_t record[RECORD_BYTES];

	books->wrote = true;
	archive_pack(&books->archive, record);
	return store_meta_put(books->store, books->txn, META_ARCHIVE, record, sizeof(record));
}

int archive_load(struct books *books, MDB_txn *txn)
{
	int rc = archive_read(books->store, txn, &books->archive);

	for (uint32_t i = 0; !rc && i < books->archive.count; i++)
		if (books->archive.numbers[i] >= books->row_count)
			return MDB_CORRUPTED;
	return rc;
}

void archive_committed(struct books *books)
{
	books->committed_archive = books->archive;
}

void archive_rolled_back(struct books *books)
{
	books->archive = books->committed_archive;
	books->archive_next_ms =
		books->now_ms + RETRY_MS; /* if the step was to blame, what follows goes without */
}

/* ---- the beginning ---- */

bool archive_has(const struct archive *archive, uint32_t number)
{
	for (uint32_t i = 0; archive->phase != ARCHIVE_NONE && i < archive->count; i++)
		if (archive->numbers[i] == number)
			return true;
	return false;
}

const char *archive_obstacle(const struct goods *goods, uint64_t floor)
{
	if (!goods->closed)
		return "they are on sale: close them first";
	if (goods->held)
		return "units of them are held";
	if (goods->last > floor)
		return "the ledger's floor has not passed their last entry: all must be older than the "
		       "retention, and "
		       "stored by every cart";
	return NULL;
}

int archive_begin(
	struct books *books, const struct archive_request *request, enum verdict *ret, uint32_t *ret_bad)
{
	struct archive archive = {
		.phase = ARCHIVE_ROWS, .count = request->count, .end = books->compaction.floor};

	assert(request->count >= 1 && request->count <= ARCHIVE_GOODS_MAX);
	*ret_bad = 0;
	*ret = VERDICT_ARCHIVING;
	if (books->archive.phase != ARCHIVE_NONE)
		return 0;
	for (uint32_t i = 0; i < request->count; i++) {
		size_t size = strlen(request->skus[i]);
		const struct goods_row *row =
			books_row(books, request->skus[i], size, books_sku_hash(request->skus[i], size));

		*ret_bad = i;
		*ret = VERDICT_UNKNOWN_SKU;
		if (!row)
			return 0;
		*ret = VERDICT_WRONG_STATE;
		if (archive_obstacle(&row->now, books->compaction.floor))
			return 0;
		*ret = VERDICT_VERSION_MISMATCH;
		if (row->now.last != request->lasts[i])
			return 0;
		archive.numbers[i] = row->now.number;
	}
	*ret = VERDICT_YES;
	books->archive = archive;
	books->archive_next_ms = books->now_ms;
	return archive_write(books);
}

/* ---- rows ---- */

static uint32_t index_of(const struct archive *archive, uint32_t number)
{
	uint32_t i = 0;

	while (i < archive->count && archive->numbers[i] != number)
		i++;
	return i;
}

static int drop_hold(struct books *books, const struct hold *hold)
{
	uint32_t at = index_of(&books->archive, hold->goods);
	struct goods_row *row = books->rows[hold->goods];

	if (at == books->archive.count || (hold->state != HOLD_SOLD && hold->state != HOLD_REFUNDED))
		return MDB_CORRUPTED; /* the export has seen that it is not so */
	if (hold->state == HOLD_SOLD) {
		books_row_touch(books, row);
		row->now.archived += hold->quantity;
		books->archive.units[at] += hold->quantity;
		assert(goods_balanced(&row->now));
	}
	return compaction_drop_row(books, TABLE_HOLDS, hold->cart_shard, &hold->id);
}

/* With all its holds. */
static int drop_order(struct books *books, const struct id *id, uint32_t *ret_rows)
{
	struct goods_row *row;
	struct order order;
	struct hold hold;
	int rc = books_read_order(books->store, books->txn, id, &order);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	for (uint32_t i = 0; !rc && i < order.hold_count; i++) {
		rc = books_load_hold(books, &order.holds[i], &hold, &row);
		if (!rc)
			rc = drop_hold(books, &hold);
	}
	*ret_rows = order.hold_count + 1;
	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	return compaction_drop_row(books, TABLE_ORDERS, order.cart_shard, id);
}

/* The next hold after the last one looked at. MDB_NOTFOUND: there is none. */
static int next_hold(struct books *books, struct hold *ret)
{
	MDB_val key = books_value(books->archive.after.bytes, ID_BYTES), value;
	int rc = mdb_cursor_get(books->holds, &key, &value, MDB_SET_RANGE);

	if (!rc && key.mv_size == ID_BYTES && !memcmp(key.mv_data, books->archive.after.bytes, ID_BYTES))
		rc = mdb_cursor_get(books->holds, &key, &value, MDB_NEXT);
	if (rc)
		return rc;
	if (!hold_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, ret) ||
		ret->goods >= books->row_count)
		return MDB_CORRUPTED;
	books->archive.after = ret->id;
	return 0;
}

static int step_rows(struct books *books)
{
	for (uint32_t left = books->options.compaction_step; left > 0;) {
		uint32_t rows = 1;
		struct hold hold;
		int rc = next_hold(books, &hold);

		if (rc == MDB_NOTFOUND) {
			books->archive.phase = ARCHIVE_ENTRIES;
			return 0;
		}
		if (!rc && archive_has(&books->archive, hold.goods))
			rc = id_is_zero(&hold.order) ? drop_hold(books, &hold)
						     : drop_order(books, &hold.order, &rows);
		if (rc)
			return rc;
		left = left > rows ? left - rows : 0;
	}
	return 0;
}

/* ---- entries ---- */

/* Whether an entry below the floor is about something that has no row any more. */
static int is_orphan(struct books *books, const struct ledger_entry *entry, bool *ret)
{
	enum books_table table = entry->kind == LEDGER_ORDER_CHANGED ? TABLE_ORDERS : TABLE_HOLDS;
	const struct id *id = entry->kind == LEDGER_ORDER_CHANGED  ? &entry->order.id
			      : entry->kind == LEDGER_HOLD_CREATED ? &entry->created.id
								   : &entry->changed.id;
	MDB_val key = books_value(id->bytes, ID_BYTES), value;
	int rc;

	*ret = false;
	if (entry->kind != LEDGER_ORDER_CHANGED && entry->kind != LEDGER_HOLD_CREATED &&
		entry->kind != LEDGER_HOLD_CHANGED)
		return 0;
	rc = mdb_get(books->txn, books->store->tables[table], &key, &value);
	*ret = rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int step_entries(struct books *books)
{
	struct archive *archive = &books->archive;

	for (uint32_t left = books->options.compaction_step; left > 0 && archive->sequence < archive->end;
		left--) {
		struct ledger_entry entry;
		uint8_t bytes[8];
		MDB_val key = {sizeof(bytes), bytes}, value;
		bool orphan;
		int rc;

		store_put_be64(bytes, archive->sequence + 1);
		rc = mdb_cursor_get(books->ledger, &key, &value, MDB_SET_RANGE);
		if (rc == MDB_NOTFOUND || (!rc && store_get_be64(key.mv_data) > archive->end)) {
			archive->sequence = archive->end;
			break;
		}
		if (!rc && !ledger_unpack(value.mv_data, value.mv_size, &entry))
			rc = MDB_CORRUPTED;
		if (rc)
			return rc;
		archive->sequence = store_get_be64(key.mv_data);
		rc = is_orphan(books, &entry, &orphan);
		if (!rc && orphan)
			rc = mdb_cursor_del(books->ledger, 0);
		if (rc)
			return rc;
		books->compaction.dropped += orphan;
	}
	return 0;
}

static int conclude(struct books *books)
{
	struct archive *archive = &books->archive;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < archive->count; i++) {
		struct goods_row *row = books->rows[archive->numbers[i]];
		struct ledger_entry entry = {.kind = LEDGER_GOODS_ARCHIVED,
			.cart_shard = LEDGER_NO_CART,
			.archived = {.sku = books_sku(row), .units = (uint64_t)archive->units[i]}};

		books_row_touch(books, row);
		rc = books_ledger_append(books, &entry);
		row->now.last = books->sequence;
	}
	memset(archive, 0, sizeof(*archive));
	return rc;
}

int archive_step(struct books *books, int64_t *ret_next_ms)
{
	int rc;

	*ret_next_ms = INT64_MAX;
	if (books->archive.phase == ARCHIVE_NONE || books->options.compaction_step == 0)
		return 0;
	*ret_next_ms = books->archive_next_ms;
	if (books->now_ms < books->archive_next_ms)
		return 0;
	rc = books->archive.phase == ARCHIVE_ROWS ? step_rows(books) : step_entries(books);
	if (!rc && books->archive.phase == ARCHIVE_ENTRIES && books->archive.sequence >= books->archive.end)
		rc = conclude(books);
	*ret_next_ms = books->archive_next_ms = books->now_ms + PACE_MS;
	return rc ? rc : archive_write(books);
}
