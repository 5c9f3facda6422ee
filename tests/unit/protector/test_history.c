/* Bans that are over: kept, found, erased, forgotten, in that order; and never at the cost of bans in force. */
#include "tests/unit/protector/cmocka_first.h"

#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define RETENTION_MS 10000
#define ADDRESS_MS 1000

static int setup(void **state)
{
	static struct fixture f;

	fixture_init(&f);
	f.history.limits = (struct history_limits){
		.retention_ms = RETENTION_MS, .address_ms = ADDRESS_MS, .rows_max = 1000};
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	return 0;
}

static void put(struct fixture *f, const struct ban *ban, int64_t now_ms)
{
	MDB_txn *txn = fixture_begin(f);

	assert_int_equal(shelf_put(&f->history, txn, ban, now_ms), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void ban(struct fixture *f, uint64_t number, const char *subject, int64_t expire_ms, int64_t now_ms)
{
	const struct ban made = make_ban(number, subject, BAN_DENIES, expire_ms);

	put(f, &made, now_ms);
}

static void lift(struct fixture *f, uint64_t number, int64_t now_ms)
{
	MDB_txn *txn = fixture_begin(f);
	const struct id id = make_id(number);
	bool found;

	assert_int_equal(shelf_remove(&f->history, txn, &id, BAN_LIFTED, NULL, now_ms, &found), 0);
	assert_true(found);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static size_t expire(struct fixture *f, int64_t now_ms)
{
	MDB_txn *txn = fixture_begin(f);
	struct id ids[100];
	int64_t next_ms;
	size_t count;

	assert_int_equal(shelf_expire(&f->history, txn, now_ms, 100, ids, &count, &next_ms), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return count;
}

/* When it wants to run again; whether it changed anything. */
static int64_t tick(struct fixture *f, int64_t now_ms, size_t max, bool expected)
{
	MDB_txn *txn = fixture_begin(f);
	int64_t next_ms;
	bool changed;

	assert_int_equal(history_tick(&f->history, txn, now_ms, max, &next_ms, &changed), 0);
	assert_int_equal(changed, expected);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return next_ms;
}

static struct ban_texts texts;

static int get(struct fixture *f, uint64_t number, struct ended_ban *ret)
{
	const struct id id = make_id(number);
	MDB_txn *txn;
	int rc = store_read_begin(f->store, &txn);

	assert_int_equal(rc, 0);
	rc = history_get(&f->history, txn, &id, ret, &texts);
	mdb_txn_abort(txn);
	return rc;
}

/* Numbers of what is listed, of one subject or (NULL) of all. */
static size_t list(struct fixture *f, const char *subject, uint64_t *ret)
{
	uint8_t hash[SUBJECT_HASH_BYTES];
	struct ended_ban ended;
	struct id at = {{0}};
	size_t count = 0;
	MDB_txn *txn;
	int rc;

	if (subject) {
		const struct ban_subject whom = make_subject_of(subject);

		history_hash(&f->history, &whom, hash);
	}
	assert_int_equal(store_read_begin(f->store, &txn), 0);
	while ((rc = history_after(&f->history, txn, subject ? hash : NULL, &at, &ended, &texts)) == 0) {
		at = ended.ban.id;
		ret[count++] = store_get_be64(at.bytes + 8);
	}
	assert_int_equal(rc, MDB_NOTFOUND);
	mdb_txn_abort(txn);
	return count;
}

static void check_rows(struct fixture *f, size_t rows, size_t raw)
{
	assert_int_equal(fixture_rows(f, TABLE_ENDED), rows);
	assert_int_equal(fixture_rows(f, TABLE_ENDED_TIMES), rows);
	assert_int_equal(fixture_rows(f, TABLE_ENDED_SUBJECTS), rows);
	assert_int_equal(fixture_rows(f, TABLE_ENDED_RAW), raw);
}

static void test_each_way_to_end(void **state)
{
	struct fixture *f = *state;
	const struct id next = make_id(4);
	struct ended_ban ended;

	ban(f, 1, "mallory", 100, 1);
	ban(f, 2, "10.0.0.1", BANS_NEVER, 1);
	ban(f, 3, "trudy", 500, 1);
	assert_int_equal(get(f, 1, &ended), MDB_NOTFOUND); /* in force */
	assert_int_equal(expire(f, 120), 1);
	lift(f, 2, 130);
	ban(f, 4, "trudy", 600, 140);
	assert_int_equal(get(f, 1, &ended), 0);
	assert_int_equal(ended.how, BAN_EXPIRED);
	assert_int_equal(ended.end_ms, 100); /* not when it was noticed */
	assert_string_equal(ended.ban.subject.user_id, "mallory");
	assert_string_equal(ended.ban.reason, "why");
	assert_true(id_is_zero(&ended.replaced_by));
	assert_int_equal(get(f, 2, &ended), 0);
	assert_int_equal(ended.how, BAN_LIFTED);
	assert_int_equal(ended.end_ms, 130);
	assert_int_equal(ended.ban.expire_ms, BANS_NEVER);
	assert_int_equal(get(f, 3, &ended), 0);
	assert_int_equal(ended.how, BAN_REPLACED);
	assert_int_equal(id_compare(&ended.replaced_by, &next), 0);
	assert_int_equal(get(f, 4, &ended), MDB_NOTFOUND);
	check_rows(f, 3, 3);
}

/* Its time was over before a person or another ban came. */
static void test_what_ended_by_itself_was_not_lifted(void **state)
{
	struct fixture *f = *state;
	struct ended_ban ended;

	ban(f, 1, "mallory", 100, 1);
	lift(f, 1, 100);
	ban(f, 2, "trudy", 100, 1);
	ban(f, 3, "trudy", 300, 200);
	for (uint64_t number = 1; number <= 2; number++) {
		assert_int_equal(get(f, number, &ended), 0);
		assert_int_equal(ended.how, BAN_EXPIRED);
		assert_int_equal(ended.end_ms, 100);
		assert_true(id_is_zero(&ended.replaced_by));
	}
}

static void test_found_by_subject(void **state)
{
	struct fixture *f = *state;
	uint64_t numbers[10];

	ban(f, 1, "mallory", 100, 1);
	ban(f, 2, "10.0.0.0/8", 100, 1);
	ban(f, 5, "mallory", 200, 150);
	ban(f, 3, "trudy", 100, 1);
	expire(f, 300);
	assert_int_equal(list(f, NULL, numbers), 4);
	assert_true(numbers[0] == 1 && numbers[1] == 2 && numbers[2] == 3 && numbers[3] == 5);
	assert_int_equal(list(f, "mallory", numbers), 2);
	assert_true(numbers[0] == 1 && numbers[1] == 5);
	tick(f, 100000, 2, true); /* some are erased, some forgotten */
	assert_int_equal(list(f, "10.0.0.0/9", numbers), 0);
	assert_int_equal(list(f, "nobody", numbers), 0);
}

static void test_addresses_are_erased(void **state)
{
	struct fixture *f = *state;
	struct ban made = make_ban(1, "198.51.100.7", BAN_DENIES, 100);
	struct ended_ban ended;
	uint64_t numbers[10];

	made.reason = "seen at 198.51.100.7";
	made.evidence = "2001:db8::7 too";
	put(f, &made, 1);
	ban(f, 2, "2001:db8:1::/48", 101, 1);
	made = make_ban(3, "mallory", BAN_DENIES, 102);
	made.reason = "came from 198.51.100.9";
	put(f, &made, 1);
	ban(f, 4, "198.51.100.7", 5000, 150); /* again */
	expire(f, 200);
	assert_int_equal(tick(f, 100 + ADDRESS_MS - 1, 10, false), 100 + ADDRESS_MS);
	assert_int_equal(get(f, 1, &ended), 0);
	assert_false(ended.erased);
	assert_int_equal(tick(f, 100 + ADDRESS_MS, 10, true), 101 + ADDRESS_MS);
	assert_int_equal(get(f, 1, &ended), 0);
	assert_true(ended.erased);
	assert_int_equal(address_is_v4(&ended.ban.subject.address), true);
	assert_int_equal(ended.ban.subject.address.bits, 128);
	assert_memory_equal(ended.ban.subject.address.bytes + 12, "\0\0\0\0", 4);
	assert_string_equal(ended.ban.reason, "seen at [address]");
	assert_string_equal(ended.ban.evidence, "[address] too");
	assert_int_equal(list(f, "198.51.100.7", numbers), 1); /* who has the address finds it */
	assert_int_equal(numbers[0], 1);
	tick(f, 102 + ADDRESS_MS, 10, true);
	assert_int_equal(get(f, 2, &ended), 0);
	assert_int_equal(ended.ban.subject.address.bits, 48);
	assert_false(address_is_v4(&ended.ban.subject.address));
	assert_int_equal(ended.ban.subject.address.bytes[1], 0);
	assert_int_equal(get(f, 3, &ended), 0);
	assert_string_equal(ended.ban.subject.user_id, "mallory");
	assert_string_equal(ended.ban.reason, "came from [address]");
	check_rows(f, 3, 0);
	expire(f, 5000);
	assert_int_equal(get(f, 4, &ended), 0);
	assert_string_equal(ended.ban.reason, "why");
	assert_int_equal(list(f, "198.51.100.7", numbers), 2); /* the same client: the same hash */
}

/* Nothing of the address is in what can be read from the store: LMDB's free pages aside, for which docs/operations.md has a word. */
static void test_no_raw_bytes_stay_in_rows(void **state)
{
	struct fixture *f = *state;
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_txn *txn;

	ban(f, 1, "198.51.100.7", 100, 1);
	expire(f, 100);
	tick(f, 100 + ADDRESS_MS, 10, true);
	assert_int_equal(store_read_begin(f->store, &txn), 0);
	for (int table = 0; table < SHELF_TABLE_COUNT; table++) {
		assert_int_equal(mdb_cursor_open(txn, f->store->tables[table], &cursor), 0);
		while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
			assert_null(memmem(key.mv_data, key.mv_size, "\xc6\x33\x64\x07", 4));
			assert_null(memmem(value.mv_data, value.mv_size, "\xc6\x33\x64\x07", 4));
		}
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
}

static void test_forgotten_after_the_retention(void **state)
{
	struct fixture *f = *state;
	struct ended_ban ended;

	ban(f, 1, "mallory", 100, 1);
	ban(f, 2, "10.0.0.1", 200, 1);
	expire(f, 300);
	assert_int_equal(tick(f, 5000, 10, true), 100 + RETENTION_MS);
	assert_int_equal(tick(f, 100 + RETENTION_MS - 1, 10, false), 100 + RETENTION_MS);
	assert_int_equal(tick(f, 100 + RETENTION_MS, 10, true), 200 + RETENTION_MS);
	assert_int_equal(get(f, 1, &ended), MDB_NOTFOUND);
	assert_int_equal(get(f, 2, &ended), 0);
	check_rows(f, 1, 0);
	assert_true(tick(f, 200 + RETENTION_MS, 10, true) == INT64_MAX);
	check_rows(f, 0, 0);
}

/* Also what was not erased yet: the retention may be the shorter of the two. */
static void test_forgotten_before_it_was_erased(void **state)
{
	struct fixture *f = *state;

	f->history.limits.address_ms = 100 * RETENTION_MS;
	ban(f, 1, "10.0.0.1", 100, 1);
	expire(f, 100);
	tick(f, 100 + RETENTION_MS, 10, true);
	check_rows(f, 0, 0);
}

static void test_a_bounded_number(void **state)
{
	struct fixture *f = *state;
	struct ended_ban ended;
	char user[16];

	f->history.limits.rows_max = 5;
	for (uint64_t i = 1; i <= 20; i++) {
		snprintf(user, sizeof(user), "user%d", (int)i);
		ban(f, i, user, 100 + (int64_t)(20 - i), 1); /* the last one ends first */
	}
	assert_int_equal(expire(f, 300), 20);
	assert_int_equal(tick(f, 300, 8, true), 300); /* some at a time */
	check_rows(f, 12, 12);
	tick(f, 300, 8, true);
	check_rows(f, 5, 5);
	tick(f, 300, 8, false);
	assert_int_equal(get(f, 1, &ended), 0);
	assert_int_equal(get(f, 6, &ended), MDB_NOTFOUND);
}

static void test_erased_some_at_a_time(void **state)
{
	struct fixture *f = *state;
	char address[20];

	for (uint64_t i = 1; i <= 20; i++) {
		snprintf(address, sizeof(address), "10.0.0.%d", (int)i);
		ban(f, i, address, 100, 1);
	}
	expire(f, 100);
	assert_int_equal(tick(f, 5000, 8, true), 5000);
	check_rows(f, 20, 12);
	tick(f, 5000, 8, true);
	assert_int_equal(tick(f, 5000, 8, true), 100 + RETENTION_MS);
	check_rows(f, 20, 0);
}

static void test_none_is_kept(void **state)
{
	struct fixture *f = *state;

	f->history.limits.retention_ms = 0;
	ban(f, 1, "mallory", 100, 1);
	expire(f, 100);
	check_rows(f, 0, 0);
	f->history.limits = (struct history_limits){.retention_ms = 1000, .rows_max = 0};
	ban(f, 2, "mallory", 100, 1);
	expire(f, 100);
	check_rows(f, 0, 0);
	f->history.limits.rows_max = 1;
	history_rollback(&f->history); /* the store refused a group, perhaps for want of room */
	ban(f, 3, "mallory", 100, 1);
	expire(f, 100);
	check_rows(f, 0, 0);
	tick(f, 2000, 10, false); /* there is room */
	ban(f, 4, "mallory", 100, 1);
	expire(f, 100);
	check_rows(f, 1, 1);
}

/* The oldest go when the store gets full, and nothing new is kept when it nearly is: bans in force find room. */
static void test_bans_in_force_need_the_room(void **state)
{
	struct fixture *f = *state;
	char evidence[BANS_EVIDENCE_MAX + 1];
	int64_t now_ms = 1000;
	uint64_t number = 1;

	memset(evidence, 'e', sizeof(evidence) - 1);
	evidence[sizeof(evidence) - 1] = '\0';
	f->history.limits.rows_max = 1000000;
	ban(f, number++, "trudy", BANS_NEVER,
		1); /* LMDB makes no use of the page of a table that was empty in between */
	while (!f->history.crowded) {
		MDB_txn *txn = fixture_begin(f);

		for (int i = 0; i < 2000; i++) {
			struct ban made = make_ban(number++, "mallory", BAN_DENIES, BANS_NEVER);

			made.evidence = evidence;
			assert_int_equal(shelf_put(&f->history, txn, &made, now_ms), 0);
		}
		assert_int_equal(mdb_txn_commit(txn), 0);
		now_ms += 2000;
		tick(f, now_ms, 0, false);
		assert_true(now_ms < 1000000);
	}
	assert_false(f->history.full);
	now_ms -= 1000000; /* nothing is due by its age, and the clock may be set */
	for (size_t before = fixture_rows(f, TABLE_ENDED); f->history.crowded; now_ms += 2000) {
		tick(f, now_ms, 2000, true);
		assert_true(fixture_rows(f, TABLE_ENDED) < before);
		before = fixture_rows(f, TABLE_ENDED);
		tick(f, now_ms + 1000, 0, false);
	}
	assert_true(fixture_rows(f, TABLE_ENDED) > 1000);
}

static void test_the_key_stays(void **state)
{
	struct fixture *f = *state;
	uint8_t key[HISTORY_KEY_BYTES], zeros[HISTORY_KEY_BYTES] = {0};

	memcpy(key, f->history.key, sizeof(key));
	assert_memory_not_equal(key, zeros, sizeof(key));
	store_close(f->store);
	fixture_open(f);
	assert_memory_equal(key, f->history.key, sizeof(key));
}

static void count_one(void *context, const struct ended_ban *ended)
{
	++*(int *)context;
}

static void test_since(void **state)
{
	struct fixture *f = *state;
	MDB_txn *txn;
	int count = 0;

	ban(f, 1, "mallory", 100, 1);
	ban(f, 2, "10.0.0.1", 200, 1);
	ban(f, 3, "trudy", 300, 1);
	expire(f, 300);
	assert_int_equal(store_read_begin(f->store, &txn), 0);
	assert_int_equal(history_since(&f->history, txn, 200, count_one, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(history_since(&f->history, txn, 301, count_one, &count), 0);
	assert_int_equal(count, 2);
	mdb_txn_abort(txn);
}

/* One id twice: the later end counts, and the tables go together. */
static void test_the_same_id_again(void **state)
{
	struct fixture *f = *state;
	struct ended_ban ended;

	for (int64_t i = 1; i <= 2; i++) {
		ban(f, 1, "mallory", BANS_NEVER, i);
		lift(f, 1, 100 * i);
	}
	check_rows(f, 1, 1);
	assert_int_equal(get(f, 1, &ended), 0);
	assert_int_equal(ended.end_ms, 200);
}

static void check_text(const char *from, const char *expected)
{
	char text[41];

	history_erase_text(from, text, sizeof(text) - 1);
	assert_string_equal(text, expected);
}

static void test_texts(void **state)
{
	check_text("", "");
	check_text("163 requests in 5.5 s; threshold 150", "163 requests in 5.5 s; threshold 150");
	check_text("10.0.0.1", "[address]");
	check_text("(10.0.0.1:8080), 10.0.0.0/8.", "([address]), [address]/8.");
	check_text("[2001:DB8::7]:443 and ::ffff:10.0.0.1", "[[address]]:443 and [address]");
	check_text("1:2:3:4:5:6:7:8 at 12:30:45", "[address] at 12:30:45");
	check_text("std::map, 1.2.3, ..", "std::map, 1.2.3, ..");
	check_text("fe80::1%eth0 \xc3\xa9", "[address]%eth0 \xc3\xa9");
	check_text("1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1", "[address] [address] [address] [address] ");
	/* it has become longer: what does not fit any more is not cut within a character */
	check_text("1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1\xc3\xa9", "[address] [address] [address] [address]");
	check_text("1.1.1.1 1.1.1.1 1.1.1.1 1.1.1 ab\xc3\xa9 too",
		"[address] [address] [address] 1.1.1 ab\xc3\xa9");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_way_to_end),
		TEST(test_what_ended_by_itself_was_not_lifted),
		TEST(test_found_by_subject),
		TEST(test_addresses_are_erased),
		TEST(test_no_raw_bytes_stay_in_rows),
		TEST(test_forgotten_after_the_retention),
		TEST(test_forgotten_before_it_was_erased),
		TEST(test_a_bounded_number),
		TEST(test_erased_some_at_a_time),
		TEST(test_none_is_kept),
		TEST(test_bans_in_force_need_the_room),
		TEST(test_the_key_stays),
		TEST(test_since),
		TEST(test_the_same_id_again),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
