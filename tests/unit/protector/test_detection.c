#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/messages.h"
#include "tests/unit/protector/make_ban.h"

static struct arena arena;

static int setup(void **state)
{
	arena_init(&arena, 4096, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	arena_release(&arena);
	return 0;
}

static struct decision make_decision(void)
{
	return (struct decision){.subject = make_subject_of("mallory"),
		.effect = BAN_SHADOWS,
		.step = BAN_DENIES,
		.detector = DETECTOR_ACCOUNT_RATE,
		.create_us = 1767225605500999,
		.expire_us = 1767225665500999,
		.repetition = 2,
		.evidence = make_detection(DETECTOR_ACCOUNT_RATE).evidence};
}

static void test_a_decision_becomes_a_ban_that_explains_itself(void **state)
{
	struct decision decision = make_decision();
	struct ban ban = {.id = make_id(7)};
	const Protector__Ban *message;

	assert_true(ban_from_decision(&arena, &decision, &ban));
	assert_true(ban_valid(&ban));
	assert_int_equal(ban.origin, BAN_BY_DETECTOR);
	assert_int_equal(ban.effect, BAN_SHADOWS);
	assert_true(ban.create_ms == 1767225605500 && ban.expire_ms == 1767225665500);
	assert_non_null(strstr(ban.reason, "account-rate"));
	assert_non_null(strstr(ban.evidence, "163"));
	message = message_ban(&arena, &ban);
	assert_int_equal(message->source, PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR);
	assert_int_equal(message->effect, PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW);
	assert_string_equal(message->detection->detector, "account-rate");
	assert_int_equal(message->detection->step, PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY);
	assert_int_equal(message->detection->window->seconds, 5);
	assert_int_equal(message->detection->value, 163);
	assert_int_equal(message->detection->threshold, 150);
	assert_int_equal(message->detection->repetition, 2);
	assert_int_equal(message->detection->accounts, 6);
	assert_int_equal(message->detection->first_time->seconds, 1767225600);
	assert_int_equal(message->detection->last_time->nanos, 500000000);
}

static void test_without_memory_there_is_no_ban(void **state)
{
	struct decision decision = make_decision();
	struct ban ban = {.id = make_id(7)};
	struct arena tiny;

	arena_init(&tiny, 64, 64);
	assert_false(ban_from_decision(&tiny, &decision, &ban));
	arena_release(&tiny);
}

static void test_sets_of_detectors(void **state)
{
	uint32_t all = 0, two = DETECTOR_BIT(DETECTOR_ACCOUNT_RATE) | DETECTOR_BIT(DETECTOR_REGULARITY);
	char text[DETECTOR_LIST_MAX + 1];

	for (int detector = DETECTOR_NONE + 1; detector < DETECTORS; detector++)
		all |= DETECTOR_BIT(detector);
	assert_int_equal(detector_list_format(0, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(detector_list_parse(text, 0), 0);
	assert_int_equal(detector_list_parse(text, detector_list_format(two, text)), two);
	assert_string_equal(text, "account-rate,regularity");
	assert_int_equal(detector_list_parse(text, detector_list_format(all, text)), all);
	assert_int_equal(
		detector_list_parse("regularity,,none,later,", 23), DETECTOR_BIT(DETECTOR_REGULARITY));
}

static void test_an_exemption_names_its_detectors(void **state)
{
	struct ban ban = make_ban(1, "mallory", BAN_EXEMPTS, 5);
	const Protector__Ban *message;

	ban.origin = BAN_BY_LIFTING;
	ban.exempts = DETECTOR_BIT(DETECTOR_REFUSALS) | DETECTOR_BIT(DETECTOR_THROTTLED);
	message = message_ban(&arena, &ban);
	assert_int_equal(message->effect, PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT);
	assert_int_equal(message->source, PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR);
	assert_int_equal(message->exemption->n_detectors, 2);
	assert_string_equal(message->exemption->detectors[0], detector_infos[DETECTOR_REFUSALS].name);
	assert_null(message->detection);
	ban.exempts |= DETECTOR_BIT(DETECTOR_NONE);
	message = message_ban(&arena, &ban);
	assert_string_equal(message->exemption->detectors[0], "operator");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* With every size of memory that is too small, and the first that is not. */
static void test_no_room_is_told(void **state)
{
	const struct detection detection = make_detection(DETECTOR_ACCOUNT_RATE);
	const struct decision decision = make_decision();
	bool shown = false, made = false;

	for (size_t bytes = 64; !shown || !made; bytes += 16) {
		struct arena small;
		struct ban ban;

		arena_init(&small, bytes, bytes);
		shown = message_detection(&small, &detection) != NULL;
		arena_clear(&small);
		ban.id = make_id(1);
		made = ban_from_decision(&small, &decision, &ban);
		arena_release(&small);
		assert_true(bytes < 8192);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_decision_becomes_a_ban_that_explains_itself),
		TEST(test_without_memory_there_is_no_ban),
		TEST(test_sets_of_detectors),
		TEST(test_an_exemption_names_its_detectors),
		TEST(test_no_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
