#include "policy/shelf.h"

#include <string.h>

#include "policy/records.h"

enum { TABLE_RULES };
const char *const shelf_tables[SHELF_TABLE_COUNT] = {[TABLE_RULES] = "rules"};

static int load_rows(MDB_cursor *cursor, struct rules *rules)
{
	MDB_val key, value;
	struct rule rule;
	int rc;

	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!rule_unpack(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &rule))
			return MDB_CORRUPTED;
		rules_put(rules, &rule);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

bool shelf_load(struct store *store, struct rules *rules, struct error *error)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);

	if (rc)
		return error_set(error, "store %s can't be read: %s", store->directory, mdb_strerror(rc));
	rc = mdb_cursor_open(txn, store->tables[TABLE_RULES], &cursor);
	if (!rc) {
		rc = load_rows(cursor, rules);
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	if (rc)
		return error_set(error, "store %s: its rules can't be read, restore a backup: %s",
			store->directory, mdb_strerror(rc));
	return true;
}

int shelf_put(struct store *store, MDB_txn *txn, const struct rule *rule)
{
	uint8_t key_bytes[RULE_KEY_MAX], record[RULE_RECORD_BYTES];
	MDB_val key = {rule_key_pack(rule->sku, rule->level, key_bytes), key_bytes};
	MDB_val value = {sizeof(record), record};

	rule_record_pack(rule, record);
	return mdb_put(txn, store->tables[TABLE_RULES], &key, &value, 0);
}

int shelf_remove(struct store *store, MDB_txn *txn, const char *sku, int32_t level, uint32_t *ret_removed)
{
	uint8_t key_bytes[RULE_KEY_MAX];
	MDB_val key = {rule_key_pack(sku, level, key_bytes), key_bytes};
	int rc = mdb_del(txn, store->tables[TABLE_RULES], &key, NULL);

	*ret_removed = rc == 0;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int shelf_remove_sku(struct store *store, MDB_txn *txn, const char *sku, uint32_t *ret_removed)
{
	uint8_t prefix[RULE_KEY_MAX];
	size_t length = rule_key_prefix(sku, prefix);
	MDB_val key = {length, prefix}, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, store->tables[TABLE_RULES], &cursor);

	*ret_removed = 0;
	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!rc && key.mv_size >= length && memcmp(key.mv_data, prefix, length) == 0) {
		rc = mdb_cursor_del(cursor, 0);
		if (rc)
			break;
		++*ret_removed;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}
