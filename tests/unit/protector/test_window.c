#include "tests/unit/protector/cmocka_first.h"

#include "protector/distinct.h"
#include "protector/gaps.h"
#include "protector/window.h"
#include "tests/simulation/random.h"

#define TIMES 4000
#define SLOT_US 1000
#define WINDOW_US (WINDOW_SLOTS * SLOT_US)

/* Against all times kept: never more than the window truly holds, never less than seven eighths of it do. */
static void check_error_bound(uint64_t seed, int64_t mean_us)
{
	static int64_t times[TIMES];
	struct random random;
	struct window window = {0};
	int64_t now_us = 0;

	random_seed(&random, seed);
	for (size_t i = 0; i < TIMES; i++) {
		uint32_t most = 0, least = 0, count;

		now_us += random_wait(&random, mean_us) - 1;
		times[i] = now_us;
		for (size_t j = 0; j <= i; j++) {
			most += times[j] > now_us - WINDOW_US;
			least += times[j] > now_us - (WINDOW_US - SLOT_US);
		}
		count = window_add(&window, (uint32_t)(now_us / SLOT_US));
		assert_true(count <= most);
		assert_true(count >= least);
		assert_int_equal(window_count(&window, (uint32_t)(now_us / SLOT_US)), count);
	}
}

static void test_a_window_is_short_by_an_eighth_at_most(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		check_error_bound(seed, 10);
		check_error_bound(seed, 700);
		check_error_bound(seed, 5000);
		check_error_bound(seed, 60000);
	}
}

static void test_a_look_at_a_window_changes_nothing(void **state)
{
	struct window window = {0};

	window_add(&window, 100);
	assert_int_equal(window_count(&window, 107), 1);
	assert_int_equal(window_count(&window, 108), 0);
	assert_int_equal(window.sum, 1);
	assert_int_equal(window_add(&window, 107), 2);
	assert_int_equal(window_add(&window, 108), 2);
}

static void test_a_full_slot_stays_full(void **state)
{
	struct window window = {0};

	for (unsigned i = 0; i < WINDOW_SLOT_MAX + 5; i++)
		window_add(&window, 3);
	assert_int_equal(window.sum, WINDOW_SLOT_MAX);
	assert_int_equal(window_add(&window, 4), WINDOW_SLOT_MAX + 1);
	assert_int_equal(window_count(&window, 11), 1);
}

/* The plain formula over the last 32 gaps. */
static uint32_t plain_variation(const int64_t *times, size_t count)
{
	double sum = 0, squares = 0, mean, variance;

	for (size_t i = count - GAPS_KEPT; i < count; i++)
		sum += (double)(times[i] - times[i - 1]);
	mean = sum / GAPS_KEPT;
	for (size_t i = count - GAPS_KEPT; i < count; i++)
		squares += ((double)(times[i] - times[i - 1]) - mean) *
			   ((double)(times[i] - times[i - 1]) - mean);
	variance = squares / GAPS_KEPT;
	return (uint32_t)(100 * sqrt(variance) / mean + 0.5);
}

static void test_variation_is_the_plain_formula(void **state)
{
	static int64_t times[1000];
	struct random random;
	struct gaps gaps = {0};

	random_seed(&random, 7);
	for (size_t i = 0; i < 1000; i++) {
		times[i] = (i ? times[i - 1] : 1000000) + random_wait(&random, 200) * GAPS_UNIT_US;
		if (!gaps_add(&gaps, times[i])) {
			assert_true(i < GAPS_KEPT);
			continue;
		}
		assert_in_range(gaps_variation(&gaps), plain_variation(times, i + 1) - 1,
			plain_variation(times, i + 1) + 1);
	}
}

static void test_a_timer_and_a_crowd(void **state)
{
	struct gaps timer = {0}, crowd = {0};
	struct random random;
	int64_t at_us = 1;

	random_seed(&random, 8);
	for (int64_t i = 1; i < 100; i++) {
		gaps_add(&timer, i * 500000);
		gaps_add(&crowd, at_us += random_wait(&random, 500000));
	}
	assert_int_equal(gaps_variation(&timer), 0);
	assert_in_range(gaps_variation(&crowd), 50, 170);
}

static void test_gaps_that_say_nothing(void **state)
{
	struct gaps gaps = {0};

	for (int i = 0; i < 40; i++)
		gaps_add(&gaps, 5000000);
	assert_int_equal(gaps_variation(&gaps), GAPS_VARIATION_MAX);
	/* one long gap among none: as uneven as it gets, and the number is bounded */
	assert_int_equal(variation_of(1000000, 1, 1), GAPS_VARIATION_MAX);
	/* a step back is no gap; a long pause begins anew */
	assert_true(gaps_add(&gaps, 4000000));
	assert_false(gaps_add(&gaps, 5000000 + GAPS_PAUSE_US + 1));
	assert_int_equal(gaps.count, 0);
}

static void test_distinct_things(void **state)
{
	struct distinct_slot slots[4] = {{0}};

	assert_true(distinct_add(slots, 4, 10, 1, 5));
	assert_false(distinct_add(slots, 4, 10, 2, 5));
	assert_true(distinct_add(slots, 4, 11, 3, 5));
	assert_int_equal(distinct_count(slots, 4, 3, 5), 2);
	assert_int_equal(distinct_count(slots, 4, 8, 5), 1); /* 10 was seen last at 2 */
	assert_true(distinct_add(slots, 4, 10, 8, 5));
	assert_int_equal(distinct_count(slots, 4, 8, 5), 2);
}

/* Never more than there are; exact up to the room. */
static void test_distinct_against_all(void **state)
{
	struct random random;

	random_seed(&random, 9);
	for (uint32_t things = 1; things <= 12; things++) {
		struct distinct_slot slots[8] = {{0}};
		uint32_t seen[12] = {0};

		for (uint32_t now = 1; now < 2000; now += (uint32_t)random_below(&random, 3)) {
			const uint32_t thing = (uint32_t)random_below(&random, things);
			uint32_t truth = 0;

			distinct_add(slots, 8, thing, now, 20);
			seen[thing] = now;
			for (uint32_t i = 0; i < things; i++)
				truth += seen[i] && now - seen[i] <= 20;
			assert_int_equal(distinct_count(slots, 8, now, 20), truth < 8 ? truth : 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_window_is_short_by_an_eighth_at_most),
		cmocka_unit_test(test_a_look_at_a_window_changes_nothing),
		cmocka_unit_test(test_a_full_slot_stays_full),
		cmocka_unit_test(test_variation_is_the_plain_formula),
		cmocka_unit_test(test_a_timer_and_a_crowd),
		cmocka_unit_test(test_gaps_that_say_nothing),
		cmocka_unit_test(test_distinct_things),
		cmocka_unit_test(test_distinct_against_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
