/* tests/unit/base/test_text.c - the bounded text, JSON's escapes, UTF-8's rules. */
#include "base/text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_starts_empty_and_terminated(void **state)
{
	struct text text;

	text_init(&text, 100);
	assert_string_equal(text.data, "");
	text_clear(&text);
	text_release(&text);
	assert_string_equal(text.data, "");
}

static void test_appends_add_up(void **state)
{
	struct text text;

	text_init(&text, 100);
	assert_true(text_append(&text, "a\0b", 3));
	assert_true(text_append_string(&text, "cd"));
	assert_true(text_append_char(&text, 'e'));
	assert_true(text_appendf(&text, "%d%s", 1, ""));
	assert_true(text_append(&text, NULL, 0));
	assert_int_equal(text.length, 7);
	assert_memory_equal(text.data, "a\0bcde1", 8);
	text_clear(&text);
	assert_int_equal(text.length, 0);
	assert_string_equal(text.data, "");
	text_release(&text);
}

static void test_integers(void **state)
{
	struct text text;

	text_init(&text, 100);
	text_append_int(&text, 0);
	text_append_char(&text, ' ');
	text_append_int(&text, INT64_MIN);
	text_append_char(&text, ' ');
	text_append_int(&text, INT64_MAX);
	assert_string_equal(text.data, "0 -9223372036854775808 9223372036854775807");
	text_release(&text);
}

static void test_grows_to_its_maximum_exactly(void **state)
{
	struct text text;

	text_init(&text, 1000);
	for (int i = 0; i < 1000; i++)
		assert_true(text_append_char(&text, (char)('a' + i % 26)));
	assert_false(text.overflowed);
	assert_int_equal(text.length, 1000);
	assert_true(text.capacity <= 1001);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(text.data[i], 'a' + i % 26);
	assert_false(text_append_char(&text, 'x'));
	assert_int_equal(text.length, 1000);
	assert_int_equal(text.data[1000], '\0');
	text_release(&text);
}

static void test_an_overflow_is_whole_and_sticks(void **state)
{
	struct text text;

	text_init(&text, 10);
	assert_true(text_append_string(&text, "12345"));
	assert_false(text_append_string(&text, "678901"));
	assert_true(text.overflowed);
	assert_string_equal(text.data, "12345");
	assert_false(text_append_char(&text, '6')); /* would fit: but then the text would have a hole */
	assert_false(text_appendf(&text, "6"));
	assert_false(text_append_json_string(&text, "", 0));
	assert_string_equal(text.data, "12345");
	text_clear(&text);
	assert_true(text_append_string(&text, "1234567890"));
	text_release(&text);
}

static void test_formats_at_every_edge(void **state)
{
	for (int room = 1; room <= 300; room++) {
		struct text text;

		text_init(&text, 300);
		for (int i = 0; i < 300 - room; i++)
			text_append_char(&text, '-');
		assert_true(text_appendf(&text, "%0*d", room, 0));
		assert_int_equal(text.length, 300);
		assert_int_equal(strlen(text.data), 300);
		assert_false(text_appendf(&text, "%s", "x"));
		assert_int_equal(strlen(text.data), 300);
		text_release(&text);
	}
}

static void test_fixed_storage_never_allocates(void **state)
{
	char storage[8];
	struct text text;

	text_init_fixed(&text, storage, sizeof(storage));
	assert_true(text_append_string(&text, "1234567"));
	assert_ptr_equal(text.data, storage);
	assert_false(text_append_char(&text, '8'));
	assert_false(text_appendf(&text, "%s", "8"));
	assert_string_equal(storage, "1234567");
	text_clear(&text);
	assert_false(text_appendf(&text, "%s", "12345678"));
	assert_string_equal(storage, "");
	text_release(&text);
}

static void test_detach_hands_the_content_over(void **state)
{
	struct text text;
	size_t length;
	char *content;

	text_init(&text, 100);
	content = text_detach(&text, &length);
	assert_string_equal(content, "");
	assert_int_equal(length, 0);
	free(content);
	text_append_string(&text, "abc");
	content = text_detach(&text, NULL);
	assert_string_equal(content, "abc");
	assert_string_equal(text.data, "");
	text_append_string(&text, "d");
	assert_string_equal(text.data, "d");
	assert_string_equal(content, "abc");
	free(content);
	text_release(&text);
}

static void assert_json(const char *data, size_t size, const char *expected)
{
	struct text text;

	text_init(&text, 1000);
	assert_true(text_append_json_string(&text, data, size));
	assert_string_equal(text.data, expected);
	text_release(&text);
}

#define ASSERT_JSON(literal, expected) assert_json(literal, sizeof(literal) - 1, expected)

static void test_json_escapes(void **state)
{
	ASSERT_JSON("", "\"\"");
	ASSERT_JSON("plain", "\"plain\"");
	ASSERT_JSON("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
	ASSERT_JSON("\n\r\t\b\0\x1f\x7f", "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\"");
	ASSERT_JSON("\xc2\x9b"
		    "31m",
		"\"\\u009b31m\""); /* CSI: what colours a terminal */
	ASSERT_JSON("\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"");
	ASSERT_JSON("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9b\x92",
		"\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9b\x92\"");
}

#define BAD "\xef\xbf\xbd"

/* The expected counts of U+FFFD are those of the Unicode standard's "maximal subparts". */
static void test_json_replaces_bad_utf8(void **state)
{
	ASSERT_JSON("\xff", "\"" BAD "\"");
	ASSERT_JSON("a\x80z", "\"a" BAD "z\"");
	ASSERT_JSON("\xc0\xaf", "\"" BAD BAD "\"");
	ASSERT_JSON("\xe0\x80\x80", "\"" BAD BAD BAD "\"");
	ASSERT_JSON("\xed\xa0\x80", "\"" BAD BAD BAD "\"");
	ASSERT_JSON("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\"");
	ASSERT_JSON("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
		    "A",
		"\"" BAD BAD BAD BAD "A\"");
	ASSERT_JSON("\xf0\x9f\x9b", "\"" BAD "\"");
	ASSERT_JSON("\xc3\"", "\"" BAD "\\\"\""); /* a cut character does not swallow the quote */
}

/* Whatever the bytes, the result is one JSON string, read back by a parser that is not ours. */
static void test_json_of_any_bytes_is_a_json_string(void **state)
{
	unsigned seed = 12345;

	for (int round = 0; round < 20000; round++) {
		char data[16];
		size_t size = (size_t)(round % 16);
		struct text text;
		json_t *value;

		for (size_t i = 0; i < size; i++) {
			seed = seed * 1103515245 + 12345;
			data[i] = (char)(seed >> 16);
		}
		text_init(&text, 1000);
		assert_true(text_append_json_string(&text, data, size));
		assert_true(utf8_valid(text.data, text.length));
		value = json_loads(text.data, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_true(json_is_string(value));
		if (utf8_valid(data, size)) {
			assert_int_equal(json_string_length(value), size);
			assert_memory_equal(json_string_value(value), data, size);
		}
		json_decref(value);
		text_release(&text);
	}
}

static void test_json_is_whole_or_absent(void **state)
{
	const char value[] = "ab\"cd\n"; /* 10 bytes with quotes and escapes */

	for (size_t max = 1; max < 14; max++) {
		struct text text;

		text_init(&text, max);
		assert_int_equal(text_append_json_string(&text, value, sizeof(value) - 1), max >= 10);
		assert_int_equal(text.length, max >= 10 ? 10 : 0);
		assert_int_equal(text.overflowed, max < 10);
		text_release(&text);
	}
}

static void test_json_cut_at_characters(void **state)
{
	const char value[] = "a\xe2\x82\xac\n!";
	const char *const expected[] = {"\"\"", "\"a\"", "\"a\"", "\"a\"", "\"a\xe2\x82\xac\"",
		"\"a\xe2\x82\xac\"", "\"a\xe2\x82\xac\\n\"", "\"a\xe2\x82\xac\\n!\"",
		"\"a\xe2\x82\xac\\n!\""};

	for (size_t room = 2; room < 11; room++) {
		struct text text;
		bool cut;

		text_init(&text, 100);
		assert_true(text_append_json_string_cut(&text, value, sizeof(value) - 1, room, &cut));
		assert_string_equal(text.data, expected[room - 2]);
		assert_int_equal(cut, room < 9);
		text_release(&text);
	}
}

static bool valid(const char *string)
{
	return utf8_valid(string, strlen(string));
}

/* Wherever it stands in a longer text. */
static void test_utf8_bad_byte_at_each_place(void **state)
{
	char text[27];

	for (size_t size = 1; size <= sizeof(text); size++)
		for (size_t at = 0; at < size; at++) {
			memset(text, 'a', size);
			assert_true(utf8_valid(text, size));
			text[at] = (char)0x80;
			assert_false(utf8_valid(text, size));
		}
}

static void test_utf8(void **state)
{
	assert_true(utf8_valid(NULL, 0));
	assert_true(utf8_valid("\0", 1));
	assert_true(valid("\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
	assert_true(valid("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
	assert_false(valid("\x80"));
	assert_false(valid("\xc1\xbf"));
	assert_false(valid("\xe0\x9f\xbf"));
	assert_false(valid("\xed\xa0\x80"));
	assert_false(valid("\xf0\x8f\xbf\xbf"));
	assert_false(valid("\xf4\x90\x80\x80"));
	assert_false(valid("\xf5\x80\x80\x80"));
	assert_false(valid("abc\xe2\x82"));
	assert_false(valid("\xe2\x82"
			   "a"));
	assert_false(utf8_valid("\xe2\x82\xac", 2)); /* never reads past the size */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_empty_and_terminated),
		cmocka_unit_test(test_appends_add_up),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_grows_to_its_maximum_exactly),
		cmocka_unit_test(test_an_overflow_is_whole_and_sticks),
		cmocka_unit_test(test_formats_at_every_edge),
		cmocka_unit_test(test_fixed_storage_never_allocates),
		cmocka_unit_test(test_detach_hands_the_content_over),
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_replaces_bad_utf8),
		cmocka_unit_test(test_json_of_any_bytes_is_a_json_string),
		cmocka_unit_test(test_json_is_whole_or_absent),
		cmocka_unit_test(test_json_cut_at_characters),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_utf8_bad_byte_at_each_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
