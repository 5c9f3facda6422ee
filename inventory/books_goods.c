/* Commands about goods rows; each that changes one appends the whole row to the ledger. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "inventory/books.h"
#include "inventory/books_rows.h"

static struct goods_row *find(struct books *books, const char *sku)
{
	size_t size = strlen(sku);

	return books_row(books, sku, size, books_sku_hash(sku, size));
}

/* The row is not here. A SKU of another shard was sent to the wrong place; otherwise there are no such goods. */
static int missing(const struct books *books, const char *sku, struct goods_answer *ret)
{
	bool ours = hash_shard(sku, books->store->shards) == books->store->shard;

	ret->verdict = ours ? VERDICT_UNKNOWN_SKU : VERDICT_WRONG_SHARD;
	return 0;
}

static int conclude(
	struct books *books, struct goods_row *row, enum verdict verdict, struct goods_answer *ret)
{
	struct ledger_entry entry = {
		.kind = LEDGER_GOODS_CHANGED, .cart_shard = LEDGER_NO_CART, .goods = row->now};

	ret->verdict = verdict;
	ret->goods = row->now;
	if (verdict != VERDICT_YES)
		return 0;
	books_row_touch(books, row);
	row->now.last = books->sequence + 1;
	return books_ledger_append(books, &entry);
}

int books_open_goods(
	struct books *books, const char *sku, const struct goods_terms *terms, struct goods_answer *ret)
{
	struct goods_row *row = find(books, sku);

	if (hash_shard(sku, books->store->shards) != books->store->shard) {
		ret->verdict = VERDICT_WRONG_SHARD;
		return 0;
	}
	if (row && archive_has(&books->archive, row->now.number)) {
		ret->verdict = VERDICT_ARCHIVING;
		return 0;
	}
	if (!row && (books->full || books->row_count == GOODS_COUNT_MAX)) {
		ret->verdict = VERDICT_STORE_FULL;
		return 0;
	}
	if (!row && !engine_terms_valid(terms)) {
		ret->verdict = VERDICT_INVALID; /* judged before the row is made, so that a no leaves none */
		return 0;
	}
	if (!row)
		row = books_row_new(books, sku);
	return conclude(books, row, engine_goods_open(&row->now, terms), ret);
}

int books_update_goods(
	struct books *books, const char *sku, const struct goods_update *update, struct goods_answer *ret)
{
	struct goods_row *row = find(books, sku);

	if (!row)
		return missing(books, sku, ret);
	return conclude(books, row, engine_goods_update(&row->now, update), ret);
}

int books_close_goods(struct books *books, const char *sku, struct goods_answer *ret)
{
	struct goods_row *row = find(books, sku);

	if (!row)
		return missing(books, sku, ret);
	return conclude(books, row, engine_goods_close(&row->now), ret);
}

/* The request was served before: its result then, whatever the row is now. */
static int adjust_again(const MDB_val *value, const char *sku, int64_t change, struct goods_answer *ret)
{
	struct adjust_record record;

	if (!adjust_unpack(value->mv_data, value->mv_size, &record))
		return MDB_CORRUPTED;
	ret->verdict = record.change == change && strcmp(record.result.sku, sku) == 0 ? VERDICT_REPEATED
										      : VERDICT_KEY_REUSED;
	ret->goods = record.result;
	return 0;
}

int books_adjust_goods(struct books *books, const char *sku, int64_t change, const struct id *request,
	struct goods_answer *ret)
{
	MDB_dbi table = books->store->tables[TABLE_REQUESTS];
	MDB_val key = books_value(request->bytes, ID_BYTES), value;
	uint8_t bytes[REQUEST_RECORD_MAX], sequence[8];
	struct adjust_record record;
	struct goods_row *row;
	int rc = mdb_get(books->txn, table, &key, &value);

	if (rc == 0)
		return adjust_again(&value, sku, change, ret);
	if (rc != MDB_NOTFOUND)
		return rc;
	row = find(books, sku);
	if (!row)
		return missing(books, sku, ret);
	rc = conclude(books, row, engine_goods_adjust(&row->now, change), ret);
	if (rc || ret->verdict != VERDICT_YES)
		return rc;
	record = (struct adjust_record){.change = change, .result = row->now};
	value = books_value(bytes, adjust_pack(&record, bytes));
	rc = mdb_put(books->txn, table, &key, &value, 0);
	if (rc)
		return rc;
	store_put_be64(sequence, books->sequence); /* for the day when it is forgotten */
	key = books_value(sequence, sizeof(sequence));
	value = books_value(request->bytes, ID_BYTES);
	return mdb_put(books->txn, table, &key, &value, 0);
}
