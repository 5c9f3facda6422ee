#include "gatekeeper/edge/json_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NANOS 1000000000
#define DAY_SECONDS 86400
#define DURATION_SECONDS_MAX INT64_C(315576000000) /* of google.protobuf.Duration */
#define TIMESTAMP_MIN INT64_C(-62135596800)	   /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX INT64_C(253402300799)	   /* 9999-12-31T23:59:59Z */
#define NUMBER_LENGTH_MAX 512			   /* of what strtod is given */
#define EXPONENT_MAX 100000			   /* beyond it only "very large" or "very small" matters */

struct cursor {
	const char *at, *end;
};

static bool is_digit(const struct cursor *cursor)
{
	return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool take(struct cursor *cursor, char c)
{
	if (cursor->at == cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

/* The parts of a number as written. */
struct digits {
	bool negative;
	const char *whole, *fraction;
	size_t whole_length, fraction_length;
	int exponent;
};

static size_t take_digits(struct cursor *cursor, const char **ret)
{
	*ret = cursor->at;
	while (is_digit(cursor))
		cursor->at++;
	return (size_t)(cursor->at - *ret);
}

static bool take_exponent(struct cursor *cursor, int *ret)
{
	bool negative;
	int value = 0;

	if (!take(cursor, 'e') && !take(cursor, 'E'))
		return true;
	negative = take(cursor, '-');
	if (!negative)
		take(cursor, '+');
	if (!is_digit(cursor))
		return false;
	for (; is_digit(cursor); cursor->at++)
		if (value < EXPONENT_MAX)
			value = value * 10 + (*cursor->at - '0');
	*ret = negative ? -value : value;
	return true;
}

/* RFC 8259's grammar of a number, all of the text. */
static bool split_number(const char *data, size_t length, struct digits *ret)
{
	struct cursor cursor = {data, data + length};

	*ret = (struct digits){.negative = take(&cursor, '-')};
	ret->whole_length = take_digits(&cursor, &ret->whole);
	if (!ret->whole_length || (ret->whole_length > 1 && ret->whole[0] == '0'))
		return false;
	if (take(&cursor, '.')) {
		ret->fraction_length = take_digits(&cursor, &ret->fraction);
		if (!ret->fraction_length)
			return false;
	}
	return take_exponent(&cursor, &ret->exponent) && cursor.at == cursor.end;
}

/* Digit i of whole and fraction in a row. */
static unsigned digit_at(const struct digits *digits, size_t i)
{
	char c = i < digits->whole_length ? digits->whole[i] : digits->fraction[i - digits->whole_length];

	return (unsigned)(c - '0');
}

enum decimal_result decimal_read(
	const char *data, size_t length, unsigned decimals, bool *ret_negative, uint64_t *ret_magnitude)
{
	struct digits digits;
	size_t count, first = 0;
	int64_t zeros; /* to append; negative: the point comes before the last digits */
	uint64_t value = 0;

	if (!split_number(data, length, &digits))
		return DECIMAL_MALFORMED;
	count = digits.whole_length + digits.fraction_length;
	zeros = (int64_t)digits.exponent - (int64_t)digits.fraction_length + decimals;
	for (; count && !digit_at(&digits, count - 1); zeros++)
		count--;
	while (first < count && !digit_at(&digits, first))
		first++;
	if (count && zeros < 0)
		return DECIMAL_FRACTION;
	if (count && (int64_t)(count - first) + zeros > 20)
		return DECIMAL_TOO_LARGE;
	for (size_t i = first; i < count; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, digit_at(&digits, i), &value))
			return DECIMAL_TOO_LARGE;
	for (; count && zeros > 0; zeros--)
		if (__builtin_mul_overflow(value, 10, &value))
			return DECIMAL_TOO_LARGE;
	*ret_negative = digits.negative && value;
	*ret_magnitude = value;
	return DECIMAL_OK;
}

bool double_read(const char *data, size_t length, double *ret)
{
	char copy[NUMBER_LENGTH_MAX + 1];
	struct digits digits;

	if (length > NUMBER_LENGTH_MAX || !split_number(data, length, &digits))
		return false;
	memcpy(copy, data, length);
	copy[length] = '\0';
	*ret = strtod(copy, NULL);
	return isfinite(*ret);
}

/* Exactly `count` digits. */
static bool take_number(struct cursor *cursor, unsigned count, int *ret)
{
	int value = 0;

	for (; count; count--) {
		if (!is_digit(cursor))
			return false;
		value = value * 10 + (*cursor->at++ - '0');
	}
	*ret = value;
	return true;
}

/* What follows a point: 1 to 9 digits of a second. No point: 0. */
static bool take_nanos(struct cursor *cursor, int32_t *ret)
{
	unsigned count = 0;
	int32_t value = 0;

	if (take(cursor, '.')) {
		for (; is_digit(cursor); cursor->at++, count++) {
			if (count == 9)
				return false;
			value = value * 10 + (*cursor->at - '0');
		}
		if (!count)
			return false;
		for (; count < 9; count++)
			value *= 10;
	}
	*ret = value;
	return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar: years are counted from March, so the leap day is the last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t era, of_era, year, of_year, month;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = days - era * 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct cursor *cursor, int64_t *ret_days)
{
	int year, month, day;

	if (!take_number(cursor, 4, &year) || !take(cursor, '-') || !take_number(cursor, 2, &month) ||
		!take(cursor, '-') || !take_number(cursor, 2, &day))
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	*ret_days = days_of(year, month, day);
	return true;
}

static bool take_time(struct cursor *cursor, bool with_seconds, int *ret_seconds)
{
	int hour, minute, second = 0;

	if (!take_number(cursor, 2, &hour) || !take(cursor, ':') || !take_number(cursor, 2, &minute))
		return false;
	if (with_seconds && (!take(cursor, ':') || !take_number(cursor, 2, &second)))
		return false;
	*ret_seconds = hour * 3600 + minute * 60 + second;
	return hour < 24 && minute < 60 && second < 60;
}

bool timestamp_read(const char *data, size_t length, int64_t *ret_seconds, int32_t *ret_nanos)
{
	struct cursor cursor = {data, data + length};
	int64_t days, seconds;
	int time, offset = 0;
	int32_t nanos;

	if (!take_date(&cursor, &days) || (!take(&cursor, 'T') && !take(&cursor, 't')) ||
		!take_time(&cursor, true, &time) || !take_nanos(&cursor, &nanos))
		return false;
	if (!take(&cursor, 'Z') && !take(&cursor, 'z')) {
		bool west = take(&cursor, '-');

		if ((!west && !take(&cursor, '+')) || !take_time(&cursor, false, &offset))
			return false;
		offset = west ? -offset : offset;
	}
	seconds = days * DAY_SECONDS + time - offset;
	if (cursor.at != cursor.end || seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX)
		return false;
	*ret_seconds = seconds;
	*ret_nanos = nanos;
	return true;
}

bool duration_read(const char *data, size_t length, int64_t *ret_seconds, int32_t *ret_nanos)
{
	struct cursor cursor = {data, data + length};
	bool negative = take(&cursor, '-');
	const char *first;
	size_t count = take_digits(&cursor, &first);
	int64_t seconds = 0;
	int32_t nanos;

	if (!count || count > 12 || !take_nanos(&cursor, &nanos) || !take(&cursor, 's') ||
		cursor.at != cursor.end)
		return false;
	for (size_t i = 0; i < count; i++)
		seconds = seconds * 10 + (first[i] - '0');
	if (seconds > DURATION_SECONDS_MAX || (seconds == DURATION_SECONDS_MAX && nanos))
		return false;
	*ret_seconds = negative ? -seconds : seconds;
	*ret_nanos = negative ? -nanos : nanos;
	return true;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

bool base64_read(const char *data, size_t length, uint8_t *out, size_t *ret_size)
{
	uint32_t bits = 0;
	unsigned count = 0; /* of bits */
	size_t size = 0;

	if (length && length % 4 == 0 && data[length - 1] == '=')
		length -= data[length - 2] == '=' ? 2 : 1;
	if (length % 4 == 1)
		return false;
	for (size_t i = 0; i < length; i++) {
		int value = base64_value(data[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[size++] = (uint8_t)(bits >> count);
		}
	}
	*ret_size = size;
	return (bits & ((1u << count) - 1)) == 0;
}

/* Exactly `count` digits before `end`; returns where they begin. */
static char *put_digits(char *end, uint64_t value, int count)
{
	for (; count; count--, value /= 10)
		*--end = (char)('0' + value % 10);
	return end;
}

void money_write(struct text *text, int64_t micros)
{
	uint64_t magnitude = micros < 0 ? 0u - (uint64_t)micros : (uint64_t)micros;
	uint64_t whole = magnitude / 1000000;
	char digits[32], *end = digits + sizeof(digits),
			 *at = put_digits(end, magnitude % 1000000, MONEY_DECIMALS);

	*--at = '.';
	do {
		*--at = (char)('0' + whole % 10);
		whole /= 10;
	} while (whole);
	if (micros < 0)
		*--at = '-';
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	text_append(text, at, (size_t)(end - at));
}

/* Brings nanos into 0 to 999,999,999. */
static int32_t fit_nanos(int32_t nanos)
{
	return nanos < 0 ? 0 : nanos >= NANOS ? NANOS - 1 : nanos;
}

void timestamp_write(struct text *text, int64_t seconds, int32_t nanos)
{
	char form[] = "\"0000-00-00T00:00:00.000Z\"";
	int64_t days, of_day;
	int year, month, day;

	seconds = seconds < TIMESTAMP_MIN ? TIMESTAMP_MIN : seconds > TIMESTAMP_MAX ? TIMESTAMP_MAX : seconds;
	days = seconds / DAY_SECONDS;
	of_day = seconds % DAY_SECONDS;
	if (of_day < 0) {
		of_day += DAY_SECONDS;
		days--;
	}
	date_of(days, &year, &month, &day);
	put_digits(form + 5, (uint64_t)year, 4);
	put_digits(form + 8, (uint64_t)month, 2);
	put_digits(form + 11, (uint64_t)day, 2);
	put_digits(form + 14, (uint64_t)of_day / 3600, 2);
	put_digits(form + 17, (uint64_t)of_day / 60 % 60, 2);
	put_digits(form + 20, (uint64_t)of_day % 60, 2);
	put_digits(form + 24, (uint64_t)(fit_nanos(nanos) / 1000000), 3);
	text_append(text, form, sizeof(form) - 1);
}

void duration_write(struct text *text, int64_t seconds, int32_t nanos)
{
	bool negative = seconds < 0 || nanos < 0;
	uint64_t whole = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
	int32_t fraction = fit_nanos(nanos < 0 && nanos > -NANOS ? -nanos : nanos);

	text_appendf(text, "\"%s%llu", negative ? "-" : "", (unsigned long long)whole);
	if (fraction % 1000)
		text_appendf(text, ".%09d", fraction);
	else if (fraction % 1000000)
		text_appendf(text, ".%06d", fraction / 1000);
	else if (fraction)
		text_appendf(text, ".%03d", fraction / 1000000);
	text_append_string(text, "s\"");
}

void base64_write(struct text *text, const uint8_t *data, size_t size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	text_append_char(text, '"');
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);
		char four[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
			left > 1 ? alphabet[bits >> 6 & 63] : '=', left > 2 ? alphabet[bits & 63] : '='};

		text_append(text, four, sizeof(four));
	}
	text_append_char(text, '"');
}

void double_write(struct text *text, double value)
{
	char digits[40];

	if (!isfinite(value)) {
		text_append_string(text, "null");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	text_append_string(text, digits);
	if (!strpbrk(digits, ".e"))
		text_append_string(text, ".0");
}
