/* tests/simulation/random.c - see random.h. */
#include "tests/simulation/random.h"

static uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

/* splitmix64 spreads a small seed over the whole state. */
void random_seed(struct random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		random->state[i] = z ^ z >> 31;
	}
}

uint64_t random_next(struct random *random)
{
	uint64_t *s = random->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* An exponential wait in integers: the leading zeros of a random word are its whole part. */
int64_t random_wait(struct random *random, int64_t mean)
{
	uint64_t word = random_next(random) | 1;
	int64_t halvings = __builtin_clzll(word);
	int64_t scaled = mean * 693 / 1000;

	return 1 + halvings * scaled + (int64_t)random_below(random, (uint64_t)scaled + 1);
}
