/* tests/simulation/random.h - all chance of a run comes from here, and all of it from one seed. xoshiro256**. */
#ifndef FLASHSALE_TESTS_SIMULATION_RANDOM_H
#define FLASHSALE_TESTS_SIMULATION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);

static inline uint64_t random_below(struct random *random, uint64_t bound) /* bound at least 1 */
{
	return (uint64_t)(((unsigned __int128)random_next(random) * bound) >> 64);
}

static inline int64_t random_between(struct random *random, int64_t low, int64_t high) /* both ends */
{
	return low + (int64_t)random_below(random, (uint64_t)(high - low) + 1);
}

/* `parts` of a million. */
static inline bool random_chance(struct random *random, uint32_t parts)
{
	return parts && random_below(random, 1000000) < parts;
}

/* Mostly near, seldom far: the wait for the next event of a kind that comes every `mean` on average. At least 1. */
int64_t random_wait(struct random *random, int64_t mean);

#endif
