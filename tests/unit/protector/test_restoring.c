/* Repetition survives a restart: bans that are over count as far as they would without one. */
#include "tests/unit/protector/analysis_fixture.h"

#include "protector/restoring.h"
#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define NOW_MS (START_US / 1000)
#define HOUR_MS INT64_C(3600000)

struct world {
	struct fixture f;
	struct bans *bans;
	struct analysis *analysis;
	struct heard heard;
};

static int setup(void **state)
{
	static struct world w;

	fixture_init(&w.f);
	w.bans = bans_new();
	w.analysis = start(&w.heard);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	analysis_free(w->analysis);
	bans_free(w->bans);
	fixture_release(&w->f);
	return 0;
}

static struct ban detected(uint64_t number, const char *subject, int64_t create_ms, uint32_t repetition)
{
	static struct detection detections[10];
	struct detection *detection = &detections[number];
	struct ban ban = make_ban(number, subject, BAN_DENIES, create_ms + 300000);

	*detection = make_detection(DETECTOR_ACCOUNT_RATE);
	detection->repetition = repetition;
	ban.origin = BAN_BY_DETECTOR;
	ban.create_ms = create_ms;
	ban.detection = detection;
	return ban;
}

static void keep(struct world *w, const struct ban *ban, enum ban_end how, int64_t end_ms)
{
	MDB_txn *txn = fixture_begin(&w->f);

	assert_int_equal(history_keep(&w->f.history, txn, ban, how, NULL, end_ms), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void restore(struct world *w)
{
	MDB_txn *txn;

	assert_int_equal(store_read_begin(w->f.store, &txn), 0);
	assert_int_equal(restore_analysis(w->analysis, w->bans, &w->f.history, txn, NOW_MS), 0);
	mdb_txn_abort(txn);
}

/* What its next ban says of bans before. */
static uint32_t next_repetition(struct world *w, const char *user_id, int64_t at_us)
{
	w->heard.count = 0;
	send(w->analysis, at_us, SECOND_US, 300, event(0, user_id, "192.0.2.1"));
	assert_int_equal(last(&w->heard)->effect, BAN_DENIES);
	assert_int_equal(w->heard.decisions[w->heard.count - 1].detector, DETECTOR_ACCOUNT_RATE);
	return last(&w->heard)->repetition;
}

static void test_what_is_over_counts(void **state)
{
	struct world *w = *state;
	struct ban first = detected(1, "mallory", NOW_MS - 1000000, 0),
		   second = detected(2, "mallory", NOW_MS - 400000, 1),
		   other = detected(3, "trudy", NOW_MS - 5 * HOUR_MS / 2, 2),
		   forgotten = detected(4, "victor", NOW_MS - 2 * HOUR_MS, 1);

	keep(w, &second, BAN_EXPIRED, NOW_MS - 100000);
	keep(w, &first, BAN_EXPIRED, NOW_MS - 700000);
	keep(w, &other, BAN_REPLACED, NOW_MS - 2 * HOUR_MS);
	keep(w, &forgotten, BAN_EXPIRED, NOW_MS - HOUR_MS);
	restore(w);
	assert_int_equal(next_repetition(w, "mallory", START_US), 2);
	assert_true(last(&w->heard)->expire_us >= START_US + 4 * 300 * SECOND_US); /* 5 min, 10, 20 */
	assert_int_equal(
		next_repetition(w, "trudy", START_US + 2 * SECOND_US), 1); /* of 3 two were forgotten */
	assert_int_equal(next_repetition(w, "victor", START_US + 4 * SECOND_US), 0);
	assert_int_equal(next_repetition(w, "harry", START_US + 6 * SECOND_US), 0);
}

static void test_what_a_person_lifted_does_not(void **state)
{
	struct world *w = *state;
	struct ban before = detected(1, "mallory", NOW_MS - 1000000, 0),
		   lifted = detected(2, "mallory", NOW_MS - 400000, 1),
		   only = detected(3, "trudy", NOW_MS - 400000, 0);

	keep(w, &before, BAN_EXPIRED, NOW_MS - 700000);
	keep(w, &lifted, BAN_LIFTED, NOW_MS - 350000);
	keep(w, &only, BAN_LIFTED, NOW_MS - 350000);
	restore(w);
	assert_int_equal(next_repetition(w, "mallory", START_US), 1);
	assert_int_equal(next_repetition(w, "trudy", START_US + 2 * SECOND_US), 0);
}

static void test_only_a_detector_s_bans_count(void **state)
{
	struct world *w = *state;
	struct ban shadow = detected(1, "mallory", NOW_MS - 1000, 1),
		   person = make_ban(2, "trudy", BAN_DENIES, NOW_MS - 10),
		   slow = detected(3, "victor", NOW_MS - 1000, 4);

	shadow.effect = BAN_SHADOWS;
	slow.effect = BAN_SLOWS;
	keep(w, &shadow, BAN_REPLACED, NOW_MS - 10);
	keep(w, &person, BAN_EXPIRED, NOW_MS - 10);
	keep(w, &slow, BAN_REPLACED, NOW_MS - 10);
	restore(w);
	assert_int_equal(next_repetition(w, "mallory", START_US), 0);
	assert_int_equal(next_repetition(w, "trudy", START_US + 2 * SECOND_US), 0);
	assert_int_equal(next_repetition(w, "victor", START_US + 4 * SECOND_US), 0);
}

/* What was erased is nobody's: not the zeros' either. */
static void test_erased_addresses_are_nobody_s(void **state)
{
	struct world *w = *state;
	struct ban ban = detected(1, "198.51.100.7", NOW_MS - 400000, 3);
	struct top_client top;
	int64_t next_ms;
	bool changed;
	MDB_txn *txn;

	keep(w, &ban, BAN_EXPIRED, NOW_MS);
	txn = fixture_begin(&w->f);
	assert_int_equal(history_tick(&w->f.history, txn, NOW_MS + 5000, 9, &next_ms, &changed), 0);
	assert_true(changed);
	assert_int_equal(mdb_txn_commit(txn), 0);
	restore(w);
	w->heard.count = 0;
	send(w->analysis, START_US, 4 * SECOND_US, 2000, event(0, "", "0.0.0.0"));
	assert_int_equal(last(&w->heard)->effect, BAN_DENIES);
	assert_int_equal(last(&w->heard)->repetition, 0);
	assert_int_equal(analysis_top(w->analysis, BAN_OF_ADDRESS, &top, 1), 1);
}

static void test_what_is_in_force_stays_so(void **state)
{
	struct world *w = *state;
	struct ban old = detected(1, "mallory", NOW_MS - 400000, 0),
		   ban = detected(2, "mallory", NOW_MS - 1000, 1);
	struct ban exemption = make_ban(3, "trudy", BAN_EXEMPTS, NOW_MS + HOUR_MS);
	struct id replaced;

	exemption.origin = BAN_BY_LIFTING;
	exemption.exempts = DETECTOR_BIT(DETECTOR_ACCOUNT_RATE);
	ban.expire_ms = NOW_MS + 600000;
	keep(w, &old, BAN_EXPIRED, NOW_MS - 100000);
	bans_put(w->bans, &ban, &replaced);
	bans_put(w->bans, &exemption, &replaced);
	restore(w);
	send(w->analysis, START_US, SECOND_US, 300, event(0, "mallory", "192.0.2.1"));
	send(w->analysis, START_US + 2 * SECOND_US, SECOND_US, 300, event(0, "trudy", "192.0.2.2"));
	assert_int_equal(w->heard.count, 0);
	assert_int_equal(next_repetition(w, "mallory", START_US + 700 * SECOND_US), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_over_counts),
		TEST(test_what_a_person_lifted_does_not),
		TEST(test_only_a_detector_s_bans_count),
		TEST(test_erased_addresses_are_nobody_s),
		TEST(test_what_is_in_force_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
