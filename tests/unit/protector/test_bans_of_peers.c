/* Bans of several owners: what they say of one subject counts together, and each owner's goes by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/protector/make_ban.h"

static struct bans *bans;

static int setup(void **state)
{
	bans = bans_new();
	return 0;
}

static int teardown(void **state)
{
	bans_free(bans);
	return 0;
}

static void put(
	uint64_t number, uint8_t owner, const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, effect, expire_ms);
	struct id replaced;

	ban.owner = owner;
	bans_put(bans, &ban, &replaced);
}

static void detect(uint64_t number, uint8_t owner, const char *subject, enum ban_effect effect,
	enum detector detector, int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, effect, expire_ms);
	struct detection detection = make_detection(detector);
	struct id replaced;

	ban.origin = BAN_BY_DETECTOR;
	ban.owner = owner;
	ban.detection = &detection;
	bans_put(bans, &ban, &replaced);
}

static void exempt(
	uint64_t number, uint8_t owner, const char *subject, enum detector detector, int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, BAN_EXEMPTS, expire_ms);
	struct id replaced;

	ban.origin = BAN_BY_LIFTING;
	ban.owner = owner;
	ban.exempts = DETECTOR_BIT(detector);
	bans_put(bans, &ban, &replaced);
}

static void allow_by_setting(uint64_t number, uint8_t owner, const char *subject)
{
	struct ban ban = make_ban(number, subject, BAN_ALLOWS, BANS_NEVER);
	struct id replaced;

	ban.origin = BAN_BY_SETTING;
	ban.owner = owner;
	bans_put(bans, &ban, &replaced);
}

/* The number of the ban that refuses; 0: welcome. */
static uint64_t refused(const char *user_id, int64_t now_ms)
{
	struct bans_verdict verdict = bans_judge(bans, user_id, NULL, now_ms);

	return verdict.deny ? store_get_be64(verdict.deny->id.bytes + 8) : 0;
}

static bool shows(uint64_t number, int64_t now_ms)
{
	struct id id = make_id(number);

	return bans_shows(bans, bans_get(bans, &id), now_ms);
}

static void test_a_peers_ban_refuses(void **state)
{
	struct ban_subject subject = make_subject_of("mallory");
	struct id id = make_id(1);

	put(1, 3, "mallory", BAN_DENIES, 100);
	assert_int_equal(refused("mallory", 99), 1);
	assert_int_equal(refused("mallory", 100), 0);
	assert_true(bans_lists(bans, &subject, 99));
	assert_null(bans_of(bans, &subject, BAN_BY_OPERATOR)); /* it is not ours */
	assert_int_equal(bans_count(bans, BANS_OWN), 0);
	assert_int_equal(bans_count(bans, 3), 1);
	assert_false(bans_remove(bans, &id, BANS_OWN));
	assert_true(bans_remove(bans, &id, 3));
	assert_int_equal(refused("mallory", 0), 0);
}

static void test_the_newest_word_of_a_person_counts_wherever_it_was_said(void **state)
{
	put(5, BANS_OWN, "mallory", BAN_DENIES, BANS_NEVER);
	put(9, 2, "mallory", BAN_SHADOWS, 100);
	put(7, 1, "mallory", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("mallory", 0), 0);
	assert_true(shows(9, 0));
	assert_false(shows(5, 0));
	assert_false(shows(7, 0));
	put(10, 1, "mallory", BAN_DENIES, 50); /* in place of 7 */
	assert_int_equal(refused("mallory", 0), 10);
	assert_int_equal(refused("mallory", 50), 0); /* 9 again */
	put(11, BANS_OWN, "mallory", BAN_ALLOWS, BANS_NEVER);
	assert_int_equal(refused("mallory", 0), 0);
}

static void test_a_lift_at_one_holds_against_the_detectors_of_all(void **state)
{
	struct ban_subject subject = make_subject_of("mallory");

	detect(1, 1, "mallory", BAN_DENIES, DETECTOR_REFUSALS, 1000);
	detect(2, BANS_OWN, "mallory", BAN_DENIES, DETECTOR_ACCOUNT_RATE, 900);
	assert_int_equal(refused("mallory", 0), 1);
	exempt(3, 2, "mallory", DETECTOR_REFUSALS, 50);
	assert_int_equal(refused("mallory", 49), 2);
	assert_true(bans_exempt(bans, &subject, DETECTOR_BIT(DETECTOR_REFUSALS), 49));
	assert_false(bans_exempt(bans, &subject, DETECTOR_BIT(DETECTOR_ACCOUNT_RATE), 49));
	exempt(4, BANS_OWN, "mallory", DETECTOR_ACCOUNT_RATE, 60);
	assert_int_equal(refused("mallory", 49), 0);
	assert_int_equal(refused("mallory", 50), 1);
}

static void test_a_milder_word_at_a_peer_stands_above_our_detectors(void **state)
{
	struct ban_subject subject = make_subject_of("mallory");

	detect(1, BANS_OWN, "mallory", BAN_DENIES, DETECTOR_REFUSALS, 1000);
	put(2, 1, "mallory", BAN_SLOWS, 500);
	assert_int_equal(refused("mallory", 499), 0);
	assert_int_equal(refused("mallory", 500), 1);
	assert_non_null(bans_of_person(bans, &subject, 499));
	assert_null(bans_of_person(bans, &subject, 500));
}

static void test_a_peers_stronger_finding_outranks(void **state)
{
	struct detection detection = make_detection(DETECTOR_REFUSALS);
	struct ban ban = make_ban(9, "mallory", BAN_SLOWS, 100);

	ban.origin = BAN_BY_DETECTOR;
	ban.detection = &detection;
	detect(1, BANS_OWN, "mallory", BAN_SHADOWS, DETECTOR_ACCOUNT_RATE, 1000);
	assert_false(bans_outranked(bans, &ban, 0));
	detect(2, 1, "mallory", BAN_DENIES, DETECTOR_ACCOUNT_RATE, 1000);
	assert_true(bans_outranked(bans, &ban, 0));
	exempt(3, 1, "mallory", DETECTOR_ACCOUNT_RATE, 500);
	assert_false(bans_outranked(bans, &ban, 0));
}

static void test_settings_are_shown_once(void **state)
{
	struct ban_subject subject = make_subject_of("127.0.0.0/8");

	allow_by_setting(5, BANS_OWN, "127.0.0.0/8");
	allow_by_setting(4, 1, "127.0.0.0/8");
	allow_by_setting(6, 2, "127.0.0.0/8");
	assert_true(shows(4, 0));
	assert_false(shows(5, 0));
	assert_false(shows(6, 0));
	assert_true(bans_allow(bans, &subject, 0));
}

static void test_detectors_bans_are_all_shown(void **state)
{
	const struct ban *peers[BANS_OF_PEERS_MAX];
	struct ban_subject subject = make_subject_of("mallory");

	detect(1, BANS_OWN, "mallory", BAN_DENIES, DETECTOR_REFUSALS, 1000);
	detect(2, 1, "mallory", BAN_DENIES, DETECTOR_REFUSALS, 1000);
	put(3, 1, "mallory", BAN_DENIES, 1000);
	put(4, 16, "mallory", BAN_DENIES, 1000);
	assert_true(shows(1, 0) && shows(2, 0) && shows(4, 0));
	assert_int_equal(bans_of_peers(bans, &subject, peers), 3);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(peers[i]->owner, BANS_OWN);
}

static void test_what_a_snapshot_has_no_more_goes(void **state)
{
	for (uint64_t i = 1; i <= 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "p%d", (int)i);
		put(i, 1, name, BAN_DENIES, BANS_NEVER);
		put(1000 + i, 2, name, BAN_DENIES, BANS_NEVER);
		put(2000 + i, BANS_OWN, name, BAN_DENIES, BANS_NEVER);
	}
	bans_begin_round(bans, 1);
	assert_int_equal(bans_count(bans, 1), 100); /* until the new one is whole */
	put(3, 1, "p3", BAN_DENIES, BANS_NEVER);    /* came again */
	put(500, 1, "p50", BAN_DENIES, BANS_NEVER); /* another in its place */
	put(501, 1, "q", BAN_DENIES, BANS_NEVER);   /* new */
	assert_false(bans_drop_old(bans, 1, 60));
	assert_int_equal(bans_count(bans, 1), 41);
	assert_true(bans_drop_old(bans, 1, 60));
	assert_int_equal(bans_count(bans, 1), 3);
	assert_true(bans_drop_old(bans, 2, 1));
	assert_int_equal(bans_count(bans, 2), 100);
	assert_int_equal(bans_count(bans, BANS_OWN), 100);
}

static void test_what_peers_had_and_has_ended_goes(void **state)
{
	struct id at = {{0}};

	for (uint64_t i = 1; i <= 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "p%d", (int)i);
		put(i, 1 + i % 2, name, BAN_DENIES, i <= 50 ? 10 : BANS_NEVER);
		put(1000 + i, BANS_OWN, name, BAN_DENIES, 10);
	}
	bans_drop_ended(bans, &at, 40, 10);
	assert_int_equal(bans_count(bans, 1) + bans_count(bans, 2), 60);
	bans_drop_ended(bans, &at, 1000, 10);
	assert_int_equal(bans_count(bans, 1) + bans_count(bans, 2), 50);
	assert_true(id_is_zero(&at));			   /* it begins anew */
	assert_int_equal(bans_count(bans, BANS_OWN), 100); /* these are the writer's to end */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_peers_ban_refuses),
		TEST(test_the_newest_word_of_a_person_counts_wherever_it_was_said),
		TEST(test_a_lift_at_one_holds_against_the_detectors_of_all),
		TEST(test_a_milder_word_at_a_peer_stands_above_our_detectors),
		TEST(test_a_peers_stronger_finding_outranks),
		TEST(test_settings_are_shown_once),
		TEST(test_detectors_bans_are_all_shown),
		TEST(test_what_a_snapshot_has_no_more_goes),
		TEST(test_what_peers_had_and_has_ended_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
