#include "inventory/audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/memory.h"
#include "inventory/books.h"

struct tally {
	struct audit_item item;
	uint32_t number;
	UT_hash_handle hh;
};

struct auditor {
	struct store *store;
	MDB_txn *txn;
	const _Atomic bool *cancel;
	struct tally *by_sku;
	struct tally **by_number;
	size_t count;
	uint64_t head, live, kept; /* kept: holds that name an order */
	uint64_t floor, loose;	   /* loose: compaction_read_loose */
	bool archiving;
	struct audit *ret;
};

static void __attribute__((format(printf, 2, 3))) find_fault(char finding[160], const char *format, ...)
{
	va_list arguments;

	if (finding[0])
		return; /* the first one says most */
	va_start(arguments, format);
	vsnprintf(finding, 160, format, arguments);
	va_end(arguments);
}

/* Calls visit for each row of a table, from the first key or the given one on. */
static int each(struct auditor *a, enum books_table table, MDB_val *from,
	int (*visit)(struct auditor *, const MDB_val *, const MDB_val *))
{
	MDB_cursor *cursor;
	MDB_val key, value;
	unsigned rows = 0;
	int rc = mdb_cursor_open(a->txn, a->store->tables[table], &cursor);

	if (rc)
		return rc;
	if (from)
		key = *from;
	for (rc = mdb_cursor_get(cursor, &key, &value, from ? MDB_SET_RANGE : MDB_FIRST); !rc;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		if (++rows % 1024 == 0 && a->cancel && atomic_load(a->cancel))
			rc = ECANCELED;
		if (!rc)
			rc = visit(a, &key, &value);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int visit_goods(struct auditor *a, const MDB_val *key, const MDB_val *value)
{
	struct tally *tally;
	struct goods goods;

	if (!goods_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &goods))
		return MDB_CORRUPTED;
	tally = NEW(struct tally);
	strcpy(tally->item.sku, goods.sku);
	tally->number = goods.number;
	tally->item.row = (struct stock_count){goods.stock, goods.available, goods.held, goods.sold};
	tally->item.holds.sold = tally->item.ledger.sold =
		goods.archived; /* of these only the number is left */
	HASH_ADD_KEYPTR(hh, a->by_sku, tally->item.sku, strlen(tally->item.sku), tally);
	a->count++;
	return 0;
}

static int index_numbers(struct auditor *a)
{
	a->by_number = NEW_ARRAY(a->count + 1, struct tally *);
	for (struct tally *tally = a->by_sku; tally; tally = tally->hh.next) {
		if (tally->number >= a->count || a->by_number[tally->number])
			return MDB_CORRUPTED;
		a->by_number[tally->number] = tally;
	}
	return 0;
}

static int visit_hold(struct auditor *a, const MDB_val *key, const MDB_val *value)
{
	struct hold hold;

	if (!hold_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &hold) ||
		hold.goods >= a->count)
		return MDB_CORRUPTED;
	if (hold.state == HOLD_HELD) {
		a->by_number[hold.goods]->item.holds.held += hold.quantity;
		a->live++;
	} else if (hold.state == HOLD_SOLD) {
		a->by_number[hold.goods]->item.holds.sold += hold.quantity;
	}
	a->kept += !id_is_zero(&hold.order);
	return 0;
}

/* An order and each of its holds agree; and all holds that name an order are counted in one. */
static int visit_order(struct auditor *a, const MDB_val *key, const MDB_val *value)
{
	char text[ID_TEXT_LENGTH + 1];
	struct order order;
	struct hold hold;

	if (!order_unpack(value->mv_data, value->mv_size, key->mv_data, key->mv_size, &order))
		return MDB_CORRUPTED;
	for (uint32_t i = 0; i < order.hold_count; i++) {
		int rc = books_read_hold(a->store, a->txn, &order.holds[i], &hold);

		if (rc && rc != MDB_NOTFOUND)
			return rc;
		if (rc || hold.state != order.state || id_compare(&hold.order, &order.id) != 0 ||
			hold.deadline_ms != order.deadline_ms || hold.cart_shard != order.cart_shard)
			find_fault(a->ret->finding, "order %s and one of its holds do not agree",
				id_format(&order.id, text));
		a->kept--;
	}
	return 0;
}

static struct tally *tally_of(struct auditor *a, struct bytes sku)
{
	struct tally *tally;

	HASH_FIND(hh, a->by_sku, sku.data, sku.size, tally);
	return tally;
}

static void replay_change(struct stock_count *count, const struct ledger_entry *entry)
{
	switch (entry->changed.state) {
	case HOLD_HELD:
		count->held -= entry->changed.quantity_before - entry->changed.quantity;
		break;
	case HOLD_SOLD:
		count->held -= entry->changed.quantity_before;
		count->sold += entry->changed.quantity;
		break;
	case HOLD_RELEASED:
	case HOLD_EXPIRED:
		count->held -= entry->changed.quantity_before;
		break;
	case HOLD_REFUNDED:
		count->sold -= entry->changed.quantity_before;
		break;
	}
}

/* An operator's entry carries the whole row: another point where the replay can be compared. */
static void replay_goods(struct auditor *a, struct audit_item *item, const struct goods *goods)
{
	item->ledger.stock = goods->stock;
	if (a->head <= a->loose)
		return; /* units of holds that are gone are in it */
	if (goods->held != item->ledger.held || goods->sold != item->ledger.sold)
		find_fault(item->finding,
			"at entry %llu the row had %lld held and %lld sold, the replay %lld and %lld",
			(unsigned long long)a->head, (long long)goods->held, (long long)goods->sold,
			(long long)item->ledger.held, (long long)item->ledger.sold);
}

/* Entries of what an archive that is under way has dropped go a little later. */
static int is_orphan(struct auditor *a, const struct ledger_entry *entry, bool *ret)
{
	struct hold hold;
	int rc = 0;

	*ret = false;
	if (!a->archiving || a->head > a->floor)
		return 0;
	if (entry->kind == LEDGER_HOLD_CREATED)
		rc = books_read_hold(a->store, a->txn, &entry->created.id, &hold);
	else if (entry->kind == LEDGER_HOLD_CHANGED)
		rc = books_read_hold(a->store, a->txn, &entry->changed.id, &hold);
	*ret = rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int visit_entry(struct auditor *a, const MDB_val *key, const MDB_val *value)
{
	struct ledger_entry entry;
	struct tally *tally = NULL;
	bool orphan;
	int rc;

	if (key->mv_size != 8 || !ledger_unpack(value->mv_data, value->mv_size, &entry))
		return MDB_CORRUPTED;
	if (a->head < a->floor && store_get_be64(key->mv_data) > a->floor)
		a->head = a->floor;
	if (a->head >= a->floor && store_get_be64(key->mv_data) != a->head + 1)
		find_fault(a->ret->finding, "the ledger has a gap after entry %llu",
			(unsigned long long)a->head);
	a->head = store_get_be64(key->mv_data);
	rc = is_orphan(a, &entry, &orphan);
	if (rc || orphan)
		return rc;
	switch (entry.kind) {
	case LEDGER_HOLD_CREATED:
		tally = tally_of(a, entry.created.sku);
		if (tally)
			tally->item.ledger.held += entry.created.quantity;
		break;
	case LEDGER_HOLD_CHANGED:
		tally = tally_of(a, entry.changed.sku);
		if (tally)
			replay_change(&tally->item.ledger, &entry);
		break;
	case LEDGER_GOODS_CHANGED:
		tally = tally_of(a, (struct bytes){entry.goods.sku, (uint8_t)strlen(entry.goods.sku)});
		if (tally)
			replay_goods(a, &tally->item, &entry.goods);
		break;
	case LEDGER_ORDER_CHANGED: /* its holds' own entries move the units */
	case LEDGER_GOODS_ARCHIVED:
	case LEDGER_CART_FENCED:
	case LEDGER_INCARNATION:
		return 0;
	}
	if (!tally) {
		find_fault(a->ret->finding, "entry %llu is about goods that have no row",
			(unsigned long long)a->head);
		return 0;
	}
	tally->item.ledger.available =
		tally->item.ledger.stock - tally->item.ledger.held - tally->item.ledger.sold;
	if (a->head > a->loose && (tally->item.ledger.available < 0 || tally->item.ledger.held < 0))
		find_fault(tally->item.finding, "oversold after entry %llu", (unsigned long long)a->head);
	return 0;
}

/* By how much an entry moves what is held. */
static int64_t held_by(const struct ledger_entry *entry)
{
	struct stock_count count = {0};

	if (entry->kind == LEDGER_HOLD_CREATED)
		return entry->created.quantity;
	replay_change(&count, entry);
	return count.held;
}

/* Whether what has this id may be gone: it is not above the mark of its cart shard. */
static int may_be_gone(struct auditor *a, uint32_t cart_shard, const struct id *id, bool *ret)
{
	uint8_t bytes[8];
	MDB_val key = {sizeof(bytes), bytes}, value;
	struct fence fence;
	int rc;

	store_put_be64(bytes, cart_shard);
	rc = mdb_get(a->txn, a->store->tables[TABLE_FENCES], &key, &value);
	*ret = false;
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (!fence_unpack(value.mv_data, value.mv_size, &fence))
		return MDB_CORRUPTED;
	*ret = id_compare(id, &fence.removed) <= 0;
	return 0;
}

/* An entry above the floor. If its hold was dropped, all that its entries here take back was held at the floor. */
static int visit_opening(struct auditor *a, const MDB_val *key, const MDB_val *value)
{
	char text[ID_TEXT_LENGTH + 1];
	struct ledger_entry entry;
	struct tally *tally;
	struct hold hold;
	struct id id;
	bool gone;
	int rc;

	if (!ledger_unpack(value->mv_data, value->mv_size, &entry))
		return MDB_CORRUPTED;
	if (entry.kind != LEDGER_HOLD_CREATED && entry.kind != LEDGER_HOLD_CHANGED)
		return 0;
	id = entry.kind == LEDGER_HOLD_CREATED ? entry.created.id : entry.changed.id;
	rc = books_read_hold(a->store, a->txn, &id, &hold);
	if (rc != MDB_NOTFOUND)
		return rc;
	rc = may_be_gone(a, entry.cart_shard, &id, &gone);
	if (rc)
		return rc;
	if (!gone)
		find_fault(a->ret->finding, "the ledger tells of hold %s, which is not there",
			id_format(&id, text));
	tally = tally_of(a, entry.kind == LEDGER_HOLD_CREATED ? entry.created.sku : entry.changed.sku);
	if (tally)
		tally->item.ledger.held -= held_by(&entry);
	return 0;
}

static int replay(struct auditor *a)
{
	uint8_t bytes[8];
	MDB_val first = {sizeof(bytes), bytes};
	struct archive archive;
	int rc = compaction_read_floor(a->store, a->txn, &a->floor);

	if (!rc)
		rc = compaction_read_loose(a->store, a->txn, &a->loose);
	if (!rc)
		rc = archive_read(a->store, a->txn, &archive);
	if (rc)
		return rc;
	a->archiving = archive.phase != ARCHIVE_NONE;
	store_put_be64(bytes, a->floor + 1);
	if (!rc && a->floor)
		rc = each(a, TABLE_LEDGER, &first, visit_opening);
	if (!rc)
		rc = each(a, TABLE_LEDGER, NULL, visit_entry);
	if (a->head < a->floor)
		a->head = a->floor;
	return rc;
}

static void compare(struct audit_item *item)
{
	const struct stock_count *row = &item->row, *replay = &item->ledger;

	item->holds.stock = row->stock;
	item->holds.available = row->available;
	if (row->stock != row->available + row->held + row->sold)
		find_fault(item->finding, "stock is not available + held + sold");
	if (item->holds.held != row->held || item->holds.sold != row->sold)
		find_fault(item->finding, "the row has %lld held and %lld sold, the holds %lld and %lld",
			(long long)row->held, (long long)row->sold, (long long)item->holds.held,
			(long long)item->holds.sold);
	if (replay->stock != row->stock || replay->available != row->available || replay->held != row->held ||
		replay->sold != row->sold)
		find_fault(item->finding,
			"the row has %lld available, %lld held, %lld sold, the replay %lld, %lld, %lld",
			(long long)row->available, (long long)row->held, (long long)row->sold,
			(long long)replay->available, (long long)replay->held, (long long)replay->sold);
	item->consistent = item->finding[0] == '\0';
}

static int by_sku_text(const void *a, const void *b)
{
	return strcmp(((const struct audit_item *)a)->sku, ((const struct audit_item *)b)->sku);
}

static int conclude(struct auditor *a, const char *sku)
{
	struct audit *ret = a->ret;
	MDB_stat expiry;
	int rc = mdb_stat(a->txn, a->store->tables[TABLE_EXPIRY], &expiry);

	if (rc)
		return rc;
	if (expiry.ms_entries != a->live)
		find_fault(ret->finding, "%llu holds are live, but %zu have an expiry row",
			(unsigned long long)a->live, expiry.ms_entries);
	if (a->kept)
		find_fault(
			ret->finding, "%lld holds name an order that does not have them", (long long)a->kept);
	ret->sequence = a->head;
	ret->consistent = ret->finding[0] == '\0';
	ret->items = NEW_ARRAY(a->count + 1, struct audit_item);
	for (struct tally *tally = a->by_sku; tally; tally = tally->hh.next) {
		if (sku && strcmp(sku, tally->item.sku) != 0)
			continue;
		compare(&tally->item);
		ret->consistent = ret->consistent && tally->item.consistent;
		ret->items[ret->count++] = tally->item;
	}
	qsort(ret->items, ret->count, sizeof(ret->items[0]), by_sku_text);
	return 0;
}

int audit_run(struct store *store, const char *sku, const _Atomic bool *cancel, struct audit *ret)
{
	struct auditor a = {.store = store, .cancel = cancel, .ret = ret};
	struct tally *tally, *next;
	int rc = store_read_begin(store, &a.txn);

	memset(ret, 0, sizeof(*ret));
	if (rc)
		return rc;
	rc = each(&a, TABLE_GOODS, NULL, visit_goods);
	if (!rc)
		rc = index_numbers(&a);
	if (!rc)
		rc = each(&a, TABLE_HOLDS, NULL, visit_hold);
	if (!rc)
		rc = each(&a, TABLE_ORDERS, NULL, visit_order);
	if (!rc)
		rc = replay(&a);
	if (!rc)
		rc = conclude(&a, sku);
	mdb_txn_abort(a.txn);
	HASH_ITER (hh, a.by_sku, tally, next) {
		HASH_DEL(a.by_sku, tally);
		free(tally);
	}
	free(a.by_number);
	return rc;
}

void audit_release(struct audit *audit)
{
	free(audit->items);
	memset(audit, 0, sizeof(*audit));
}
