/* tests/unit/base/test_clock.c - the system's clocks, the manual one, RFC 3339. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_the_system_clock_is_the_system_s(void **state)
{
	int64_t before = (int64_t)time(NULL) * 1000, boot = clock_boot_ms(&clock_system),
		mono = clock_mono_ns();
	int64_t wall = clock_wall_ms(&clock_system);

	assert_true(wall >= before - 1000);
	assert_true(clock_boot_ms(&clock_system) >= boot);
	assert_true(clock_mono_ns() >= mono);
	assert_true(boot > 0 && boot >= mono / 1000000 - 1); /* boot time counts suspend too */
}

static void test_the_manual_clock_stands_until_told(void **state)
{
	struct clock_manual manual;

	clock_manual_init(&manual, 1000000, 500);
	assert_int_equal(clock_wall_ms(&manual.base), 1000000);
	assert_int_equal(clock_boot_ms(&manual.base), 500);
	clock_manual_advance(&manual, 25);
	assert_int_equal(clock_wall_ms(&manual.base), 1000025);
	assert_int_equal(clock_boot_ms(&manual.base), 525);
	clock_manual_jump_wall(&manual, -10000);
	assert_int_equal(clock_wall_ms(&manual.base), 990025);
	assert_int_equal(clock_boot_ms(&manual.base), 525);
}

static void assert_formatted(int64_t wall_ms, const char *expected)
{
	char buffer[CLOCK_TEXT_MAX];

	assert_ptr_equal(clock_format_rfc3339(wall_ms, buffer), buffer);
	assert_string_equal(buffer, expected);
}

static void test_rfc3339(void **state)
{
	assert_formatted(0, "1970-01-01T00:00:00.000Z");
	assert_formatted(-1, "1969-12-31T23:59:59.999Z");
	assert_formatted(951782400123, "2000-02-29T00:00:00.123Z");
	assert_formatted(1772366400123, "2026-03-01T12:00:00.123Z");
	assert_formatted(4107542399999, "2100-02-28T23:59:59.999Z");
	assert_formatted(4107542400000, "2100-03-01T00:00:00.000Z");
	assert_formatted(INT64_MAX, "9999-12-31T23:59:59.999Z");
	assert_formatted(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

/* Against the C library, over all of the range with a step that visits every month and hour. */
static void test_rfc3339_agrees_with_gmtime(void **state)
{
	for (int64_t seconds = -62167219200; seconds <= 253402300799; seconds += 86400 * 11 + 3671) {
		char expected[64], buffer[CLOCK_TEXT_MAX];
		time_t time = seconds;
		struct tm tm;

		gmtime_r(&time, &tm);
		snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.007Z", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_string_equal(clock_format_rfc3339(seconds * 1000 + 7, buffer), expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_system_clock_is_the_system_s),
		cmocka_unit_test(test_the_manual_clock_stands_until_told),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_rfc3339_agrees_with_gmtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
