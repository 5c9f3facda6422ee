/* Reads of goods: what is committed, in short read transactions on the loop. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/reason.h"

#define PAGE_MAX 10000
#define SCAN_MAX 20000
#define API_VERSION "1.0"

/* The row of goods on sale; false: the call was ended. */
static bool read_open(struct inventory *inventory, const char *sku, struct goods *ret, struct rpc_call *call)
{
	struct complaint complaint = complain_sku(sku);
	MDB_txn *txn;
	int rc;

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return false;
	}
	rc = store_read_begin(inventory->store, &txn);
	if (!rc) {
		rc = books_read_goods(inventory->store, txn, sku, ret);
		mdb_txn_abort(txn);
	}
	if (rc == MDB_NOTFOUND || (!rc && ret->closed)) {
		inventory_fail_missing(inventory, sku, call);
		return false;
	}
	if (rc)
		inventory_fail_store(call, rc);
	return !rc;
}

INVENTORY_METHOD(get_goods, GetGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__GetGoodsResponse response = INVENTORY__GET_GOODS_RESPONSE__INIT;
	struct goods_message message;
	struct goods goods;

	if (!read_open(inventory, request->sku, &goods, call))
		return;
	goods_message_set(&message, &goods, inventory->settings->hold_ttl_ms);
	response.goods = &message.goods;
	answer(&response, call);
}

INVENTORY_METHOD(validate_stock, ValidateStock)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__ValidateStockResponse response = INVENTORY__VALIDATE_STOCK_RESPONSE__INIT;
	struct goods goods;

	if (request->quantity < 1 || request->quantity > QUANTITY_MAX) {
		rpc_refuse(call, "quantity", "expected 1 to 1,000,000");
		return;
	}
	if (strlen(request->session_id) > SESSION_MAX) {
		rpc_refuse(call, "session_id", "expected at most 64 bytes");
		return;
	}
	if (!read_open(inventory, request->sku, &goods, call))
		return;
	response.session_id = request->session_id;
	response.sku = request->sku;
	response.quantity = request->quantity;
	response.total_quantity = (uint64_t)goods.available;
	response.is_allowed = engine_can_hold(&goods, request->quantity) == VERDICT_YES;
	response.api_version = (char *)(uintptr_t)API_VERSION;
	answer(&response, call);
}

/* Rows after `token` into the response, at most `max`. */
static int list_page(struct inventory *inventory, MDB_txn *txn, struct arena *arena, const char *token,
	uint32_t max, Inventory__ListGoodsResponse *response)
{
	MDB_val key = books_value(token, strlen(token)), value;
	struct goods goods = {0};
	MDB_cursor *cursor;
	uint32_t scanned = 0;
	int rc = mdb_cursor_open(txn, inventory->store->tables[TABLE_GOODS], &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, token[0] ? MDB_SET_RANGE : MDB_FIRST);
	if (!rc && token[0] && key.mv_size == strlen(token) && memcmp(key.mv_data, token, key.mv_size) == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	for (; !rc && response->n_goods < max && scanned < SCAN_MAX; scanned++) {
		if (!goods_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, &goods)) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (!goods.closed) {
			response->goods[response->n_goods] =
				message_goods(arena, &goods, inventory->settings->hold_ttl_ms);
			if (!response->goods[response->n_goods++]) {
				rc = ENOMEM;
				break;
			}
		}
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (!rc) { /* there is at least one more */
		response->next_page_token = arena_text(arena, goods.sku, strlen(goods.sku));
		rc = response->next_page_token ? 0 : ENOMEM;
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

INVENTORY_METHOD(list_goods, ListGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__ListGoodsResponse response = INVENTORY__LIST_GOODS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	uint32_t max = request->page_size ? request->page_size : PAGE_MAX;
	MDB_txn *txn;
	int rc;

	if (max > PAGE_MAX) {
		rpc_refuse(call, "page_size", "expected 1 to 10,000, or 0");
		return;
	}
	if (request->page_token[0] && !sku_valid(request->page_token)) {
		rpc_refuse(call, "page_token", "expected next_page_token of the page before");
		return;
	}
	response.goods = ARENA_ARRAY(arena, max, Inventory__Goods *);
	if (!response.goods) {
		inventory_fail_large(call);
		return;
	}
	rc = store_read_begin(inventory->store, &txn);
	if (!rc) {
		rc = list_page(inventory, txn, arena, request->page_token, max, &response);
		mdb_txn_abort(txn);
	}
	if (rc)
		inventory_fail_store(call, rc);
	else
		answer(&response, call);
}

INVENTORY_METHOD(watch_stock, WatchStock)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);

	watch_board_stream(inventory->board, call, request->resume_incarnation, request->resume_version);
}
