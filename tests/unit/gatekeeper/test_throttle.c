#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "gatekeeper/edge/fleet.h"
#include "gatekeeper/edge/throttle.h"

#define S INT64_C(1000000000)
#define THREADS 4

/* How many are taken from `from` on, one try a microsecond. */
static int taken(
	struct throttle *throttle, const struct throttle_limit *limit, int64_t from_ns, int64_t to_ns)
{
	int count = 0;

	for (int64_t now_ns = from_ns; now_ns < to_ns; now_ns += 1000)
		count += throttle_take(throttle, limit, now_ns);
	return count;
}

static int taken_at_once(struct throttle *throttle, const struct throttle_limit *limit, int64_t now_ns)
{
	int count = 0;

	while (throttle_take(throttle, limit, now_ns))
		count++;
	return count;
}

static void a_burst_and_then_the_rate(void **state)
{
	struct throttle throttle = {0};
	struct throttle_limit limit = throttle_share(1000, 50, 1);

	assert_int_equal(taken_at_once(&throttle, &limit, 5 * S), 51);
	assert_in_range(taken(&throttle, &limit, 5 * S, 6 * S), 999, 1000);
	/* after a rest the burst is there again, and no more */
	assert_int_equal(taken_at_once(&throttle, &limit, 60 * S), 51);
}

static void without_a_burst(void **state)
{
	struct throttle throttle = {0};
	struct throttle_limit limit = throttle_share(1, 0, 1);

	assert_true(throttle_take(&throttle, &limit, 9 * S));
	assert_false(throttle_take(&throttle, &limit, 10 * S - 1));
	assert_true(throttle_take(&throttle, &limit, 10 * S));
}

/* Together no more than one alone. */
static void sharers_divide(void **state)
{
	for (uint32_t sharers = 1; sharers <= 10; sharers++) {
		struct throttle_limit limit = throttle_share(20000, 1000, sharers);
		int all = 0;

		for (uint32_t i = 0; i < sharers; i++) {
			struct throttle throttle = {0};

			all += taken_at_once(&throttle, &limit, 3 * S) - 1;
			all += taken(&throttle, &limit, 3 * S, 4 * S);
		}
		assert_in_range(all, 21000 - 2 * sharers, 21000);
	}
}

/* The number of gatekeepers changes in the middle: what was taken stays taken, and the new rate holds from now on. */
static void another_share(void **state)
{
	struct throttle throttle = {0};
	struct throttle_limit one = throttle_share(1000, 100, 1), two = throttle_share(1000, 100, 2);

	assert_int_equal(taken_at_once(&throttle, &one, S), 101);
	assert_int_equal(taken_at_once(&throttle, &two, S), 0);
	assert_in_range(taken(&throttle, &two, S, 2 * S), 450, 501);
	assert_in_range(taken(&throttle, &one, 2 * S, 3 * S), 950, 1051);
}

struct crowd {
	struct throttle throttle;
	struct throttle_limit limit;
	_Atomic int taken;
};

static void *take_some(void *argument)
{
	struct crowd *crowd = argument;

	for (int i = 0; i < 10000; i++)
		crowd->taken += throttle_take(&crowd->throttle, &crowd->limit, 7 * S);
	return NULL;
}

static void many_at_once(void **state)
{
	struct crowd crowd = {.limit = throttle_share(1000, 20000, 1)};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_some, &crowd);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.taken, 20001);
}

static void who_counts(void **state)
{
	const struct instance items[] = {
		{.address = "10.0.0.1:8080", .health = INSTANCE_PASSING},
		{.address = "10.0.0.2:8080", .health = INSTANCE_CRITICAL},
		{.address = "10.0.0.3:8080", .health = INSTANCE_WARNING},
	};
	struct instances list = {.count = 3, .items = items};

	assert_int_equal(fleet_count(&list, "10.0.0.1:8080"), 2);
	assert_int_equal(fleet_count(&list, "10.0.0.2:8080"), 3); /* we are alive */
	assert_int_equal(fleet_count(&list, "10.0.0.9:8080"), 3); /* not known to them yet */
	assert_int_equal(fleet_count(&list, NULL), 2);
	list.count = 0;
	assert_int_equal(fleet_count(&list, "10.0.0.1:8080"), 1);
	assert_int_equal(fleet_count(&list, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_the_rate),
		cmocka_unit_test(without_a_burst),
		cmocka_unit_test(sharers_divide),
		cmocka_unit_test(another_share),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(who_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
