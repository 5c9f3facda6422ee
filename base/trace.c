#include "base/trace.h"

#include <string.h>

#define PARENT_ID_OFFSET 36
#define PARENT_ID_LENGTH 16
#define FLAGS_OFFSET 53

/* -1: not a lower-case hex digit. */
static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `bytes` may be NULL; *ret_zero: all of it is. */
static bool read_hex(const char *text, size_t count, uint8_t *bytes, bool *ret_zero)
{
	int any = 0;

	for (size_t i = 0; i < count; i++) {
		const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		any |= high | low;
		if (bytes)
			bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret_zero = !any;
	return true;
}

bool trace_parse(const char *text, size_t length, uint8_t ret_id[TRACE_ID_BYTES])
{
	uint8_t version, id[TRACE_ID_BYTES];
	bool no_version, no_trace, no_parent, no_flags;

	if (length < TRACEPARENT_LENGTH || !read_hex(text, 1, &version, &no_version) || version == 0xff)
		return false;
	if (length > TRACEPARENT_LENGTH && (no_version || text[TRACEPARENT_LENGTH] != '-'))
		return false;
	if (text[2] != '-' || text[PARENT_ID_OFFSET - 1] != '-' || text[FLAGS_OFFSET - 1] != '-')
		return false;
	if (!read_hex(text + TRACE_ID_OFFSET, TRACE_ID_BYTES, id, &no_trace) ||
		!read_hex(text + PARENT_ID_OFFSET, PARENT_ID_LENGTH / 2, NULL, &no_parent) ||
		!read_hex(text + FLAGS_OFFSET, 1, NULL, &no_flags) || no_trace || no_parent)
		return false;
	if (ret_id)
		memcpy(ret_id, id, TRACE_ID_BYTES);
	return true;
}

const char *trace_id_format(const uint8_t *id, size_t size, char *buffer)
{
	static const char digits[] = "0123456789abcdef";

	if (size != TRACE_ID_BYTES) {
		buffer[0] = '\0';
		return buffer;
	}
	for (size_t i = 0; i < TRACE_ID_BYTES; i++) {
		buffer[2 * i] = digits[id[i] >> 4];
		buffer[2 * i + 1] = digits[id[i] & 15];
	}
	buffer[TRACE_ID_LENGTH] = '\0';
	return buffer;
}
