/* base/id.h - UUIDv7 with a monotonic counter (RFC 9562, 5.7 and 6.2 method 1): 48 bits of milliseconds, version, 12 bits + 14 bits of
 * counter, 48 bits of randomness. Ids of one generator ascend strictly, so stores append instead of scattering; when the counter of a
 * millisecond is used up, or the clock went back, the generator goes on from its last time.
 * Threads: a generator belongs to one thread. 16 bytes in stores, 36 characters of lower-case text on the wire. */
#ifndef FLASHSALE_BASE_ID_H
#define FLASHSALE_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"

#define ID_BYTES 16
#define ID_TEXT_LENGTH 36

struct id {
	uint8_t bytes[ID_BYTES];
};

struct id_generator {
	const struct clock_source *clock;
	int64_t last_ms;
	uint32_t counter;
	uint64_t random_state[2]; /* seeded from the system; ids are unguessable enough to list, never a secret */
};

void id_generator_init(struct id_generator *generator, const struct clock_source *clock);
struct id id_next(struct id_generator *generator);
/* What comes next is greater than this one, which somebody else has made; ids of other versions are ignored. */
void id_generator_pass(struct id_generator *generator, const struct id *id);
char *id_format(const struct id *id, char text[ID_TEXT_LENGTH + 1]);
bool id_parse(const char *text, struct id *ret);  /* exactly the canonical form, lower or upper case; any version */
int64_t id_time_ms(const struct id *id);
void id_random(struct id *ret); /* UUIDv4 from the system's randomness: lineages, incarnations */

static inline int id_compare(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, ID_BYTES);
}

static inline bool id_is_zero(const struct id *id)
{
	static const struct id zero;

	return id_compare(id, &zero) == 0;
}

#endif
