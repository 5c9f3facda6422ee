#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define NOW_MS 50

static int setup(void **state)
{
	static struct fixture f;

	fixture_init(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	return 0;
}

static void put_by(struct fixture *f, enum ban_origin origin, uint64_t number, const char *subject,
	enum ban_effect effect, int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, effect, expire_ms);
	MDB_txn *txn = fixture_begin(f);

	ban.origin = origin;
	assert_int_equal(shelf_put(&f->history, txn, &ban, NOW_MS), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void put(
	struct fixture *f, uint64_t number, const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	put_by(f, BAN_BY_OPERATOR, number, subject, effect, expire_ms);
}

static bool remove_one(struct fixture *f, uint64_t number)
{
	MDB_txn *txn = fixture_begin(f);
	struct id id = make_id(number);
	bool found;

	assert_int_equal(shelf_remove(&f->history, txn, &id, BAN_LIFTED, NULL, NOW_MS, &found), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return found;
}

static size_t lift(struct fixture *f, const char *text)
{
	struct ban_subject subject = make_subject_of(text);
	struct id ids[BAN_ORIGINS];
	MDB_txn *txn = fixture_begin(f);
	size_t count;

	assert_int_equal(shelf_lift(&f->history, txn, &subject, NOW_MS, ids, &count), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return count;
}

static size_t expire(struct fixture *f, int64_t now_ms, size_t max, struct id *ids, int64_t *ret_next_ms)
{
	MDB_txn *txn = fixture_begin(f);
	size_t count;

	assert_int_equal(shelf_expire(&f->history, txn, now_ms, max, ids, &count, ret_next_ms), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return count;
}

static struct bans *load(struct fixture *f)
{
	struct bans *bans = bans_new();
	struct error error;

	assert_true(shelf_load(f->store, bans, &error));
	return bans;
}

static void check_rows(struct fixture *f, size_t bans, size_t ends)
{
	assert_int_equal(fixture_rows(f, 0), bans);
	assert_int_equal(fixture_rows(f, 1), bans);
	assert_int_equal(fixture_rows(f, 2), ends);
}

static void test_bans_outlive_the_process(void **state)
{
	struct fixture *f = *state;
	struct id id = make_id(2);
	struct bans *bans;

	put(f, 1, "mallory", BAN_DENIES, BANS_NEVER);
	put(f, 2, "10.0.0.0/8", BAN_SHADOWS, 500);
	store_close(f->store);
	fixture_open(f);
	bans = load(f);
	assert_int_equal(bans_count(bans, BANS_OWN), 2);
	assert_int_equal(bans_get(bans, &id)->effect, BAN_SHADOWS);
	assert_int_equal(bans_get(bans, &id)->expire_ms, 500);
	assert_string_equal(bans_get(bans, &id)->reason, "why");
	bans_free(bans);
}

static void test_a_newer_one_replaces(void **state)
{
	struct fixture *f = *state;
	struct bans *bans;

	put(f, 1, "mallory", BAN_DENIES, 100);
	put(f, 2, "mallory", BAN_DENIES, 200);
	check_rows(f, 1, 1);
	put(f, 3, "mallory", BAN_DENIES, BANS_NEVER);
	check_rows(f, 1, 0);
	put_by(f, BAN_BY_DETECTOR, 4, "mallory", BAN_DENIES, 300);
	check_rows(f, 2, 1);
	assert_false(remove_one(f, 1));
	assert_false(remove_one(f, 2));
	bans = load(f);
	assert_int_equal(bans_count(bans, BANS_OWN), 2);
	bans_free(bans);
}

static void test_removing(void **state)
{
	struct fixture *f = *state;

	put(f, 1, "mallory", BAN_DENIES, 100);
	put(f, 2, "10.0.0.1", BAN_DENIES, BANS_NEVER);
	assert_false(remove_one(f, 3));
	assert_true(remove_one(f, 1));
	assert_false(remove_one(f, 1));
	check_rows(f, 1, 0);
	assert_true(remove_one(f, 2));
	check_rows(f, 0, 0);
	put(f, 4, "mallory", BAN_DENIES, 100); /* the place is free */
	check_rows(f, 1, 1);
}

static void test_lifting(void **state)
{
	struct fixture *f = *state;

	put_by(f, BAN_BY_OPERATOR, 1, "10.0.0.1", BAN_SHADOWS, 100);
	put_by(f, BAN_BY_DETECTOR, 2, "10.0.0.1", BAN_DENIES, 100);
	put(f, 3, "10.0.0.0/8", BAN_DENIES, 100);
	put(f, 4, "10.0.0.2", BAN_ALLOWS, 100);
	assert_int_equal(lift(f, "10.0.0.1"), 2);
	check_rows(f, 2, 2);
	assert_int_equal(lift(f, "10.0.0.1"), 0);
	assert_int_equal(lift(f, "10.0.0.2"), 0); /* an allowance is no ban */
	check_rows(f, 2, 2);
	assert_int_equal(lift(f, "10.0.0.0/8"), 1);
	check_rows(f, 1, 1);
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	struct id ids[10], first = make_id(3);
	int64_t next_ms;

	assert_int_equal(expire(f, 1000, 10, ids, &next_ms), 0);
	assert_true(next_ms == INT64_MAX);
	put(f, 1, "harry", BAN_DENIES, 300);
	put(f, 2, "mallory", BAN_DENIES, BANS_NEVER);
	put(f, 3, "trudy", BAN_DENIES, 100);
	put(f, 4, "victor", BAN_DENIES, 200);
	assert_int_equal(expire(f, 99, 10, ids, &next_ms), 0);
	assert_int_equal(next_ms, 100);
	assert_int_equal(expire(f, 100, 10, ids, &next_ms), 1);
	assert_int_equal(id_compare(&ids[0], &first), 0);
	assert_int_equal(next_ms, 200);
	assert_int_equal(expire(f, 1000, 1, ids, &next_ms), 1); /* some at a time: the next is due already */
	assert_int_equal(next_ms, 300);
	assert_int_equal(expire(f, 1000, 1, ids, &next_ms), 1);
	assert_true(next_ms == INT64_MAX);
	check_rows(f, 1, 0);
}

static void test_damage_stops_the_start(void **state)
{
	struct fixture *f = *state;
	struct bans *bans = bans_new();
	MDB_val key = {3, (void *)(uintptr_t) "bad"}, value = {1, (void *)(uintptr_t) "x"};
	struct error error;
	MDB_txn *txn = fixture_begin(f);

	assert_int_equal(mdb_put(txn, f->store->tables[0], &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_false(shelf_load(f->store, bans, &error));
	assert_non_null(strstr(error.text, "restore a backup"));
	bans_free(bans);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bans_outlive_the_process),
		TEST(test_a_newer_one_replaces),
		TEST(test_removing),
		TEST(test_lifting),
		TEST(test_ends),
		TEST(test_damage_stops_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
