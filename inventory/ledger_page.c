#include "inventory/ledger_page.h"

#include <errno.h>

#include "inventory/books.h"
#include "inventory/messages.h"

static bool passes(const struct ledger_filter *filter, enum ledger_kind kind, uint32_t cart_shard)
{
	if (!filter->by_cart || kind == LEDGER_INCARNATION || kind == LEDGER_GOODS_ARCHIVED)
		return true;
	return kind != LEDGER_GOODS_CHANGED && cart_shard == filter->cart_shard;
}

static int add_entry(struct arena *arena, uint64_t sequence, const MDB_val *value, int64_t standard_ttl_ms,
	Inventory__ReadLedgerResponse *response)
{
	struct ledger_entry entry;

	if (!ledger_unpack(value->mv_data, value->mv_size, &entry))
		return MDB_CORRUPTED;
	response->entries[response->n_entries] = message_entry(arena, sequence, &entry, standard_ttl_ms);
	if (!response->entries[response->n_entries])
		return ENOMEM;
	response->n_entries++;
	return 0;
}

static int read_from(MDB_cursor *cursor, struct arena *arena, const struct ledger_filter *filter,
	int64_t standard_ttl_ms, uint64_t head, uint64_t *position, Inventory__ReadLedgerResponse *response)
{
	const size_t entries_max = filter->entries_max ? filter->entries_max : LEDGER_PAGE_ENTRIES;
	uint8_t first[8];
	MDB_val key, value;
	int rc;

	store_put_be64(first, *position + 1);
	key = (MDB_val){sizeof(first), first};
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (int looked = 0; !rc && looked < LEDGER_PAGE_SCAN && response->n_entries < entries_max;
		looked++) {
		enum ledger_kind kind;
		uint32_t cart_shard;

		if (key.mv_size != 8)
			return MDB_CORRUPTED;
		if (store_get_be64(key.mv_data) > head) {
			rc = MDB_NOTFOUND;
			break;
		}
		if (!ledger_peek(value.mv_data, value.mv_size, &kind, &cart_shard))
			return MDB_CORRUPTED;
		if (passes(filter, kind, cart_shard)) {
			rc = add_entry(arena, store_get_be64(key.mv_data), &value, standard_ttl_ms, response);
			if (rc)
				return rc;
		}
		*position = store_get_be64(key.mv_data);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc == MDB_NOTFOUND && *position < head)
		*position = head; /* below the floor the last entries can be missing too */
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int ledger_page_read(struct store *store, struct arena *arena, const struct ledger_filter *filter,
	int64_t standard_ttl_ms, uint64_t head, uint64_t *position, Inventory__ReadLedgerResponse *response)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc;

	response->entries = ARENA_ARRAY(arena, LEDGER_PAGE_ENTRIES, Inventory__LedgerEntry *);
	if (!response->entries)
		return ENOMEM;
	rc = store_read_begin(store, &txn);
	if (rc)
		return rc;
	rc = compaction_read_floor(store, txn, &response->floor);
	if (!rc)
		rc = mdb_cursor_open(txn, store->tables[TABLE_LEDGER], &cursor);
	if (!rc) {
		rc = read_from(cursor, arena, filter, standard_ttl_ms, head, position, response);
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc;
}
