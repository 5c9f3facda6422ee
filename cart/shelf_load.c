/* cart/shelf_load.c - the store read at the start. See shelf.h. */
#include "cart/shelf.h"

static bool load_positions(struct store *store, MDB_txn *txn, struct cart *cart, struct error *error)
{
	struct position position;
	MDB_cursor *cursor;
	MDB_val key, data;
	uint64_t shard = 0;
	int rc = mdb_cursor_open(txn, store->tables[SHELF_POSITIONS], &cursor);

	if (rc)
		return error_set(error, "store %s: positions: %s", store->directory, mdb_strerror(rc));
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		const uint8_t *number = key.mv_data;

		if (key.mv_size == 4)
			shard = (uint64_t)number[0] << 24 | (uint64_t)number[1] << 16 |
				(uint64_t)number[2] << 8 | number[3];
		if (key.mv_size != 4 || !record_position_unpack(data.mv_data, data.mv_size, &position))
			break;
		if (shard >= cart->options.shards)
			break;
		cart_load_link(cart, (uint32_t)shard, &position.lineage, position.sequence, position.epoch,
			position.moved_ms);
		cart->links[shard].floor = position.floor;
	}
	mdb_cursor_close(cursor);
	if (rc == MDB_NOTFOUND)
		return true;
	if (!rc && shard >= cart->options.shards)
		return error_set(error,
			"store %s knows inventory shard %llu, --inventory-shards says %u: the number of "
			"shards "
			"can't change under a store",
			store->directory, (unsigned long long)shard, cart->options.shards);
	return error_set(error,
		"store %s: a position can't be read: restore a backup, or make an empty store: the "
		"ledgers of inventory bring everything back",
		store->directory);
}

static bool load_holds(struct store *store, MDB_txn *txn, struct cart *cart, struct error *error)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	struct hold hold;
	struct id id;
	int rc = mdb_cursor_open(txn, store->tables[SHELF_HOLDS], &cursor);

	if (rc)
		return error_set(error, "store %s: holds: %s", store->directory, mdb_strerror(rc));
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		if (key.mv_size != ID_BYTES)
			break;
		memcpy(id.bytes, key.mv_data, ID_BYTES);
		if (!record_hold_unpack(&id, data.mv_data, data.mv_size, &hold))
			break;
		if (hold.state == LINE_HELD) /* the record is without the move */
			hold.deadline_ms += cart->lines.moved_ms[hash64(hold.sku.text, hold.sku.length) %
								 cart->options.shards];
		cart_load_hold(cart, &hold);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND || error_set(error,
					     "store %s: a hold can't be read: restore a backup, or make an "
					     "empty store: the ledgers of "
					     "inventory bring everything back",
					     store->directory);
}

bool shelf_load(struct store *store, struct cart *cart, struct error *error)
{
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);
	bool good;

	if (rc)
		return error_set(error, "store %s: %s", store->directory, mdb_strerror(rc));
	good = load_positions(store, txn, cart, error) && load_holds(store, txn, cart, error);
	mdb_txn_abort(txn);
	return good;
}

/* ---- orders ---- */

static bool order_load(struct orders *orders, const struct id *id, const MDB_val *data)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_record record;

	return record_order_unpack(id, data->mv_data, data->mv_size, items, &record) &&
	       record.shard < orders->options.cart->options.shards && orders_load(orders, &record);
}

static bool decision_load(struct orders *orders, const struct id *id, const MDB_val *data)
{
	struct id holds[ORDER_HOLDS_MAX];
	struct order_decision decision;

	if (!record_decision_unpack(id, data->mv_data, data->mv_size, holds, &decision) ||
		decision.shard >= orders->options.cart->options.shards)
		return false;
	orders_load_decision(orders, &decision);
	return true;
}

static bool load_each(struct store *store, MDB_txn *txn, enum shelf_table table, struct orders *orders,
	bool (*load)(struct orders *, const struct id *, const MDB_val *), struct error *error)
{
	MDB_cursor *cursor;
	MDB_val key, data;
	struct id id;
	int rc = mdb_cursor_open(txn, store->tables[table], &cursor);

	if (rc)
		return error_set(
			error, "store %s: %s: %s", store->directory, shelf_tables[table], mdb_strerror(rc));
	while ((rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
		if (key.mv_size != ID_BYTES)
			break;
		memcpy(id.bytes, key.mv_data, ID_BYTES);
		if (!load(orders, &id, &data))
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ||
	       error_set(error, "store %s: one of the %s can't be read: restore a backup", store->directory,
		       shelf_tables[table]);
}

bool shelf_load_orders(struct store *store, struct orders *orders, struct error *error)
{
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);
	bool good;

	if (rc)
		return error_set(error, "store %s: %s", store->directory, mdb_strerror(rc));
	good = load_each(store, txn, SHELF_ORDERS, orders, order_load, error) &&
	       load_each(store, txn, SHELF_DECISIONS, orders, decision_load, error);
	mdb_txn_abort(txn);
	return good;
}
