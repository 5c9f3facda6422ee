/* Solves challenges of tests, as a client does: counting up. */
#ifndef FLASHSALE_TESTS_GATEKEEPER_SOLVER_H
#define FLASHSALE_TESTS_GATEKEEPER_SOLVER_H

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "gatekeeper/edge/challenge.h"

#define SOLUTION_TEXT_MAX (CHALLENGE_TEXT_MAX + CHALLENGE_COUNTER_MAX + 8)

static inline unsigned solver_zeros(const char *text)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	unsigned zeros = 0;

	SHA256((const uint8_t *)text, strlen(text), digest);
	while (zeros < 256 && !(digest[zeros / 8] >> (7 - zeros % 8) & 1))
		zeros++;
	return zeros;
}

/* The first number from `from` on that gives that many zero bits, or fewer when `enough` is false. */
static inline const char *solver_search(
	const char *challenge, unsigned from, unsigned difficulty, bool enough, char ret[SOLUTION_TEXT_MAX])
{
	do
		snprintf(ret, SOLUTION_TEXT_MAX, "%.95s.%u", challenge, from++);
	while ((solver_zeros(ret) >= difficulty) != enough);
	return ret;
}

#endif
