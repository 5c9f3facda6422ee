#include "check.h"

#include "cart/limits.h"

static enum limit_verdict judge(
	uint32_t limit, uint64_t taken, uint64_t overdue, uint64_t pending, uint32_t quantity)
{
	const struct limit rule = {.unlimited = !limit, .units = limit};
	const struct limit_count count = {taken, overdue, pending};

	return limit_judge(&rule, &count, quantity);
}

static void test_exactly_the_limit_fits(void **state)
{
	assert_int_equal(judge(3, 0, 0, 0, 3), LIMIT_FITS);
	assert_int_equal(judge(3, 1, 0, 1, 1), LIMIT_FITS);
	assert_int_equal(judge(3, 0, 0, 0, 4), LIMIT_EXCEEDED);
	assert_int_equal(judge(3, 3, 0, 0, 1), LIMIT_EXCEEDED);
}

static void test_what_may_end_is_no_verdict(void **state)
{
	assert_int_equal(judge(3, 1, 0, 2, 1), LIMIT_UNDECIDED);
	assert_int_equal(judge(3, 3, 1, 0, 1), LIMIT_UNDECIDED);
	assert_int_equal(judge(3, 3, 1, 1, 2), LIMIT_EXCEEDED);
	assert_int_equal(judge(3, 0, 0, 3, 4), LIMIT_EXCEEDED);
}

static void test_unlimited_and_large(void **state)
{
	assert_int_equal(judge(0, UINT32_MAX, 0, UINT32_MAX, UINT32_MAX), LIMIT_FITS);
	assert_int_equal(judge(UINT32_MAX, UINT32_MAX, 0, 0, 1), LIMIT_EXCEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_the_limit_fits),
		cmocka_unit_test(test_what_may_end_is_no_verdict),
		cmocka_unit_test(test_unlimited_and_large),
	};

	return RUN(tests);
}
