/* rpc/backoff.h - how long to wait before a stream is opened again: 50 ms, then twice as long each time up to a second, with jitter. For the client's files of
 * rpc/ only. Threads: belongs to its owner. */
#ifndef FLASHSALE_RPC_BACKOFF_H
#define FLASHSALE_RPC_BACKOFF_H

#include <stdint.h>

#include "base/clock.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 1000

struct backoff {
	int64_t ms; /* the next one, without jitter */
	uint64_t random;
};

static inline void backoff_clear(struct backoff *backoff)
{
	backoff->ms = BACKOFF_FIRST_MS;
}

static inline void backoff_init(struct backoff *backoff)
{
	backoff_clear(backoff);
	backoff->random = ((uint64_t)clock_mono_ns() ^ (uintptr_t)backoff) | 1;
}

/* Half of it at least, all of it at most; then twice as long. */
static inline int64_t backoff_next_ms(struct backoff *backoff)
{
	const int64_t half_ms = backoff->ms / 2;

	/* xorshift: it only spreads reconnects over time */
	backoff->random ^= backoff->random << 13;
	backoff->random ^= backoff->random >> 7;
	backoff->random ^= backoff->random << 17;
	backoff->ms = backoff->ms * 2 < BACKOFF_LAST_MS ? backoff->ms * 2 : BACKOFF_LAST_MS;
	return half_ms + (int64_t)(backoff->random % (uint64_t)(half_ms + 1));
}

#endif
