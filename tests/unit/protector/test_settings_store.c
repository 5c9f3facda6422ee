/* The detectors' settings in the store: what was changed is there after a restart, the later change of two counts, and what can't be any more gives way to the standard. */
#include "cmocka_first.h"

#include "protector/settings_store.h"
#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define SECOND_US INT64_C(1000000)

static struct fixture f;
static struct detector_settings settings;
static struct id changes[DETECTORS];

static int setup(void **state)
{
	fixture_init(&f);
	return 0;
}

static int teardown(void **state)
{
	fixture_release(&f);
	return 0;
}

static int commit(MDB_txn *txn, int rc)
{
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* Of one part, by a change of that number. */
static int put(enum detector part, uint64_t number, void (*change)(struct detector_settings *of))
{
	struct settings_change made = {.part = part, .id = make_id(number)};
	MDB_txn *txn = fixture_begin(&f);

	detector_settings_standard(&made.settings);
	change(&made.settings);
	return commit(txn, settings_store_put(f.store, txn, &made));
}

static void load(void)
{
	struct error error;

	store_close(f.store);
	fixture_open(&f);
	assert_true(settings_store_load(f.store, &settings, changes, &error));
}

static void tighten_refusals(struct detector_settings *of)
{
	of->of[DETECTOR_REFUSALS] = (struct detector_setting){.enabled = false,
		.shadow = true,
		.window_us = 7 * SECOND_US,
		.slow = 3,
		.challenge = 4,
		.ban = 5};
	of->of[DETECTOR_THROTTLED].window_us = 9 * SECOND_US; /* is not of that part */
}

static void shorten_bans(struct detector_settings *of)
{
	of->slow_us = 2 * SECOND_US;
	of->challenge_us = 3 * SECOND_US;
	of->ban_us = 4 * SECOND_US;
	of->ban_longest_us = 5 * SECOND_US;
	of->decay_us = 6 * SECOND_US;
	of->exempt_us = 7 * SECOND_US;
}

static void lengthen_bans(struct detector_settings *of)
{
	of->ban_us = of->ban_longest_us = 8 * SECOND_US;
}

static void longest_is_the_shortest(struct detector_settings *of)
{
	of->ban_longest_us = of->ban_us - 1;
}

static void test_what_was_never_changed_is_the_standard(void **state)
{
	struct detector_settings standard;

	memset(&settings, 0, sizeof(settings));
	memset(&standard, 0, sizeof(standard));
	load();
	detector_settings_standard(&standard);
	assert_memory_equal(&settings, &standard, sizeof(settings));
	for (int i = 0; i < DETECTORS; i++)
		assert_true(id_is_zero(&changes[i]));
}

static void test_a_change_is_kept(void **state)
{
	const struct detector_setting *refusals = &settings.of[DETECTOR_REFUSALS];
	struct id id = make_id(3);

	assert_int_equal(put(DETECTOR_REFUSALS, 3, tighten_refusals), 0);
	assert_int_equal(put(DETECTOR_NONE, 4, shorten_bans), 0);
	load();
	assert_true(!refusals->enabled && refusals->shadow && refusals->window_us == 7 * SECOND_US);
	assert_true(
		!refusals->least && refusals->slow == 3 && refusals->challenge == 4 && refusals->ban == 5);
	assert_int_equal(id_compare(&changes[DETECTOR_REFUSALS], &id), 0);
	assert_true(settings.slow_us == 2 * SECOND_US && settings.challenge_us == 3 * SECOND_US);
	assert_true(settings.ban_us == 4 * SECOND_US && settings.ban_longest_us == 5 * SECOND_US);
	assert_true(settings.decay_us == 6 * SECOND_US && settings.exempt_us == 7 * SECOND_US);
	assert_int_equal(settings.of[DETECTOR_THROTTLED].window_us,
		detector_infos[DETECTOR_THROTTLED].standard.window_us);
	assert_true(id_is_zero(&changes[DETECTOR_THROTTLED]));
}

static void test_of_two_changes_the_later_counts(void **state)
{
	assert_int_equal(put(DETECTOR_NONE, 5, lengthen_bans), 0);
	assert_int_equal(put(DETECTOR_NONE, 4, shorten_bans), 0); /* of a peer, and older */
	load();
	assert_int_equal(settings.ban_us, 8 * SECOND_US);
	assert_int_equal(put(DETECTOR_NONE, 6, shorten_bans), 0);
	load();
	assert_int_equal(settings.ban_us, 4 * SECOND_US);
}

static void test_what_can_not_be_any_more(void **state)
{
	struct detector_settings standard;

	detector_settings_standard(&standard);
	assert_int_equal(put(DETECTOR_NONE, 5, longest_is_the_shortest), 0);
	assert_int_equal(put(DETECTOR_REFUSALS, 6, tighten_refusals), 0);
	load();
	assert_int_equal(settings.ban_longest_us, standard.ban_longest_us);
	assert_true(id_is_zero(&changes[DETECTOR_NONE])); /* whoever has a change that can be counts more */
	assert_int_equal(settings.of[DETECTOR_REFUSALS].ban, 5);
}

static void put_bytes(const uint8_t *bytes, size_t size)
{
	MDB_txn *txn = fixture_begin(&f);

	assert_int_equal(commit(txn, store_meta_put(f.store, txn, "ladder", bytes, size)), 0);
}

/* Of the version before changes had ids. */
static void test_the_first_version(void **state)
{
	uint8_t bytes[1 + 6 * 8] = {1};

	for (int i = 0; i < 6; i++)
		store_put_be64(bytes + 1 + 8 * i, (uint64_t)(i + 1) * SECOND_US);
	put_bytes(bytes, sizeof(bytes));
	load();
	assert_int_equal(settings.slow_us, SECOND_US);
	assert_int_equal(settings.exempt_us, 6 * SECOND_US);
	assert_true(id_is_zero(&changes[DETECTOR_NONE]));
	assert_int_equal(put(DETECTOR_NONE, 1, lengthen_bans), 0); /* any counts more */
	load();
	assert_int_equal(settings.ban_us, 8 * SECOND_US);
}

static void test_damage_is_said(void **state)
{
	static const struct {
		uint8_t version;
		size_t size;
	} damages[] = {{9, 1 + ID_BYTES + 6 * 8}, {9, 1 + 6 * 8}, {2, 1 + 6 * 8}, {2, 5}};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint8_t bytes[1 + ID_BYTES + 6 * 8] = {damages[i].version};
		struct error error;

		put_bytes(bytes, damages[i].size);
		assert_false(settings_store_load(f.store, &settings, changes, &error));
		assert_non_null(strstr(error.text, f.directory));
		assert_non_null(strstr(error.text, "restore a backup"));
		assert_int_equal(put(DETECTOR_NONE, 5, shorten_bans), MDB_CORRUPTED);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_never_changed_is_the_standard),
		TEST(test_a_change_is_kept),
		TEST(test_of_two_changes_the_later_counts),
		TEST(test_what_can_not_be_any_more),
		TEST(test_the_first_version),
		TEST(test_damage_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
