#include "gatekeeper/edge/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

#define SPAN_ID_OFFSET 36
#define SPAN_ID_LENGTH 16

static bool is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	}
	return true;
}

static bool is_zero(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '0')
			return false;
	}
	return true;
}

/* Version 00; a later version may be longer, and what is known of it is taken over as version 00. */
static bool is_traceparent(const char *text, size_t length)
{
	if (length < TRACE_TEXT_LENGTH || (length > TRACE_TEXT_LENGTH && text[TRACE_TEXT_LENGTH] != '-'))
		return false;
	if (!is_hex(text, 2) || memcmp(text, "ff", 2) == 0 ||
		(length > TRACE_TEXT_LENGTH && memcmp(text, "00", 2) == 0))
		return false;
	return text[2] == '-' && text[35] == '-' && text[52] == '-' &&
	       is_hex(text + TRACE_ID_OFFSET, TRACE_ID_LENGTH) &&
	       is_hex(text + SPAN_ID_OFFSET, SPAN_ID_LENGTH) && is_hex(text + 53, 2) &&
	       !is_zero(text + TRACE_ID_OFFSET, TRACE_ID_LENGTH) &&
	       !is_zero(text + SPAN_ID_OFFSET, SPAN_ID_LENGTH);
}

/* splitmix64: traces need to differ, not to be secret */
static uint64_t next(struct trace_maker *maker)
{
	uint64_t value = maker->state += 0x9e3779b97f4a7c15;

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

void trace_maker_init(struct trace_maker *maker)
{
	struct id seed;

	id_random(&seed);
	memcpy(&maker->state, seed.bytes + 8, sizeof(maker->state));
}

static char *put_hex(char *at, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 15; i >= 0; i--, value >>= 4)
		at[i] = digits[value & 15];
	return at + 16;
}

void trace_take(struct trace_maker *maker, const char *given, size_t length, char ret[TRACE_TEXT_MAX])
{
	char *at = ret;

	if (given && is_traceparent(given, length)) {
		memcpy(ret, given, TRACE_TEXT_LENGTH);
		memcpy(ret, "00", 2);
		ret[TRACE_TEXT_LENGTH] = 0;
		return;
	}
	memcpy(at, "00-", 3);
	at = put_hex(put_hex(at + 3, next(maker) | 1), next(maker));
	*at++ = '-';
	at = put_hex(at, next(maker) | 1);
	memcpy(at, "-01", 4);
}
