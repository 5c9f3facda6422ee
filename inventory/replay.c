/* replay.c - see replay.h: the ledger read to its end, twice where it is sparse. */
#include "inventory/replay.h"

#include <errno.h>
#include <string.h>

#include "inventory/replay_state.h"

/* Calls visit for each entry, with its sequence. */
static int each_entry(struct replay *r, void (*visit)(struct replay *, uint64_t, const MDB_val *))
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(r->txn, r->store->tables[TABLE_LEDGER], &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (key.mv_size == 8)
			visit(r, store_get_be64(key.mv_data), &value);
		else
			replay_say(r, "the ledger has a key of %zu bytes after entry %llu: damaged",
				key.mv_size, (unsigned long long)r->sequence);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- what was held at the floor by holds that are gone ---- */

static void open_entry(struct replay *r, uint64_t sequence, const MDB_val *value)
{
	struct ledger_entry entry;
	struct replay_hold *hold;

	if (!ledger_unpack(value->mv_data, value->mv_size, &entry))
		return; /* said when it is played */
	if (entry.kind == LEDGER_HOLD_CREATED && !replay_list_find(&r->told, &entry.created.id))
		replay_list_add(&r->told, &entry.created.id);
	if (entry.kind != LEDGER_HOLD_CHANGED || sequence <= r->floor ||
		replay_list_find(&r->told, &entry.changed.id) ||
		replay_list_find(&r->holds, &entry.changed.id))
		return;
	hold = replay_list_add(&r->holds, &entry.changed.id);
	hold->goods = replay_goods_of(r, entry.changed.sku.data, entry.changed.sku.size);
	hold->quantity = entry.changed.quantity_before;
	hold->cart_shard = entry.cart_shard;
	hold->state = HOLD_HELD;
	hold->gone = true;
	hold->goods->goods.held += hold->quantity;
	hold->goods->goods.available -= hold->quantity;
}

/* Of what was archived only the number of units is left, in the goods' rows: the GOODS_ARCHIVED have to tell the same. */
static int open_archived(struct replay *r)
{
	struct archive archive;
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = archive_read(r->store, r->txn, &archive);

	r->archiving = !rc && archive.phase != ARCHIVE_NONE;
	if (!rc)
		rc = mdb_cursor_open(r->txn, r->store->tables[TABLE_GOODS], &cursor);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		struct replay_goods *replayed;
		struct goods goods;

		if (!goods_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, &goods) ||
			!goods.archived)
			continue; /* what can't be read is said later */
		replayed = replay_goods_of(r, goods.sku, strlen(goods.sku));
		replayed->goods.sold += goods.archived;
		replayed->goods.available -= goods.archived;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int open_floor(struct replay *r)
{
	int rc = compaction_read_floor(r->store, r->txn, &r->floor);

	if (!rc)
		rc = compaction_read_loose(r->store, r->txn, &r->loose);
	if (rc || !r->loose)
		return rc;
	replay_list_init(&r->told, sizeof(struct id));
	rc = each_entry(r, open_entry);
	replay_list_release(&r->told);
	return rc ? rc : open_archived(r);
}

/* ---- playing ---- */

static void check_frame(struct replay *r, uint64_t sequence, const struct ledger_entry *entry)
{
	if (sequence <= r->sequence)
		replay_say(r, "entry %llu stands after entry %llu: damaged", (unsigned long long)sequence,
			(unsigned long long)r->sequence);
	else if (sequence > r->floor && sequence != (r->sequence > r->floor ? r->sequence : r->floor) + 1)
		replay_say(r, "entry %llu: missing, and all up to %llu",
			(unsigned long long)(r->sequence > r->floor ? r->sequence : r->floor) + 1,
			(unsigned long long)sequence - 1);
	r->sequence = sequence;
	if (entry && entry->time_ms < r->time_ms)
		replay_entry(r, "time went back by %lld ms", (long long)(r->time_ms - entry->time_ms));
	if (entry)
		r->time_ms = entry->time_ms;
}

/* The entry of something that an archive under way has dropped already. */
static bool is_orphan(const struct replay *r, const struct ledger_entry *entry)
{
	struct order order;
	struct hold hold;

	if (!r->archiving || !replay_sparse(r))
		return false;
	if (entry->kind == LEDGER_HOLD_CREATED)
		return books_read_hold(r->store, r->txn, &entry->created.id, &hold) == MDB_NOTFOUND;
	if (entry->kind == LEDGER_HOLD_CHANGED)
		return books_read_hold(r->store, r->txn, &entry->changed.id, &hold) == MDB_NOTFOUND;
	return entry->kind == LEDGER_ORDER_CHANGED &&
	       books_read_order(r->store, r->txn, &entry->order.id, &order) == MDB_NOTFOUND;
}

static void play(struct replay *r, uint64_t sequence, const MDB_val *value)
{
	struct ledger_entry entry;
	bool readable = ledger_unpack(value->mv_data, value->mv_size, &entry);

	r->result->entries++;
	if (!r->result->first)
		r->result->first = sequence;
	check_frame(r, sequence, readable ? &entry : NULL);
	if (!readable) {
		replay_entry(r, "its %zu bytes can't be read: damaged", value->mv_size);
		return;
	}
	if (is_orphan(r, &entry))
		return;
	switch (entry.kind) {
	case LEDGER_HOLD_CREATED:
		replay_order_is_over(r);
		replay_created(r, &entry);
		break;
	case LEDGER_HOLD_CHANGED:
		replay_changed(r, &entry);
		break;
	case LEDGER_GOODS_CHANGED:
		replay_goods_changed(r, &entry);
		break;
	case LEDGER_CART_FENCED:
		replay_fenced(r, &entry);
		break;
	case LEDGER_INCARNATION:
		replay_incarnation(r, &entry);
		break;
	case LEDGER_ORDER_CHANGED:
		replay_order_changed(r, &entry);
		break;
	case LEDGER_GOODS_ARCHIVED:
		replay_archived(r, &entry);
		break;
	}
}

static int run(struct replay *r)
{
	int rc = open_floor(r);

	if (!rc)
		rc = each_entry(r, play);
	if (rc)
		return rc;
	replay_order_is_over(r);
	rc = replay_rows(r);
	r->result->head = r->sequence > r->floor ? r->sequence : r->floor;
	r->result->holds = r->holds.count;
	r->result->orders = r->orders.count;
	r->result->goods = HASH_COUNT(r->goods);
	return rc;
}

int replay_run(struct store *store, void (*found)(void *context, const char *line), void *context,
	struct replay_result *ret)
{
	struct replay r = {
		.store = store, .found = found, .context = context, .result = ret, .time_ms = INT64_MIN};
	int rc = store_read_begin(store, &r.txn);

	memset(ret, 0, sizeof(*ret));
	if (rc)
		return rc;
	replay_list_init(&r.holds, sizeof(struct replay_hold));
	replay_list_init(&r.orders, sizeof(struct replay_order));
	rc = run(&r);
	mdb_txn_abort(r.txn);
	replay_release(&r);
	return rc;
}
