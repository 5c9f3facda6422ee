/* base/id.c - ids that ascend; see id.h. */
#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#define COUNTER_BITS 26
#define COUNTER_MAX ((UINT32_C(1) << COUNTER_BITS) - 1)
#define TIME_MAX_MS ((INT64_C(1) << 48) - 1)

static void id_system_random(void *to, size_t size)
{
	ssize_t got;

	do
		got = getrandom(to, size, 0);
	while (got < 0 && errno == EINTR);
	assert(got == (ssize_t)size); /* up to 256 bytes come whole */
}

static uint64_t id_rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

/* xoroshiro128+: a call to the system for each id would cost more than the id. */
static uint64_t id_next_random(struct id_generator *generator)
{
	uint64_t a = generator->random_state[0], b = generator->random_state[1];

	generator->random_state[0] = id_rotate(a, 24) ^ a ^ b ^ (a ^ b) << 16;
	generator->random_state[1] = id_rotate(a ^ b, 37);
	return a + b;
}

void id_generator_init(struct id_generator *generator, const struct clock_source *clock)
{
	*generator = (struct id_generator){.clock = clock};
	do
		id_system_random(generator->random_state, sizeof(generator->random_state));
	while (!generator->random_state[0] && !generator->random_state[1]);
}

/* A new millisecond begins at a random count whose top bit is clear: at least 2^25 ids of room. */
static void id_begin_ms(struct id_generator *generator, int64_t ms)
{
	assert(ms >= 0 && ms <= TIME_MAX_MS);
	generator->last_ms = ms;
	generator->counter = (uint32_t)(id_next_random(generator) >> 32) & (COUNTER_MAX >> 1);
}

struct id id_next(struct id_generator *generator)
{
	int64_t now_ms = clock_wall_ms(generator->clock);
	uint64_t time, noise;
	struct id id;

	if (now_ms > generator->last_ms)
		id_begin_ms(generator, now_ms <= TIME_MAX_MS ? now_ms : TIME_MAX_MS);
	else if (generator->counter < COUNTER_MAX)
		generator->counter++;
	else
		id_begin_ms(generator, generator->last_ms + 1);
	time = (uint64_t)generator->last_ms;
	noise = id_next_random(generator) >> 16;
	for (int i = 0; i < 6; i++) {
		id.bytes[i] = (uint8_t)(time >> (40 - 8 * i));
		id.bytes[10 + i] = (uint8_t)(noise >> (40 - 8 * i));
	}
	id.bytes[6] = (uint8_t)(0x70 | generator->counter >> 22);
	id.bytes[7] = (uint8_t)(generator->counter >> 14);
	id.bytes[8] = (uint8_t)(0x80 | (generator->counter >> 8 & 0x3f));
	id.bytes[9] = (uint8_t)generator->counter;
	return id;
}

static uint32_t id_counter(const struct id *id)
{
	return (uint32_t)(id->bytes[6] & 0x0f) << 22 | (uint32_t)id->bytes[7] << 14 |
	       (uint32_t)(id->bytes[8] & 0x3f) << 8 | id->bytes[9];
}

void id_generator_pass(struct id_generator *generator, const struct id *id)
{
	int64_t ms = id_time_ms(id);

	if (id->bytes[6] >> 4 != 7 || ms < generator->last_ms)
		return;
	if (ms == generator->last_ms && id_counter(id) <= generator->counter)
		return;
	if (ms == TIME_MAX_MS)
		return; /* no clock has made it; nothing could follow */
	generator->last_ms = ms;
	generator->counter = id_counter(id);
}

static bool id_dash_before(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

char *id_format(const struct id *id, char text[ID_TEXT_LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *to = text;

	for (int i = 0; i < ID_BYTES; i++) {
		if (id_dash_before(i))
			*to++ = '-';
		*to++ = digits[id->bytes[i] >> 4];
		*to++ = digits[id->bytes[i] & 15];
	}
	*to = '\0';
	return text;
}

static int id_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool id_parse(const char *text, struct id *ret)
{
	struct id id;

	for (int i = 0; i < ID_BYTES; i++) {
		int high, low;

		if (id_dash_before(i) && *text++ != '-')
			return false;
		high = id_digit(text[0]);
		low = high < 0 ? -1 : id_digit(text[1]);
		if (low < 0)
			return false;
		id.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text)
		return false;
	*ret = id;
	return true;
}

int64_t id_time_ms(const struct id *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms;
}

void id_random(struct id *ret)
{
	id_system_random(ret->bytes, sizeof(ret->bytes));
	ret->bytes[6] = (uint8_t)(0x40 | (ret->bytes[6] & 0x0f));
	ret->bytes[8] = (uint8_t)(0x80 | (ret->bytes[8] & 0x3f));
}
