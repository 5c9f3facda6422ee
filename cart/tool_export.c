/* cart/tool_export.c - `flashsale-cart export`: every row of a cart's store as JSON lines, from one snapshot. The fields are listed in docs/operations.md. */
#include <string.h>

#include "cart/order_records.h"
#include "cart/shelf.h"
#include "cart/tools.h"
#include "rpc/tool_lines.h"

struct export_settings {
	char *out;
};

static const struct config_setting export_table[] = {
	{"out", CONFIG_TEXT, offsetof(struct export_settings, out), NULL, true, 0, 0,
		"file to be made, synced; without it: stdout"},
};

static const char *state_name(uint8_t state)
{
	static const char *const names[] = {"HOLD_STATE_UNSPECIFIED", "HOLD_STATE_HELD", "HOLD_STATE_SOLD",
		"HOLD_STATE_RELEASED", "HOLD_STATE_EXPIRED", "HOLD_STATE_REFUNDED"};

	return names[state <= LINE_REFUNDED ? state : 0];
}

static const char *wish_name(enum order_wish wish)
{
	static const char *const names[ORDER_WISHES] = {"NONE", "BIND", "CONFIRM", "CANCEL", "REFUND"};

	return names[wish];
}

static json_t *id_json(const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	return id_is_zero(id) ? json_null() : json_string(id_format(id, text));
}

static json_t *text_json(struct span text)
{
	return tool_text(text.text, text.length);
}

static json_t *key_json(bool keyed, const struct hash128 *hash)
{
	return tool_hex(hash->bytes, keyed ? sizeof(hash->bytes) : 0);
}

/* NULL: the row can't be read. `id` is zero for positions, whose keys are numbers. */
typedef json_t *row_json(const struct id *id, const MDB_val *key, const MDB_val *value);

static json_t *line_json(const struct id *id, const MDB_val *key, const MDB_val *value)
{
	struct hold hold;

	if (!record_hold_unpack(id, value->mv_data, value->mv_size, &hold))
		return NULL;
	return json_pack("{ss so so so so sI ss sI sI sI sI sI so so so}", "kind", "line", "holdId",
		id_json(id), "userID", text_json(hold.user), "sessionID", text_json(hold.session), "goodsSKU",
		text_json(hold.sku), "goodsQuantity", (json_int_t)hold.quantity, "state",
		state_name((uint8_t)hold.state), "deadlineMs", (json_int_t)hold.deadline_ms, "createdMs",
		(json_int_t)hold.created_ms, "endedMs", (json_int_t)hold.ended_ms, "priceMicros",
		(json_int_t)hold.price_micros, "version", (json_int_t)hold.version, "orderId",
		id_json(&hold.order), "keyHash", key_json(hold.keyed, &hold.key), "fingerprint",
		key_json(hold.keyed, &hold.fingerprint));
}

static json_t *position_json(const struct id *id, const MDB_val *key, const MDB_val *value)
{
	const uint8_t *number = key->mv_data;
	struct position position;

	if (key->mv_size != 4 || !record_position_unpack(value->mv_data, value->mv_size, &position))
		return NULL;
	return json_pack("{ss sI so sI sI sI sI}", "kind", "position", "inventoryShard",
		(json_int_t)((uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 |
			     (uint32_t)number[2] << 8 | number[3]),
		"lineage", id_json(&position.lineage), "sequence", (json_int_t)position.sequence, "epoch",
		(json_int_t)position.epoch, "movedMs", (json_int_t)position.moved_ms, "floor",
		(json_int_t)position.floor);
}

static json_t *order_json(const struct id *id, const MDB_val *key, const MDB_val *value)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_record order;
	json_t *list;

	if (!record_order_unpack(id, value->mv_data, value->mv_size, items, &order))
		return NULL;
	list = json_array();
	for (uint32_t i = 0; i < order.item_count; i++)
		json_array_append_new(list,
			json_pack("{so ss sI sI ss}", "holdId", id_json(&items[i].hold), "goodsSKU",
				items[i].sku, "goodsQuantity", (json_int_t)items[i].quantity, "priceMicros",
				(json_int_t)items[i].price_micros, "currency", items[i].currency));
	return json_pack("{ss so so sI ss sI sI sI so so}", "kind", "order", "orderId", id_json(id), "userID",
		text_json(order.user), "inventoryShard", (json_int_t)order.shard, "state",
		state_name((uint8_t)order.truth), "deadlineMs", (json_int_t)order.deadline_ms, "createdMs",
		(json_int_t)order.created_ms, "changedMs", (json_int_t)order.changed_ms, "paymentReference",
		text_json(order.payment), "items", list);
}

static json_t *decision_json(const struct id *id, const MDB_val *key, const MDB_val *value)
{
	struct order_decision decision;
	struct id holds[ORDER_HOLDS_MAX];
	json_t *list;

	if (!record_decision_unpack(id, value->mv_data, value->mv_size, holds, &decision))
		return NULL;
	list = json_array();
	for (uint32_t i = 0; i < decision.hold_count; i++)
		json_array_append_new(list, id_json(&holds[i]));
	return json_pack("{ss so so sI ss so sI sI so so}", "kind", "decision", "orderId", id_json(id),
		"userID", text_json(decision.user), "inventoryShard", (json_int_t)decision.shard, "wish",
		wish_name(decision.wish), "paymentReference", text_json(decision.payment), "createdMs",
		(json_int_t)decision.created_ms, "ttlMs", (json_int_t)decision.ttl_ms, "keyHash",
		key_json(decision.keyed, &decision.key), "holdIds", list);
}

static row_json *const rows[SHELF_TABLE_COUNT] = {
	[SHELF_HOLDS] = line_json,
	[SHELF_POSITIONS] = position_json,
	[SHELF_ORDERS] = order_json,
	[SHELF_DECISIONS] = decision_json,
};

static int export_table_of(
	struct store *store, MDB_txn *txn, enum shelf_table table, struct tool_lines *lines)
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, store->tables[table], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		struct id id = {0};
		json_t *row;

		if (key.mv_size == ID_BYTES)
			memcpy(id.bytes, key.mv_data, ID_BYTES);
		row = key.mv_size == ID_BYTES || table == SHELF_POSITIONS ? rows[table](&id, &key, &value)
									  : NULL;
		if (!row) {
			rc = MDB_CORRUPTED;
			break;
		}
		tool_lines_put(lines, row);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int export_all(struct store *store, MDB_txn *txn, struct tool_lines *lines)
{
	char lineage[ID_TEXT_LENGTH + 1];
	int rc = 0;

	tool_lines_put(lines, json_pack("{ss ss si si si ss sI}", "kind", "store", "service", "cart",
				      "format", CART_STORE_FORMAT, "shard", (int)store->shard, "shards",
				      (int)store->shards, "lineage", id_format(&store->lineage, lineage),
				      "incarnation", (json_int_t)store->incarnation));
	for (int table = 0; !rc && table < SHELF_TABLE_COUNT; table++)
		rc = export_table_of(store, txn, (enum shelf_table)table, lines);
	return rc;
}

static int export(const struct tool_call *call, struct store *store)
{
	const struct export_settings *own = call->own;
	struct error error;
	struct tool_lines *lines = tool_lines_open(own->out, &error);
	MDB_txn *txn;
	int rc;

	if (!lines)
		return tool_end(call, TOOL_NO, "%s", error.text);
	rc = store_read_begin(store, &txn);
	if (!rc) {
		rc = export_all(store, txn, lines);
		mdb_txn_abort(txn);
	}
	if (rc) {
		tool_lines_drop(lines);
		return tool_end(call, TOOL_CANNOT, "a row can't be read: %s", mdb_strerror(rc));
	}
	return tool_lines_close(lines, &error) ? TOOL_FINE : tool_end(call, TOOL_NO, "%s", error.text);
}

static int run_export(const struct tool_call *call)
{
	struct store *store;
	int code;

	if (!tool_needs(call, "store", call->common->store))
		return TOOL_CANNOT;
	store = tool_open_reading(call, call->common->store);
	if (!store)
		return TOOL_CANNOT;
	code = export(call, store);
	store_close(store);
	return code;
}

const struct service_tool tool_cart_export = {.name = "export",
	.purpose = "every row as JSON lines, also while the service runs",
	.settings = export_table,
	.settings_count = 1,
	.settings_bytes = sizeof(struct export_settings),
	.uses_store = true,
	.run = run_export};
