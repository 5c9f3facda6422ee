/* replay_rows.c - what the replay came to, against the rows of the tables: each in both directions. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "inventory/replay_state.h"

/* About one row, "hold" or "order". */
static void __attribute__((format(printf, 4, 5)))
say_row(struct replay *r, const char *what, const struct id *id, const char *format, ...)
{
	char text[ID_TEXT_LENGTH + 1], why[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	replay_say(r, "%s %s: %s", what, id_format(id, text), why);
}

/* Calls visit for each row; their keys must ascend, or the tree is damaged. */
static int each_row(struct replay *r, enum books_table table,
	void (*visit)(struct replay *, const MDB_val *, const MDB_val *))
{
	uint8_t last[512];
	size_t last_size = 0;
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(r->txn, r->store->tables[table], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		size_t common = key.mv_size < last_size ? key.mv_size : last_size;
		int order = memcmp(last, key.mv_data, common);

		if (order > 0 || (order == 0 && last_size && last_size >= key.mv_size))
			replay_say(r, "table %s: its rows are not in order: damaged", books_tables[table]);
		last_size = key.mv_size < sizeof(last) ? key.mv_size : sizeof(last);
		memcpy(last, key.mv_data, last_size);
		visit(r, &key, &value);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static void unreadable(struct replay *r, const char *what, const MDB_val *key)
{
	struct id id = {0};
	char text[ID_TEXT_LENGTH + 1];

	if (key->mv_size == ID_BYTES)
		memcpy(id.bytes, key->mv_data, ID_BYTES);
	replay_say(r, "a row of %s (key %s, %zu bytes) can't be read: damaged", what,
		key->mv_size == ID_BYTES ? id_format(&id, text) : "of another kind", key->mv_size);
}

/* ---- goods ---- */

static void compare_units(struct replay *r, const struct goods *row, const struct goods *replayed)
{
	if (row->stock != replayed->stock || row->available != replayed->available ||
		row->held != replayed->held || row->sold != replayed->sold)
		replay_say(r,
			"goods %s: the row has stock %lld, available %lld, held %lld, sold %lld, the replay "
			"%lld, %lld, %lld, %lld",
			row->sku, (long long)row->stock, (long long)row->available, (long long)row->held,
			(long long)row->sold, (long long)replayed->stock, (long long)replayed->available,
			(long long)replayed->held, (long long)replayed->sold);
}

static void visit_goods(struct replay *r, const MDB_val *key, const MDB_val *value)
{
	struct replay_goods *replayed;
	struct goods goods;

	if (!goods_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &goods)) {
		unreadable(r, "goods", key);
		return;
	}
	HASH_FIND(hh, r->goods, goods.sku, strlen(goods.sku), replayed);
	if (!replayed || !replayed->known) {
		replay_say(r, "goods %s: the ledger never made them", goods.sku);
		return;
	}
	compare_units(r, &goods, &replayed->goods);
	if (goods.version != replayed->goods.version || goods.number != replayed->goods.number ||
		goods.closed != replayed->goods.closed ||
		goods.price_micros != replayed->goods.price_micros ||
		goods.hold_ttl_ms != replayed->goods.hold_ttl_ms ||
		strcmp(goods.currency, replayed->goods.currency) != 0)
		replay_say(r,
			"goods %s: the row and its last entry differ in price, hold time, version or whether "
			"they are closed",
			goods.sku);
	if (r->archiving ? goods.archived < replayed->archived : goods.archived != replayed->archived)
		replay_say(r, "goods %s: %lld units are archived, the ledger tells of %lld", goods.sku,
			(long long)goods.archived, (long long)replayed->archived);
	replayed->known = false; /* done */
}

static void missing_goods(struct replay *r)
{
	for (const struct replay_goods *goods = r->goods; goods; goods = goods->hh.next)
		if (goods->known)
			replay_say(r, "goods %s: there is no row", goods->goods.sku);
}

/* ---- holds ---- */

static void visit_hold(struct replay *r, const MDB_val *key, const MDB_val *value)
{
	struct replay_hold *replayed;
	struct hold hold;

	if (!hold_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &hold)) {
		unreadable(r, "holds", key);
		return;
	}
	replayed = replay_list_find(&r->holds, &hold.id);
	if (!replayed || replayed->gone) {
		say_row(r, "hold", &hold.id, "the ledger never made it");
		return;
	}
	replayed->seen = true;
	if (hold.state != replayed->state || hold.quantity != replayed->quantity)
		say_row(r, "hold", &hold.id, "the row says %u units %s, the replay %u units %s",
			hold.quantity, replay_state_name((uint8_t)hold.state), replayed->quantity,
			replay_state_name(replayed->state));
	if (hold.goods != replayed->goods->goods.number)
		say_row(r, "hold", &hold.id, "the row is about goods number %u, the ledger about %s",
			hold.goods, replayed->goods->goods.sku);
	if (hold.created != replayed->created || hold.changed != replayed->changed)
		say_row(r, "hold", &hold.id,
			"the row names the entries %llu and %llu, they are %llu and %llu",
			(unsigned long long)hold.created, (unsigned long long)hold.changed,
			(unsigned long long)replayed->created, (unsigned long long)replayed->changed);
	if (hold.deadline_ms != replayed->deadline_ms)
		say_row(r, "hold", &hold.id, "the row's deadline is off by %lld ms",
			(long long)(hold.deadline_ms - replayed->deadline_ms));
	if (hold.price_micros != replayed->price_micros || hold.version != replayed->version ||
		hold.cart_shard != replayed->cart_shard || id_compare(&hold.order, &replayed->order) != 0)
		say_row(r, "hold", &hold.id,
			"the row and the ledger differ in price, version, cart shard or order");
}

/* Below the floor an order takes its holds along, also those whose first entry is above it. */
static bool may_have_gone(const struct replay *r, const struct replay_hold *hold)
{
	return hold->gone || (r->floor && !id_is_zero(&hold->order) &&
				     (hold->state == HOLD_RELEASED || hold->state == HOLD_EXPIRED));
}

static int missing_holds(struct replay *r)
{
	const struct replay_hold *holds = (const struct replay_hold *)(const void *)r->holds.things;

	for (size_t i = 0; i < r->holds.count; i++) {
		uint8_t bytes[EXPIRY_KEY_BYTES];
		MDB_val key = {sizeof(bytes), bytes}, value;
		int rc;

		if (!holds[i].seen && !may_have_gone(r, &holds[i]))
			say_row(r, "hold", &holds[i].id, "%u units of %s, %s since entry %llu, have no row",
				holds[i].quantity, holds[i].goods->goods.sku,
				replay_state_name(holds[i].state), (unsigned long long)holds[i].changed);
		if (holds[i].state != HOLD_HELD || holds[i].deadline_ms < 0)
			continue;
		expiry_key_pack(holds[i].deadline_ms, &holds[i].id, bytes);
		rc = mdb_get(r->txn, r->store->tables[TABLE_EXPIRY], &key, &value);
		if (rc == MDB_NOTFOUND)
			say_row(r, "hold", &holds[i].id, "HELD, and has no expiry row: it would never end");
		else if (rc)
			return rc;
	}
	return 0;
}

static void visit_expiry(struct replay *r, const MDB_val *key, const MDB_val *value)
{
	const struct replay_hold *hold;
	int64_t deadline_ms;
	struct id id;

	if (!expiry_key_unpack(key->mv_data, key->mv_size, &deadline_ms, &id)) {
		unreadable(r, "expiry", key);
		return;
	}
	hold = replay_list_find(&r->holds, &id);
	if (!hold || hold->state != HOLD_HELD || hold->deadline_ms != deadline_ms)
		say_row(r, "hold", &id, "has an expiry row, and is not HELD until then");
}

/* ---- orders ---- */

static void compare_order(struct replay *r, const struct order *order, const struct replay_order *replayed)
{
	const struct replay_hold *holds = (const struct replay_hold *)(const void *)r->holds.things;
	uint64_t payment = order->payment[0] ? hash64(order->payment, strlen(order->payment)) : 0;

	if (order->state != replayed->state)
		say_row(r, "order", &order->id, "the row says %s, the replay %s",
			replay_state_name((uint8_t)order->state), replay_state_name(replayed->state));
	if (order->bound != replayed->bound || order->changed != replayed->changed ||
		order->deadline_ms != replayed->deadline_ms || order->cart_shard != replayed->cart_shard ||
		payment != replayed->payment)
		say_row(r, "order", &order->id,
			"the row and the ledger differ in entries, deadline, cart shard or payment");
	if (order->hold_count != replayed->hold_count) {
		say_row(r, "order", &order->id, "the row has %u holds, the ledger %u", order->hold_count,
			replayed->hold_count);
		return;
	}
	for (uint32_t i = 0; i < order->hold_count; i++)
		if (id_compare(&order->holds[i], &holds[r->items[replayed->first_item + i]].id) != 0)
			say_row(r, "order", &order->id, "its hold %u is another one in the ledger", i + 1);
}

static void visit_order(struct replay *r, const MDB_val *key, const MDB_val *value)
{
	struct replay_order *replayed;
	struct order order;

	if (!order_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &order)) {
		unreadable(r, "orders", key);
		return;
	}
	replayed = replay_list_find(&r->orders, &order.id);
	if (!replayed) {
		say_row(r, "order", &order.id, "the ledger never made it");
		return;
	}
	replayed->seen = true;
	compare_order(r, &order, replayed);
}

static void missing_orders(struct replay *r)
{
	const struct replay_order *orders = (const struct replay_order *)(const void *)r->orders.things;

	for (size_t i = 0; i < r->orders.count; i++)
		if (!orders[i].seen &&
			!(r->floor && (orders[i].state == HOLD_RELEASED || orders[i].state == HOLD_EXPIRED)))
			say_row(r, "order", &orders[i].id, "%s since entry %llu, has no row",
				replay_state_name(orders[i].state), (unsigned long long)orders[i].changed);
}

/* ---- carts ---- */

static void visit_fence(struct replay *r, const MDB_val *key, const MDB_val *value)
{
	static const uint8_t nobody[INSTANCE_BYTES];
	struct replay_cart *cart;
	struct fence fence;
	uint32_t shard;

	if (key->mv_size != 8 || !fence_unpack(value->mv_data, value->mv_size, &fence)) {
		unreadable(r, "fences", key);
		return;
	}
	shard = (uint32_t)store_get_be64(key->mv_data);
	HASH_FIND(hh, r->carts, &shard, sizeof(shard), cart);
	if (!cart) {
		if (fence.epoch)
			replay_say(r, "cart shard %u: the ledger knows of no epoch", shard);
		return;
	}
	cart->seen = true;
	if (fence.epoch != cart->fence.epoch || fence.sequence != cart->fence.sequence)
		replay_say(r, "cart shard %u: the row says epoch %llu of entry %llu, the ledger %llu of %llu",
			shard, (unsigned long long)fence.epoch, (unsigned long long)fence.sequence,
			(unsigned long long)cart->fence.epoch, (unsigned long long)cart->fence.sequence);
	/* After a restore none is in force until the cart has taken a newer one. */
	if (memcmp(fence.instance, cart->fence.instance, INSTANCE_BYTES) != 0 &&
		memcmp(fence.instance, nobody, INSTANCE_BYTES) != 0)
		replay_say(
			r, "cart shard %u: its epoch belongs to another process than the ledger says", shard);
}

static int compare_meta(struct replay *r)
{
	uint8_t time[16];
	int rc = store_meta_get(r->store, r->txn, "time", time, sizeof(time));

	if (rc == MDB_NOTFOUND && r->result->entries == 0)
		return 0;
	if (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) {
		replay_say(r, "the time of the last commit can't be read: damaged");
		return 0;
	}
	if (rc)
		return rc;
	if ((int64_t)store_get_be64(time + 8) != r->shift_ms)
		replay_say(r, "the store says that deadlines were moved by %lld ms, the ledger by %lld",
			(long long)store_get_be64(time + 8), (long long)r->shift_ms);
	if ((int64_t)store_get_be64(time) + r->shift_ms < r->time_ms)
		replay_say(r, "the time of the last commit is before its last entry");
	if (r->incarnation > r->store->incarnation)
		replay_say(r, "incarnation %llu is in the ledger, the store counts %llu",
			(unsigned long long)r->incarnation, (unsigned long long)r->store->incarnation);
	return 0;
}

int replay_rows(struct replay *r)
{
	int rc = each_row(r, TABLE_HOLDS, visit_hold);
	if (!rc)
		rc = missing_holds(r);
	if (!rc)
		rc = each_row(r, TABLE_EXPIRY, visit_expiry);
	if (!rc)
		rc = each_row(r, TABLE_ORDERS, visit_order);
	missing_orders(r);
	if (!rc)
		rc = each_row(r, TABLE_GOODS, visit_goods);
	missing_goods(r);
	if (!rc)
		rc = each_row(r, TABLE_FENCES, visit_fence);
	for (const struct replay_cart *cart = r->carts; !rc && cart; cart = cart->hh.next)
		if (!cart->seen)
			replay_say(r, "cart shard %u: epoch %llu has no row", cart->shard,
				(unsigned long long)cart->fence.epoch);
	return rc ? rc : compare_meta(r);
}
