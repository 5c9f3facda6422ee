#include "protector/shelf.h"

#include <string.h>

#include "protector/records.h"

const char *const shelf_tables[SHELF_TABLE_COUNT] = {
	[TABLE_BANS] = "bans",
	[TABLE_SUBJECTS] = "subjects",
	[TABLE_EXPIRY] = "expiry",
	[TABLE_ENDED] = "ended",
	[TABLE_ENDED_TIMES] = "ended_times",
	[TABLE_ENDED_RAW] = "ended_raw",
	[TABLE_ENDED_SUBJECTS] = "ended_subjects",
};

static int load_rows(MDB_cursor *cursor, struct bans *bans)
{
	struct ban_texts texts;
	struct id replaced;
	MDB_val key, value;
	struct ban ban;
	int rc;

	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!ban_unpack(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &ban, &texts) ||
			bans_put(bans, &ban, &replaced))
			return MDB_CORRUPTED;
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

bool shelf_load(struct store *store, struct bans *bans, struct error *error)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);

	if (rc)
		return error_set(error, "store %s can't be read: %s", store->directory, mdb_strerror(rc));
	rc = mdb_cursor_open(txn, store->tables[TABLE_BANS], &cursor);
	if (!rc) {
		rc = load_rows(cursor, bans);
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	if (rc)
		return error_set(error, "store %s: its bans can't be read, restore a backup: %s",
			store->directory, mdb_strerror(rc));
	return true;
}

static int get_ban(
	struct store *store, MDB_txn *txn, const struct id *id, struct ban *ret, struct ban_texts *texts)
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes}, value;
	int rc = mdb_get(txn, store->tables[TABLE_BANS], &key, &value);

	if (rc)
		return rc;
	return ban_unpack(key.mv_data, key.mv_size, value.mv_data, value.mv_size, ret, texts) ? 0
											      : MDB_CORRUPTED;
}

static int get_id(struct store *store, MDB_txn *txn, const struct ban_subject *subject,
	enum ban_origin origin, struct id *ret)
{
	uint8_t bytes[SUBJECT_ROW_KEY_MAX];
	MDB_val key = {subject_row_key_pack(subject, origin, bytes), bytes}, value;
	int rc = mdb_get(txn, store->tables[TABLE_SUBJECTS], &key, &value);

	if (rc)
		return rc;
	if (value.mv_size != ID_BYTES)
		return MDB_CORRUPTED;
	memcpy(ret->bytes, value.mv_data, ID_BYTES);
	return 0;
}

/* All rows of one that is there. */
static int remove_ban(struct store *store, MDB_txn *txn, const struct ban *ban)
{
	uint8_t subject[SUBJECT_ROW_KEY_MAX], expiry[EXPIRY_KEY_BYTES];
	struct id id = ban->id;
	int rc = row_delete(store, txn, TABLE_SUBJECTS, subject,
		subject_row_key_pack(&ban->subject, ban->origin, subject));

	if (!rc && ban->expire_ms != BANS_NEVER) {
		expiry_key_pack(ban->expire_ms, &ban->id, expiry);
		rc = row_delete(store, txn, TABLE_EXPIRY, expiry, sizeof(expiry));
	}
	return rc ? rc : row_delete(store, txn, TABLE_BANS, id.bytes, ID_BYTES);
}

/* From the shelf to the history. */
static int end_ban(struct history *history, MDB_txn *txn, const struct id *id, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms)
{
	struct ban_texts texts;
	struct ban ban;
	int rc = get_ban(history->store, txn, id, &ban, &texts);

	if (!rc)
		rc = remove_ban(history->store, txn, &ban);
	return rc ? rc : history_keep(history, txn, &ban, how, replaced_by, now_ms);
}

int shelf_remove(struct history *history, MDB_txn *txn, const struct id *id, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms, bool *ret_found)
{
	int rc = end_ban(history, txn, id, how, replaced_by, now_ms);

	*ret_found = rc == 0;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One that an index names. */
static int end_known(struct history *history, MDB_txn *txn, const struct id *id, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms)
{
	int rc = end_ban(history, txn, id, how, replaced_by, now_ms);

	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

int shelf_put(struct history *history, MDB_txn *txn, const struct ban *ban, int64_t now_ms)
{
	struct store *store = history->store;
	uint8_t record[BAN_RECORD_MAX], subject[SUBJECT_ROW_KEY_MAX], expiry[EXPIRY_KEY_BYTES];
	struct id id = ban->id, older;
	int rc = get_id(store, txn, &ban->subject, ban->origin, &older);

	if (!rc)
		rc = end_known(history, txn, &older, BAN_REPLACED, &ban->id, now_ms);
	else if (rc == MDB_NOTFOUND)
		rc = 0;
	if (!rc)
		rc = row_put(
			store, txn, TABLE_BANS, id.bytes, ID_BYTES, record, ban_record_pack(ban, record));
	if (!rc)
		rc = row_put(store, txn, TABLE_SUBJECTS, subject,
			subject_row_key_pack(&ban->subject, ban->origin, subject), id.bytes, ID_BYTES);
	if (rc || ban->expire_ms == BANS_NEVER)
		return rc;
	expiry_key_pack(ban->expire_ms, &ban->id, expiry);
	return row_put(store, txn, TABLE_EXPIRY, expiry, sizeof(expiry), "", 0);
}

int shelf_lift(struct history *history, MDB_txn *txn, const struct ban_subject *subject, int64_t now_ms,
	struct id ret_ids[BAN_ORIGINS], size_t *ret_count)
{
	struct ban_texts texts;
	struct store *store = history->store;
	struct ban ban;

	*ret_count = 0;
	for (enum ban_origin origin = 0; origin < BAN_ORIGINS; origin++) {
		struct id id;
		int rc = get_id(store, txn, subject, origin, &id);

		if (rc == MDB_NOTFOUND)
			continue;
		if (!rc)
			rc = get_ban(store, txn, &id, &ban, &texts);
		if (rc)
			return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
		if (ban.effect == BAN_ALLOWS || ban.effect == BAN_EXEMPTS)
			continue;
		rc = end_known(history, txn, &id, BAN_LIFTED, NULL, now_ms);
		if (rc)
			return rc;
		ret_ids[(*ret_count)++] = id;
	}
	return 0;
}

/* The first of the table. */
static int first_to_end(struct store *store, MDB_txn *txn, int64_t *ret_ms, struct id *ret_id)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, store->tables[TABLE_EXPIRY], &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	if (!rc && !expiry_key_unpack(key.mv_data, key.mv_size, ret_ms, ret_id))
		rc = MDB_CORRUPTED;
	mdb_cursor_close(cursor);
	return rc;
}

int shelf_expire(struct history *history, MDB_txn *txn, int64_t now_ms, size_t max, struct id *ret_ids,
	size_t *ret_count, int64_t *ret_next_ms)
{
	*ret_next_ms = INT64_MAX;
	for (*ret_count = 0;; ++*ret_count) {
		struct id id;
		int64_t at_ms;
		int rc = first_to_end(history->store, txn, &at_ms, &id);

		if (rc)
			return rc == MDB_NOTFOUND ? 0 : rc;
		*ret_next_ms = at_ms;
		if (at_ms > now_ms || *ret_count == max)
			return 0;
		rc = end_known(history, txn, &id, BAN_EXPIRED, NULL, now_ms);
		if (rc)
			return rc;
		ret_ids[*ret_count] = id;
		*ret_next_ms = INT64_MAX;
	}
}
