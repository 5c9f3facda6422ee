/* reshard_open.c - what is known of the old stores before anything is told: goods, times, numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "inventory/reshard_internal.h"

uint32_t reshard_shard(const struct reshard *r, const void *sku, size_t size)
{
	return (uint32_t)(hash64(sku, size) % r->options->shards);
}

uint32_t reshard_cart_shard(const struct reshard *r, const void *user, size_t size)
{
	return (uint32_t)(hash64(user, size) % r->cart_shards);
}

int64_t reshard_moved_ms(const struct reshard_source *source, enum hold_state state, uint64_t changed)
{
	size_t low = 0, high = source->shift_count;

	if (state == HOLD_HELD)
		return source->shift_ms + source->extra_ms;
	while (low < high) { /* the first shift after it */
		size_t middle = (low + high) / 2;

		if (source->shifts[middle].sequence <= changed)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? source->shifts[low - 1].total_ms : 0;
}

int reshard_each(struct reshard *r, struct store *store, MDB_txn *txn, enum books_table table,
	int (*visit)(struct reshard *, void *, const MDB_val *, const MDB_val *), void *context)
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, store->tables[table], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		rc = visit(r, context, &key, &value);
		if (rc)
			break;
	}
	if (rc && rc != MDB_NOTFOUND && !r->bad)
		r->bad = books_tables[table];
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- an old store ---- */

static int visit_goods(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	struct reshard_source *source = context;
	struct reshard_goods *moved;
	struct goods goods;

	if (!goods_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &goods) ||
		goods.number >= source->goods_count || source->goods[goods.number].goods.sku[0])
		return MDB_CORRUPTED;
	moved = &source->goods[goods.number];
	moved->goods = goods;
	moved->goods.kept = 0;
	moved->shard = reshard_shard(r, goods.sku, strlen(goods.sku));
	return 0;
}

static int load_goods(struct reshard *r, struct reshard_source *source)
{
	MDB_stat stat;
	int rc = mdb_stat(source->txn, source->store->tables[TABLE_GOODS], &stat);

	if (rc)
		return rc;
	source->goods_count = (uint32_t)stat.ms_entries;
	source->goods = NEW_ARRAY(stat.ms_entries + 1, struct reshard_goods);
	return reshard_each(r, source->store, source->txn, TABLE_GOODS, visit_goods, source);
}

static int visit_shift(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	struct reshard_source *source = context;
	enum ledger_kind kind;
	struct ledger_entry entry;
	uint32_t cart_shard;

	if (key->mv_size != 8 || !ledger_peek(value->mv_data, value->mv_size, &kind, &cart_shard))
		return MDB_CORRUPTED;
	if (kind != LEDGER_INCARNATION)
		return 0;
	if (!ledger_unpack(value->mv_data, value->mv_size, &entry))
		return MDB_CORRUPTED;
	source->shifts = memory_resize(source->shifts, source->shift_count + 1, sizeof(source->shifts[0]));
	source->shift_ms += entry.incarnation.moved_ms;
	source->shifts[source->shift_count++] =
		(struct reshard_shift){store_get_be64(key->mv_data), source->shift_ms};
	return 0;
}

static int load_times(struct reshard *r, struct reshard_source *source)
{
	uint8_t time[16];
	int rc = store_meta_get(source->store, source->txn, "time", time, sizeof(time));

	if (rc == MDB_NOTFOUND) { /* never opened by its service */
		source->last_ms = INT64_MIN;
		return 0;
	}
	if (rc)
		return rc;
	source->last_ms = (int64_t)store_get_be64(time) + (int64_t)store_get_be64(time + 8);
	return reshard_each(r, source->store, source->txn, TABLE_LEDGER, visit_shift, source);
}

static int load_cart_shards(struct reshard *r, struct reshard_source *source)
{
	uint8_t bytes[8];
	int rc = store_meta_get(source->store, source->txn, "cart_shards", bytes, sizeof(bytes));

	if (rc || r->options->cart_shards)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (r->cart_shards && r->cart_shards != store_get_be64(bytes)) {
		r->bad = "the stores know different numbers of cart shards: say which it is";
		return EINVAL;
	}
	r->cart_shards = (uint32_t)store_get_be64(bytes);
	return 0;
}

static int open_source(struct reshard *r, struct reshard_source *source)
{
	struct archive archive;
	int rc = store_read_begin(source->store, &source->txn);

	r->bad = source->store->directory;
	if (!rc)
		rc = archive_read(source->store, source->txn, &archive);
	if (!rc && archive.phase != ARCHIVE_NONE) {
		r->bad = "a sale is being archived: start the service and let it end";
		return EBUSY;
	}
	if (!rc)
		rc = load_goods(r, source);
	if (!rc)
		rc = load_times(r, source);
	if (!rc)
		rc = load_cart_shards(r, source);
	if (!rc)
		r->bad = NULL;
	return rc;
}

/* All old stores end at one time: that of the last of them. */
static void settle_times(struct reshard *r)
{
	r->last_ms = INT64_MIN;
	for (uint32_t i = 0; i < r->options->source_count; i++)
		if (r->sources[i].last_ms > r->last_ms)
			r->last_ms = r->sources[i].last_ms;
	for (uint32_t i = 0; i < r->options->source_count; i++) {
		struct reshard_source *source = &r->sources[i];
		int64_t behind_ms = source->last_ms == INT64_MIN ? 0 : r->last_ms - source->last_ms;

		source->extra_ms = behind_ms < r->options->outage_grace_max_ms
					   ? behind_ms
					   : r->options->outage_grace_max_ms;
	}
}

int reshard_open(struct reshard *r, const struct reshard_options *options, struct reshard_result *result)
{
	int rc = 0;

	*r = (struct reshard){.options = options, .result = result, .cart_shards = options->cart_shards};
	memset(result, 0, sizeof(*result));
	r->sources = NEW_ARRAY(options->source_count, struct reshard_source);
	r->targets = NEW_ARRAY(options->shards, struct reshard_target);
	r->parts.ids = NEW_ARRAY(options->shards, struct id);
	for (uint32_t i = 0; !rc && i < options->source_count; i++) {
		r->sources[i].store = options->sources[i];
		rc = open_source(r, &r->sources[i]);
	}
	for (uint32_t i = 0; options->targets && i < options->shards; i++)
		r->targets[i].store = options->targets[i];
	if (!r->cart_shards)
		r->cart_shards = 1; /* no cart was ever there */
	result->cart_shards = r->cart_shards;
	settle_times(r);
	return rc;
}

void reshard_close(struct reshard *r)
{
	for (uint32_t i = 0; i < r->options->source_count; i++) {
		free(r->sources[i].goods);
		free(r->sources[i].shifts);
		if (r->sources[i].txn)
			mdb_txn_abort(r->sources[i].txn); /* its cursors stay ours */
	}
	for (uint32_t i = 0; i < r->options->shards; i++)
		if (r->targets[i].txn)
			mdb_txn_abort(r->targets[i].txn);
	free(r->sources);
	free(r->targets);
	free(r->parts.ids);
}

bool reshard_failed(const struct reshard *r, int rc, struct error *error)
{
	return rc == 0 ||
	       error_set(error, "%s%s%s", r->bad ? r->bad : "", r->bad ? ": " : "", mdb_strerror(rc));
}
