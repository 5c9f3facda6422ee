#include "check.h"

#include "cart/fence.h"

static const struct id us = {{1}}, them = {{2}};

static struct fence accepted_at(uint64_t epoch, uint64_t sequence)
{
	struct fence fence;

	fence_init(&fence, &us, epoch - 1);
	assert_true(fence_propose(&fence));
	assert_int_equal(fence.proposed, epoch);
	assert_int_equal(fence_answered(&fence, true, epoch, sequence), FENCE_FINE);
	return fence;
}

static void test_usable_only_once_applied(void **state)
{
	struct fence fence = accepted_at(8, 100);

	assert_false(fence_usable(&fence, 99));
	assert_true(fence_usable(&fence, 100));
}

static void test_not_usable_while_proposing(void **state)
{
	struct fence fence = accepted_at(8, 100);

	assert_true(fence_propose(&fence));
	assert_false(fence_propose(&fence));
	assert_int_equal(fence.proposed, 9);
	assert_false(fence_usable(&fence, 1000));
	assert_true(fence_settles(&fence, 1000, 7));
	assert_false(fence_settles(&fence, 1000, 8));
	assert_int_equal(fence_answered(&fence, true, 9, 200), FENCE_FINE);
	assert_false(fence_settles(&fence, 199, 8));
	assert_true(fence_settles(&fence, 200, 8));
	assert_false(fence_settles(&fence, 200, 9));
}

static void test_outbids_at_start_only(void **state)
{
	struct fence fence;

	fence_init(&fence, &us, 0);
	fence_propose(&fence);
	assert_int_equal(fence_answered(&fence, false, 41, 0), FENCE_AGAIN);
	assert_int_equal(fence.proposed, 42);
	assert_int_equal(fence_answered(&fence, true, 42, 7), FENCE_FINE);
	fence_propose(&fence);
	assert_int_equal(fence_answered(&fence, false, 50, 0), FENCE_SUCCEEDED);
}

static void test_the_ledger_tells_of_a_successor(void **state)
{
	struct fence fence;

	fence_init(&fence, &us, 0);
	fence_propose(&fence);
	assert_int_equal(
		fence_heard(&fence, 5, &them), FENCE_FINE); /* an old one, while the ledger is read */
	assert_int_equal(fence.known, 5);
	assert_int_equal(fence_answered(&fence, false, 5, 0), FENCE_AGAIN);
	assert_int_equal(fence_answered(&fence, true, 6, 9), FENCE_FINE);
	assert_int_equal(fence_heard(&fence, 6, &us), FENCE_FINE);
	assert_int_equal(fence_heard(&fence, 5, &them), FENCE_FINE);
	assert_int_equal(fence_heard(&fence, 7, &them), FENCE_SUCCEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable_only_once_applied),
		cmocka_unit_test(test_not_usable_while_proposing),
		cmocka_unit_test(test_outbids_at_start_only),
		cmocka_unit_test(test_the_ledger_tells_of_a_successor),
	};

	return RUN(tests);
}
