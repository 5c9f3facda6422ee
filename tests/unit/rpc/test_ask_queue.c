#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rpc/ask_queue.h"

#define MS INT64_C(1000000)

struct fixture {
	struct ask_queue queue;
	struct rpc_ask asks[6];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	ask_queue_init(&fixture->queue);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void put(struct fixture *fixture, int i, int64_t deadline_ns)
{
	fixture->asks[i].deadline_ns = deadline_ns;
	ask_queue_put(&fixture->queue, &fixture->asks[i]);
}

static void first_come_first_served(void **state)
{
	struct fixture *fixture = *state;

	assert_null(ask_queue_take(&fixture->queue));
	assert_int_equal(fixture->queue.look_ns, INT64_MAX);
	for (int round = 0; round < 2; round++) {
		put(fixture, 0, 30);
		put(fixture, 1, 10);
		put(fixture, 2, 20);
		assert_int_equal(fixture->queue.look_ns, 10);
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(ask_queue_take(&fixture->queue), &fixture->asks[i]);
		assert_null(ask_queue_take(&fixture->queue));
		assert_int_equal(fixture->queue.look_ns, INT64_MAX);
	}
}

static void the_expired_leave_in_order(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_ask *expired;

	for (int i = 0; i < 6; i++)
		put(fixture, i, i % 2 ? 500 * MS : 5 * MS);
	assert_null(ask_queue_expire(&fixture->queue, 5 * MS - 1));
	expired = ask_queue_expire(&fixture->queue, 5 * MS);
	for (int i = 0; i < 6; i += 2) {
		assert_ptr_equal(expired, &fixture->asks[i]);
		expired = expired->next;
	}
	assert_null(expired);
	assert_int_equal(fixture->queue.look_ns, 500 * MS);
	for (int i = 1; i < 6; i += 2)
		assert_ptr_equal(ask_queue_take(&fixture->queue), &fixture->asks[i]);
	assert_null(ask_queue_take(&fixture->queue));
}

/* Deadlines that follow one another closely cost one search in 10 ms. */
static void not_searched_all_the_time(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, 0, 5 * MS);
	put(fixture, 1, 6 * MS);
	put(fixture, 2, 7 * MS);
	assert_ptr_equal(ask_queue_expire(&fixture->queue, 5 * MS), &fixture->asks[0]);
	assert_int_equal(fixture->queue.look_ns, 15 * MS);
	assert_null(ask_queue_expire(&fixture->queue, 8 * MS));
	assert_ptr_equal(ask_queue_expire(&fixture->queue, 15 * MS), &fixture->asks[1]);
	assert_ptr_equal(fixture->asks[1].next, &fixture->asks[2]);
	assert_int_equal(fixture->queue.look_ns, INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_come_first_served),
		TEST(the_expired_leave_in_order),
		TEST(not_searched_all_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
