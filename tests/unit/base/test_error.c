/* tests/unit/base/test_error.c - texts of errors: formats, prefixes, cuts. */
#include "base/error.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_set_formats_and_returns_false(void **state)
{
	struct error error;

	assert_false(error_set(&error, "field '%s' is %d", "quantity", -1));
	assert_string_equal(error.text, "field 'quantity' is -1");
}

static void test_prefixes_pile_up_in_front(void **state)
{
	struct error error;

	error_set(&error, "no such file");
	assert_false(error_prefix(&error, "line %d", 3));
	assert_false(error_prefix(&error, "a.conf"));
	assert_string_equal(error.text, "a.conf: line 3: no such file");
}

static void test_a_prefix_may_quote_the_text_itself(void **state)
{
	struct error error;

	error_set(&error, "inner");
	error_prefix(&error, "[%d]", 1);
	assert_string_equal(error.text, "[1]: inner");
}

static void test_long_texts_are_cut_and_terminated(void **state)
{
	char big[2 * sizeof(((struct error *)0)->text)];
	struct error error;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	error_set(&error, "%s", big);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	error_prefix(&error, "where");
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_memory_equal(error.text, "where: xxx", 10);
	error_prefix(&error, "%s", big);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

static void test_nobody_needs_to_listen(void **state)
{
	assert_false(error_set(NULL, "%s", "x"));
	assert_false(error_prefix(NULL, "%s", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_formats_and_returns_false),
		cmocka_unit_test(test_prefixes_pile_up_in_front),
		cmocka_unit_test(test_a_prefix_may_quote_the_text_itself),
		cmocka_unit_test(test_long_texts_are_cut_and_terminated),
		cmocka_unit_test(test_nobody_needs_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
