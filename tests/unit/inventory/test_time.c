#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/time.h"

#define CAP 600000

static void a_new_store_begins_with_the_wall_clock(void **state)
{
	struct clock_manual clock;
	struct inventory_time time;

	clock_manual_init(&clock, 5000000, 100);
	inventory_time_start(&time, &clock.base, INT64_MIN, 0, CAP);
	assert_int_equal(inventory_time_now_ms(&time), 5000000);
	assert_int_equal(time.shift_ms, 0);
	assert_int_equal(time.moved_ms, 0);
}

static void boot_time_drives_and_jumps_of_the_wall_do_not(void **state)
{
	struct clock_manual clock;
	struct inventory_time time;

	clock_manual_init(&clock, 5000000, 100);
	inventory_time_start(&time, &clock.base, INT64_MIN, 0, CAP);
	clock_manual_advance(&clock, 250);
	assert_int_equal(inventory_time_now_ms(&time), 5000250);
	assert_int_equal(inventory_time_drift_ms(&time), 0);
	clock_manual_jump_wall(&clock, 86400000);
	assert_int_equal(inventory_time_now_ms(&time), 5000250);
	assert_int_equal(inventory_time_drift_ms(&time), 86400000);
	clock_manual_jump_wall(&clock, -2 * 86400000);
	assert_int_equal(inventory_time_now_ms(&time), 5000250);
	assert_int_equal(inventory_time_drift_ms(&time), -86400000);
}

static void an_outage_stands_still(void **state)
{
	struct clock_manual clock;
	struct inventory_time time;

	/* last commit at 5,000,000; 90 s later on the wall */
	clock_manual_init(&clock, 5090000, 7);
	inventory_time_start(&time, &clock.base, 5000000, 0, CAP);
	assert_int_equal(inventory_time_now_ms(&time), 5000000);
	assert_int_equal(time.moved_ms, 90000);
	assert_int_equal(time.shift_ms, 90000);
	assert_int_equal(inventory_time_shown_ms(&time, inventory_time_now_ms(&time)), 5090000);
	/* a second one adds to it: 10 s after 1 s of work */
	clock_manual_init(&clock, 5101000, 9);
	inventory_time_start(&time, &clock.base, 5001000, 90000, CAP);
	assert_int_equal(time.moved_ms, 10000);
	assert_int_equal(time.shift_ms, 100000);
	assert_int_equal(inventory_time_now_ms(&time), 5001000);
}

static void only_up_to_the_cap(void **state)
{
	struct clock_manual clock;
	struct inventory_time time;

	clock_manual_init(&clock, 5000000 + CAP + 1, 7);
	inventory_time_start(&time, &clock.base, 5000000, 0, CAP);
	assert_int_equal(time.moved_ms, CAP);
	assert_int_equal(time.outage_ms, CAP + 1);
	assert_int_equal(inventory_time_now_ms(&time), 5000001); /* what is beyond the cap counts */
	assert_int_equal(inventory_time_shown_ms(&time, inventory_time_now_ms(&time)), 5000000 + CAP + 1);
	inventory_time_start(&time, &clock.base, 5000000, 0, 0); /* no grace at all */
	assert_int_equal(time.moved_ms, 0);
	assert_int_equal(inventory_time_now_ms(&time), 5000000 + CAP + 1);
}

static void a_wall_that_went_back_changes_nothing(void **state)
{
	struct clock_manual clock;
	struct inventory_time time;

	clock_manual_init(&clock, 1000, 7);
	inventory_time_start(&time, &clock.base, 5000000, 30000, CAP);
	assert_int_equal(inventory_time_now_ms(&time), 5000000);
	assert_int_equal(time.shift_ms, 30000);
	assert_int_equal(time.moved_ms, 0);
	assert_int_equal(time.outage_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_store_begins_with_the_wall_clock),
		cmocka_unit_test(boot_time_drives_and_jumps_of_the_wall_do_not),
		cmocka_unit_test(an_outage_stands_still),
		cmocka_unit_test(only_up_to_the_cap),
		cmocka_unit_test(a_wall_that_went_back_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
