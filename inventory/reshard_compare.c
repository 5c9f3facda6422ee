/* reshard_compare.c - what stands in the way of a reshard, and whether one has lost or changed anything. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "inventory/replay_state.h"
#include "inventory/reshard_internal.h"

static void __attribute__((format(printf, 2, 3))) say(struct reshard *r, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	r->result->findings++;
	r->options->say(r->options->context, line);
}

/* ---- orders that can't be told ---- */

static int visit_obstacle(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	struct reshard_source *source = context;
	char text[ID_TEXT_LENGTH + 1];
	struct order order, again;
	int rc;

	if (!order_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &order))
		return MDB_CORRUPTED;
	if (order.state != HOLD_HELD)
		return 0;
	rc = reshard_parts_of(r, source, &order.id, &again);
	if (!rc && r->parts.count > 1)
		say(r, "order %s is open, and its %u holds would be on %u shards", id_format(&order.id, text),
			order.hold_count, r->parts.count);
	return rc;
}

bool reshard_find_obstacles(
	const struct reshard_options *options, struct reshard_result *ret, struct error *error)
{
	struct reshard r;
	bool good;
	int rc = reshard_open(&r, options, ret);

	for (uint32_t i = 0; !rc && i < options->source_count; i++)
		rc = reshard_each(&r, r.sources[i].store, r.sources[i].txn, TABLE_ORDERS, visit_obstacle,
			&r.sources[i]);
	good = reshard_failed(&r, rc, error);
	reshard_close(&r);
	return good;
}

/* ---- row by row ---- */

static int compare_goods(struct reshard *r, const struct reshard_source *source)
{
	for (uint32_t i = 0; i < source->goods_count; i++) {
		const struct goods *old = &source->goods[i].goods;
		const struct reshard_target *target = &r->targets[source->goods[i].shard];
		struct goods now;
		int rc = books_read_goods(target->store, target->txn, old->sku, &now);

		if (rc && rc != MDB_NOTFOUND)
			return rc;
		if (rc || now.stock != old->stock || now.available != old->available ||
			now.held != old->held || now.sold != old->sold || now.archived != old->archived ||
			now.version != old->version || now.price_micros != old->price_micros ||
			now.hold_ttl_ms != old->hold_ttl_ms || now.closed != old->closed ||
			strcmp(now.currency, old->currency) != 0)
			say(r, "goods %s: on shard %u they are others, or not there", old->sku,
				source->goods[i].shard);
	}
	r->result->goods += source->goods_count;
	return 0;
}

static int visit_hold(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	const struct reshard_source *source = context;
	const struct reshard_target *target;
	char text[ID_TEXT_LENGTH + 1];
	struct hold old, now;
	int rc;

	if (!hold_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &old) ||
		old.goods >= source->goods_count)
		return MDB_CORRUPTED;
	target = &r->targets[source->goods[old.goods].shard];
	rc = books_read_hold(target->store, target->txn, &old.id, &now);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	r->result->holds++;
	if (rc || now.state != old.state || now.quantity != old.quantity || now.version != old.version ||
		now.price_micros != old.price_micros || id_is_zero(&now.order) != id_is_zero(&old.order) ||
		now.deadline_ms != old.deadline_ms + reshard_moved_ms(source, old.state, old.changed))
		say(r, "hold %s, %u units of %s, %s: it is another one, or not there",
			id_format(&old.id, text), old.quantity, source->goods[old.goods].goods.sku,
			replay_state_name((uint8_t)old.state));
	return 0;
}

static int visit_order(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	const struct reshard_source *source = context;
	char text[ID_TEXT_LENGTH + 1];
	struct order old, now, again;
	uint32_t holds = 0;
	int rc;

	if (!order_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &old))
		return MDB_CORRUPTED;
	rc = reshard_parts_of(r, source, &old.id, &again);
	for (uint32_t shard = 0; !rc && shard < r->options->shards; shard++) {
		const struct reshard_target *target = &r->targets[shard];

		if (id_is_zero(&r->parts.ids[shard]))
			continue;
		r->result->orders++;
		rc = books_read_order(target->store, target->txn, &r->parts.ids[shard], &now);
		if (!rc && now.state == old.state && strcmp(now.payment, old.payment) == 0)
			holds += now.hold_count;
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	if (!rc && holds != old.hold_count)
		say(r, "order %s, %u holds, %s: it is another one, or not there", id_format(&old.id, text),
			old.hold_count, replay_state_name((uint8_t)old.state));
	return rc;
}

/* An order is on one shard. */
static int visit_new_order(struct reshard *r, void *context, const MDB_val *key, const MDB_val *value)
{
	const struct reshard_target *mine = context;
	char text[ID_TEXT_LENGTH + 1];
	struct order other;
	struct id id;

	memcpy(id.bytes, key->mv_data, ID_BYTES);
	for (uint32_t i = 0; i < r->options->shards; i++) {
		int rc = &r->targets[i] == mine
				 ? MDB_NOTFOUND
				 : books_read_order(r->targets[i].store, r->targets[i].txn, &id, &other);

		if (rc && rc != MDB_NOTFOUND)
			return rc;
		if (!rc)
			say(r, "order %s is on two shards", id_format(&id, text));
	}
	return 0;
}

static int count_rows(struct reshard *r, enum books_table table, uint64_t *ret)
{
	MDB_stat stat;
	int rc = 0;

	*ret = 0;
	for (uint32_t i = 0; !rc && i < r->options->shards; i++) {
		rc = mdb_stat(r->targets[i].txn, r->targets[i].store->tables[table], &stat);
		*ret += stat.ms_entries;
	}
	return rc;
}

/* Each was found where it belongs; as many rows as that, and there are no others. */
static int compare_counts(struct reshard *r)
{
	static const enum books_table tables[] = {TABLE_GOODS, TABLE_HOLDS, TABLE_ORDERS};
	const uint64_t wanted[] = {r->result->goods, r->result->holds, r->result->orders};
	uint64_t there;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int rc = count_rows(r, tables[i], &there);

		if (rc)
			return rc;
		if (there != wanted[i])
			say(r, "there are %llu %s, and should be %llu", (unsigned long long)there,
				books_tables[tables[i]], (unsigned long long)wanted[i]);
	}
	return 0;
}

static int compare_requests(struct reshard *r)
{
	uint64_t there, before = 0;
	MDB_stat stat;
	int rc = count_rows(r, TABLE_REQUESTS, &there);

	for (uint32_t i = 0; !rc && i < r->options->source_count; i++) {
		rc = mdb_stat(r->sources[i].txn, r->sources[i].store->tables[TABLE_REQUESTS], &stat);
		before += stat.ms_entries;
	}
	if (!rc && there != before)
		say(r, "%llu rows of adjustments were remembered, now %llu", (unsigned long long)before,
			(unsigned long long)there);
	return rc;
}

bool reshard_compare(const struct reshard_options *options, struct reshard_result *ret, struct error *error)
{
	struct reshard r;
	bool good;
	int rc = reshard_open(&r, options, ret);

	for (uint32_t i = 0; !rc && i < options->shards; i++)
		rc = store_read_begin(r.targets[i].store, &r.targets[i].txn);
	for (uint32_t i = 0; !rc && i < options->source_count; i++) {
		struct reshard_source *source = &r.sources[i];

		rc = compare_goods(&r, source);
		if (!rc)
			rc = reshard_each(&r, source->store, source->txn, TABLE_HOLDS, visit_hold, source);
		if (!rc)
			rc = reshard_each(&r, source->store, source->txn, TABLE_ORDERS, visit_order, source);
	}
	for (uint32_t i = 0; !rc && i < options->shards; i++)
		rc = reshard_each(&r, r.targets[i].store, r.targets[i].txn, TABLE_ORDERS, visit_new_order,
			&r.targets[i]);
	if (!rc)
		rc = compare_counts(&r);
	if (!rc)
		rc = compare_requests(&r);
	good = reshard_failed(&r, rc, error);
	reshard_close(&r);
	return good;
}
