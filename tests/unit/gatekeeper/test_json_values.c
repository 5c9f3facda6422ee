/* gatekeeper/edge/json_values: exact numbers, times, durations, base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "gatekeeper/edge/json_values.h"

static void test_decimals(void **state)
{
	static const struct {
		const char *text;
		unsigned decimals;
		enum decimal_result result;
		bool negative;
		uint64_t magnitude;
	} rows[] = {
		{"0", 0, DECIMAL_OK, false, 0},
		{"-0", 0, DECIMAL_OK, false, 0},
		{"0e999999999999", 6, DECIMAL_OK, false, 0},
		{"0.000000000", 6, DECIMAL_OK, false, 0},
		{"7", 0, DECIMAL_OK, false, 7},
		{"-7", 0, DECIMAL_OK, true, 7},
		{"1.0", 0, DECIMAL_OK, false, 1},
		{"1e2", 0, DECIMAL_OK, false, 100},
		{"1E+2", 0, DECIMAL_OK, false, 100},
		{"12300e-2", 0, DECIMAL_OK, false, 123},
		{"1.5", 0, DECIMAL_FRACTION, false, 0},
		{"1e-1", 0, DECIMAL_FRACTION, false, 0},
		{"99", 6, DECIMAL_OK, false, 99000000},
		{"99.9", 6, DECIMAL_OK, false, 99900000},
		{"0.1", 6, DECIMAL_OK, false, 100000},
		{"0.000001", 6, DECIMAL_OK, false, 1},
		{"0.0000010", 6, DECIMAL_OK, false, 1},
		{"0.0000001", 6, DECIMAL_FRACTION, false, 0},
		{"4.35", 6, DECIMAL_OK, false, 4350000},
		{"18446744073709551615", 0, DECIMAL_OK, false, UINT64_MAX},
		{"18446744073709551616", 0, DECIMAL_TOO_LARGE, false, 0},
		{"1844674407370955161.5e1", 0, DECIMAL_OK, false, UINT64_MAX},
		{"99999999999999999999", 0, DECIMAL_TOO_LARGE, false, 0},
		{"1e19", 0, DECIMAL_OK, false, UINT64_C(10000000000000000000)},
		{"1e20", 0, DECIMAL_TOO_LARGE, false, 0},
		{"1e400000000", 0, DECIMAL_TOO_LARGE, false, 0},
		{"1e-400000000", 0, DECIMAL_FRACTION, false, 0},
		{"", 0, DECIMAL_MALFORMED, false, 0},
		{"-", 0, DECIMAL_MALFORMED, false, 0},
		{"+1", 0, DECIMAL_MALFORMED, false, 0},
		{"01", 0, DECIMAL_MALFORMED, false, 0},
		{"1.", 0, DECIMAL_MALFORMED, false, 0},
		{".5", 0, DECIMAL_MALFORMED, false, 0},
		{"1e", 0, DECIMAL_MALFORMED, false, 0},
		{"1e+", 0, DECIMAL_MALFORMED, false, 0},
		{"1 ", 0, DECIMAL_MALFORMED, false, 0},
		{"0x10", 0, DECIMAL_MALFORMED, false, 0},
		{"NaN", 0, DECIMAL_MALFORMED, false, 0},
		{"Infinity", 0, DECIMAL_MALFORMED, false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool negative = false;
		uint64_t magnitude = 0;
		enum decimal_result result = decimal_read(
			rows[i].text, strlen(rows[i].text), rows[i].decimals, &negative, &magnitude);

		if (result != rows[i].result || negative != rows[i].negative ||
			magnitude != rows[i].magnitude)
			fail_msg("%s: %d %d %llu", rows[i].text, result, negative,
				(unsigned long long)magnitude);
	}
}

static void test_money(void **state)
{
	static const struct {
		int64_t micros;
		const char *text;
	} rows[] = {
		{0, "0"},
		{99000000, "99"},
		{99900000, "99.9"},
		{45900000, "45.9"},
		{100000000, "100"},
		{1, "0.000001"},
		{-1500000, "-1.5"},
		{INT64_MAX, "9223372036854.775807"},
		{INT64_MIN, "-9223372036854.775808"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text text;
		bool negative;
		uint64_t magnitude;

		text_init(&text, 100);
		money_write(&text, rows[i].micros);
		assert_string_equal(text.data, rows[i].text);
		assert_int_equal(decimal_read(text.data, text.length, MONEY_DECIMALS, &negative, &magnitude),
			DECIMAL_OK);
		assert_true((int64_t)(negative ? 0 - magnitude : magnitude) == rows[i].micros);
		text_release(&text);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int32_t nanos;
		const char *written; /* NULL: refused */
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00.000Z"},
		{"2026-01-31T12:00:00.5Z", 1769860800, 500000000, "2026-01-31T12:00:00.500Z"},
		{"2026-01-31t12:00:00.123456789z", 1769860800, 123456789, "2026-01-31T12:00:00.123Z"},
		{"2026-01-31T14:30:00+02:30", 1769860800, 0, "2026-01-31T12:00:00.000Z"},
		{"2026-01-31T09:30:00-02:30", 1769860800, 0, "2026-01-31T12:00:00.000Z"},
		{"2024-02-29T00:00:00Z", 1709164800, 0, "2024-02-29T00:00:00.000Z"},
		{"2000-02-29T23:59:59Z", 951868799, 0, "2000-02-29T23:59:59.000Z"},
		{"1969-12-31T23:59:59.999Z", -1, 999000000, "1969-12-31T23:59:59.999Z"},
		{"0001-01-01T00:00:00Z", -62135596800, 0, "0001-01-01T00:00:00.000Z"},
		{"9999-12-31T23:59:59Z", 253402300799, 0, "9999-12-31T23:59:59.000Z"},
		{"2023-02-29T00:00:00Z", 0, 0, NULL},
		{"1900-02-29T00:00:00Z", 0, 0, NULL},
		{"2026-13-01T00:00:00Z", 0, 0, NULL},
		{"2026-00-01T00:00:00Z", 0, 0, NULL},
		{"2026-01-32T00:00:00Z", 0, 0, NULL},
		{"2026-01-01T24:00:00Z", 0, 0, NULL},
		{"2026-01-01T00:60:00Z", 0, 0, NULL},
		{"2026-01-01T00:00:60Z", 0, 0, NULL},
		{"2026-01-01T00:00:00", 0, 0, NULL},
		{"2026-01-01 00:00:00Z", 0, 0, NULL},
		{"2026-01-01T00:00:00.Z", 0, 0, NULL},
		{"2026-01-01T00:00:00.1234567890Z", 0, 0, NULL},
		{"2026-01-01T00:00:00Zz", 0, 0, NULL},
		{"0001-01-01T00:00:00+00:01", 0, 0, NULL},
		{"0000-01-01T00:00:00Z", 0, 0, NULL},
		{"9999-12-31T23:59:59-00:01", 0, 0, NULL},
		{"", 0, 0, NULL},
		{"2026", 0, 0, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t seconds = 0;
		int32_t nanos = 0;
		struct text text;

		if (timestamp_read(rows[i].text, strlen(rows[i].text), &seconds, &nanos) !=
			(rows[i].written != NULL))
			fail_msg("%s", rows[i].text);
		if (!rows[i].written)
			continue;
		assert_true(seconds == rows[i].seconds);
		assert_int_equal(nanos, rows[i].nanos);
		text_init(&text, 100);
		timestamp_write(&text, seconds, nanos);
		assert_memory_equal(text.data + 1, rows[i].written, text.length - 2);
		text_release(&text);
	}
}

/* Every day of 400 years there and back. */
static void test_every_day(void **state)
{
	struct text text;

	text_init(&text, 100);
	for (int64_t day = -200 * 366; day < 200 * 366; day++) {
		int64_t seconds;
		int32_t nanos;

		text_clear(&text);
		timestamp_write(&text, day * 86400 + 1, 0);
		assert_true(timestamp_read(text.data + 1, text.length - 2, &seconds, &nanos));
		assert_true(seconds == day * 86400 + 1);
	}
	text_release(&text);
}

static void test_times_out_of_range(void **state)
{
	struct text text;

	text_init(&text, 200);
	timestamp_write(&text, INT64_MIN, -5);
	timestamp_write(&text, INT64_MAX, INT32_MAX);
	assert_string_equal(text.data, "\"0001-01-01T00:00:00.000Z\"\"9999-12-31T23:59:59.999Z\"");
	text_release(&text);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int32_t nanos;
		const char *written; /* NULL: refused */
	} rows[] = {
		{"600s", 600, 0, "\"600s\""},
		{"3.5s", 3, 500000000, "\"3.500s\""},
		{"0s", 0, 0, "\"0s\""},
		{"-1.5s", -1, -500000000, "\"-1.500s\""},
		{"-0.000001s", 0, -1000, "\"-0.000001s\""},
		{"1.000000001s", 1, 1, "\"1.000000001s\""},
		{"315576000000s", 315576000000, 0, "\"315576000000s\""},
		{"315576000001s", 0, 0, NULL},
		{"315576000000.1s", 0, 0, NULL},
		{"1", 0, 0, NULL},
		{"s", 0, 0, NULL},
		{"1.s", 0, 0, NULL},
		{".5s", 0, 0, NULL},
		{"1m", 0, 0, NULL},
		{"1s ", 0, 0, NULL},
		{"", 0, 0, NULL},
		{"99999999999999999999s", 0, 0, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t seconds = 0;
		int32_t nanos = 0;
		struct text text;

		if (duration_read(rows[i].text, strlen(rows[i].text), &seconds, &nanos) !=
			(rows[i].written != NULL))
			fail_msg("%s", rows[i].text);
		if (!rows[i].written)
			continue;
		assert_true(seconds == rows[i].seconds);
		assert_int_equal(nanos, rows[i].nanos);
		text_init(&text, 100);
		duration_write(&text, seconds, nanos);
		assert_string_equal(text.data, rows[i].written);
		text_release(&text);
	}
}

static void test_base64(void **state)
{
	static const char *const good[] = {
		"\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"Zm9vYg==\"", "\"Zm9vYmE=\"", "\"Zm9vYmFy\""};
	static const char *const bad[] = {
		"Z", "A", "Zm9vA", "Zm9vY", "Zm9v!", "=", "====", "Zg=", "Zh==", "Zm9=", "Z===", "Zg==Zg=="};
	uint8_t out[32];
	size_t size;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct text text;

		text_init(&text, 100);
		base64_write(&text, (const uint8_t *)"foobar", i);
		assert_string_equal(text.data, good[i]);
		assert_true(base64_read(text.data + 1, text.length - 2, out, &size));
		assert_int_equal(size, i);
		assert_memory_equal(out, "foobar", i);
		text_release(&text);
	}
	assert_true(base64_read("-_-_", 4, out, &size));
	assert_memory_equal(out, "\xfb\xff\xbf", 3);
	assert_true(base64_read("Zg", 2, out, &size)); /* without padding */
	assert_int_equal(size, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64_read(bad[i], strlen(bad[i]), out, &size))
			fail_msg("%s", bad[i]);
}

static void test_doubles(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{0, "0.0"},
		{99, "99.0"},
		{0.1, "0.1"},
		{1.0 / 3, "0.3333333333333333"},
		{1e300, "1e+300"},
		{-2.5, "-2.5"},
		{NAN, "null"},
		{INFINITY, "null"},
	};
	double value;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text text;

		text_init(&text, 100);
		double_write(&text, rows[i].value);
		assert_string_equal(text.data, rows[i].text);
		if (isfinite(rows[i].value)) {
			assert_true(double_read(text.data, text.length, &value));
			assert_true(value == rows[i].value);
		}
		text_release(&text);
	}
	assert_false(double_read("1e999", 5, &value));
	assert_false(double_read("nan", 3, &value));
	assert_false(double_read("0x1p3", 5, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_money),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_times_out_of_range),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_doubles),
	};

	return cmocka_run_group_tests_name("edge/json_values", tests, NULL, NULL);
}
