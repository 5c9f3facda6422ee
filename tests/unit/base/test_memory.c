/* tests/unit/base/test_memory.c - memory that is there and zeroed, or the process ends. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/base/death.h"

static void *volatile kept; /* so that the compiler cannot drop an allocation */

static void test_new_memory_is_zeroed(void **state)
{
	char *memory = memory_new(1000);
	uint64_t *numbers = NEW_ARRAY(100, uint64_t);

	for (int i = 0; i < 1000; i++)
		assert_int_equal(memory[i], 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(numbers[i], 0);
	free(numbers);
	free(memory);
}

static void test_nothing_is_still_something(void **state)
{
	void *none = memory_new(0), *array = memory_new_array(0, 8), *other = memory_new_array(8, 0);

	assert_non_null(none);
	assert_non_null(array);
	assert_non_null(other);
	none = memory_resize(none, 0, 8);
	assert_non_null(none);
	free(none);
	free(array);
	free(other);
}

static void test_resize_keeps_the_content(void **state)
{
	int *numbers = memory_resize(NULL, 4, sizeof(int));

	for (int i = 0; i < 4; i++)
		numbers[i] = i;
	numbers = memory_resize(numbers, 4000, sizeof(int));
	for (int i = 0; i < 4; i++)
		assert_int_equal(numbers[i], i);
	free(numbers);
}

static void test_texts(void **state)
{
	char *copy = memory_copy_text("abc"), *formatted = memory_format("%s-%d", "x", 7);

	assert_string_equal(copy, "abc");
	assert_string_equal(formatted, "x-7");
	free(copy);
	free(formatted);
}

/* The product wraps to 8. */
static void overflow_new_array(void)
{
	kept = memory_new_array(SIZE_MAX / 8 + 2, 8);
}

static void overflow_resize(void)
{
	kept = memory_resize(NULL, SIZE_MAX / 8 + 2, 8);
}

static void ask_for_too_much(void)
{
	kept = memory_new(SIZE_MAX / 2);
}

static void ask_for_little(void)
{
	kept = memory_new(16);
}

static void test_overflow_and_lack_end_the_process(void **state)
{
	assert_true(dies(overflow_new_array));
	assert_true(dies(overflow_resize));
	assert_true(dies(ask_for_too_much));
	assert_false(dies(ask_for_little));
}

struct outer {
	int before;
	int member;
};

static void test_container_of(void **state)
{
	struct outer outer;

	assert_ptr_equal(container_of(&outer.member, struct outer, member), &outer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_memory_is_zeroed),
		cmocka_unit_test(test_nothing_is_still_something),
		cmocka_unit_test(test_resize_keeps_the_content),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_overflow_and_lack_end_the_process),
		cmocka_unit_test(test_container_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
