/* tool_export.c - `flashsale-inventory export`: every row of a store, or those of one SKU, as JSON lines, from one snapshot. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/books.h"
#include "inventory/complaints.h"
#include "inventory/export_rows.h"
#include "inventory/tools.h"
#include "rpc/tool_lines.h"

struct export_settings {
	char *sku, *out;
};

static const struct config_setting export_table[] = {
	{"sku", CONFIG_TEXT, offsetof(struct export_settings, sku), NULL, true, 0, 0,
		"only what is about these goods"},
	{"out", CONFIG_TEXT, offsetof(struct export_settings, out), NULL, true, 0, 0,
		"file to be made, synced; without it: stdout"},
};

struct exporter {
	struct store *store;
	MDB_txn *txn;
	struct tool_lines *lines;
	const char *sku;	   /* NULL: all */
	char (*skus)[SKU_MAX + 1]; /* by number */
	size_t sku_count;
};

static int each(struct exporter *e, enum books_table table,
	int (*visit)(struct exporter *, const MDB_val *, const MDB_val *))
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(e->txn, e->store->tables[table], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		rc = visit(e, &key, &value);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool wanted(const struct exporter *e, const void *sku, size_t size)
{
	return !e->sku || (strlen(e->sku) == size && memcmp(e->sku, sku, size) == 0);
}

static int visit_goods(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct goods goods;

	if (!goods_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &goods) ||
		goods.number >= e->sku_count)
		return MDB_CORRUPTED;
	strcpy(e->skus[goods.number], goods.sku);
	if (wanted(e, goods.sku, strlen(goods.sku)))
		tool_lines_put(e->lines, export_goods(&goods, "goods"));
	return 0;
}

static int visit_hold(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct hold hold;

	if (!hold_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &hold) ||
		hold.goods >= e->sku_count)
		return MDB_CORRUPTED;
	if (wanted(e, e->skus[hold.goods], strlen(e->skus[hold.goods])))
		tool_lines_put(e->lines, export_hold(&hold, e->skus[hold.goods]));
	return 0;
}

/* With a SKU: the orders that have a hold of it. */
static int order_wanted(struct exporter *e, const struct order *order, bool *ret)
{
	struct hold hold;
	int rc = 0;

	*ret = !e->sku;
	for (uint32_t i = 0; !rc && !*ret && i < order->hold_count; i++) {
		rc = books_read_hold(e->store, e->txn, &order->holds[i], &hold);
		*ret = !rc && hold.goods < e->sku_count &&
		       wanted(e, e->skus[hold.goods], strlen(e->skus[hold.goods]));
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	return rc;
}

static int visit_order(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct order order;
	bool want;
	int rc;

	if (!order_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &order))
		return MDB_CORRUPTED;
	rc = order_wanted(e, &order, &want);
	if (!rc && want)
		tool_lines_put(e->lines, export_order(&order));
	return rc;
}

static bool order_entry_wanted(const struct exporter *e, const struct ledger_entry *entry)
{
	struct order_item item;
	size_t at = 0;

	while (entry->order.item_count && ledger_order_item(entry, &at, &item))
		if (wanted(e, item.sku, strlen(item.sku)))
			return true;
	return false;
}

/* With a SKU: of orders, only the entries that name their items. */
static bool entry_wanted(const struct exporter *e, const struct ledger_entry *entry)
{
	if (!e->sku)
		return true;
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		return wanted(e, entry->created.sku.data, entry->created.sku.size);
	case LEDGER_HOLD_CHANGED:
		return wanted(e, entry->changed.sku.data, entry->changed.sku.size);
	case LEDGER_GOODS_CHANGED:
		return wanted(e, entry->goods.sku, strlen(entry->goods.sku));
	case LEDGER_GOODS_ARCHIVED:
		return wanted(e, entry->archived.sku.data, entry->archived.sku.size);
	case LEDGER_ORDER_CHANGED:
		return order_entry_wanted(e, entry);
	case LEDGER_CART_FENCED:
	case LEDGER_INCARNATION:
		break;
	}
	return false;
}

static int visit_entry(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct ledger_entry entry;

	if (key->mv_size != 8 || !ledger_unpack(value->mv_data, value->mv_size, &entry))
		return MDB_CORRUPTED;
	if (entry_wanted(e, &entry))
		tool_lines_put(e->lines, export_entry(store_get_be64(key->mv_data), &entry));
	return 0;
}

static int visit_fence(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct fence fence;

	if (key->mv_size != 8 || !fence_unpack(value->mv_data, value->mv_size, &fence))
		return MDB_CORRUPTED;
	tool_lines_put(e->lines, export_fence((uint32_t)store_get_be64(key->mv_data), &fence));
	return 0;
}

static int visit_request(struct exporter *e, const MDB_val *key, const MDB_val *value)
{
	struct adjust_record record;
	struct id id;

	if (key->mv_size != ID_BYTES)
		return 0; /* an index into the others */
	if (!adjust_unpack(value->mv_data, value->mv_size, &record))
		return MDB_CORRUPTED;
	memcpy(id.bytes, key->mv_data, ID_BYTES);
	if (wanted(e, record.result.sku, strlen(record.result.sku)))
		tool_lines_put(e->lines, export_request(&id, &record));
	return 0;
}

/* A number of meta; absent: 0. */
static json_int_t meta_number(struct exporter *e, const char *name, size_t size, size_t at)
{
	uint8_t bytes[16];

	if (store_meta_get(e->store, e->txn, name, bytes, size) != 0)
		return 0;
	return (json_int_t)store_get_be64(bytes + at);
}

static void put_head(struct exporter *e)
{
	char lineage[ID_TEXT_LENGTH + 1];

	tool_lines_put(e->lines,
		json_pack("{ss ss si si si ss sI sI sI sI sI ss?}", "kind", "store", "service", "inventory",
			"format", INVENTORY_FORMAT, "shard", (int)e->store->shard, "shards",
			(int)e->store->shards, "lineage", id_format(&e->store->lineage, lineage),
			"incarnation", (json_int_t)e->store->incarnation, "timeMs",
			meta_number(e, "time", 16, 0), "shiftMs", meta_number(e, "time", 16, 8), "cartShards",
			meta_number(e, "cart_shards", 8, 0), "floor", meta_number(e, "floor", 8, 0),
			"onlySKU", e->sku));
}

static int export_all(struct exporter *e)
{
	MDB_stat stat;
	int rc = mdb_stat(e->txn, e->store->tables[TABLE_GOODS], &stat);

	if (rc)
		return rc;
	e->sku_count = stat.ms_entries;
	e->skus = memory_new_array(e->sku_count + 1, sizeof(e->skus[0]));
	put_head(e);
	rc = each(e, TABLE_GOODS, visit_goods);
	if (!rc)
		rc = each(e, TABLE_HOLDS, visit_hold);
	if (!rc)
		rc = each(e, TABLE_ORDERS, visit_order);
	if (!rc)
		rc = each(e, TABLE_LEDGER, visit_entry);
	if (!rc && !e->sku)
		rc = each(e, TABLE_FENCES, visit_fence);
	if (!rc)
		rc = each(e, TABLE_REQUESTS, visit_request);
	free(e->skus);
	return rc;
}

static int export(const struct tool_call *call, struct store *store)
{
	const struct export_settings *own = call->own;
	struct exporter e = {.store = store, .sku = own->sku};
	struct error error;
	int rc = store_read_begin(store, &e.txn);

	if (rc)
		return tool_end(call, TOOL_CANNOT, "reading the store: %s", mdb_strerror(rc));
	e.lines = tool_lines_open(own->out, &error);
	if (!e.lines) {
		mdb_txn_abort(e.txn);
		return tool_end(call, TOOL_NO, "%s", error.text);
	}
	rc = export_all(&e);
	mdb_txn_abort(e.txn);
	if (rc) {
		tool_lines_drop(e.lines);
		return tool_end(
			call, TOOL_CANNOT, "a row can't be read: %s: `audit` says which", mdb_strerror(rc));
	}
	return tool_lines_close(e.lines, &error) ? TOOL_FINE : tool_end(call, TOOL_NO, "%s", error.text);
}

static int run_export(const struct tool_call *call)
{
	const struct export_settings *own = call->own;
	struct store *store;
	int code;

	if (!tool_needs(call, "store", call->common->store))
		return TOOL_CANNOT;
	if (own->sku && !sku_valid(own->sku))
		return tool_end(call, TOOL_CANNOT, "--sku is no SKU");
	store = tool_open_reading(call, call->common->store);
	if (!store)
		return TOOL_CANNOT;
	code = export(call, store);
	store_close(store);
	return code;
}

const struct service_tool tool_export = {.name = "export",
	.purpose = "every row as JSON lines, also while the service runs",
	.settings = export_table,
	.settings_count = 2,
	.settings_bytes = sizeof(struct export_settings),
	.uses_store = true,
	.run = run_export};
