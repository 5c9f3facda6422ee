/* tests/unit/base/test_id.c - ids ascend whatever the clock does; text and back. */
#include "base/id.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW_MS 1772366400123

static void assert_v7(const struct id *id)
{
	assert_int_equal(id->bytes[6] >> 4, 7);
	assert_int_equal(id->bytes[8] >> 6, 2);
}

static void test_a_million_ascend_by_the_system_s_clock(void **state)
{
	struct id_generator generator;
	struct id last, id;

	id_generator_init(&generator, &clock_system);
	last = id_next(&generator);
	for (int i = 0; i < 1000000; i++) {
		id = id_next(&generator);
		if (id_compare(&last, &id) >= 0)
			fail_msg("id %d does not ascend", i);
		last = id;
	}
	assert_v7(&last);
}

static void test_a_million_ascend_within_one_millisecond(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;
	struct id last, id;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&generator, &clock.base);
	last = id_next(&generator);
	for (int i = 0; i < 1000000; i++) {
		id = id_next(&generator);
		if (id_compare(&last, &id) >= 0)
			fail_msg("id %d does not ascend", i);
		last = id;
	}
	assert_int_equal(id_time_ms(&last), NOW_MS);
}

static void test_it_passes_what_others_have_made(void **state)
{
	struct id_generator generator, other;
	struct clock_manual clock, ahead;
	struct id theirs, ours, before, foreign = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x40}},
					last = foreign;

	clock_manual_init(&clock, NOW_MS, 0);
	clock_manual_init(&ahead, NOW_MS + 86400000, 0);
	id_generator_init(&generator, &clock.base);
	id_generator_init(&other, &ahead.base);
	before = id_next(&generator);
	for (int i = 0; i < 1000; i++) {
		theirs = id_next(&other);
		id_generator_pass(&generator, &theirs);
		ours = id_next(&generator);
		assert_true(id_compare(&theirs, &ours) < 0); /* though our clock is a day behind */
		assert_v7(&ours);
	}
	id_generator_pass(&generator, &before); /* an older one changes nothing */
	theirs = id_next(&generator);
	assert_true(id_compare(&ours, &theirs) < 0);
	id_generator_pass(&generator, &foreign); /* another version */
	last.bytes[6] = 0x7f;			 /* no clock has made it */
	id_generator_pass(&generator, &last);
	ours = id_next(&generator);
	assert_true(id_time_ms(&ours) <= NOW_MS + 86400000 + 1);
}

static void test_the_clock_may_go_back(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;
	struct id last, id;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&generator, &clock.base);
	last = id_next(&generator);
	for (int i = 0; i < 10000; i++) {
		clock_manual_jump_wall(&clock, i % 100 == 0 ? 3000 : -61);
		id = id_next(&generator);
		assert_true(id_compare(&last, &id) < 0);
		last = id;
	}
	clock_manual_jump_wall(&clock, -2 * NOW_MS); /* before 1970 */
	id = id_next(&generator);
	assert_true(id_compare(&last, &id) < 0);
	assert_v7(&id);
}

static void test_a_used_up_counter_goes_on_in_the_next_millisecond(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;
	struct id last, id;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&generator, &clock.base);
	id_next(&generator);
	generator.counter = (1 << 26) - 3;
	last = id_next(&generator);
	for (int i = 0; i < 10; i++) {
		id = id_next(&generator);
		assert_true(id_compare(&last, &id) < 0);
		assert_v7(&id);
		last = id;
	}
	assert_int_equal(id_time_ms(&last), NOW_MS + 1);
	clock_manual_advance(&clock, 1); /* the clock arrives where the generator is */
	id = id_next(&generator);
	assert_true(id_compare(&last, &id) < 0);
}

static void test_every_bit_of_the_counter_is_in_the_id(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&generator, &clock.base);
	id_next(&generator);
	for (int bit = 0; bit < 26; bit++) {
		struct id before, after;

		generator.counter = (UINT32_C(1) << bit) - 2;
		if (bit == 0)
			generator.counter = 0;
		before = id_next(&generator);
		after = id_next(&generator);
		assert_true(id_compare(&before, &after) < 0);
		assert_true(memcmp(before.bytes + 6, after.bytes + 6, 4) < 0);
	}
}

static void test_the_time_is_the_clock_s(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;
	struct id id;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&generator, &clock.base);
	id = id_next(&generator);
	assert_int_equal(id_time_ms(&id), NOW_MS);
	clock_manual_advance(&clock, 5);
	id = id_next(&generator);
	assert_int_equal(id_time_ms(&id), NOW_MS + 5);
}

static void test_a_time_beyond_the_format_is_its_last(void **state)
{
	struct id_generator generator;
	struct clock_manual clock;
	struct id id;

	clock_manual_init(&clock, INT64_MAX, 0);
	id_generator_init(&generator, &clock.base);
	id = id_next(&generator);
	assert_int_equal(id_time_ms(&id), (INT64_C(1) << 48) - 1);
	assert_v7(&id);
}

static void test_generators_do_not_meet(void **state)
{
	struct id_generator a, b;
	struct clock_manual clock;

	clock_manual_init(&clock, NOW_MS, 0);
	id_generator_init(&a, &clock.base);
	id_generator_init(&b, &clock.base);
	for (int i = 0; i < 10000; i++) {
		struct id x = id_next(&a), y = id_next(&b);

		assert_int_not_equal(id_compare(&x, &y), 0);
		assert_memory_not_equal(x.bytes + 10, y.bytes + 10, 6);
	}
}

static void test_text_and_back(void **state)
{
	struct id id, back;
	char text[ID_TEXT_LENGTH + 1];

	for (int i = 0; i < 1000; i++) {
		id_random(&id);
		assert_int_equal(id.bytes[6] >> 4, 4);
		assert_int_equal(id.bytes[8] >> 6, 2);
		assert_ptr_equal(id_format(&id, text), text);
		assert_int_equal(strlen(text), ID_TEXT_LENGTH);
		assert_true(id_parse(text, &back));
		assert_int_equal(id_compare(&id, &back), 0);
		for (char *at = text; *at; at++)
			*at = (char)toupper((unsigned char)*at);
		assert_true(id_parse(text, &back));
		assert_int_equal(id_compare(&id, &back), 0);
	}
}

static void test_a_known_id(void **state)
{
	const char text[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"; /* RFC 9562, appendix A.6 */
	char back[ID_TEXT_LENGTH + 1];
	struct id id;

	assert_true(id_parse(text, &id));
	assert_int_equal(id_time_ms(&id), 1645557742000);
	assert_int_equal(id.bytes[0], 0x01);
	assert_int_equal(id.bytes[15], 0x8f);
	assert_string_equal(id_format(&id, back), text);
}

static void test_only_the_canonical_form_parses(void **state)
{
	static const char good[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
	char text[64];
	struct id id = {{7}}, before = id;

	for (size_t length = 0; length < ID_TEXT_LENGTH; length++) {
		memcpy(text, good, length);
		text[length] = '\0';
		assert_false(id_parse(text, &id));
	}
	for (size_t at = 0; at < ID_TEXT_LENGTH; at++) {
		for (const char *wrong = "g /:@G`-0\x80"; *wrong; wrong++) {
			bool dash = good[at] == '-';

			strcpy(text, good);
			text[at] = *wrong;
			if (dash ? *wrong != '-' : *wrong != '0')
				assert_false(id_parse(text, &id));
		}
	}
	assert_false(id_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", &id));
	assert_false(id_parse(" 017f22e2-79b0-7cc3-98c4-dc0c0c07398f", &id));
	assert_false(id_parse("{017f22e2-79b0-7cc3-98c4-dc0c0c07398}", &id));
	assert_false(id_parse("017f22e279b07cc398c4dc0c0c07398f", &id));
	assert_false(id_parse("017f22e279b0-7cc3-98c4-dc0c0c07398f-", &id));
	assert_int_equal(id_compare(&id, &before), 0); /* untouched by all the failures */
}

static void test_zero(void **state)
{
	struct id id = {{0}};

	assert_true(id_is_zero(&id));
	id.bytes[15] = 1;
	assert_false(id_is_zero(&id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_million_ascend_by_the_system_s_clock),
		cmocka_unit_test(test_a_million_ascend_within_one_millisecond),
		cmocka_unit_test(test_it_passes_what_others_have_made),
		cmocka_unit_test(test_the_clock_may_go_back),
		cmocka_unit_test(test_a_used_up_counter_goes_on_in_the_next_millisecond),
		cmocka_unit_test(test_every_bit_of_the_counter_is_in_the_id),
		cmocka_unit_test(test_the_time_is_the_clock_s),
		cmocka_unit_test(test_a_time_beyond_the_format_is_its_last),
		cmocka_unit_test(test_generators_do_not_meet),
		cmocka_unit_test(test_text_and_back),
		cmocka_unit_test(test_a_known_id),
		cmocka_unit_test(test_only_the_canonical_form_parses),
		cmocka_unit_test(test_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
