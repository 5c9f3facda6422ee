#include "protector/history.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/text.h"

#define KEY_NAME "history/key"
#define LOOK_MS 1000 /* how often the room is looked at */
#define DISK_RESERVE_BYTES (INT64_C(64) << 20)

/* ---- its key ---- */

static int read_or_make_key(struct history *history)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(history->store->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = store_meta_get(history->store, txn, KEY_NAME, history->key, sizeof(history->key));
	if (rc != MDB_NOTFOUND) {
		mdb_txn_abort(txn);
		return rc;
	}
	if (RAND_bytes(history->key, sizeof(history->key)) != 1)
		rc = EIO;
	else
		rc = store_meta_put(history->store, txn, KEY_NAME, history->key, sizeof(history->key));
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return rc;
}

bool history_open(struct history *history, struct store *store, const struct history_limits *limits,
	struct error *error)
{
	int rc;

	*history = (struct history){.store = store, .limits = *limits, .looked_ms = INT64_MIN};
	rc = read_or_make_key(history);
	return !rc || error_set(error, "store %s: the key of its history can't be read or made: %s",
			      store->directory, mdb_strerror(rc));
}

void history_hash(
	const struct history *history, const struct ban_subject *subject, uint8_t ret[SUBJECT_HASH_BYTES])
{
	uint8_t bytes[SUBJECT_KEY_MAX], mac[EVP_MAX_MD_SIZE];
	unsigned size;
	const unsigned char *made = HMAC(EVP_sha256(), history->key, sizeof(history->key), bytes,
		subject_pack(subject, bytes), mac, &size);

	assert(made && size >= SUBJECT_HASH_BYTES);
	memcpy(ret, mac, SUBJECT_HASH_BYTES);
}

/* ---- reading ---- */

int history_get(const struct history *history, MDB_txn *txn, const struct id *id, struct ended_ban *ret,
	struct ban_texts *texts)
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes}, value;
	int rc = mdb_get(txn, history->store->tables[TABLE_ENDED], &key, &value);

	if (rc)
		return rc;
	return ended_unpack(key.mv_data, key.mv_size, value.mv_data, value.mv_size, ret, texts)
		       ? 0
		       : MDB_CORRUPTED;
}

/* The first row whose key is at or after this one, and is not this one. */
static int next_key(const struct history *history, MDB_txn *txn, enum protector_table table, void *key,
	size_t size, MDB_val *ret)
{
	MDB_val found = {size, key}, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, history->store->tables[table], &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &found, &value, MDB_SET_RANGE);
	if (!rc && found.mv_size == size && memcmp(found.mv_data, key, size) == 0)
		rc = mdb_cursor_get(cursor, &found, &value, MDB_NEXT);
	mdb_cursor_close(cursor);
	*ret = found;
	return rc;
}

int history_after(const struct history *history, MDB_txn *txn, const uint8_t *subject_hash,
	const struct id *after, struct ended_ban *ret, struct ban_texts *texts)
{
	const size_t prefix = subject_hash ? SUBJECT_HASH_BYTES : 0;
	uint8_t key[ENDED_SUBJECT_KEY_BYTES];
	MDB_val found;
	struct id id;
	int rc;

	if (subject_hash)
		memcpy(key, subject_hash, prefix);
	memcpy(key + prefix, after->bytes, ID_BYTES);
	rc = next_key(history, txn, subject_hash ? TABLE_ENDED_SUBJECTS : TABLE_ENDED, key, prefix + ID_BYTES,
		&found);
	if (rc)
		return rc;
	if (found.mv_size != prefix + ID_BYTES)
		return MDB_CORRUPTED;
	if (subject_hash && memcmp(found.mv_data, subject_hash, prefix) != 0)
		return MDB_NOTFOUND;
	memcpy(id.bytes, (const uint8_t *)found.mv_data + prefix, ID_BYTES);
	rc = history_get(history, txn, &id, ret, texts);
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int visit_rows(const struct history *history, MDB_txn *txn, MDB_cursor *cursor, MDB_val key,
	void (*visit)(void *context, const struct ended_ban *ended), void *context)
{
	struct ban_texts texts;
	struct ended_ban ended;
	MDB_val value;
	struct id id;
	int64_t end_ms;
	int rc;

	for (rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); !rc;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		if (!expiry_key_unpack(key.mv_data, key.mv_size, &end_ms, &id))
			return MDB_CORRUPTED;
		rc = history_get(history, txn, &id, &ended, &texts);
		if (rc)
			return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
		visit(context, &ended);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int history_since(const struct history *history, MDB_txn *txn, int64_t since_ms,
	void (*visit)(void *context, const struct ended_ban *ended), void *context)
{
	const struct id first = {{0}};
	uint8_t from[EXPIRY_KEY_BYTES];
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, history->store->tables[TABLE_ENDED_TIMES], &cursor);

	if (rc)
		return rc;
	expiry_key_pack(since_ms, &first, from);
	rc = visit_rows(history, txn, cursor, (MDB_val){sizeof(from), from}, visit, context);
	mdb_cursor_close(cursor);
	return rc;
}

int64_t history_rows(const struct history *history, MDB_txn *txn)
{
	MDB_stat stat;

	return mdb_stat(txn, history->store->tables[TABLE_ENDED], &stat) ? 0 : (int64_t)stat.ms_entries;
}

/* ---- keeping ---- */

static int put_record(struct history *history, MDB_txn *txn, const struct ended_ban *ended)
{
	uint8_t record[ENDED_RECORD_MAX];
	struct id id = ended->ban.id;

	return row_put(history->store, txn, TABLE_ENDED, id.bytes, ID_BYTES, record,
		ended_record_pack(ended, record));
}

/* All rows of one; MDB_NOTFOUND: there is none. */
static int drop(struct history *history, MDB_txn *txn, const struct id *id)
{
	uint8_t time[EXPIRY_KEY_BYTES], subject[ENDED_SUBJECT_KEY_BYTES];
	struct store *store = history->store;
	struct ended_ban ended;
	struct ban_texts texts;
	struct id key = *id;
	int rc = history_get(history, txn, id, &ended, &texts);

	if (rc)
		return rc;
	expiry_key_pack(ended.end_ms, id, time);
	ended_subject_key_pack(ended.subject_hash, id, subject);
	if (!ended.erased)
		rc = row_delete(store, txn, TABLE_ENDED_RAW, time, sizeof(time));
	if (!rc)
		rc = row_delete(store, txn, TABLE_ENDED_SUBJECTS, subject, sizeof(subject));
	if (!rc)
		rc = row_delete(store, txn, TABLE_ENDED_TIMES, time, sizeof(time));
	return rc ? rc : row_delete(store, txn, TABLE_ENDED, key.bytes, ID_BYTES);
}

int history_keep(struct history *history, MDB_txn *txn, const struct ban *ban, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms)
{
	struct ended_ban ended = {.ban = *ban, .how = how, .end_ms = now_ms};
	uint8_t time[EXPIRY_KEY_BYTES], subject[ENDED_SUBJECT_KEY_BYTES];
	struct store *store = history->store;
	int rc = drop(history, txn, &ban->id); /* ids are given once; and if not, the tables go together */

	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (!history->limits.retention_ms || !history->limits.rows_max || history->full)
		return 0;
	if (replaced_by)
		ended.replaced_by = *replaced_by;
	if (!ban_in_force(ban, now_ms)) {
		ended.how = BAN_EXPIRED;
		ended.end_ms = ban->expire_ms;
		ended.replaced_by = (struct id){{0}};
	}
	history_hash(history, &ban->subject, ended.subject_hash);
	expiry_key_pack(ended.end_ms, &ban->id, time);
	ended_subject_key_pack(ended.subject_hash, &ban->id, subject);
	rc = put_record(history, txn, &ended);
	if (!rc)
		rc = row_put(store, txn, TABLE_ENDED_TIMES, time, sizeof(time), "", 0);
	if (!rc)
		rc = row_put(store, txn, TABLE_ENDED_RAW, time, sizeof(time), "", 0);
	return rc ? rc : row_put(store, txn, TABLE_ENDED_SUBJECTS, subject, sizeof(subject), "", 0);
}

/* ---- erasing and forgetting ---- */

static struct address blank(const struct address *address)
{
	struct address zeros = {.bits = address->bits};

	if (address_is_v4(address))
		zeros.bytes[10] = zeros.bytes[11] = 0xff;
	return zeros;
}

static int erase(struct history *history, MDB_txn *txn, const struct id *id, int64_t end_ms)
{
	char reason[BANS_REASON_MAX + 1], evidence[BANS_EVIDENCE_MAX + 1];
	uint8_t time[EXPIRY_KEY_BYTES];
	struct ended_ban ended;
	struct ban_texts texts;
	int rc = history_get(history, txn, id, &ended, &texts);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (ended.ban.subject.kind == BAN_OF_ADDRESS) {
		const struct address zeros = blank(&ended.ban.subject.address);

		subject_address(&ended.ban.subject, &zeros);
	}
	history_erase_text(ended.ban.reason, reason, BANS_REASON_MAX);
	history_erase_text(ended.ban.evidence, evidence, BANS_EVIDENCE_MAX);
	ended.ban.reason = reason;
	ended.ban.evidence = evidence;
	ended.erased = true;
	rc = put_record(history, txn, &ended);
	expiry_key_pack(end_ms, id, time);
	return rc ? rc : row_delete(history->store, txn, TABLE_ENDED_RAW, time, sizeof(time));
}

static int forget(struct history *history, MDB_txn *txn, const struct id *id, int64_t end_ms)
{
	int rc = drop(history, txn, id);

	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

/* The first of a table of times. */
static int oldest(const struct history *history, MDB_txn *txn, enum protector_table table,
	int64_t *ret_end_ms, struct id *ret_id)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, history->store->tables[table], &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	if (!rc && !expiry_key_unpack(key.mv_data, key.mv_size, ret_end_ms, ret_id))
		rc = MDB_CORRUPTED;
	mdb_cursor_close(cursor);
	return rc;
}

static void sooner(int64_t *next_ms, int64_t at_ms)
{
	if (at_ms < *next_ms)
		*next_ms = at_ms;
}

/* One of the two works of a tick: what is done with the oldest of a table. */
struct chore {
	enum protector_table table;
	int64_t after_ms;					     /* since the end */
	bool (*wanted)(const struct history *history, MDB_txn *txn); /* before its time; NULL: never */
	int (*run)(struct history *history, MDB_txn *txn, const struct id *id, int64_t end_ms);
};

static int run_chore(struct history *history, MDB_txn *txn, const struct chore *chore, size_t max,
	int64_t *next_ms, bool *changed)
{
	for (size_t done = 0;; done++) {
		struct id id;
		int64_t end_ms;
		int rc = oldest(history, txn, chore->table, &end_ms, &id);

		if (rc)
			return rc == MDB_NOTFOUND ? 0 : rc;
		if (end_ms > history->now_ms - chore->after_ms &&
			!(chore->wanted && chore->wanted(history, txn))) {
			sooner(next_ms, end_ms + chore->after_ms);
			return 0;
		}
		if (done == max) {
			*next_ms = history->now_ms;
			return 0;
		}
		rc = chore->run(history, txn, &id, end_ms);
		if (rc)
			return rc;
		*changed = true;
	}
}

static bool has_too_many(const struct history *history, MDB_txn *txn)
{
	return history->crowded || history_rows(history, txn) > history->limits.rows_max;
}

static void look_for_room(struct history *history, int64_t now_ms)
{
	struct store_usage usage;

	history->now_ms = now_ms;
	if (history->looked_ms != INT64_MIN && now_ms >= history->looked_ms &&
		now_ms - history->looked_ms < LOOK_MS)
		return;
	history->looked_ms = now_ms;
	store_usage(history->store, &usage);
	history->crowded = usage.used_bytes > usage.map_bytes / 4 * 3;
	history->full =
		usage.used_bytes > usage.map_bytes / 8 * 7 || usage.disk_free_bytes < DISK_RESERVE_BYTES;
}

int history_tick(struct history *history, MDB_txn *txn, int64_t now_ms, size_t max, int64_t *ret_next_ms,
	bool *ret_changed)
{
	const struct chore erasing = {TABLE_ENDED_RAW, history->limits.address_ms, NULL, erase};
	const struct chore forgetting = {
		TABLE_ENDED_TIMES, history->limits.retention_ms, has_too_many, forget};
	int rc;

	*ret_next_ms = INT64_MAX;
	*ret_changed = false;
	look_for_room(history, now_ms);
	rc = run_chore(history, txn, &erasing, max, ret_next_ms, ret_changed);
	return rc ? rc : run_chore(history, txn, &forgetting, max, ret_next_ms, ret_changed);
}

void history_rollback(struct history *history)
{
	history->full = true;
	history->looked_ms = history->now_ms;
}

/* ---- texts ---- */

static bool is_address_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' ||
	       c == ':';
}

/* Rather a word too many than an address left: three dots, two colons in a row, or as many colons as an IPv6 address has. */
static bool looks_like_address(const char *text, size_t length)
{
	size_t dots = 0, colons = 0;
	bool pair = false;

	for (size_t i = 0; i < length; i++) {
		dots += text[i] == '.';
		colons += text[i] == ':';
		pair = pair || (i > 0 && text[i] == ':' && text[i - 1] == ':');
	}
	return dots >= 3 || colons >= 7 || (pair && length > 3);
}

static size_t append(char *to, size_t at, size_t max, const char *piece, size_t length)
{
	if (length > max - at)
		length = max - at;
	memcpy(to + at, piece, length);
	return at + length;
}

/* Without a last character of which a part did not fit: what goes out must be UTF-8. */
static size_t whole_characters(const char *text, size_t length)
{
	size_t last = length;

	while (last > 0 && ((unsigned char)text[last - 1] & 0xc0) == 0x80)
		last--;
	last -= last > 0;
	return utf8_valid(text + last, length - last) ? length : last;
}

void history_erase_text(const char *from, char *to, size_t max)
{
	static const char instead[] = "[address]";
	size_t at = 0;

	while (*from) {
		size_t length = 0;

		while (is_address_character(from[length]))
			length++;
		if (looks_like_address(from, length))
			at = append(to, at, max, instead, sizeof(instead) - 1);
		else
			at = append(to, at, max, from, length);
		from += length;
		if (*from) /* what ended the word */
			at = append(to, at, max, from++, 1);
	}
	if (at == max)
		at = whole_characters(to, at);
	to[at] = '\0';
}
