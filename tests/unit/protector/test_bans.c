#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

static void put_by(enum ban_origin origin, uint64_t number, const char *subject, enum ban_effect effect,
	int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, effect, expire_ms);
	struct id replaced;

	ban.origin = origin;
	assert_false(bans_put(bans, &ban, &replaced));
}

static void put(uint64_t number, const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	put_by(BAN_BY_OPERATOR, number, subject, effect, expire_ms);
}

static void drop(uint64_t number)
{
	struct id id = make_id(number);

	assert_true(bans_remove(bans, &id, BANS_OWN));
}

/* The number of the ban that refuses; 0: welcome. */
static uint64_t refused(const char *user_id, const char *address, int64_t now_ms)
{
	struct address client;
	struct bans_verdict verdict;

	if (address)
		assert_true(address_parse(address, strlen(address), &client));
	verdict = bans_judge(bans, user_id, address ? &client : NULL, now_ms);
	return verdict.deny ? store_get_be64(verdict.deny->id.bytes + 8) : 0;
}

static void test_accounts(void **state)
{
	put(1, "mallory", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("mallory", NULL, 0), 1);
	assert_int_equal(refused("mallory", "192.0.2.1", 0), 1);
	assert_int_equal(refused("mallor", "192.0.2.1", 0), 0);
	assert_int_equal(refused("mallory2", "192.0.2.1", 0), 0);
	assert_int_equal(refused("Mallory", "192.0.2.1", 0), 0);
	assert_int_equal(refused("", "192.0.2.1", 0), 0);
	assert_int_equal(refused(NULL, NULL, 0), 0);
	drop(1);
	assert_int_equal(refused("mallory", NULL, 0), 0);
	assert_int_equal(bans_count(bans, BANS_OWN), 0);
}

static void test_who_is_slowed_or_challenged_is_welcome(void **state)
{
	struct bans_verdict verdict;

	put(1, "mallory", BAN_SLOWS, BANS_NEVER);
	put(2, "192.0.2.1", BAN_CHALLENGES, BANS_NEVER);
	assert_int_equal(refused("mallory", "192.0.2.1", 0), 0);
	verdict = bans_judge(bans, "mallory", NULL, 0);
	assert_null(verdict.shadow);
}

static void test_an_allowed_account(void **state)
{
	put_by(BAN_BY_DETECTOR, 1, "mallory", BAN_DENIES, BANS_NEVER);
	put(2, "mallory", BAN_ALLOWS, 50);
	put(3, "192.0.2.1", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("mallory", NULL, 49), 0);
	assert_int_equal(refused("mallory", "192.0.2.1", 49), 3); /* its address is another matter */
	assert_int_equal(refused("mallory", NULL, 50), 1);
}

static void test_a_persons_word_beats_a_detectors(void **state)
{
	put_by(BAN_BY_DETECTOR, 1, "192.0.2.1", BAN_DENIES, BANS_NEVER);
	put(2, "192.0.2.1", BAN_SHADOWS, 50);
	put_by(BAN_BY_DETECTOR, 3, "mallory", BAN_DENIES, BANS_NEVER);
	put(4, "mallory", BAN_SLOWS, 50);
	assert_int_equal(refused("u", "192.0.2.1", 49), 0);
	assert_int_equal(refused("u", "192.0.2.1", 50), 1); /* it has ended */
	assert_int_equal(refused("mallory", NULL, 49), 0);
	assert_int_equal(refused("mallory", NULL, 50), 3);
	put(5, "192.0.2.0/24", BAN_SLOWS, BANS_NEVER); /* not about exactly this subject */
	assert_int_equal(refused("u", "192.0.2.1", 50), 1);
}

static void test_the_allow_list_in_order(void **state)
{
	struct id at = {{0}};
	uint64_t numbers[3];

	struct ban again = make_ban(3000, "192.0.2.9", BAN_DENIES, BANS_NEVER);
	struct id replaced;

	for (int number = 1; number <= 200; number++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%d.0.0/16", number);
		put((uint64_t)number, text, BAN_DENIES, BANS_NEVER);
	}
	assert_null(bans_allowance_after(bans, &at));
	put(1000, "192.0.2.9", BAN_ALLOWS, BANS_NEVER);
	put(500, "user", BAN_ALLOWS, BANS_NEVER);
	put(2000, "192.0.2.8", BAN_ALLOWS, BANS_NEVER);
	assert_true(bans_put(bans, &again, &replaced)); /* in place of 1000 */
	for (int i = 0; i < 2; i++) {
		const struct ban *ban = bans_allowance_after(bans, &at);

		assert_non_null(ban);
		numbers[i] = store_get_be64(ban->id.bytes + 8);
		at = ban->id;
	}
	assert_null(bans_allowance_after(bans, &at));
	assert_int_equal(numbers[0], 500);
	assert_int_equal(numbers[1], 2000);
	drop(500);
	at = make_id(0);
	assert_int_equal(store_get_be64(bans_allowance_after(bans, &at)->id.bytes + 8), 2000);
}

static void put_detected(uint64_t number, const char *subject, enum ban_effect effect, enum detector detector)
{
	struct detection detection = make_detection(detector);
	struct ban ban = make_ban(number, subject, effect, 1000);
	struct id replaced;

	ban.origin = BAN_BY_DETECTOR;
	ban.detection = &detection;
	assert_true(ban_valid(&ban));
	bans_put(bans, &ban, &replaced);
	detection = make_detection(DETECTOR_NONE); /* it was copied */
}

static void test_an_exemption_is_of_one_detector(void **state)
{
	struct ban lifted = make_ban(9, "mallory", BAN_EXEMPTS, 50);
	struct id replaced;

	lifted.origin = BAN_BY_LIFTING;
	lifted.exempts = DETECTOR_BIT(DETECTOR_REFUSALS);
	put_detected(1, "mallory", BAN_DENIES, DETECTOR_REFUSALS);
	assert_int_equal(refused("mallory", NULL, 49), 1);
	assert_false(bans_put(bans, &lifted, &replaced));
	assert_int_equal(refused("mallory", NULL, 49), 0);
	assert_int_equal(refused("mallory", NULL, 50), 1);
	assert_true(bans_exempt(bans, &lifted.subject, DETECTOR_BIT(DETECTOR_REFUSALS), 49));
	assert_false(bans_exempt(bans, &lifted.subject, DETECTOR_BIT(DETECTOR_REFUSALS), 50));
	assert_false(bans_exempt(bans, &lifted.subject, DETECTOR_BIT(DETECTOR_THROTTLED), 49));
	put_detected(2, "mallory", BAN_DENIES, DETECTOR_THROTTLED);
	assert_int_equal(refused("mallory", NULL, 49), 2);
	put(3, "mallory", BAN_DENIES, 50); /* an operator's ban needs no detector */
	lifted.exempts = DETECTOR_BIT(DETECTOR_REFUSALS) | DETECTOR_BIT(DETECTOR_THROTTLED);
	lifted.id = make_id(10);
	assert_true(bans_put(bans, &lifted, &replaced));
	assert_int_equal(refused("mallory", NULL, 49), 3);
	lifted.subject = make_subject_of("192.0.2.1");
	assert_false(bans_exempt(bans, &lifted.subject, DETECTOR_BIT(DETECTOR_REFUSALS), 49));
}

static bool outranked(const char *subject, enum ban_effect effect, int64_t expire_ms, int64_t now_ms)
{
	struct detection detection = make_detection(DETECTOR_REGULARITY);
	struct ban ban = make_ban(100, subject, effect, expire_ms);

	ban.origin = BAN_BY_DETECTOR;
	ban.detection = &detection;
	return bans_outranked(bans, &ban, now_ms);
}

static void test_a_weaker_finding_says_nothing_new(void **state)
{
	assert_false(outranked("mallory", BAN_SHADOWS, 10, 0));
	put_detected(1, "mallory", BAN_CHALLENGES, DETECTOR_REFUSALS); /* until 1000 */
	assert_true(outranked("mallory", BAN_SHADOWS, 5000, 0));
	assert_true(outranked("mallory", BAN_SLOWS, 5000, 0));
	assert_true(outranked("mallory", BAN_CHALLENGES, 999, 0));
	assert_false(outranked("mallory", BAN_CHALLENGES, 1000, 0));
	assert_false(outranked("mallory", BAN_DENIES, 10, 0));
	assert_false(outranked("mallory", BAN_SLOWS, 5000, 1000));
	assert_false(outranked("trudy", BAN_SLOWS, 5000, 0));
	put(2, "trudy", BAN_DENIES, BANS_NEVER); /* what a person said is another matter */
	assert_false(outranked("trudy", BAN_SLOWS, 5000, 0));
}

static void test_addresses_and_ranges(void **state)
{
	put(1, "192.0.2.1", BAN_DENIES, BANS_NEVER);
	put(2, "10.0.0.0/8", BAN_DENIES, BANS_NEVER);
	put(3, "2001:db8::/33", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "192.0.2.1", 0), 1);
	assert_int_equal(refused("u", "192.0.2.2", 0), 0);
	assert_int_equal(refused("u", "192.0.2.0", 0), 0);
	assert_int_equal(refused("u", "10.0.0.0", 0), 2);
	assert_int_equal(refused("u", "10.255.255.255", 0), 2);
	assert_int_equal(refused("u", "11.0.0.0", 0), 0);
	assert_int_equal(refused("u", "9.255.255.255", 0), 0);
	assert_int_equal(refused("u", "2001:db8:7fff::1", 0), 3);
	assert_int_equal(refused("u", "2001:db8:8000::1", 0), 0);
	assert_int_equal(refused("u", "::ffff:10.1.2.3", 0), 2); /* no way round */
	drop(2);
	assert_int_equal(refused("u", "10.1.2.3", 0), 0);
	assert_int_equal(refused("u", "192.0.2.1", 0), 1);
}

static void test_families_do_not_mix(void **state)
{
	put(1, "::/0", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "10.0.0.1", 0), 0);
	assert_int_equal(refused("u", "::ffff:10.0.0.1", 0), 0);
	assert_int_equal(refused("u", "::1", 0), 1);
	drop(1);
	put(2, "0.0.0.0/0", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "10.0.0.1", 0), 2);
	assert_int_equal(refused("u", "::a00:1", 0), 0); /* the same bits as IPv6 */
}

static void test_every_length(void **state)
{
	char text[64];

	for (int length = 0; length <= 128; length++) {
		snprintf(text, sizeof(text), "2001:db8:1234:5678:9abc:def0:1234:5678/%d", length);
		put(1, text, BAN_DENIES, BANS_NEVER);
		assert_int_equal(refused(NULL, "2001:db8:1234:5678:9abc:def0:1234:5678", 0), 1);
		drop(1);
		assert_int_equal(refused(NULL, "2001:db8:1234:5678:9abc:def0:1234:5678", 0), 0);
	}
	for (int length = 1; length <= 32; length++) {
		snprintf(text, sizeof(text), "170.85.170.85/%d", length);
		put(1, text, BAN_DENIES, BANS_NEVER);
		assert_int_equal(refused(NULL, "170.85.170.85", 0), 1);
		assert_int_equal(refused(NULL, "85.170.85.170", 0), 0);
		drop(1);
	}
}

static void test_the_allow_list_wins_over_addresses(void **state)
{
	put(1, "127.0.0.0/8", BAN_ALLOWS, BANS_NEVER);
	put(2, "127.0.0.1", BAN_DENIES, BANS_NEVER); /* longer than what is allowed */
	put(3, "0.0.0.0/0", BAN_DENIES, BANS_NEVER); /* and shorter */
	put(4, "mallory", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "127.0.0.1", 0), 0);
	assert_int_equal(refused("u", "127.9.9.9", 0), 0);
	assert_int_equal(refused("u", "128.0.0.1", 0), 3);
	assert_int_equal(refused("mallory", "127.0.0.1", 0), 4); /* an account has no such excuse */
	drop(1);
	assert_int_equal(refused("u", "127.0.0.1", 0), 2);
}

static void test_an_allowance_of_the_same_subject(void **state)
{
	put_by(BAN_BY_SETTING, 1, "192.0.2.1", BAN_ALLOWS, BANS_NEVER);
	put_by(BAN_BY_DETECTOR, 2, "192.0.2.1", BAN_DENIES, BANS_NEVER);
	put_by(BAN_BY_OPERATOR, 3, "192.0.2.1", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "192.0.2.1", 0), 0);
	drop(1);
	assert_int_not_equal(refused("u", "192.0.2.1", 0), 0);
}

static void test_an_allowance_ends_too(void **state)
{
	put(1, "10.0.0.0/8", BAN_ALLOWS, 100);
	put(2, "10.0.0.1", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("u", "10.0.0.1", 99), 0);
	assert_int_equal(refused("u", "10.0.0.1", 100), 2);
}

static void test_bans_end_by_themselves(void **state)
{
	put(1, "mallory", BAN_DENIES, 1000);
	put(2, "10.0.0.0/8", BAN_DENIES, 2000);
	assert_int_equal(refused("mallory", NULL, 999), 1);
	assert_int_equal(refused("mallory", NULL, 1000), 0);
	assert_int_equal(refused("u", "10.0.0.1", 1999), 2);
	assert_int_equal(refused("u", "10.0.0.1", 2000), 0);
	assert_int_equal(bans_count(bans, BANS_OWN), 2); /* still there until they are removed */
}

static void test_the_ban_that_ends_last_is_named(void **state)
{
	put(1, "mallory", BAN_DENIES, 1000);
	put(2, "10.0.0.1", BAN_DENIES, 3000);
	put(3, "10.0.0.0/8", BAN_DENIES, 2000);
	assert_int_equal(refused("mallory", "10.0.0.1", 0), 2);
	assert_int_equal(refused("mallory", "10.0.0.2", 0), 3);
	assert_int_equal(refused("mallory", "11.0.0.1", 0), 1);
	put_by(BAN_BY_DETECTOR, 4, "mallory", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("mallory", "10.0.0.1", 0), 4);
}

static void test_shadows_refuse_nobody(void **state)
{
	struct address client;
	struct bans_verdict verdict;

	put(1, "mallory", BAN_SHADOWS, BANS_NEVER);
	put(2, "10.0.0.0/8", BAN_SHADOWS, 100);
	assert_int_equal(refused("mallory", "10.0.0.1", 0), 0);
	assert_true(address_parse("10.0.0.1", 8, &client));
	verdict = bans_judge(bans, "u", &client, 0);
	assert_non_null(verdict.shadow);
	verdict = bans_judge(bans, "u", &client, 100);
	assert_null(verdict.shadow);
	verdict = bans_judge(bans, "mallory", NULL, 0);
	assert_null(verdict.deny);
	assert_non_null(verdict.shadow);
	put(3, "10.0.0.1", BAN_DENIES, BANS_NEVER);
	assert_int_equal(refused("mallory", "10.0.0.1", 0), 3);
	put(4, "10.0.0.0/9", BAN_ALLOWS, BANS_NEVER);
	verdict = bans_judge(bans, "u", &client, 0);
	assert_null(verdict.shadow); /* it would not have been refused */
}

static void test_a_newer_ban_of_the_same_origin_replaces(void **state)
{
	struct ban ban = make_ban(2, "mallory", BAN_SHADOWS, 5);
	struct id replaced, id = make_id(1);

	put(1, "mallory", BAN_DENIES, BANS_NEVER);
	put_by(BAN_BY_DETECTOR, 9, "mallory", BAN_DENIES, BANS_NEVER);
	assert_true(bans_put(bans, &ban, &replaced));
	assert_int_equal(id_compare(&replaced, &id), 0);
	assert_null(bans_get(bans, &id));
	assert_int_equal(bans_count(bans, BANS_OWN), 2); /* the detector's stays */
	assert_int_equal(bans_of(bans, &ban.subject, BAN_BY_OPERATOR)->expire_ms, 5);
	assert_non_null(bans_of(bans, &ban.subject, BAN_BY_DETECTOR));
	assert_null(bans_of(bans, &ban.subject, BAN_BY_SETTING));
}

static void test_texts_are_copied(void **state)
{
	struct ban ban = make_ban(1, "mallory", BAN_DENIES, BANS_NEVER);
	char reason[] = "reason", evidence[] = "evidence";
	struct id replaced;

	ban.reason = reason;
	ban.evidence = evidence;
	bans_put(bans, &ban, &replaced);
	memset(reason, 'x', sizeof(reason) - 1);
	memset(evidence, 'x', sizeof(evidence) - 1);
	assert_string_equal(bans_get(bans, &ban.id)->reason, "reason");
	assert_string_equal(bans_get(bans, &ban.id)->evidence, "evidence");
}

static void test_lists(void **state)
{
	struct ban_subject subject = make_subject_of("10.0.0.1");

	put(1, "10.0.0.0/8", BAN_DENIES, 100);
	put(2, "10.0.0.0/9", BAN_ALLOWS, BANS_NEVER);
	put(3, "mallory", BAN_SHADOWS, BANS_NEVER);
	assert_true(bans_lists(
		bans, &subject, 0)); /* with a range; what is allowed is on the list all the same */
	assert_false(bans_lists_itself(bans, &subject, 0));
	assert_false(bans_lists(bans, &subject, 100));
	subject = make_subject_of("10.0.0.0/8");
	assert_true(bans_lists(bans, &subject, 0));
	assert_true(bans_lists_itself(bans, &subject, 0));
	subject = make_subject_of("10.0.0.0/7"); /* wider than what is banned */
	assert_false(bans_lists(bans, &subject, 0));
	subject = make_subject_of("mallory");
	assert_false(bans_lists(bans, &subject, 0));
	put_by(BAN_BY_DETECTOR, 4, "mallory", BAN_DENIES, BANS_NEVER);
	assert_false(bans_lists(bans, &subject, 0)); /* a person said that it is only looked at */
	assert_false(bans_lists_itself(bans, &subject, 0));
	drop(3);
	assert_true(bans_lists(bans, &subject, 0));
	assert_true(bans_lists_itself(bans, &subject, 0));
}

/* One ban and one allowance of the very same subject. */
static void test_lists_see_behind_an_allowance(void **state)
{
	struct ban_subject subject = make_subject_of("10.0.0.1");

	put_by(BAN_BY_OPERATOR, 1, "10.0.0.1", BAN_ALLOWS, BANS_NEVER);
	put_by(BAN_BY_DETECTOR, 2, "10.0.0.1", BAN_DENIES, BANS_NEVER);
	assert_true(bans_lists(bans, &subject, 0));
	assert_true(bans_lists_itself(bans, &subject, 0));
}

static void test_order(void **state)
{
	static const char *const accounts[] = {"h", "harry", "harry2", "zoe"};
	static const char *const addresses[] = {"9.9.9.9", "10.0.0.0/8", "10.0.0.0", "192.0.2.1", "::1"};
	const struct ban_subject *subject = NULL;
	struct id at = {{0}};
	const struct ban *ban;
	uint64_t number = 0;

	for (uint64_t i = 0; i < 4; i++)
		put(10 - i, accounts[i], BAN_DENIES, BANS_NEVER);
	for (uint64_t i = 0; i < 5; i++)
		put(20 + (i * 3) % 5, addresses[i], BAN_DENIES, BANS_NEVER);
	for (int i = 0; i < 4; i++) {
		subject = bans_next_subject(bans, BAN_OF_ACCOUNT, subject);
		assert_string_equal(subject->user_id, accounts[i]);
	}
	assert_null(bans_next_subject(bans, BAN_OF_ACCOUNT, subject));
	subject = NULL;
	for (int i = 0; i < 5; i++) {
		struct ban_subject expected = make_subject_of(addresses[i]);

		subject = bans_next_subject(bans, BAN_OF_ADDRESS, subject);
		assert_int_equal(address_compare(&subject->address, &expected.address), 0);
	}
	assert_null(bans_next_subject(bans, BAN_OF_ADDRESS, subject));
	for (ban = bans_after(bans, &at); ban; ban = bans_after(bans, &at)) {
		assert_true(store_get_be64(ban->id.bytes + 8) > number);
		number = store_get_be64(ban->id.bytes + 8);
		at = ban->id;
	}
	assert_int_equal(number, 24);
	at = make_id(11); /* of none */
	assert_int_equal(store_get_be64(bans_after(bans, &at)->id.bytes + 8), 20);
}

static void test_which_bans_are_valid(void **state)
{
	struct ban good = make_ban(1, "mallory", BAN_DENIES, 5), ban = good;
	char text[BANS_EVIDENCE_MAX + 2];

	assert_true(ban_valid(&ban));
	ban.effect = BAN_EXEMPTS; /* only by lifting */
	assert_false(ban_valid(&ban));
	ban.origin = BAN_BY_LIFTING; /* of nobody */
	assert_false(ban_valid(&ban));
	ban.exempts = DETECTOR_BIT(DETECTORS + 1);
	assert_false(ban_valid(&ban));
	ban.exempts = 1;
	assert_true(ban_valid(&ban));
	ban.effect = BAN_DENIES;
	assert_false(ban_valid(&ban));
	ban = good;
	ban.effect = BAN_ALLOWS; /* accounts too */
	assert_true(ban_valid(&ban));
	ban = good;
	ban.effect = 0;
	assert_false(ban_valid(&ban));
	ban = good;
	ban.origin = BAN_ORIGINS;
	assert_false(ban_valid(&ban));
	ban = good;
	ban.subject.user_id[0] = '\0';
	assert_false(ban_valid(&ban));
	ban = good;
	memset(&ban.id, 0, sizeof(ban.id));
	assert_false(ban_valid(&ban));
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ban = good;
	ban.evidence = text;
	assert_false(ban_valid(&ban));
	text[BANS_EVIDENCE_MAX] = '\0';
	assert_true(ban_valid(&ban));
	ban.reason = text;
	assert_false(ban_valid(&ban));
	ban = good;
	memset(ban.subject.user_id, 'm', sizeof(ban.subject.user_id)); /* without an end */
	assert_false(ban_valid(&ban));
	ban = make_ban(1, "192.0.2.0/24", BAN_DENIES, 5);
	assert_true(ban_valid(&ban));
	ban.subject.address.bits = ADDRESS_BITS + 1;
	assert_false(ban_valid(&ban));
	ban.subject.kind = (enum ban_kind)2;
	assert_false(ban_valid(&ban));
	ban = good;
	ban.exempts = 1;
	assert_false(ban_valid(&ban));
	ban = good;
	ban.effect = BAN_EFFECTS;
	assert_false(ban_valid(&ban));
}

static void test_which_detections_are_valid(void **state)
{
	struct detection detection = make_detection(DETECTOR_REFUSALS);
	struct ban ban = make_ban(1, "mallory", BAN_DENIES, 5);

	ban.detection = &detection;
	assert_false(ban_valid(&ban)); /* a person's */
	ban.origin = BAN_BY_DETECTOR;
	assert_true(ban_valid(&ban));
	detection.detector = DETECTORS;
	assert_false(ban_valid(&ban));
}

/* What is asked about others than clients that come. */
static void test_what_is_asked_of_lists(void **state)
{
	const struct ban_subject mallory = make_subject_of("mallory"), nobody = make_subject_of("nobody"),
				 host = make_subject_of("192.0.2.7"), other = make_subject_of("198.51.100.1");

	assert_false(bans_allow(bans, &host, 0));
	put(1, "mallory", BAN_ALLOWS, 5);
	put(2, "192.0.2.0/24", BAN_ALLOWS, 5);
	put(3, "192.0.2.7", BAN_DENIES, 5);
	assert_true(bans_allow(bans, &mallory, 4) && bans_allow(bans, &host, 4));
	assert_false(bans_allow(bans, &mallory, 5) || bans_allow(bans, &host, 5));
	assert_false(bans_allow(bans, &nobody, 4) || bans_allow(bans, &other, 4));
	assert_false(bans_lists(bans, &mallory, 4));
	assert_true(bans_lists(bans, &host, 4)); /* behind the allowance */
	assert_non_null(bans_of_person(bans, &mallory, 4));
	assert_null(bans_of_person(bans, &mallory, 5));
	assert_null(bans_of_person(bans, &nobody, 4));
	assert_true(bans_shows(bans, bans_of(bans, &host, BAN_BY_OPERATOR), 4));
	assert_false(bans_shows(bans, bans_of(bans, &host, BAN_BY_OPERATOR), 5));
	assert_null(bans_of(bans, &nobody, BAN_BY_OPERATOR));
	bans_free(NULL);
}

#define MANY 100000

static void name_address(char text[ADDRESS_TEXT_MAX], int i)
{
	if (i % 2)
		snprintf(text, ADDRESS_TEXT_MAX, "%d.%d.%d.%d", 1 + i % 200, i / 200 % 250, i / 50000,
			i % 250);
	else
		snprintf(text, ADDRESS_TEXT_MAX, "2001:db8:%x:%x::/64", i >> 16, i & 0xffff);
}

static void test_a_hundred_thousand(void **state)
{
	char text[ADDRESS_TEXT_MAX], user[16];
	struct id at = {{0}};
	const struct ban *ban;
	size_t count = 0;

	for (int i = 0; i < MANY; i++) {
		name_address(text, i);
		snprintf(user, sizeof(user), "user%d", i);
		put(2 * (uint64_t)i + 1, text, BAN_DENIES, i % 3 ? BANS_NEVER : 100);
		put(2 * (uint64_t)i + 2, user, BAN_DENIES, BANS_NEVER);
	}
	assert_int_equal(bans_count(bans, BANS_OWN), 2 * MANY);
	for (ban = bans_after(bans, &at); ban; ban = bans_after(bans, &ban->id))
		count++;
	assert_int_equal(count, 2 * MANY);
	assert_int_equal(refused("user99999", NULL, 0), 2 * MANY);
	assert_int_equal(refused("user100000", NULL, 0), 0);
	name_address(text, 77777);
	assert_int_equal(refused(NULL, text, 0), 2 * 77777 + 1);
	assert_int_equal(refused(NULL, "2001:db8:0:1000:ab::1", 0), 2 * 0x1000 + 1);
	assert_int_equal(refused(NULL, "2001:db8:0:1001:ab::1", 0), 0);
	assert_int_equal(refused(NULL, "2001:db8:0:0:1::", 99), 1);
	assert_int_equal(refused(NULL, "2001:db8:0:0:1::", 100), 0);
	for (uint64_t number = 1; number <= 2 * MANY; number++)
		drop(number);
	assert_int_equal(bans_count(bans, BANS_OWN), 0);
	assert_null(bans_next_subject(bans, BAN_OF_ACCOUNT, NULL));
	assert_null(bans_next_subject(bans, BAN_OF_ADDRESS, NULL));
}

/* Against a list that is searched from end to end. */
static void test_the_same_as_a_plain_search(void **state)
{
	struct ban model[64] = {0};
	unsigned seed = 7;

	for (int step = 0; step < 20000; step++) {
		int at = rand_r(&seed) % 64, length = rand_r(&seed) % 9 + 24;
		char text[32];
		struct address address;
		bool denied = false, allowed = false;
		struct id replaced;

		if (!id_is_zero(&model[at].id)) {
			assert_true(bans_remove(bans, &model[at].id, BANS_OWN));
			memset(&model[at].id, 0, sizeof(struct id));
		} else {
			snprintf(text, sizeof(text), "10.0.0.%d/%d", rand_r(&seed) % 256, length);
			model[at] = make_ban((uint64_t)step + 1, text, BAN_DENIES + rand_r(&seed) % 3,
				rand_r(&seed) % 100);
			for (int i = 0; i < 64; i++) {
				if (i != at && !id_is_zero(&model[i].id) &&
					!address_compare(
						&model[i].subject.address, &model[at].subject.address))
					memset(&model[i].id, 0, sizeof(struct id));
			}
			bans_put(bans, &model[at], &replaced);
		}
		snprintf(text, sizeof(text), "10.0.0.%d", rand_r(&seed) % 256);
		assert_true(address_parse(text, strlen(text), &address));
		for (int i = 0; i < 64; i++) {
			if (id_is_zero(&model[i].id) || model[i].expire_ms <= 50)
				continue;
			if (!address_covers(&model[i].subject.address, &address))
				continue;
			denied = denied || model[i].effect == BAN_DENIES;
			allowed = allowed || model[i].effect == BAN_ALLOWS;
		}
		assert_int_equal(refused(NULL, text, 50) != 0, denied && !allowed);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_accounts),
		TEST(test_who_is_slowed_or_challenged_is_welcome),
		TEST(test_an_allowed_account),
		TEST(test_a_persons_word_beats_a_detectors),
		TEST(test_an_exemption_is_of_one_detector),
		TEST(test_a_weaker_finding_says_nothing_new),
		TEST(test_the_allow_list_in_order),
		TEST(test_addresses_and_ranges),
		TEST(test_families_do_not_mix),
		TEST(test_every_length),
		TEST(test_the_allow_list_wins_over_addresses),
		TEST(test_an_allowance_of_the_same_subject),
		TEST(test_an_allowance_ends_too),
		TEST(test_bans_end_by_themselves),
		TEST(test_the_ban_that_ends_last_is_named),
		TEST(test_shadows_refuse_nobody),
		TEST(test_a_newer_ban_of_the_same_origin_replaces),
		TEST(test_texts_are_copied),
		TEST(test_lists),
		TEST(test_lists_see_behind_an_allowance),
		TEST(test_order),
		TEST(test_which_bans_are_valid),
		TEST(test_which_detections_are_valid),
		TEST(test_what_is_asked_of_lists),
		TEST(test_a_hundred_thousand),
		TEST(test_the_same_as_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
