/* Reads of holds: what is committed, put together with what the ledger knows of it. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/reason.h"

#define PAGE_MAX 1000
#define PAGE_STANDARD 100
#define SCAN_MAX 10000

static bool has_expired(const struct inventory *inventory, const struct hold *hold)
{
	return hold->state == HOLD_HELD &&
	       inventory_time_now_ms(&inventory->books->time) >= hold->deadline_ms;
}

static int read_created(
	struct inventory *inventory, MDB_txn *txn, const struct hold *hold, struct ledger_entry *ret)
{
	int rc = books_read_ledger(inventory->store, txn, hold->created, ret);

	return rc == MDB_NOTFOUND || (!rc && ret->kind != LEDGER_HOLD_CREATED) ? MDB_CORRUPTED : rc;
}

/* 0, or an error; ENOMEM: the arena is at its cap. */
static int describe(struct inventory *inventory, MDB_txn *txn, struct arena *arena, const struct hold *hold,
	const struct ledger_entry *created, Inventory__Hold **ret)
{
	struct ledger_entry sale;
	struct bytes payment = {0};

	if (hold->state == HOLD_SOLD) {
		int rc = books_read_ledger(inventory->store, txn, hold->changed, &sale);

		if (rc || sale.kind != LEDGER_HOLD_CHANGED)
			return rc && rc != MDB_NOTFOUND ? rc : MDB_CORRUPTED;
		payment = sale.changed.payment;
	}
	*ret = message_hold(
		arena, hold, created, payment, has_expired(inventory, hold), inventory->books->time.shift_ms);
	return *ret ? 0 : ENOMEM;
}

static int read_hold(
	struct inventory *inventory, struct arena *arena, const struct id *id, Inventory__Hold **ret)
{
	struct ledger_entry created;
	struct hold hold;
	MDB_txn *txn;
	int rc = store_read_begin(inventory->store, &txn);

	if (rc)
		return rc;
	rc = books_read_hold(inventory->store, txn, id, &hold);
	if (!rc)
		rc = read_created(inventory, txn, &hold, &created);
	if (!rc)
		rc = describe(inventory, txn, arena, &hold, &created, ret);
	mdb_txn_abort(txn);
	return rc;
}

INVENTORY_METHOD(get_hold, GetHold)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__GetHoldResponse response = INVENTORY__GET_HOLD_RESPONSE__INIT;
	struct complaint complaint;
	struct id id;
	int rc;

	complaint = hold_id_fill(request->hold_id, &id);
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	rc = read_hold(inventory, rpc_arena(call), &id, &response.hold);
	if (rc == MDB_NOTFOUND)
		rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "no hold has this id");
	else if (rc)
		inventory_fail_store(call, rc);
	else
		answer(&response, call);
}

struct hold_filter {
	const char *user; /* "": any */
	bool by_goods;
	uint32_t goods;
	int state; /* 0: any */
};

struct hold_page {
	struct inventory *inventory;
	struct arena *arena;
	MDB_txn *txn;
	struct hold_filter filter;
	uint32_t max;
	Inventory__ListHoldsResponse *response;
};

/* Adds the hold to the page if it passes. */
static int page_add(struct hold_page *page, const struct hold *hold)
{
	int state = has_expired(page->inventory, hold) ? HOLD_EXPIRED : hold->state;
	size_t user_length = strlen(page->filter.user);
	struct ledger_entry created;
	int rc;

	if ((page->filter.by_goods && hold->goods != page->filter.goods) ||
		(page->filter.state && state != page->filter.state))
		return 0;
	rc = read_created(page->inventory, page->txn, hold, &created);
	if (rc)
		return rc;
	if (user_length && (created.created.user.size != user_length ||
				   memcmp(created.created.user.data, page->filter.user, user_length) != 0))
		return 0;
	rc = describe(page->inventory, page->txn, page->arena, hold, &created,
		&page->response->holds[page->response->n_holds]);
	if (!rc)
		page->response->n_holds++;
	return rc;
}

/* Holds after `after` (zero: from the start). */
static int page_fill(struct hold_page *page, const struct id *after)
{
	MDB_val key = books_value(after->bytes, ID_BYTES), value;
	struct hold hold = {.id = *after};
	MDB_cursor *cursor;
	uint32_t scanned = 0;
	int rc = mdb_cursor_open(page->txn, page->inventory->store->tables[TABLE_HOLDS], &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (!rc && key.mv_size == ID_BYTES && memcmp(key.mv_data, after->bytes, ID_BYTES) == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	while (!rc && page->response->n_holds < page->max && scanned++ < SCAN_MAX) {
		if (!hold_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, &hold))
			rc = MDB_CORRUPTED;
		if (!rc)
			rc = page_add(page, &hold);
		if (!rc)
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (!rc) { /* there is at least one more */
		char *token = arena_alloc(page->arena, ID_TEXT_LENGTH + 1);

		if (!token)
			return ENOMEM;
		page->response->next_page_token = id_format(&hold.id, token);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Goods that are not there have no holds: an empty page, at once. */
static int page_read(struct hold_page *page, const char *sku, const struct id *after)
{
	struct goods goods;
	int rc = store_read_begin(page->inventory->store, &page->txn);

	if (rc)
		return rc;
	if (sku[0]) {
		rc = books_read_goods(page->inventory->store, page->txn, sku, &goods);
		page->filter.by_goods = true;
		page->filter.goods = goods.number;
	}
	if (!rc)
		rc = page_fill(page, after);
	mdb_txn_abort(page->txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

INVENTORY_METHOD(list_holds, ListHolds)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	Inventory__ListHoldsResponse response = INVENTORY__LIST_HOLDS_RESPONSE__INIT;
	struct hold_page page = {.inventory = inventory,
		.arena = rpc_arena(call),
		.filter = {.user = request->user_id, .state = (int)request->state},
		.max = request->page_size ? request->page_size : PAGE_STANDARD,
		.response = &response};
	struct id after = {0};
	int rc;

	if (request->sku[0] && !sku_valid(request->sku))
		rpc_refuse(call, "sku", "expected 1 to 64 characters of A-Z a-z 0-9 . _ -, or nothing");
	else if (strlen(request->user_id) > USER_MAX)
		rpc_refuse(call, "user_id", "expected at most 64 bytes");
	else if (request->state < 0 || (int)request->state > HOLD_REFUNDED)
		rpc_refuse(call, "state", "there is no such state");
	else if (page.max > PAGE_MAX)
		rpc_refuse(call, "page_size", "expected 1 to 1,000, or 0");
	else if (request->page_token[0] && !id_parse(request->page_token, &after))
		rpc_refuse(call, "page_token", "expected next_page_token of the page before");
	else if (!(response.holds = ARENA_ARRAY(page.arena, page.max, Inventory__Hold *)))
		inventory_fail_large(call);
	else if ((rc = page_read(&page, request->sku, &after)))
		inventory_fail_store(call, rc);
	else
		answer(&response, call);
}
