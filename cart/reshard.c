/* cart/reshard.c - see reshard.h. */
#include "cart/reshard.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "cart/shelf.h"

struct reshard {
	const struct cart_reshard_options *options;
	struct cart_reshard_result *result;
	struct store *source;
	MDB_txn *from;
	MDB_txn **to;
	struct error *error; /* set when something is wrong that LMDB does not know of */
	bool failed;
};

static int put(struct reshard *r, enum shelf_table table, struct span user, const struct id *id,
	const void *data, size_t size)
{
	uint32_t shard = (uint32_t)(hash64(user.text, user.length) % r->options->shards);
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes}, value = {size, (void *)(uintptr_t)data};
	int rc = mdb_put(
		r->to[shard], r->options->targets[shard]->tables[table], &key, &value, MDB_NOOVERWRITE);

	return rc == MDB_KEYEXIST ? MDB_CORRUPTED : rc; /* a person is in one cart only */
}

static uint32_t shard_of(const struct reshard *r, struct span sku)
{
	return (uint32_t)(hash64(sku.text, sku.length) % r->options->inventory_shards);
}

/* What has ended unsold, and inventory may know no more. */
static bool has_ended(enum line_state state)
{
	return state == LINE_RELEASED || state == LINE_EXPIRED;
}

static int visit_line(struct reshard *r, const struct id *id, const MDB_val *data)
{
	struct hold hold;

	if (!record_hold_unpack(id, data->mv_data, data->mv_size, &hold))
		return MDB_CORRUPTED;
	if (!has_ended(hold.state)) {
		r->result->told++;
		return 0;
	}
	r->result->lines++;
	return put(r, SHELF_HOLDS, hold.user, id, data->mv_data, data->mv_size);
}

static int visit_order(struct reshard *r, const struct id *id, const MDB_val *data)
{
	struct order_item items[ORDER_HOLDS_MAX];
	uint8_t record[RECORD_ORDER_BYTES_MAX];
	struct order_record order;

	if (!record_order_unpack(id, data->mv_data, data->mv_size, items, &order) || !order.item_count)
		return MDB_CORRUPTED;
	if (!has_ended(order.truth)) {
		r->result->told++;
		return 0;
	}
	memcpy(record, data->mv_data, data->mv_size);
	record_order_place(record, shard_of(r, span_of(items[0].sku)));
	r->result->orders++;
	return put(r, SHELF_ORDERS, order.user, id, record, data->mv_size);
}

static int get(struct reshard *r, enum shelf_table table, const struct id *id, MDB_val *ret)
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes};

	return mdb_get(r->from, r->source->tables[table], &key, ret);
}

/* Where the goods of the order are: as the order says, or the first hold that it is to be made of. */
static int place(struct reshard *r, const struct order_decision *decision, uint32_t *ret)
{
	struct order_item items[ORDER_HOLDS_MAX];
	char text[ID_TEXT_LENGTH + 1];
	struct order_record order;
	struct hold hold;
	MDB_val data;

	*ret = 0;
	if (r->options->inventory_shards == 1)
		return 0;
	if (get(r, SHELF_ORDERS, &decision->id, &data) == 0) {
		if (!record_order_unpack(&decision->id, data.mv_data, data.mv_size, items, &order) ||
			!order.item_count)
			return MDB_CORRUPTED;
		*ret = shard_of(r, span_of(items[0].sku));
		return 0;
	}
	if (decision->hold_count && get(r, SHELF_HOLDS, &decision->holds[0], &data) == 0) {
		if (!record_hold_unpack(&decision->holds[0], data.mv_data, data.mv_size, &hold))
			return MDB_CORRUPTED;
		*ret = shard_of(r, hold.sku);
		return 0;
	}
	r->failed = true;
	error_set(r->error,
		"store %s: something was decided about order %s, whose goods this cart has not heard of yet: "
		"start it with its inventories as they were, wait until it is healthy, and stop it",
		r->source->directory, id_format(&decision->id, text));
	return MDB_NOTFOUND;
}

static int visit_decision(struct reshard *r, const struct id *id, const MDB_val *data)
{
	uint8_t record[RECORD_DECISION_BYTES_MAX];
	struct id holds[ORDER_HOLDS_MAX];
	struct order_decision decision;
	uint32_t shard;
	int rc;

	if (!record_decision_unpack(id, data->mv_data, data->mv_size, holds, &decision))
		return MDB_CORRUPTED;
	rc = place(r, &decision, &shard);
	if (rc)
		return rc;
	memcpy(record, data->mv_data, data->mv_size);
	record_decision_place(record, shard);
	r->result->decisions++;
	return put(r, SHELF_DECISIONS, decision.user, id, record, data->mv_size);
}

static int each(struct reshard *r, enum shelf_table table,
	int (*visit)(struct reshard *, const struct id *, const MDB_val *))
{
	MDB_cursor *cursor;
	MDB_val key, data;
	struct id id;
	int rc = mdb_cursor_open(r->from, r->source->tables[table], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		if (key.mv_size != ID_BYTES) {
			rc = MDB_CORRUPTED;
			break;
		}
		memcpy(id.bytes, key.mv_data, ID_BYTES);
		rc = visit(r, &id, &data);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND && !r->failed ? 0 : rc;
}

static int take_along(struct reshard *r, struct store *source)
{
	int rc = store_read_begin(source, &r->from);

	r->source = source;
	if (rc)
		return rc;
	rc = each(r, SHELF_HOLDS, visit_line);
	if (!rc)
		rc = each(r, SHELF_ORDERS, visit_order);
	if (!rc)
		rc = each(r, SHELF_DECISIONS, visit_decision);
	mdb_txn_abort(r->from);
	return rc;
}

static int end_all(struct reshard *r, int rc)
{
	for (uint32_t i = 0; i < r->options->shards; i++) {
		if (rc && r->to[i])
			mdb_txn_abort(r->to[i]);
		else if (r->to[i])
			rc = mdb_txn_commit(r->to[i]);
	}
	free(r->to);
	return rc;
}

bool cart_reshard(
	const struct cart_reshard_options *options, struct cart_reshard_result *ret, struct error *error)
{
	struct reshard r = {.options = options, .result = ret, .error = error};
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	r.to = NEW_ARRAY(options->shards, MDB_txn *);
	for (uint32_t i = 0; !rc && i < options->shards; i++)
		rc = mdb_txn_begin(options->targets[i]->env, NULL, 0, &r.to[i]);
	for (uint32_t i = 0; !rc && i < options->source_count; i++)
		rc = take_along(&r, options->sources[i]);
	rc = end_all(&r, rc);
	return !rc || (!r.failed && error_set(error, "store %s: %s", r.source ? r.source->directory : "",
					    mdb_strerror(rc)));
}
