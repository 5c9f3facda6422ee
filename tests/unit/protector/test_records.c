#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/records.h"
#include "tests/unit/protector/make_ban.h"

static void check_round_trip(const struct ban *ban)
{
	uint8_t record[BAN_RECORD_MAX];
	size_t size = ban_record_pack(ban, record);
	struct ban_texts texts;
	struct ban back;

	assert_true(size <= sizeof(record));
	assert_true(ban_unpack(ban->id.bytes, ID_BYTES, record, size, &back, &texts));
	assert_int_equal(id_compare(&back.id, &ban->id), 0);
	assert_memory_equal(&back.subject, &ban->subject, sizeof(ban->subject));
	assert_int_equal(back.origin, ban->origin);
	assert_int_equal(back.effect, ban->effect);
	assert_true(back.create_ms == ban->create_ms && back.expire_ms == ban->expire_ms);
	assert_string_equal(back.reason, ban->reason);
	assert_string_equal(back.evidence, ban->evidence);
	assert_int_equal(back.exempts, ban->exempts);
	assert_int_equal(back.detection != NULL, ban->detection != NULL);
	if (ban->detection)
		assert_memory_equal(back.detection, ban->detection, sizeof(*ban->detection));
}

static void test_round_trips(void **state)
{
	struct ban ban = make_ban(1, "mallory", BAN_DENIES, BANS_NEVER);
	char user[BANS_USER_MAX + 1], reason[BANS_REASON_MAX + 1], evidence[BANS_EVIDENCE_MAX + 1];

	check_round_trip(&ban);
	ban = make_ban(2, "10.0.0.0/8", BAN_ALLOWS, -7);
	ban.origin = BAN_BY_DETECTOR;
	check_round_trip(&ban);
	ban = make_ban(3, "2001:db8::1", BAN_SHADOWS, 1767225600000);
	check_round_trip(&ban);
	memset(user, 'z', BANS_USER_MAX);
	memset(reason, 'r', BANS_REASON_MAX);
	memset(evidence, 'e', BANS_EVIDENCE_MAX);
	user[BANS_USER_MAX] = reason[BANS_REASON_MAX] = evidence[BANS_EVIDENCE_MAX] = '\0';
	ban = make_ban(4, user, BAN_DENIES, 1);
	ban.reason = reason;
	ban.evidence = evidence;
	check_round_trip(&ban);
	assert_true(ban_record_pack(&ban, (uint8_t[BAN_RECORD_MAX]){0}) <= BAN_RECORD_MAX);
}

static void test_what_a_detector_said(void **state)
{
	struct detection detection = make_detection(DETECTOR_REFUSALS);
	struct ban ban = make_ban(1, "mallory", BAN_SHADOWS, 9);

	ban.origin = BAN_BY_DETECTOR;
	ban.detection = &detection;
	check_round_trip(&ban);
	ban = make_ban(2, "10.0.0.1", BAN_EXEMPTS, 9);
	ban.origin = BAN_BY_LIFTING;
	ban.exempts = DETECTOR_BIT(DETECTOR_THROTTLED) | DETECTOR_BIT(DETECTOR_REFUSALS);
	check_round_trip(&ban);
	for (int detector = DETECTOR_NONE + 1; detector < DETECTORS; detector++)
		ban.exempts |= DETECTOR_BIT(detector);
	check_round_trip(&ban);
}

/* A store of a later program may name detectors that this one does not have. */
static void test_detectors_that_are_not_known(void **state)
{
	struct detection detection = make_detection(DETECTOR_REFUSALS);
	struct ban ban = make_ban(1, "mallory", BAN_DENIES, 9), back;
	uint8_t record[BAN_RECORD_MAX];
	struct ban_texts texts;
	size_t size;

	ban.origin = BAN_BY_DETECTOR;
	ban.detection = &detection;
	size = ban_record_pack(&ban, record);
	memcpy(record + size - strlen("refusals"), "operator", strlen("operator")); /* is none of them */
	assert_true(ban_unpack(ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	assert_null(back.detection);
	record[size - 1] = 'X';
	assert_true(ban_unpack(ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	assert_null(back.detection);
	ban = make_ban(2, "mallory", BAN_EXEMPTS, 9);
	ban.origin = BAN_BY_LIFTING;
	ban.exempts = DETECTOR_BIT(DETECTOR_REFUSALS);
	size = ban_record_pack(&ban, record);
	record[size - 1] = 'X';
	assert_true(ban_unpack(ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	assert_int_equal(back.exempts, DETECTOR_BIT(DETECTORS));
	assert_true(ban_valid(&back));
}

/* The format is written down: these bytes are in stores. */
static void test_layout(void **state)
{
	static const uint8_t expected[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 0, 'm',
		'e', 0, 3, 'w', 'h', 'y', 0, 0, 0, 0, 0, 0};
	static const uint8_t expected_subject[] = {
		1, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1};
	struct ban ban = make_ban(1, "me", BAN_DENIES, 258);
	uint8_t record[BAN_RECORD_MAX], key[SUBJECT_ROW_KEY_MAX];

	assert_int_equal(ban_record_pack(&ban, record), sizeof(expected));
	assert_memory_equal(record, expected, sizeof(expected));
	ban = make_ban(1, "10.0.0.0/8", BAN_DENIES, 258);
	assert_int_equal(subject_row_key_pack(&ban.subject, BAN_BY_DETECTOR, key), sizeof(expected_subject));
	assert_memory_equal(key, expected_subject, sizeof(expected_subject));
}

static void test_damage_is_seen(void **state)
{
	static const char *const subjects[] = {"mallory", "10.0.0.0/8"};
	uint8_t record[BAN_RECORD_MAX], bad[BAN_RECORD_MAX];
	struct ban_texts texts;
	struct ban back;

	for (int i = 0; i < 2; i++) {
		struct ban ban = make_ban(1, subjects[i], BAN_DENIES, 5);
		size_t size = ban_record_pack(&ban, record);

		for (size_t cut = 0; cut < size; cut++)
			assert_false(ban_unpack(ban.id.bytes, ID_BYTES, record, cut, &back, &texts));
		assert_false(ban_unpack(ban.id.bytes, ID_BYTES - 1, record, size, &back, &texts));
		assert_true(ban_unpack(ban.id.bytes, ID_BYTES, record, size, &back, &texts));
		/* No byte that is not as it can be gets through and breaks what follows. */
		for (size_t at = 0; at < size; at++) {
			for (int value = 0; value < 256; value++) {
				memcpy(bad, record, size);
				bad[at] = (uint8_t)value;
				if (ban_unpack(ban.id.bytes, ID_BYTES, bad, size, &back, &texts))
					assert_true(ban_valid(&back) && back.origin != BAN_BY_SETTING);
			}
		}
	}
}

static struct ended_ban make_ended(uint64_t number, const char *subject)
{
	struct ended_ban ended = {
		.ban = make_ban(number, subject, BAN_DENIES, 258), .how = BAN_REPLACED, .end_ms = 257};

	ended.replaced_by = make_id(7);
	memset(ended.subject_hash, 0xab, sizeof(ended.subject_hash));
	return ended;
}

static void test_ended_ones(void **state)
{
	static const uint8_t fixed[] = {
		3, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
	struct ended_ban ended = make_ended(1, "me"), back;
	uint8_t record[ENDED_RECORD_MAX], key[ENDED_SUBJECT_KEY_BYTES];
	struct ban_texts texts;
	size_t size;

	ended.erased = true;
	size = ended_record_pack(&ended, record);
	assert_memory_equal(record, fixed, sizeof(fixed));
	assert_int_equal(record[sizeof(fixed)], 0xab);
	assert_true(ended_unpack(ended.ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	assert_int_equal(back.how, BAN_REPLACED);
	assert_true(back.erased && back.end_ms == 257);
	assert_memory_equal(back.replaced_by.bytes, ended.replaced_by.bytes, ID_BYTES);
	assert_memory_equal(back.subject_hash, ended.subject_hash, SUBJECT_HASH_BYTES);
	assert_string_equal(back.ban.subject.user_id, "me");
	ended_subject_key_pack(ended.subject_hash, &ended.ban.id, key);
	assert_memory_equal(key, ended.subject_hash, SUBJECT_HASH_BYTES);
	assert_memory_equal(key + SUBJECT_HASH_BYTES, ended.ban.id.bytes, ID_BYTES);
	for (size_t cut = 0; cut < size; cut++)
		assert_false(ended_unpack(ended.ban.id.bytes, ID_BYTES, record, cut, &back, &texts));
	record[0] = BAN_ENDS;
	assert_false(ended_unpack(ended.ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	record[0] = 0;
	assert_false(ended_unpack(ended.ban.id.bytes, ID_BYTES, record, size, &back, &texts));
	record[0] = BAN_LIFTED;
	record[1] = 2;
	assert_false(ended_unpack(ended.ban.id.bytes, ID_BYTES, record, size, &back, &texts));
}

struct piece {
	size_t size;
	int byte; /* it is full of them */
};

/* A record of an account's ban, in pieces: subject, reason, evidence, detection, names; and what is behind them. */
static bool is_read(const struct piece pieces[5], size_t behind, uint8_t origin)
{
	static uint8_t record[4096];
	const struct id id = make_id(1);
	struct ban_texts texts;
	struct ban back;
	size_t size = 18;

	memset(record, 0, sizeof(record));
	record[0] = origin;
	record[1] = BAN_DENIES;
	for (int i = 0; i < 5; i++) {
		record[size] = (uint8_t)(pieces[i].size >> 8);
		record[size + 1] = (uint8_t)pieces[i].size;
		memset(record + size + 2, pieces[i].byte, pieces[i].size);
		if (i == 0)
			record[size + 2] = BAN_OF_ACCOUNT;
		size += 2 + pieces[i].size;
	}
	return ban_unpack(id.bytes, ID_BYTES, record, size + behind, &back, &texts);
}

static void test_pieces_that_can_not_be(void **state)
{
	static const struct piece good[5] = {{5, 'e'}, {3, 'r'}, {3, 'x'}, {0, 0}, {0, 0}};
	static const struct {
		int which;
		struct piece piece;
	} bad[] = {{0, {1, 'e'}}, {0, {SUBJECT_KEY_MAX + 1, 'e'}}, {0, {5, 0}},
		{1, {BANS_REASON_MAX + 1, 'r'}}, {1, {3, 0}}, {2, {BANS_EVIDENCE_MAX + 1, 'x'}},
		{3, {DETECTION_BYTES - 1, 1}}, {3, {DETECTION_BYTES, 0}}, {3, {DETECTION_BYTES, BAN_EFFECTS}},
		{3, {DETECTION_BYTES, 1}}, {4, {DETECTOR_LIST_MAX + 1, ','}}};
	struct piece pieces[5];

	assert_true(is_read(good, 0, BAN_BY_OPERATOR));
	assert_false(is_read(good, 1, BAN_BY_OPERATOR));
	assert_false(is_read(good, 0, BAN_BY_SETTING));
	assert_false(is_read(good, 0, BAN_ORIGINS));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(pieces, good, sizeof(pieces));
		pieces[bad[i].which] = bad[i].piece;
		assert_false(is_read(pieces, 0, BAN_BY_DETECTOR));
	}
}

static void test_ends_sort(void **state)
{
	static const int64_t ascending[] = {INT64_MIN, -5, 0, 3, 256, 1767225600000, INT64_MAX};
	uint8_t before[EXPIRY_KEY_BYTES], after[EXPIRY_KEY_BYTES];
	struct id high = make_id(UINT64_MAX), low = make_id(0), id;
	int64_t back;

	for (size_t i = 1; i < sizeof(ascending) / sizeof(ascending[0]); i++) {
		expiry_key_pack(ascending[i - 1], &high, before);
		expiry_key_pack(ascending[i], &low, after);
		assert_true(memcmp(before, after, sizeof(before)) < 0);
		assert_true(expiry_key_unpack(after, sizeof(after), &back, &id));
		assert_true(back == ascending[i] && id_compare(&id, &low) == 0);
	}
	assert_false(expiry_key_unpack(after, sizeof(after) - 1, &back, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_what_a_detector_said),
		cmocka_unit_test(test_detectors_that_are_not_known),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_damage_is_seen),
		cmocka_unit_test(test_ended_ones),
		cmocka_unit_test(test_pieces_that_can_not_be),
		cmocka_unit_test(test_ends_sort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
