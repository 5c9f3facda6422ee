#include "gatekeeper/edge/trace.h"

#include <string.h>

#include "base/id.h"

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

static void put_big_endian(uint8_t *to, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(to, &value, sizeof(value));
}

static char *put_hex(char *at, const uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	return at;
}

static void begin(struct trace_maker *maker, struct trace *ret)
{
	uint8_t parent[8];
	char *at = ret->text;

	put_big_endian(ret->id, next(maker) | 1);
	put_big_endian(ret->id + 8, next(maker));
	put_big_endian(parent, next(maker) | 1);
	memcpy(at, "00-", 3);
	at = put_hex(at + 3, ret->id, TRACE_ID_BYTES);
	*at++ = '-';
	at = put_hex(at, parent, sizeof(parent));
	memcpy(at, "-01", 4);
}

void trace_take(struct trace_maker *maker, const char *given, size_t length, struct trace *ret)
{
	if (!given || !trace_parse(given, length, ret->id)) {
		begin(maker, ret);
		return;
	}
	memcpy(ret->text, given, TRACEPARENT_LENGTH);
	memcpy(ret->text, "00", 2);
	ret->text[TRACEPARENT_LENGTH] = 0;
}
