/* reshard.c - old ledgers merged by time and told again. See reshard.h. */
#include "inventory/reshard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inventory/reshard_internal.h"

#define COMMIT_EVERY_STANDARD 20000u

/* ---- the old ledgers, one after the other by time ---- */

static int advance(struct reshard *r, struct reshard_source *source)
{
	int rc = mdb_cursor_get(source->ledger, &source->key, &source->value, MDB_NEXT);

	source->over = rc == MDB_NOTFOUND;
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (source->key.mv_size != 8 ||
		!ledger_unpack(source->value.mv_data, source->value.mv_size, &source->entry)) {
		r->bad = source->store->directory;
		return MDB_CORRUPTED;
	}
	source->sequence = store_get_be64(source->key.mv_data);
	if (source->entry.kind == LEDGER_INCARNATION)
		source->now_shift_ms += source->entry.incarnation.moved_ms;
	return 0;
}

/* The entries of one group have one time, so that those of a move of an order stay together. */
static struct reshard_source *earliest(struct reshard *r)
{
	struct reshard_source *earliest = NULL;

	for (uint32_t i = 0; i < r->options->source_count; i++) {
		struct reshard_source *source = &r->sources[i];

		if (!source->over && (!earliest || source->entry.time_ms < earliest->entry.time_ms))
			earliest = source;
	}
	return earliest;
}

/* ---- the new stores ---- */

static int put(struct reshard_target *target, enum books_table table, const void *name, size_t name_size,
	const void *data, size_t size, unsigned flags)
{
	MDB_val key = books_value(name, name_size), value = books_value(data, size);

	return mdb_put(target->txn, target->store->tables[table], &key, &value, flags);
}

static int append(struct reshard *r, struct reshard_target *target, const struct ledger_entry *entry)
{
	uint8_t record[LEDGER_RECORD_MAX], sequence[8];

	r->written++;
	r->result->entries++;
	store_put_be64(sequence, ++target->sequence);
	return put(target, TABLE_LEDGER, sequence, sizeof(sequence), record, ledger_pack(entry, record),
		MDB_APPEND);
}

static int put_hold(struct reshard_target *target, const struct hold *hold)
{
	uint8_t record[HOLD_RECORD_MAX];

	return put(target, TABLE_HOLDS, hold->id.bytes, ID_BYTES, record, hold_pack(hold, record), 0);
}

static int put_order(struct reshard_target *target, const struct order *order)
{
	uint8_t record[ORDER_RECORD_MAX];

	return put(target, TABLE_ORDERS, order->id.bytes, ID_BYTES, record, order_pack(order, record), 0);
}

static int put_expiry(struct reshard_target *target, const struct hold *hold)
{
	uint8_t key[EXPIRY_KEY_BYTES];

	expiry_key_pack(hold->deadline_ms, &hold->id, key);
	return put(target, TABLE_EXPIRY, key, sizeof(key), "", 0, 0);
}

static int begin_all(struct reshard *r)
{
	int rc = 0;

	r->written = 0;
	for (uint32_t i = 0; !rc && i < r->options->shards; i++)
		rc = mdb_txn_begin(r->targets[i].store->env, NULL, 0, &r->targets[i].txn);
	return rc;
}

static int commit_all(struct reshard *r)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < r->options->shards; i++) {
		rc = mdb_txn_commit(r->targets[i].txn);
		r->targets[i].txn = NULL;
	}
	return rc;
}

/* ---- goods ---- */

static int find_goods(struct reshard_source *source, struct bytes sku, struct reshard_goods **ret)
{
	char text[SKU_MAX + 1] = "";
	struct goods goods;
	int rc;

	memcpy(text, sku.data, sku.size);
	rc = books_read_goods(source->store, source->txn, text, &goods);
	if (rc || goods.number >= source->goods_count)
		return rc == MDB_NOTFOUND || !rc ? MDB_CORRUPTED : rc;
	*ret = &source->goods[goods.number];
	return 0;
}

/* New numbers: by old store, and there by the old ones. */
static void number_goods(struct reshard *r)
{
	for (uint32_t i = 0; i < r->options->source_count; i++)
		for (uint32_t j = 0; j < r->sources[i].goods_count; j++) {
			struct reshard_goods *goods = &r->sources[i].goods[j];

			goods->goods.number = r->targets[goods->shard].goods_count++;
			r->result->goods++;
		}
}

/* What AdjustStock remembers under its entry. */
static int tell_request(
	struct reshard_source *source, struct reshard_target *target, const struct reshard_goods *goods)
{
	MDB_dbi table = source->store->tables[TABLE_REQUESTS];
	uint8_t sequence[8] = {0}, bytes[REQUEST_RECORD_MAX];
	struct adjust_record record;
	MDB_val key = books_value(sequence, sizeof(sequence)), id, value;
	int rc;

	store_put_be64(sequence, source->sequence);
	rc = mdb_get(source->txn, table, &key, &id);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = mdb_get(source->txn, table, &id, &value);
	if (rc || id.mv_size != ID_BYTES || !adjust_unpack(value.mv_data, value.mv_size, &record))
		return rc == MDB_NOTFOUND || !rc ? MDB_CORRUPTED : rc;
	record.result.number = goods->goods.number;
	record.result.last = target->sequence;
	record.result.kept = 0;
	store_put_be64(sequence, target->sequence);
	rc = put(target, TABLE_REQUESTS, sequence, sizeof(sequence), id.mv_data, ID_BYTES, 0);
	return rc ? rc
		  : put(target, TABLE_REQUESTS, id.mv_data, ID_BYTES, bytes, adjust_pack(&record, bytes), 0);
}

static int tell_goods(struct reshard *r, struct reshard_source *source)
{
	struct ledger_entry entry = source->entry;
	struct bytes sku = {source->entry.goods.sku, (uint8_t)strlen(source->entry.goods.sku)};
	struct reshard_target *target;
	struct reshard_goods *goods;
	int rc = find_goods(source, sku, &goods);

	if (rc)
		return rc;
	target = &r->targets[goods->shard];
	entry.goods.number = goods->goods.number;
	entry.goods.kept = 0;
	entry.goods.last = goods->goods.last = target->sequence + 1;
	rc = append(r, target, &entry);
	return rc ? rc : tell_request(source, target, goods);
}

static int tell_archived(struct reshard *r, struct reshard_source *source)
{
	struct reshard_goods *goods;
	int rc = find_goods(source, source->entry.archived.sku, &goods);

	if (rc)
		return rc;
	rc = append(r, &r->targets[goods->shard], &source->entry);
	goods->goods.last = r->targets[goods->shard].sequence;
	return rc;
}

/* ---- holds ---- */

/* Whether the hold is kept; a row that says something else than the ledger is for the audit. */
static int find_hold(struct reshard_source *source, const struct id *id, struct hold *ret,
	struct reshard_goods **ret_goods)
{
	int rc = books_read_hold(source->store, source->txn, id, ret);

	if (rc)
		return rc;
	if (ret->goods >= source->goods_count)
		return MDB_CORRUPTED;
	*ret_goods = &source->goods[ret->goods];
	return 0;
}

/* Makes the id of an order, if it is one, that of its part on this shard. */
static int take_part(struct reshard *r, struct reshard_source *source, uint32_t shard, struct id *order)
{
	struct order whole;
	int rc;

	if (id_is_zero(order))
		return 0;
	rc = reshard_parts_of(r, source, order, &whole);
	if (rc || id_is_zero(&r->parts.ids[shard]))
		return rc == MDB_NOTFOUND || !rc ? MDB_CORRUPTED : rc;
	*order = r->parts.ids[shard];
	return 0;
}

static int tell_created(struct reshard *r, struct reshard_source *source)
{
	struct ledger_entry entry = source->entry;
	struct reshard_target *target;
	struct reshard_goods *goods;
	struct hold hold;
	int64_t moved_ms;
	int rc = find_hold(source, &entry.created.id, &hold, &goods);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc; /* it is gone */
	target = &r->targets[goods->shard];
	rc = take_part(r, source, goods->shard, &hold.order);
	if (rc)
		return rc;
	moved_ms = reshard_moved_ms(source, hold.state, hold.changed);
	entry.cart_shard = reshard_cart_shard(r, entry.created.user.data, entry.created.user.size);
	entry.created.deadline_ms += moved_ms - source->now_shift_ms;
	rc = append(r, target, &entry);
	hold.goods = goods->goods.number;
	hold.cart_shard = entry.cart_shard;
	hold.deadline_ms += moved_ms;
	hold.created = hold.changed = goods->goods.last = target->sequence;
	r->result->holds++;
	if (!rc)
		rc = put_hold(target, &hold);
	return rc || hold.state != HOLD_HELD ? rc : put_expiry(target, &hold);
}

static int tell_changed(struct reshard *r, struct reshard_source *source)
{
	struct ledger_entry entry = source->entry;
	struct reshard_target *target;
	struct reshard_goods *goods;
	struct hold hold, moved;
	int rc = find_hold(source, &entry.changed.id, &hold, &goods);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	target = &r->targets[goods->shard];
	rc = books_read_hold(target->store, target->txn, &hold.id, &moved);
	if (!rc)
		rc = take_part(r, source, goods->shard, &entry.changed.order);
	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	entry.cart_shard = moved.cart_shard;
	entry.changed.deadline_ms +=
		reshard_moved_ms(source, hold.state, hold.changed) - source->now_shift_ms;
	rc = append(r, target, &entry);
	moved.changed = goods->goods.last = target->sequence;
	return rc ? rc : put_hold(target, &moved);
}

/* ---- orders ---- */

static int keep_order(struct reshard *r, struct reshard_target *target, const struct order *part,
	const struct ledger_entry *entry)
{
	struct order order = *part;
	int rc = 0;

	if (entry->order.state != HOLD_HELD) { /* only its last entry is another one */
		rc = books_read_order(target->store, target->txn, &part->id, &order);
	} else {
		order.bound = target->sequence;
		r->result->orders++;
	}
	order.changed = target->sequence;
	return rc ? rc : put_order(target, &order);
}

static int tell_part(
	struct reshard *r, struct reshard_source *source, uint32_t shard, const struct order *whole)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct ledger_entry entry = source->entry;
	struct reshard_target *target = &r->targets[shard];
	int64_t moved_ms = reshard_moved_ms(source, whole->state, whole->changed);
	struct order part;
	int rc = reshard_order_on(r, source, shard, whole, &part);

	if (rc)
		return rc;
	entry.order.id = part.id;
	entry.order.item_count = reshard_items_on(r, shard, &source->entry, items);
	entry.order.items = items;
	entry.order.deadline_ms += moved_ms - source->now_shift_ms;
	entry.cart_shard = part.cart_shard =
		reshard_cart_shard(r, entry.order.user.data, entry.order.user.size);
	part.deadline_ms += moved_ms;
	rc = append(r, target, &entry);
	if (!rc)
		rc = keep_order(r, target, &part, &entry);
	for (uint32_t i = 0; !rc && i < part.hold_count; i++) {
		struct reshard_goods *goods;
		struct hold hold;

		rc = find_hold(source, &part.holds[i], &hold, &goods);
		if (!rc)
			goods->goods.last = target->sequence;
	}
	return rc;
}

static int tell_order(struct reshard *r, struct reshard_source *source)
{
	const struct id id = source->entry.order.id;
	struct order whole;
	int rc = reshard_parts_of(r, source, &id, &whole);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (source->entry.order.state == HOLD_HELD)
		r->result->split += r->parts.count > 1;
	for (uint32_t shard = 0; !rc && shard < r->options->shards; shard++)
		if (!id_is_zero(&r->parts.ids[shard]))
			rc = tell_part(r, source, shard, &whole);
	return rc;
}

/* ---- all of it ---- */

static int tell(struct reshard *r, struct reshard_source *source)
{
	switch (source->entry.kind) {
	case LEDGER_HOLD_CREATED:
		return tell_created(r, source);
	case LEDGER_HOLD_CHANGED:
		return tell_changed(r, source);
	case LEDGER_GOODS_CHANGED:
		return tell_goods(r, source);
	case LEDGER_ORDER_CHANGED:
		return tell_order(r, source);
	case LEDGER_GOODS_ARCHIVED:
		return tell_archived(r, source);
	case LEDGER_CART_FENCED:
	case LEDGER_INCARNATION:
		break;
	}
	return 0;
}

static int tell_all(struct reshard *r)
{
	uint32_t most = r->options->commit_every ? r->options->commit_every : COMMIT_EVERY_STANDARD;
	struct reshard_source *source;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < r->options->source_count; i++) {
		rc = mdb_cursor_open(
			r->sources[i].txn, r->sources[i].store->tables[TABLE_LEDGER], &r->sources[i].ledger);
		if (!rc)
			rc = advance(r, &r->sources[i]);
	}
	while (!rc && (source = earliest(r))) {
		rc = tell(r, source);
		if (!rc && r->written >= most) {
			rc = commit_all(r);
			if (!rc)
				rc = begin_all(r);
		}
		if (!rc)
			rc = advance(r, source);
	}
	for (uint32_t i = 0; i < r->options->source_count; i++)
		if (r->sources[i].ledger)
			mdb_cursor_close(r->sources[i].ledger);
	return rc;
}

static int put_goods(struct reshard *r)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->options->source_count; i++)
		for (uint32_t j = 0; !rc && j < r->sources[i].goods_count; j++) {
			const struct reshard_goods *goods = &r->sources[i].goods[j];
			uint8_t record[GOODS_RECORD_BYTES];

			rc = put(&r->targets[goods->shard], TABLE_GOODS, goods->goods.sku,
				strlen(goods->goods.sku), record, goods_pack(&goods->goods, record), 0);
		}
	return rc;
}

static int visit_removed(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	struct id *greatest = context;
	struct fence fence;

	if (!fence_unpack(value->mv_data, value->mv_size, &fence))
		return MDB_CORRUPTED;
	if (id_compare(&fence.removed, greatest) > 0)
		*greatest = fence.removed;
	return 0;
}

/* People have changed their carts, so each new one inherits the greatest mark of all. */
static int put_marks(struct reshard *r)
{
	struct fence fence = {0};
	uint8_t record[FENCE_RECORD_BYTES], number[8];
	int rc = 0;

	for (uint32_t i = 0; !rc && i < r->options->source_count; i++)
		rc = reshard_each(r, r->sources[i].store, r->sources[i].txn, TABLE_FENCES, visit_removed,
			&fence.removed);
	if (rc || id_is_zero(&fence.removed))
		return rc;
	fence_pack(&fence, record);
	for (uint32_t cart = 0; cart < r->cart_shards; cart++)
		for (uint32_t i = 0; !rc && i < r->options->shards; i++) {
			store_put_be64(number, cart);
			rc = put(&r->targets[i], TABLE_FENCES, number, sizeof(number), record, sizeof(record),
				0);
		}
	return rc;
}

static int put_meta(struct reshard *r)
{
	uint8_t time[16] = {0}, bytes[8];
	int rc = 0;

	store_put_be64(time, (uint64_t)r->last_ms);
	for (uint32_t i = 0; !rc && i < r->options->shards; i++) {
		struct reshard_target *target = &r->targets[i];

		if (r->last_ms != INT64_MIN)
			rc = store_meta_put(target->store, target->txn, "time", time, sizeof(time));
		store_put_be64(bytes, r->cart_shards);
		if (!rc)
			rc = store_meta_put(target->store, target->txn, "cart_shards", bytes, sizeof(bytes));
		store_put_be64(bytes, target->sequence);
		if (!rc)
			rc = store_meta_put(target->store, target->txn, META_RETOLD, bytes, sizeof(bytes));
	}
	return rc;
}

bool reshard_run(const struct reshard_options *options, struct reshard_result *ret, struct error *error)
{
	struct reshard r;
	bool good;
	int rc = reshard_open(&r, options, ret);

	if (!rc)
		rc = begin_all(&r);
	if (!rc) {
		number_goods(&r);
		rc = tell_all(&r);
	}
	if (!rc)
		rc = put_goods(&r);
	if (!rc)
		rc = put_marks(&r);
	if (!rc)
		rc = put_meta(&r);
	if (!rc)
		rc = commit_all(&r);
	good = reshard_failed(&r, rc, error);
	reshard_close(&r);
	return good;
}
