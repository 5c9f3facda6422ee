/* tests/unit/base/test_trace.c - what is a traceparent, and what is not. */
#include "base/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
static const uint8_t good_id[TRACE_ID_BYTES] = {
	0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};

/* From memory of exactly that length, so that a step past its end is seen by the sanitizer. */
static bool parse(const char *text, size_t length, uint8_t *id)
{
	char *copy = test_malloc(length ? length : 1);
	bool is;

	memcpy(copy, text, length);
	is = trace_parse(copy, length, id);
	test_free(copy);
	return is;
}

static void test_good_ones(void **state)
{
	static const char *const also[] = {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-is-to-come"};
	uint8_t id[TRACE_ID_BYTES];

	assert_true(parse(good, strlen(good), id));
	assert_memory_equal(id, good_id, TRACE_ID_BYTES);
	assert_true(parse(good, strlen(good), NULL));
	for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++) {
		memset(id, 0, sizeof(id));
		assert_true(parse(also[i], strlen(also[i]), id));
		assert_memory_equal(id, good_id, TRACE_ID_BYTES);
	}
}

static void test_cut_ones(void **state)
{
	for (size_t length = 0; length < strlen(good); length++)
		assert_false(parse(good, length, NULL));
}

static void test_a_wrong_character_anywhere(void **state)
{
	static const char wrong[] = {'-', 'g', 'A', ' ', '/', ':', '`', '\0', '\xff'};
	uint8_t id[TRACE_ID_BYTES] = {1};
	char text[sizeof(good)];

	for (size_t i = 0; i < strlen(good); i++) {
		for (size_t k = 0; k < sizeof(wrong); k++) {
			memcpy(text, good, sizeof(good));
			text[i] = wrong[k];
			if (good[i] != wrong[k])
				assert_false(parse(text, strlen(good), id));
		}
	}
	assert_int_equal(id[0], 1); /* left alone */
}

static void test_others(void **state)
{
	static const char *const bad[] = {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse(bad[i], strlen(bad[i]), NULL));
}

static void test_text(void **state)
{
	char text[TRACE_ID_LENGTH + 1];

	assert_string_equal(
		trace_id_format(good_id, TRACE_ID_BYTES, text), "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_string_equal(trace_id_format(good_id, 15, text), "");
	assert_string_equal(trace_id_format(NULL, 0, text), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_ones),
		cmocka_unit_test(test_cut_ones),
		cmocka_unit_test(test_a_wrong_character_anywhere),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
